"""Read the calls that an exchange carried: the LLM columns of its record, its jobs, and the tool
calls of MCP.

Whether there is any call is asked, cheaply, of every exchange; everything else only of those that
have one. Text from a body is redacted like any other before it stands in a column.
"""

import logging
import time
import traceback
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from proxy.enrich.conversations.conversation import WITH_INPUT, Conversations
from proxy.enrich.conversations.tool_results import failed_tools
from proxy.enrich.endpoints.envelopes import STREAM_ERROR, failure_behind, may_fail
from proxy.enrich.endpoints.error_documents import failure_of, message_failure, rpc_failure
from proxy.enrich.endpoints.operation import is_graphql, operation_in_query, operation_of
from proxy.enrich.http.bodies import TooLong
from proxy.enrich.http.exchange import DecodedBody, DecodedExchange
from proxy.enrich.jobs.known import KnownJobs, job_id
from proxy.enrich.jobs.report import Report, is_long, may_be_job, report_of
from proxy.enrich.live.pending import PendingCall
from proxy.enrich.live.session import FailedMessage
from proxy.enrich.live.sessions import LiveSessions
from proxy.enrich.llm.call import CallUsage
from proxy.enrich.llm.prices import Cost, Prices, add_costs
from proxy.enrich.llm.rate_limit import exceeded_limit
from proxy.enrich.llm.reader import Call, read_begun_call, read_call
from proxy.enrich.llm.recognise import candidate_of
from proxy.enrich.mcp.errors import CALLER_ERRORS, failed_tool_of
from proxy.enrich.mcp.jsonrpc import read_operation
from proxy.enrich.mcp.reader import MCP_PATHS, McpReader, is_mcp
from proxy.enrich.mcp.sessions import opens_sse_transport
from proxy.enrich.redact.redactor import Redactor
from proxy.ring.message import IN, CapturedMessage
from proxy.settings.model import PriceSettings
from storage.record import Job, Outcome, Record, Stream, StreamEnd, ToolCall, format_id, level_of
from storage.tools import TOOL_ERROR, FailedTool

log = logging.getLogger(__name__)

TOO_MANY_REQUESTS = 429
LATER = "later"
"""Usage state of what began a job: the counts are those of the record that shows its result."""
_CLOSED_WELL: Final = (1000, 1001, 1005)
"""Close codes of WebSockets: done, going away, and none at all."""
_SERVICE_CLOSES: Final = frozenset((1006, *range(1011, 1016), *range(4500, 4600)))
"""Internal error, restart, overload, bad gateway; the standard forbids sending 1006 and 1015."""
STREAM_CUT: Final = "stream_cut"
_REPORT_EVERY_S: Final = 60.0


class Calls(NamedTuple):
    """What is stored beside the record."""

    tools: list[ToolCall]
    """Those that have ended or now wait."""
    jobs: list[Job]
    """Those that something new is known of."""


def may_hold_calls(exchange: DecodedExchange, *, is_success: bool) -> bool:
    """Whether anything may be read here of an exchange of a route without a provider; of nearly all
    nothing is.
    """
    request = exchange.request
    response = exchange.response
    line = exchange.line
    if request.mcp_session or request.mcp_version or response.mcp_session:
        return True

    method = line.method
    path = line.path or ""
    if may_be_job(method, path) or is_graphql(method, path):
        return True

    answer = b"" if exchange.response_body is None else exchange.response_body.head
    if is_success and may_fail(response.content_type, answer):
        return True
    if method == "POST":
        return path.endswith(MCP_PATHS) or candidate_of("auto", method, path) is not None

    return opens_sse_transport(answer)


