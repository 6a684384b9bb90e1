"""From a ring entry to a stored record: the one place where raw, unredacted bytes become what is kept.

Nothing here fails for what a body or head contains; what cannot be read stays null. Records of plain exchanges are
built by position, in the order of `Record`'s fields (0.1 µs against 2.0 µs by keyword, performance.md).
"""

import secrets
import time
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from proxy.enrich.attribution import KeyBook, credit, credit_message, credit_running
from proxy.enrich.calls import CallReader
from proxy.enrich.http.bodies import Windows, open_body, store_body, unread_body
from proxy.enrich.http.content_coding import MAX_OUTPUT_BYTES
from proxy.enrich.http.head_facts import TRACEPARENT, Facts, FactsMemo
from proxy.enrich.http.request_lines import RequestLine, RequestLines
from proxy.enrich.mcp.reader import is_mcp
from proxy.enrich.redact.redactor import Redactor
from proxy.enrich.websocket_messages import MessageReader
from proxy.ring.descriptor import Descriptor, RouteLabels
from proxy.ring.exchange import (
    ERROR_CODES,
    FLAG_BODIES_OFF,
    FLAG_HEADS_OFF,
    FLAG_HTTP10,
    FLAG_REQUEST_COMPLETE,
    FLAG_TLS,
    SHED_BODIES,
    CapturedExchange,
)
from proxy.ring.inflight import InflightExchange
from proxy.ring.websocket_message import CapturedMessage
from proxy.settings.model import Settings
from storage.record import (
    OUTCOMES,
    Body,
    Entry,
    Level,
    Outcome,
    Payload,
    Record,
    Shed,
    ToolCall,
    format_id,
    level_of,
    new_id,
    now_us,
)

_OUTCOMES: Final = tuple(outcome.value for outcome in OUTCOMES)
_OK: Final = _OUTCOMES[0]
_SHED: Final[tuple[Shed, ...]] = ("none", "tail", "bodies")
SWITCHING_PROTOCOLS: Final = 101
_NO_LABELS: Final = RouteLabels("", None, None, None, None, None)
_EVENT_LEVELS: Final[dict[str, Level]] = {"gap": "error", "unclean_start": "error"}


