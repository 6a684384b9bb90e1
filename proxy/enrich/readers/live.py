"""WebSockets: messages, calls of live model sessions, and close codes."""

from typing import Final

import msgspec

from proxy.enrich.endpoints.error_documents import message_failure, rpc_failure
from proxy.enrich.facts import CallUsage, Facts, Thread
from proxy.enrich.http.exchange import DecodedExchange
from proxy.enrich.live.pending import PendingCall
from proxy.enrich.live.session import FailedMessage
from proxy.enrich.live.sessions import LiveSessions
from proxy.enrich.live.websocket_messages import Content, MessageReader
from proxy.enrich.llm.reader import Call
from proxy.enrich.readers.llm import blame_tools, usage_facts
from proxy.enrich.readers.reader import Dependencies, Reader
from proxy.ring.exchange import SWITCHING_PROTOCOLS
from proxy.ring.message import IN, KIND_GRPC, CapturedMessage
from storage.record import LEVELS, Level, Outcome, Record, Stream, StreamEnd
from storage.tools import TOOL_ERROR

_CLOSED_WELL: Final = (1000, 1001, 1005)
"""Close codes without an error: normal closure, going away, no code."""
_SERVICE_CLOSES: Final = frozenset((1006, *range(1011, 1016), *range(4500, 4600)))
"""Close codes of a failed service: internal error, restart, overload, bad gateway. RFC 6455 forbids
sending 1006 and 1015.
"""


class Live(Reader):
    """Reads messages and keeps the open sessions."""

    needs_capture = False

    def __init__(self, dependencies: Dependencies) -> None:
        capture = dependencies.settings.capture
        self._redactor = dependencies.redactor
        self._prices = dependencies.prices
        self._messages = MessageReader(dependencies.redactor)
        self._sessions = LiveSessions()
        self._max_message_bytes = capture.message_bytes
        self._max_body_bytes = capture.stored_body_bytes

    @property
    def evictions(self) -> int:  # type: ignore[override]
        return self._sessions.evictions

    def may_read(self, exchange: DecodedExchange) -> bool:
        return exchange.status == SWITCHING_PROTOCOLS

    def read(self, record: Record, exchange: DecodedExchange) -> Facts | None:
        """Return the error of a close code, and the totals of the session's calls."""
        data = msgspec.json.decode(record.data or b"{}")
        code = data.get("close_code") or 1000
        facts = Facts()
        if code not in _CLOSED_WELL:
            facts.error_type = f"websocket_{code if 1000 <= code <= 4999 else 'invalid'}"
            if code in _SERVICE_CLOSES:
                facts.level = "error"
            else:
                facts.level = "warn"
        found = self._sessions.end(record.id, record.started_at_us, data.get("messages_dropped", 0))
        if found is None:
            return facts

        session, is_whole = found
        level: Level = max(record.level, facts.level or record.level, key=LEVELS.index)
        if session.calls and not session.pending and record.outcome == Outcome.CLIENT_CLOSED:
            # The client had every response, and left without a close frame, as agents do.
            facts.is_whole = True
            facts.level = None
            level = "info"

        facts.model = session.model
        facts.error_type = facts.error_type or self._redactor.redact_text(session.error_type)
        has_failed = record.error_type is not None or facts.error_type is not None
        if has_failed and level == "info":
            facts.level = "error"  # neither the status nor the close code shows the failure
        summary = msgspec.json.encode(session.summary(is_whole=is_whole))
        facts.data["llm"] = msgspec.Raw(self._redactor.redact_value(summary))
        return facts

    def may_read_message(self, message: CapturedMessage) -> bool:
        return message.kind != KIND_GRPC

    def is_long(self, message: CapturedMessage) -> bool:
        """Return True if the message may need the price list, which is not loaded yet."""
        return bool(message.session) and not self._prices.is_prepared

    def describe(
        self, message: CapturedMessage, route_id: str
    ) -> tuple[dict[str, object], Content]:
        content = self._messages.read(message)
        return self._messages.describe(message, content, self._max_message_bytes), content

    def read_message(
        self, record: Record, message: CapturedMessage, content: Content
    ) -> Facts | None:
        if message.session:
            return self._read_call(record, message, content)

        # A message of the service may answer an operation with an error.
        if content.data is None or message.direction == IN:
            data = b""
        else:
            data = content.data
        failure = message_failure(data) or rpc_failure(data)
        if failure is None:
            return None
        return Facts(error_type=failure.code, level="warn" if failure.is_callers else "error")

    def _read_call(
        self, record: Record, message: CapturedMessage, content: Content
    ) -> Facts | None:
        """Return the facts of the call that a message ends; None if it ends no call."""
        self._prices.prepare()
        found = self._sessions.read(message, content.data, content.size)
        if isinstance(found, FailedMessage):
            error_type = self._redactor.redact_text(found.error_type)
            return Facts(error_type=error_type, level="error")
        if found is None:
            return None

        session, usage, begun = found
        if usage.is_lost:
            usage.forget_counts()
        if begun is not None:
            usage.failed_tools += begun.failed_tools
        if begun is None:
            pace = None
        else:
            pace = _pace_of(usage, begun)
        call = Call(session.provider, usage, pace)
        facts = usage_facts(self._redactor, self._prices, call, (usage,))
        blame_tools(facts, record, keeps_text=message.keeps_text)
        session.add(usage, None if facts.cost is None else facts.cost.usd)
        if facts.error_type is not None:
            # Messages have the level debug; this one must appear in a search for failures.
            if facts.error_type == TOOL_ERROR:
                facts.level = "warn"
            else:
                facts.level = "error"
        facts.thread = Thread(
            connection=message.exchange_id, caller=session.caller, session=found.name
        )
        if begun is None:
            facts.started_at_us = record.started_at_us
        else:
            facts.started_at_us = begun.started_at_us
        if message.keeps_text:
            asked = begun or PendingCall(record.started_at_us)
            facts.payload = self._messages.call(asked, content, self._max_body_bytes)
        return facts


def _pace_of(usage: CallUsage, begun: PendingCall) -> Stream:
    end: StreamEnd | None = None
    if usage.has_failed:
        end = "error"
    elif usage.is_finished:
        end = "complete"
    return Stream(begun.first_content_us, begun.frames, None, end == "complete", end=end)