class CallReader:
    """Reads calls for one sidecar. Not thread-safe."""

    def __init__(self, redactor: Redactor, prices: Sequence[PriceSettings] = ()) -> None:
        self._redactor = redactor
        self.mcp = McpReader(redactor)
        self.jobs = KnownJobs()
        self.sessions = LiveSessions()
        self.conversations = Conversations()
        self._prices = Prices(own=prices)
        self._reported_s = -_REPORT_EVERY_S

    def read(self, record: Record, exchange: DecodedExchange, *, may_take_long: bool) -> Calls:
        """Fill the LLM columns of `record`, and return what is stored beside it.

        Raises:
            TooLong: it takes long, because the price list must be loaded, a quarter of a second, or because of a large
                file of results, and `may_take_long` is false.
        """
        try:
            return self._read(record, exchange, may_take_long=may_take_long)
        except TooLong:
            raise
        except Exception as error:  # an unforeseen one must not cost the record
            self._report(error)
            return Calls([], [])

    def _read(self, record: Record, exchange: DecodedExchange, *, may_take_long: bool) -> Calls:
        setting = exchange.labels.provider or "auto"
        is_candidate = may_be_job(record.method, record.path or "")
        if is_candidate and not may_take_long and is_long(exchange.response_body):
            raise TooLong

        call = read_call(setting, record, exchange)
        report = report_of(setting, record, exchange, call) if is_candidate else None
        counted = call or (None if report is None else report.call)
        if counted is not None and not may_take_long and self._prices.must_load(counted.usage):
            raise TooLong

        jobs: list[Job] = []
        if report is not None:
            jobs = self._read_job(record, report)
        elif call is not None:
            has_input = (record.path or "").endswith(WITH_INPUT)
            call.usage.failed_tools += failed_tools(call.members, has_input=has_input)
            self._fill(record, call, call.usage.parts)
            self._note_reported(record, call.usage.failed_tools, keeps_text=exchange.keeps_text)
            if record.status == TOO_MANY_REQUESTS:
                _note_limit(record, exchange)

        if call is not None:
            self._place(record, exchange, call)
        elif report is not None and record.provider is not None:
            record.conversation = self.conversations.of_response(record, exchange, report.name)

        tools = self.mcp.read(record, exchange) if is_mcp(setting, record, exchange) else []
        failed = [failed_tool_of(call) for call in tools if call.status == "error"]
        is_reason = record.error_type is not None
        self._note_failed_tools(record, failed, keeps_text=exchange.keeps_text, is_reason=is_reason)
        self._read_failure(record, exchange)
        return Calls(tools, jobs)

    def _read_failure(self, record: Record, exchange: DecodedExchange) -> None:
        """Note what failed behind a status that does not say so, and how grave it is."""
        answer = exchange.response_body
        failure = failure_of(answer) if is_graphql(record.method, record.path or "") else None
        if failure is None and record.error_type is None and 0 < (record.status or 0) < 400:
            failure = failure_behind(exchange.response, answer or DecodedBody.beginning(b"", 0))
        if failure is None and record.error_type is None and _is_short(record):
            record.error_type = STREAM_CUT
        if failure is not None:
            record.error_type = record.error_type or failure.code
            if failure.code == STREAM_ERROR and record.stream is not None:
                record.stream.end = "error"
                record.stream.finished = False
            if exchange.keeps_text:
                _note_message(record, self._readable(failure.message))

        if (
            record.error_type is not None
            and record.outcome == Outcome.OK
            and record.level == "info"
        ):
            # Neither status nor outcome shows it, so a search for failures would miss it.
            is_callers = record.error_type in CALLER_ERRORS or (
                failure is not None and failure.is_callers
            )
            record.level = "warn" if is_callers else "error"

    def operation_of(self, record: Record, exchange: DecodedExchange) -> str | None:
        """Return a request's operation where its path does not name it; one of MCP is also noted on
        the record.
        """
        line = exchange.line
        body = exchange.request_body
        text = self._redactor.redact_text
        if line.path is None:
            return None
        if is_graphql(line.method, line.path):
            found = operation_in_query(line.query) if body is None else operation_of(body.head)
            return text(found) if exchange.keeps_text else None
        if (
            body is None
            or line.method != "POST"
            or not is_mcp(exchange.labels.provider or "auto", record, exchange)
        ):
            return None

        operation = read_operation(body)
        if operation is None:
            return None

        named = {"method": operation.method} | (
            {} if operation.name is None else {"name": text(operation.name)}
        )
        _note(record, {"mcp": named})
        return text(str(operation))

    def begin(self, record: Record, exchange: DecodedExchange) -> None:
        """Fill the columns of an LLM call whose response is missing, from its request alone."""
        call = read_begun_call(exchange.labels.provider or "auto", record, exchange)
        if call is not None:
            record.provider, record.model = (
                call.provider,
                self._redactor.redact_text(call.usage.model),
            )

    @property
    def is_prepared(self) -> bool:
        """Whether a message can be read without loading the price list first."""
        return self._prices.is_prepared

    def note_operation_error(
        self, record: Record, message: CapturedMessage, content: bytes | None
    ) -> None:
        """Note on a message of no session that it answers an operation with an error, where it
        does.
        """
        content = b"" if content is None or message.direction == IN else content
        failure = message_failure(content) or rpc_failure(content)
        if failure is not None:
            record.error_type = failure.code
            record.level = "warn" if failure.is_callers else "error"

    def read_message(
        self, record: Record, message: CapturedMessage, content: bytes | None, size: int | None
    ) -> PendingCall | None:
        """Fill the LLM columns of a message that ends a call of its session, a WebSocket with a
        model.

        The content is inflated, as far as it could be; the size is of all of it, None where that is
        not known. Returns how that call began; None where the message ends none.
        """
        try:
            return self._read_message(record, message, content, size)
        except Exception as error:
            self._report(error)
            return None

    def _report(self, error: Exception) -> None:
        """Log the place and nothing of the content; once a minute, because its sender may send
        more.
        """
        if (now_s := time.monotonic()) - self._reported_s >= _REPORT_EVERY_S:
            self._reported_s = now_s
            frame = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"
            log.error(
                "bug: the calls of an exchange could not be read: %s at %s",
                type(error).__name__,
                where,
            )

    def _read_message(
        self, record: Record, message: CapturedMessage, content: bytes | None, size: int | None
    ) -> PendingCall | None:
        self._prices.prepare()
        found = self.sessions.read(message, content, size)
        if isinstance(found, FailedMessage):
            record.error_type = self._redactor.redact_text(found.error_type)
            record.level = "error"
            return None

        if found is None:
            return None

        session, usage, begun = found
        if usage.is_lost:
            usage.forget_counts()
        usage.failed_tools += () if begun is None else begun.failed_tools
        self._fill(
            record,
            Call(session.provider, usage, None if begun is None else _pace_of(usage, begun)),
            (usage,),
        )
        self._note_reported(record, usage.failed_tools, keeps_text=message.keeps_text)
        session.add(usage, record.cost_usd)
        if record.error_type is not None:
            # Messages have the level debug; a search for failures finds this one.
            record.level = "warn" if record.error_type == TOOL_ERROR else "error"
        record.conversation = self.conversations.of_session(
            record, found.name, session.caller, message.exchange_id
        )
        begun = begun or PendingCall(record.started_at_us)
        record.duration_us = max(0, record.ended_at_us - begun.started_at_us)
        return begun

    def end_session(self, record: Record) -> None:
        """Note, on the record of its handshake, how a session was closed, and sum up what its calls
        were.
        """
        data = msgspec.json.decode(record.data or b"{}")
        _note_close(record, data.get("close_code") or 1000)
        found = self.sessions.end(record.id, record.started_at_us, data.get("messages_dropped", 0))
        if found is None:
            return

        session, is_whole = found
        if session.calls and not session.pending and record.outcome == Outcome.CLIENT_CLOSED:
            # It had every response, and left without a close frame, as agents do.
            record.outcome = Outcome.OK.value
            record.level = level_of(record.status, record.outcome)

        record.model = self._redactor.redact_text(session.model)
        record.error_type = record.error_type or self._redactor.redact_text(session.error_type)
        if record.error_type is not None and record.level == "info":
            record.level = "error"  # neither its status nor its end says so
        summary = msgspec.Raw(
            self._redactor.redact_value(msgspec.json.encode(session.summary(is_whole=is_whole)))
        )
        record.data = msgspec.json.encode(data | {"llm": summary})

    def _place(self, record: Record, exchange: DecodedExchange, call: Call) -> None:
        place = self.conversations.place(record, exchange, call.members, call.usage.response_id)
        if place is not None:
            record.conversation = place.conversation
            # A guess can be verified against a hash, so hashes of texts are kept only where texts
            # are.
            record.marks = place.marks if exchange.keeps_text else None

    def _read_job(self, record: Record, report: Report) -> list[Job]:
        """Fill the columns of a record about a job: its counts, unless another record has them;
        return new jobs.
        """
        names = [job_id(record.project, name) for name in (report.name, *report.files)]
        found = [job for name in names if (job := self.jobs.get(name)) is not None]
        known = found[0] if found else None
        if known is None and report.needs_known:
            return []

        # A batch and its file are counted with whichever was whole first.
        counted_by = next((job.counted_by for job in found if job.counted_by is not None), None)
        is_counted = counted_by is not None
        is_unsure = (
            known is None
            and not report.is_begun
            and self.jobs.may_be_forgotten(report.created_at_us)
        )

        may_count = report.is_ended and report.call is not None and not is_counted and not is_unsure
        if may_count and report.call is not None:
            self._fill(record, report.call, report.parts or (report.call.usage,))
            self._note_reported(record, report.call.usage.failed_tools, keeps_text=False)
            if report.batch is not None:
                batch = msgspec.Raw(self._redactor.redact_value(msgspec.json.encode(report.batch)))
                _note(record, {"batch": batch})
        elif report.is_begun or not is_counted:
            record.model = self._redactor.redact_text(report.model)
            is_lost = is_unsure or (
                report.call is not None and report.call.usage.usage_state == "lost"
            )
            record.usage_state = "lost" if is_lost else LATER

        begun_by = record.id
        started_at_us = record.started_at_us
        if known is not None:
            begun_by = known.begun_by
            started_at_us = known.started_at_us
        if begun_by != record.id:
            record.stream = record.stream or Stream(None, None, None, False, is_document=True)
            record.stream.begun_by = format_id(begun_by)
        counted_by = record.id if may_count else counted_by
        if not (may_count or report.is_begun or known is not None):
            return []

        jobs = [Job(name, begun_by, started_at_us, counted_by) for name in names]
        news = [job for job in jobs if self.jobs.get(job.id) != job]
        for job in news:
            self.jobs.put(job)
        return news

    def _fill(self, record: Record, call: Call, parts: tuple[CallUsage, ...]) -> None:
        usage = call.usage
        text = self._redactor.redact_text
        record.provider = call.provider
        record.model, record.resolved_model = text(usage.model), text(usage.resolved_model)
        record.input_tokens = usage.input_tokens
        record.output_tokens = usage.output_tokens
        record.cache_read_tokens = usage.cache_read_tokens
        record.cache_write_tokens = usage.cache_write_tokens
        record.reasoning_tokens = usage.reasoning_tokens
        record.usage_state = usage.usage_state
        record.error_type = record.error_type or text(usage.error_type)
        record.stream = self._stream_of(call)

        # Counts that stop short would be priced too cheap.
        if usage.usage_state == "exact" or usage.cost_usd is not None:
            cost = self._cost_of(call.provider, parts)
            if cost is not None:
                record.cost_usd = cost.usd
                record.price_source = cost.source
                if cost.lacks and record.stream is not None:
                    record.stream.cost_lacks = [text(lack) or "" for lack in cost.lacks]

        has_ended = call.stream is not None and call.stream.end in ("complete", "error")
        if has_ended and record.outcome == Outcome.CLIENT_CLOSED:
            # Clients leave at the terminator, before the last chunk of the transfer coding: they
            # had everything.
            record.outcome = Outcome.OK.value
            record.level = level_of(record.status, record.outcome)

    def _note_reported(
        self, record: Record, tools: Sequence[FailedTool], *, keeps_text: bool
    ) -> None:
        """Note the tools of which an LLM call tells that they failed: its failure, where it has no
        other.
        """
        is_reason = bool(tools) and record.error_type is None
        if is_reason:
            record.error_type = TOOL_ERROR
            record.level = "warn" if record.level == "info" else record.level
        self._note_failed_tools(record, tools, keeps_text=keeps_text, is_reason=is_reason)

    def _note_failed_tools(
        self, record: Record, tools: Sequence[FailedTool], *, keeps_text: bool, is_reason: bool
    ) -> None:
        """Note tools that failed; where they are the reason why the record did, what the first said
        is its message.
        """
        if not tools:
            return
        names = [self._redactor.redact_text(tool.name) or "" for tool in tools]
        record.stream = record.stream or Stream(None, None, None, False, is_document=True)
        record.stream.failed_tools = names
        if is_reason:
            said = self._readable(tools[0].said) if keeps_text else ""
            _note_message(record, ": ".join(filter(None, (", ".join(dict.fromkeys(names)), said))))

    def _readable(self, message: str) -> str:
        """Return a message without secrets, whatever form it has."""
        shown = self._redactor.redact_value(message.encode("utf-8", "replace")).decode(
            errors="replace"
        )
        return self._redactor.redact_text(shown) or ""

    def _cost_of(self, provider: str, parts: tuple[CallUsage, ...]) -> Cost | None:
        """Add up what the parts of a call cost; null when the cost of one is not known."""
        costs = [self._prices.cost_of(provider, part) for part in parts]
        if costs and None not in costs:
            return add_costs([cost for cost in costs if cost is not None])
        return None

    def _stream_of(self, call: Call) -> Stream | None:
        usage = call.usage
        stream = call.stream
        text = self._redactor.redact_text
        facts = Stream(
            None, None, None, usage.is_finished, text(usage.finish_reason),
            tools=[text(name) or "" for name in usage.tools] or None,
            meters=usage.meters or None,
            service_tier=text(usage.service_tier),
            is_document=True,
        )  # fmt: skip

        if stream is not None:
            stream.finish_reason = facts.finish_reason
            stream.tools = facts.tools
            stream.meters = facts.meters
            stream.service_tier = facts.service_tier
            return stream

        if facts.finish_reason or facts.tools or facts.meters or facts.service_tier:
            return facts

        return None