class RecordBuilder:
    """Makes records for one sidecar, one after the other: it remembers heads and sessions.

    A long one may be made in another thread: what else is asked meanwhile only looks things up.
    """

    def __init__(self, instance: str, settings: Settings, book: KeyBook | None = None) -> None:
        """Redact and cut as the settings say; `book` knows the API keys, and is told of their use."""
        redact = settings.redact
        self._book = book or KeyBook()
        self._instance = instance
        self._max_body_bytes = settings.capture.stored_body_bytes
        key_headers = (route.key_header for route in settings.routes if route.auth != "off")
        headers = (*redact.headers, *key_headers)
        self._redactor = Redactor(headers, redact.query, redact.json_keys, patterns=redact.patterns)
        self._lines = RequestLines(self._redactor)
        self._requests = FactsMemo(self._redactor)
        self._responses = FactsMemo(self._redactor)
        self._messages = MessageReader(self._redactor)
        self._calls = CallReader(self._redactor)
        self._nonce = secrets.randbits(42)
        self._counter = 0

    def build(self, captured: CapturedExchange, descriptor: Descriptor, limit_bytes: int = MAX_OUTPUT_BYTES) -> Entry:
        """Make the record of a finished exchange, with its payload where the route's level keeps one.

        Raises:
            TooLong: a body is longer, once decoded, than `limit_bytes`, or prices are to be loaded first, and the
                caller has set a limit. It can be called again with none.
        """
        labels = _labels(descriptor, captured.route)
        raw_line, block = _split(captured.request_head)
        line = self._lines.read(raw_line)
        facts = self._requests.read(block)
        record = self._record(captured, descriptor, labels, facts, line)
        if record.status == SWITCHING_PROTOCOLS:
            record.data = msgspec.json.encode({"close_code": captured.close_code or None})
        if captured.access or labels.auth:
            credit(record, captured.access, captured.request_head, labels, self._book)
        if captured.flags & FLAG_HEADS_OFF:
            return Entry(record)
        return self._with_payload(record, captured, labels, facts, line, limit_bytes)

    def _record(
        self, captured: CapturedExchange, descriptor: Descriptor, labels: RouteLabels, facts: Facts, line: RequestLine
    ) -> Record:
        """Fill the columns that the ring entry and the request's head tell."""
        flags, status, outcome = captured.flags, captured.status or None, _OUTCOMES[captured.outcome]
        level: Level = "info"
        if outcome != _OK or (status is not None and status >= 400):
            level = level_of(status, outcome)
        start, end = captured.started_at_ns, captured.ended_ns
        sent, first, done, connect = captured.sent_ns, captured.first_byte_ns, captured.done_ns, captured.connect_ns
        return Record(
            0, captured.id, self._instance, "exchange", start // 1000, (start + end) // 1000, level, outcome, status,
            line.method, "https" if flags & FLAG_TLS else "http",
            facts.host if line.authority is None else line.authority, line.path, line.query,
            "1.0" if flags & FLAG_HTTP10 else "1.1",
            end // 1000,
            connect // 1000 if connect >= 0 else None,
            first // 1000 if first >= 0 else None,
            (done - sent) // 1000 if done >= 0 <= sent else None,
            (start + sent) // 1000 if sent >= 0 else None,
            (start + done) // 1000 if done >= 0 else None,
            captured.request_bytes, captured.response_bytes, bool(flags & FLAG_REQUEST_COMPLETE),
            captured.client.decode() or None, captured.upstream.decode() or None,
            labels.id or None, labels.service, labels.container, labels.project, labels.client, None,
            descriptor.source, descriptor.stage, facts.trace_id, facts.span_id,
            facts.request_id or format_id(captured.id), facts.user_agent,
            ERROR_CODES[captured.error] or None, _SHED[captured.shed],
        )  # fmt: skip

    def _with_payload(
        self,
        record: Record,
        captured: CapturedExchange,
        labels: RouteLabels,
        facts: Facts,
        line: RequestLine,
        limit_bytes: int,
    ) -> Entry:
        """Read heads and bodies for what the record knows of LLM and MCP traffic, and keep them redacted."""
        response_line, response_block = _split(captured.response_head)
        response = self._responses.read(response_block)
        bodies = _opened(captured, facts, response, limit_bytes)
        shape = self._calls.shape_of(labels, record)
        if shape is not None:
            may_load = limit_bytes >= MAX_OUTPUT_BYTES
            self._calls.read_llm(shape, record, bodies[0], bodies[1], response, captured.timeline, may_load=may_load)
        calls: list[ToolCall] = []
        if is_mcp(labels.provider or "auto", record, facts, response, bodies[1]):
            target = _target(captured.request_head)
            calls = self._calls.mcp.read(record, labels, (facts, response), target, bodies, captured.timeline)
        payload = Payload(
            line.redacted + facts.redacted,
            response_line + response.redacted,
            self._body(captured, bodies[0], captured.request_bytes, facts),
            self._body(captured, bodies[1], captured.response_bytes, response),
            captured.timeline,
        )
        return Entry(record, payload, calls)

    def _body(self, captured: CapturedExchange, body: Windows | None, size: int, facts: Facts) -> Body | None:
        """Make the stored body; None when there was none, or when messages passed, which are events of their own."""
        if body is not None:
            return store_body(body, facts.content_type, self._redactor, self._max_body_bytes)
        if not size or captured.status == SWITCHING_PROTOCOLS:
            return None
        return unread_body(size, facts.content_encoding, _omitted(captured) or "coding")

    def message(self, captured: CapturedMessage, descriptor: Descriptor) -> Entry:
        """Make the event of a WebSocket message; it shares the trace of its exchange, or that one's id."""
        labels = _labels(descriptor, captured.route)
        trace = TRACEPARENT.fullmatch(captured.traceparent)
        at_us = captured.at_ns // 1000
        record = Record(
            0, captured.id, self._instance, "event", at_us, at_us, "debug", _OK, None,
            None, "http", None, None, None, None, 0, None, None, None, None, None, 0, 0, True, None, None,
            labels.id or None, labels.service, labels.container, labels.project, labels.client, None,
            descriptor.source, descriptor.stage,
            trace[1].decode() if trace else captured.exchange_id.hex(), None, None, None, None, "none",
            "websocket_message", msgspec.json.encode(self._messages.describe(captured)),
        )  # fmt: skip
        if captured.access:
            credit_message(record, captured.access, labels, self._book)
        return Entry(record)

    def lost(self, exchanges: Iterable[InflightExchange], descriptor: Descriptor) -> list[Entry]:
        """Make records of what a dead worker left in its in-flight table: outcome `worker_lost`, no status."""
        entries = []
        ended_at_us = now_us()
        for exchange in exchanges:
            record = self.running(exchange, descriptor)
            record.outcome = Outcome.WORKER_LOST.value
            record.level = "error"
            record.ended_at_us = ended_at_us
            record.duration_us = max(0, ended_at_us - record.started_at_us)
            line, block = _split(exchange.head)
            head = self._lines.read(line).redacted + self._requests.read(block).redacted
            entries.append(Entry(record, Payload(head, b"", None, None)))
        return entries

    def running(self, exchange: InflightExchange, descriptor: Descriptor) -> Record:
        """Show an exchange in flight as a record without end, status or seq."""
        labels = _labels(descriptor, exchange.route)
        raw_line, block = _split(exchange.head)
        line, facts = self._lines.read(raw_line), self._requests.read(block)
        host = facts.host if line.authority is None else line.authority
        record = Record(
            0, exchange.record_id, self._instance, "exchange", exchange.started_at_us, 0, "info", _OK, None,
            line.method, "http", host, line.path, line.query, "1.1", max(0, now_us() - exchange.started_at_us),
            None, None, None, None, None, 0, 0, False, exchange.client_ip.decode("ascii", "replace") or None, None,
            labels.id or None, labels.service, labels.container, labels.project, labels.client, None,
            descriptor.source, descriptor.stage, facts.trace_id, facts.span_id,
            facts.request_id or format_id(exchange.record_id), facts.user_agent, None, "none",
        )  # fmt: skip
        if labels.auth:
            credit_running(record, exchange.head, labels, self._book)
        return record

    def running_tools(self, exchange: InflightExchange, descriptor: Descriptor) -> list[ToolCall]:
        """Show the tool calls of an exchange in flight."""
        record = self.running(exchange, descriptor)
        facts = self._requests.read(_split(exchange.head)[1])
        labels = _labels(descriptor, exchange.route)
        return self._calls.mcp.running(record, labels, facts, _target(exchange.head), exchange.body)

    def await_answers(self, calls: Iterable[ToolCall]) -> None:
        """Wait for the answers of tool calls that a collector before this one waited for."""
        self._calls.mcp.await_answers(calls)

    def waiting_tools(self) -> list[ToolCall]:
        """Show the tool calls whose answer is awaited on another stream."""
        return self._calls.mcp.waiting()

    def event(self, name: str, data: dict[str, object]) -> Entry:
        """Make an event of our own: a gap, an unclean start."""
        self._counter += 1
        at_us = now_us()
        record_id = new_id(time.time_ns(), self._nonce, self._counter)
        record = Record(
            0, record_id, self._instance, "event", at_us, at_us, _EVENT_LEVELS.get(name, "info"), _OK, None,
            None, "http", None, None, None, None, 0, None, None, None, None, None, 0, 0, True, None, None,
            None, None, None, None, None, None, "backend", None, None, None, None, None, None, "none",
            name, msgspec.json.encode(data),
        )  # fmt: skip
        return Entry(record)


