"""LLM calls, and the jobs of their providers: batches, videos, background responses.

One exchange may be both a call and the beginning of a job. Its tokens then belong to the job.
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
"""Usage state of a record that begins a job. The record of the result has the counts."""
STREAM_CUT: Final = "stream_cut"
"""Error type of a stream that ended before its terminator."""


class Llm(Reader):
    """Reads calls and reports of jobs. Keeps the known jobs."""

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
        priced = call
        if priced is None and report is not None:
            priced = report.call
        must_load = priced is not None and self._prices.must_load(priced.usage)
        if must_load and not exchange.may_take_long:
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
        if call is None:
            return None
        return Facts(provider=call.provider, model=call.usage.model)

    def know_jobs(self, jobs: Iterable[Job]) -> None:
        self._jobs.load(jobs)

    def _of_call(self, record: Record, exchange: DecodedExchange, call: Call) -> Facts:
        usage = call.usage
        has_input = (record.path or "").endswith(WITH_INPUT)
        usage.failed_tools += failed_tools(call.members, has_input=has_input)
        facts = usage_facts(self._redactor, self._prices, call, usage.parts)
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
        """Return the facts of a report about a job: state changes, and counts unless another record
        has them.
        """
        names = [job_id(record.project, name) for name in (report.name, *report.files)]
        found = [job for name in names if (job := self._jobs.get(name)) is not None]
        known = found[0] if found else None
        if known is None and report.needs_known:
            return Facts()

        # A batch and its file are both reports of the same tokens: the first complete one is
        # counted.
        counted_by = next((job.counted_by for job in found if job.counted_by is not None), None)
        is_unsure = (
            known is None
            and not report.is_begun
            and self._jobs.may_be_forgotten(report.created_at_us)
        )
        is_new = report.is_begun or known is not None

        if report.is_ended and report.call is not None and counted_by is None and not is_unsure:
            facts = self._of_result(record, report, report.call)
            counted_by = record.id
            is_new = True
        elif report.is_begun or counted_by is None:
            is_lost = is_unsure or (
                report.call is not None and report.call.usage.usage_state == "lost"
            )
            facts = Facts(model=report.model, usage_state="lost" if is_lost else _LATER)
        else:
            facts = Facts()

        begun_by = record.id
        started_at_us = record.started_at_us
        if known is not None:
            begun_by = known.begun_by
            started_at_us = known.started_at_us
        if begun_by != record.id:
            facts.begun_by = begun_by
        if is_new:
            jobs = [Job(name, begun_by, started_at_us, counted_by) for name in names]
            facts.jobs = [job for job in jobs if self._jobs.get(job.id) != job]
            for job in facts.jobs:
                self._jobs.put(job)
        return facts

    def _of_result(self, record: Record, report: Report, call: Call) -> Facts:
        """Return the facts of a job's result: the usage of its call, or of the calls of a batch."""
        facts = usage_facts(self._redactor, self._prices, call, report.parts or (call.usage,))
        blame_tools(facts, record, keeps_text=False)
        if _is_short(record, call):
            facts.suspicion = STREAM_CUT
        if report.batch is not None:
            batch = self._redactor.redact_value(msgspec.json.encode(report.batch))
            facts.data["batch"] = msgspec.Raw(batch)
        return facts


def usage_facts(
    redactor: Redactor, prices: Prices, call: Call, parts: Iterable[CallUsage]
) -> Facts:
    """Return the usage, cost and stream of a call. `parts` are priced separately."""
    usage = call.usage
    return Facts(
        provider=call.provider,
        usage=usage,
        stream=call.stream,
        cost=prices.cost_of_parts(call.provider, usage, [*parts]),
        # Clients leave at the stream's terminator, before the last chunk of the transfer coding.
        is_whole=call.stream is not None and call.stream.end in ("complete", "error"),
        error_type=redactor.redact_text(usage.error_type),
        failed_tools=usage.failed_tools,
    )


def blame_tools(facts: Facts, record: Record, *, keeps_text: bool) -> None:
    """Make failed tools the error of a record without another error; drop their texts unless kept."""
    if facts.failed_tools and record.error_type is None and facts.error_type is None:
        facts.error_type = TOOL_ERROR
        facts.level = "warn"
        facts.is_tools_fault = True
    if not keeps_text:
        facts.failed_tools = [tool._replace(said="") for tool in facts.failed_tools]


def _setting(exchange: DecodedExchange) -> str:
    return exchange.labels.provider or "auto"


def _is_short(record: Record, call: Call) -> bool:
    """Return True if a stream ended before its terminator without a connection error."""
    stream: Stream | None = call.stream
    if stream is None or stream.end != "cut" or record.outcome != Outcome.OK:
        return False

    is_begun = (
        call.usage.resolved_model is not None
        or stream.first_content_us is not None
        or stream.frames == 0
    )
    return is_begun and candidate_of("auto", record.method, record.path or "") is not None
