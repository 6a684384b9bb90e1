"""Calls of language models, and the jobs of their providers: batches, videos, answers to fetch.

One exchange may show both, a call and the job that it begins; its tokens are then the job's.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from proxy.enrich.conversations.conversation import WITH_INPUT
from proxy.enrich.conversations.tool_results import failed_tools
from proxy.enrich.facts import CallUsage, Facts, Thread
from proxy.enrich.http.bodies import TooLong
from proxy.enrich.http.exchange import DecodedExchange
from proxy.enrich.jobs.known import KnownJobs, job_id
from proxy.enrich.jobs.report import Report, is_long, may_be_job, report_of
from proxy.enrich.llm.prices import Prices
from proxy.enrich.llm.rate_limit import exceeded_limit
from proxy.enrich.llm.reader import Call, read_begun_call, read_call
from proxy.enrich.llm.recognise import candidate_of
from proxy.enrich.readers.reader import Dependencies, Reader
from proxy.enrich.redact.redactor import Redactor
from storage.record import Job, Outcome, Record, Stream
from storage.tools import TOOL_ERROR

_TOO_MANY_REQUESTS: Final = 429
_LATER: Final = "later"
"""Usage state of what began a job: the counts are those of the record that shows its result."""
STREAM_CUT: Final = "stream_cut"


class Llm(Reader):
    """Reads calls, and keeps which jobs are known."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._redactor = dependencies.redactor
        self._prices = dependencies.prices
        self._jobs = KnownJobs()

    def may_read(self, exchange: DecodedExchange) -> bool:
        method = exchange.line.method
        path = exchange.line.path or ""
        if may_be_job(method, path):
            return True
        return method == "POST" and candidate_of(_setting(exchange), method, path) is not None

    def read(self, record: Record, exchange: DecodedExchange) -> Facts | None:
        is_candidate = may_be_job(record.method, record.path or "")
        if is_candidate and not exchange.may_take_long and is_long(exchange.response_body):
            raise TooLong

        setting = _setting(exchange)
        call = read_call(setting, record, exchange)
        if is_candidate:
            report = report_of(setting, record, exchange, call)
        else:
            report = None
        counted = call or (None if report is None else report.call)
        if (
            counted is not None
            and not exchange.may_take_long
            and self._prices.must_load(counted.usage)
        ):
            raise TooLong

        if report is not None:
            facts = self._of_job(record, report)
        elif call is not None:
            facts = self._of_call(record, exchange, call)
        else:
            return None

        if call is not None:
            facts.thread = Thread(call.members, call.usage.response_id)
        elif report is not None and facts.provider is not None:
            facts.thread = Thread(job=report.name)
        return facts

    def running(self, record: Record, exchange: DecodedExchange) -> Facts | None:
        call = read_begun_call(_setting(exchange), record, exchange)
        return None if call is None else Facts(provider=call.provider, model=call.usage.model)

    def know_jobs(self, jobs: Iterable[Job]) -> None:
        self._jobs.load(jobs)

    def _of_call(self, record: Record, exchange: DecodedExchange, call: Call) -> Facts:
        usage = call.usage
        has_input = (record.path or "").endswith(WITH_INPUT)
        usage.failed_tools += failed_tools(call.members, has_input=has_input)
        facts = counted(self._redactor, self._prices, call, usage.parts)
        blame_tools(facts, record, keeps_text=exchange.keeps_text)
        if _is_short(record, call):
            facts.suspicion = STREAM_CUT

        if record.status == _TOO_MANY_REQUESTS:
            body = exchange.response_body
            limit = exceeded_limit(exchange.response.redacted, b"" if body is None else body.head)
            if limit is not None:
                facts.data["rate_limit"] = limit
        return facts

    def _of_job(self, record: Record, report: Report) -> Facts:
        """Read what a record says of a job: its counts, unless another record has them; what is new
        of it.
        """
        facts = Facts()
        names = [job_id(record.project, name) for name in (report.name, *report.files)]
        found = [job for name in names if (job := self._jobs.get(name)) is not None]
        known = found[0] if found else None
        if known is None and report.needs_known:
            return facts

        # A batch and its file are counted with whichever was whole first.
        counted_by = next((job.counted_by for job in found if job.counted_by is not None), None)
        is_counted = counted_by is not None
        is_unsure = (
            known is None
            and not report.is_begun
            and self._jobs.may_be_forgotten(report.created_at_us)
        )

        is_counted_now = False
        if report.is_ended and report.call is not None and not is_counted and not is_unsure:
            is_counted_now = True
            counted_by = record.id
            facts = counted(
                self._redactor, self._prices, report.call, report.parts or (report.call.usage,)
            )
            blame_tools(facts, record, keeps_text=False)
            if _is_short(record, report.call):
                facts.suspicion = STREAM_CUT
            if report.batch is not None:
                batch = self._redactor.redact_value(msgspec.json.encode(report.batch))
                facts.data["batch"] = msgspec.Raw(batch)
        elif report.is_begun or not is_counted:
            is_lost = is_unsure or (
                report.call is not None and report.call.usage.usage_state == "lost"
            )
            facts.model = report.model
            facts.usage_state = "lost" if is_lost else _LATER

        begun_by = record.id if known is None else known.begun_by
        if known is None:
            started_at_us = record.started_at_us
        else:
            started_at_us = known.started_at_us
        if begun_by != record.id:
            facts.begun_by = begun_by
        if is_counted_now or report.is_begun or known is not None:
            jobs = [Job(name, begun_by, started_at_us, counted_by) for name in names]
            facts.jobs = [job for job in jobs if self._jobs.get(job.id) != job]
            for job in facts.jobs:
                self._jobs.put(job)
        return facts


def counted(redactor: Redactor, prices: Prices, call: Call, parts: Iterable[CallUsage]) -> Facts:
    """Return what a call used and cost, and how its answer came."""
    usage = call.usage
    return Facts(
        provider=call.provider,
        usage=usage,
        stream=call.stream,
        cost=prices.cost_of_parts(call.provider, usage, [*parts]),
        # Clients leave at the terminator, before the last chunk of the transfer coding.
        is_whole=call.stream is not None and call.stream.end in ("complete", "error"),
        error_type=redactor.redact_text(usage.error_type),
        failed_tools=usage.failed_tools,
    )


def blame_tools(facts: Facts, record: Record, *, keeps_text: bool) -> None:
    """Take tools of which a call tells that they failed for its failure, where it has no other."""
    if facts.failed_tools and record.error_type is None and facts.error_type is None:
        facts.error_type = TOOL_ERROR
        facts.level = "warn"
        facts.is_tools_fault = True
    if not keeps_text:
        facts.failed_tools = [tool._replace(said="") for tool in facts.failed_tools]


def _setting(exchange: DecodedExchange) -> str:
    return exchange.labels.provider or "auto"


def _is_short(record: Record, call: Call) -> bool:
    """Whether a model's stream ended in order, but before its API's terminator, and without a
    reason.
    """
    stream: Stream | None = call.stream
    if stream is None or stream.end != "cut" or record.outcome != Outcome.OK:
        return False

    is_begun = (
        call.usage.resolved_model is not None
        or stream.first_content_us is not None
        or stream.frames == 0
    )
    return is_begun and candidate_of("auto", record.method, record.path or "") is not None