def _split(head: bytes) -> tuple[bytes, bytes]:
    """Cut a head at the end of its first line; the rest begins with the CRLF."""
    cut = head.find(b"\r\n")
    return (head[:cut], head[cut:]) if cut >= 0 else (head, b"")


def _opened(
    captured: CapturedExchange, facts: Facts, response: Facts, limit_bytes: int
) -> tuple[Windows | None, Windows | None]:
    """Undo the codings of both bodies; None for what is not there or cannot be read."""
    if captured.status == SWITCHING_PROTOCOLS or _omitted(captured) is not None:
        return None, None
    request_body = response_body = None
    if size := captured.request_bytes:
        coding = facts.content_encoding
        request_body = open_body(captured.request_window, captured.request_tail, size, coding, limit_bytes)
    if size := captured.response_bytes:
        coding = response.content_encoding
        response_body = open_body(captured.response_window, captured.response_tail, size, coding, limit_bytes)
    return request_body, response_body


def _omitted(captured: CapturedExchange) -> Literal["level", "shed"] | None:
    """Why nothing of the bodies was captured, when that was so."""
    if captured.flags & FLAG_BODIES_OFF:
        return "level"
    return "shed" if captured.shed == SHED_BODIES else None


def _target(head: bytes) -> bytes:
    """The target of a request as it was sent: for a session in its query, never to be stored."""
    return head[: max(0, head.find(b"\r\n"))]


def _labels(descriptor: Descriptor, route: int) -> RouteLabels:
    return descriptor.routes[route] if route < len(descriptor.routes) else _NO_LABELS