def _is_short(record: Record) -> bool:
    """Whether a model's stream ended in order, but before its API's terminator, and without a
    reason.
    """
    stream = record.stream
    if stream is None or stream.end != "cut" or record.outcome != Outcome.OK:
        return False

    is_begun = (
        record.resolved_model is not None
        or stream.first_content_us is not None
        or stream.frames == 0
    )
    return is_begun and candidate_of("auto", record.method, record.path or "") is not None


def _note_close(record: Record, code: int) -> None:
    """Note a close code that means a failure (RFC 6455 §7.4.1): the service's own is an error, any
    other a warning.

    Codes from 4000 on belong to applications; some follow HTTP and use 44xx and 45xx.
    """
    if code not in _CLOSED_WELL:
        record.error_type = (
            record.error_type or f"websocket_{code if 1000 <= code <= 4999 else 'invalid'}"
        )
        if code in _SERVICE_CLOSES:
            record.level = "error"
        elif record.level == "info":
            record.level = "warn"


def _pace_of(usage: CallUsage, begun: PendingCall) -> Stream:
    end: StreamEnd | None = (
        "error" if usage.has_failed else "complete" if usage.is_finished else None
    )
    return Stream(begun.first_content_us, begun.frames, None, end == "complete", end=end)


def _note(record: Record, members: dict[str, Any]) -> None:
    """Add members to a record's data."""
    record.data = msgspec.json.encode(msgspec.json.decode(record.data or b"{}") | members)


def _note_message(record: Record, message: str) -> None:
    """Note what was said when a record failed, unless that was noted before."""
    record.data = msgspec.json.encode(
        {"error_message": message} | msgspec.json.decode(record.data or b"{}")
    )


def _note_limit(record: Record, exchange: DecodedExchange) -> None:
    """Note on a refused call which limit it exceeded, if the response says so."""
    body = exchange.response_body
    limit = exceeded_limit(exchange.response.redacted, b"" if body is None else body.head)
    if limit is not None:
        _note(record, {"rate_limit": limit})
