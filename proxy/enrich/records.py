"""Build stored records from ring entries: the one place where raw bytes are redacted and kept.

Steps: decode the exchange, fill the columns, attribute it to a key, ask the readers of its
protocol, name its endpoint, redact the payload. Invariant: the content of a head or body never
makes a record fail; unreadable values stay null.
"""

import secrets
import time
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final

import msgspec

from proxy.enrich.attribution import (
    KeyIndex,
    attribute_exchange,
    attribute_in_flight,
    attribute_message,
)
from proxy.enrich.columns import SharedColumns, SharedColumnsMemo, labels_of, message_record
from proxy.enrich.connections import Connection, Connections
from proxy.enrich.endpoints.endpoints import Endpoints
from proxy.enrich.facts import Facts
from proxy.enrich.http.bodies import TooLong, omitted_body, redacted_body
from proxy.enrich.http.content_coding import MAX_OUTPUT_BYTES
from proxy.enrich.http.exchange import DecodedBody, DecodedExchange, omitted_reason
from proxy.enrich.http.exchange_decoder import ExchangeDecoder, whole_lines
from proxy.enrich.http.head_facts import HeadFacts
from proxy.enrich.llm.prices import Prices
from proxy.enrich.merge import Merger
from proxy.enrich.readers.reader import Dependencies, Reader
from proxy.enrich.readers.readers import Readers
from proxy.enrich.redact.masked_runs import masked_text
from proxy.enrich.redact.redactor import Redactor
from proxy.enrich.stages import stage, whole_stage
from proxy.ring.descriptor import Descriptor
from proxy.ring.exchange import (
    FLAG_BODIES_OFF,
    FLAG_HEADS_OFF,
    MAX_REFUSED_HEAD_BYTES,
    NOTE_MESSAGE,
    NOTE_MESSAGES_DROPPED,
    NOTE_MESSAGES_UNREADABLE,
    NOTE_REFUSED_HEAD,
    NOTE_TUNNEL,
    NOTES_REQUEST_TRAILERS,
    NOTES_RESPONSE_TRAILERS,
    OK,
    SWITCHING_PROTOCOLS,
    CapturedExchange,
)
from proxy.ring.inflight import InflightExchange
from proxy.ring.message import KIND_WEBSOCKET, CapturedMessage
from proxy.ring.ring import RingEntry
from proxy.settings.model import Settings
from storage.failure_message import failure_line
from storage.record import (
    Body,
    Entry,
    Job,
    Level,
    Outcome,
    Payload,
    Record,
    ToolCall,
    new_id,
    now_us,
)
from storage.redactions import united

_EVENT_LEVELS: Final[dict[str, Level]] = {
    "gap": "error",
    "unclean_start": "error",
    "unlisted_proxy": "warn",
}

_SEARCHED_BYTES: Final = 2048
"""Maximum size of a body that is searched for secrets together with others."""
_DIRECTIONS: Final = ("", "in", "out", "both")
_NOTES_OF_DATA: Final = frozenset(
    (
        NOTE_MESSAGE,
        NOTE_REFUSED_HEAD,
        NOTE_MESSAGES_DROPPED,
        NOTE_MESSAGES_UNREADABLE,
        NOTE_TUNNEL,
        NOTES_REQUEST_TRAILERS[1],
        NOTES_RESPONSE_TRAILERS[1],
    )
)
"""Notes of an entry that are stored in the data of its record."""
_TRAILERS: Final = {
    "request_trailers": NOTES_REQUEST_TRAILERS,
    "response_trailers": NOTES_RESPONSE_TRAILERS,
}

_GRPC: Final = b"application/grpc"

_Decoded = tuple[CapturedExchange, SharedColumns, DecodedExchange]
_Begun = tuple[CapturedExchange, DecodedExchange, Record, list[Reader]]
"""The last element lists the readers for the exchange."""


class RecordBuilder:
    """Builds the records of one sidecar, one after the other: it memoises heads and keeps sessions.

    A long `build` may run in another thread: methods that are called meanwhile only read.
    """

    def __init__(
        self,
        instance: str,
        settings: Settings,
        keys: KeyIndex | None = None,
        endpoints: Endpoints | None = None,
    ) -> None:
        """Take limits and rules from the settings; `keys` collects uses, `endpoints` learns
        paths.
        """
        self._keys = keys or KeyIndex()
        self._endpoints = endpoints or Endpoints()
        self._instance = instance
        self._max_body_bytes = settings.capture.stored_body_bytes
        self._redactor = redactor_of(settings)
        self._decoder = ExchangeDecoder(self._redactor, secret_headers(settings))
        self._shared_columns = SharedColumnsMemo(instance, self._decoder.client_origin)
        self._merger = Merger(self._redactor)
        self.connections = Connections()
        self._readers = Readers(
            Dependencies(self._redactor, settings, Prices(own=settings.llm.prices))
        )
        self._nonce = secrets.randbits(42)
        self._counter = 0

    def build(
        self,
        captured: CapturedExchange,
        descriptor: Descriptor,
        limit_bytes: int = MAX_OUTPUT_BYTES,
    ) -> Entry:
        """Build the record of a finished exchange, with its payload if the route's level keeps one.

        Raises:
            TooLong: a decoded body is longer than `limit_bytes`, or its calls take long to read and
                the caller has set a limit. The caller may try again without a limit.
        """
        decoded = self._decode(descriptor, limit_bytes, False, captured)
        return self._finish(0, self._begin(decoded))

    def build_each(
        self, entries: Iterable[RingEntry], descriptor: Descriptor, limit_bytes: int
    ) -> Iterator[Entry | Exception]:
        """Build the records of several exchanges, in order; an exception of `build` replaces its
        record.

        In stages, the collector's loop takes 21 instead of 27 us for a GET, and 48 instead of 64
        for one whose head was never seen (bench/micro, collector). The last stage may take long and
        keeps sessions, so it runs lazily.
        """
        captured = whole_stage(partial(_captured, limit_bytes), entries)
        are_clean = self._decoder.are_lines_clean(
            [each for each in captured if not isinstance(each, Exception)]
        )
        decoded = whole_stage(partial(self._decode, descriptor, limit_bytes, are_clean), captured)
        begun = whole_stage(self._begin, decoded)
        return stage(partial(self._finish, self._clean_bytes(begun)), begun)

    def _clean_bytes(self, begun: Iterable[_Begun | Exception]) -> int:
        """Return the length up to which bodies have no secret: short ones are searched together.

        One search for all takes 0.8 us less a body, and releases the interpreter's lock once
        (bench/micro, collector).
        """
        heads: list[bytes] = []
        for item in begun:
            if not isinstance(item, Exception):
                request = item[1].request_body
                response = item[1].response_body
                if request is not None and len(request.head) <= _SEARCHED_BYTES:
                    heads.append(masked_text(request.head))
                if response is not None and len(response.head) <= _SEARCHED_BYTES:
                    heads.append(masked_text(response.head))

        if self._redactor.are_clean(heads):
            return _SEARCHED_BYTES

        return 0

    def _decode(
        self,
        descriptor: Descriptor,
        limit_bytes: int,
        is_line_clean: bool,
        captured: CapturedExchange,
    ) -> _Decoded:
        shared = self._shared_columns.of(captured, descriptor)
        exchange = self._decoder.decode(captured, shared.labels, limit_bytes, is_line_clean)
        return captured, shared, exchange

    def _begin(self, decoded: _Decoded) -> _Begun:
        """Fill the columns of heads and clocks, attribute the exchange to a key, name its endpoint."""
        captured, _, exchange = decoded
        record = self._record(decoded)
        readers = self._readers.of(exchange)
        if readers:
            operation = self._name(record, exchange, readers)
        else:
            operation = None
        record.endpoint = self._endpoints.name(record, operation)
        return captured, exchange, record, readers

    def _record(self, decoded: _Decoded) -> Record:
        """Return a record with the columns of heads and clocks, attributed to a key."""
        captured, shared, exchange = decoded
        numbers = (
            captured.started_at_ns, captured.connect_ns, captured.sent_ns, captured.first_byte_ns, captured.done_ns,
            captured.ended_ns, captured.request_bytes, captured.response_bytes,
        )  # fmt: skip
        record = shared.record(
            captured.id, numbers, exchange.line, exchange.request, self._data(captured)
        )
        record.redactions = united(exchange.line.redactions, exchange.request.redactions)
        if captured.access or shared.labels.auth:
            attribute_exchange(
                record, captured.access, captured.request_head, shared.labels, self._keys
            )
        return record

    def _name(self, record: Record, exchange: DecodedExchange, readers: list[Reader]) -> str | None:
        """Merge the facts that name an exchange.

        Returns:
            Its operation, if operations share the path; else None.
        """
        for reader in readers:
            facts = self._readers.ask(reader.name, record, exchange)
            if facts is None:
                continue
            self._merger.merge(record, facts, exchange)
            if facts.operation is not None:
                return self._redactor.redact_text(facts.operation.name) or None

        return None

    def _finish(self, clean_bytes: int, begun: _Begun) -> Entry:
        """Merge the facts of readers, and redact the payload. Bodies up to `clean_bytes` have no
        secret.
        """
        captured, exchange, record, readers = begun
        self.connections.forget(record.id)
        has_heads = not captured.flags & FLAG_HEADS_OFF
        is_captured = has_heads or bool(captured.request_window or captured.response_window)
        entry = Entry(record)
        merged: list[Facts] = []
        for reader in readers:
            if not is_captured and reader.needs_capture:
                continue
            facts = self._readers.ask(reader.read, record, exchange)
            if facts is not None:
                self._merger.merge(record, facts, exchange)
                entry.tool_calls += facts.tools
                entry.jobs += facts.jobs
                merged.append(facts)

        if is_captured:
            self._merger.settle(record, merged)
        if has_heads:
            # Texts of facts repeat those of the bodies, whose secrets are counted below.
            self._redactor.take_hits()
            entry.payload = self._payload(captured, exchange, clean_bytes)
            in_head = exchange.response.redactions
            in_bodies = self._redactor.take_hits()
            record.redactions = united(record.redactions, in_head, in_bodies)

        return _with_message(entry)

    def _data(self, captured: CapturedExchange) -> bytes | None:
        """Build the data of a record: a close code, a wait, a tunnel, a failure, a refused head,
        dropped trailers. Few exchanges have any.
        """
        is_noted = captured.notes and not _NOTES_OF_DATA.isdisjoint(captured.notes)
        if not (is_noted or captured.waited_ms or captured.status == SWITCHING_PROTOCOLS):
            return None

        data: dict[str, object] = {}
        if captured.waited_ms:
            data["recording_wait_ms"] = captured.waited_ms
        if captured.status == SWITCHING_PROTOCOLS:
            data["close_code"] = captured.close_code or None
        if (dropped := captured.notes.get(NOTE_MESSAGES_DROPPED)) is not None:
            data["messages_dropped"] = int.from_bytes(dropped, "little")
        if (directions := captured.notes.get(NOTE_MESSAGES_UNREADABLE)) is not None:
            data["messages_unreadable"] = _DIRECTIONS[directions[0] & 3]
        if (tunnel := captured.notes.get(NOTE_TUNNEL)) is not None:
            data["tunnel"] = msgspec.json.decode(tunnel)
        if (message := captured.notes.get(NOTE_MESSAGE)) is not None:
            data["error_message"] = self._redactor.redact_value(message).decode(errors="replace")
        if not captured.flags & FLAG_HEADS_OFF:
            data |= self._dropped_heads(captured)
        if data:
            return msgspec.json.encode(data)
        return None

    def _dropped_heads(self, captured: CapturedExchange) -> dict[str, object]:
        """Return the head of a refused response, and the names of trailers that were dropped."""
        data: dict[str, object] = {}
        head = captured.notes.get(NOTE_REFUSED_HEAD)
        if head is not None:
            # A head of this length is cut, perhaps within a secret.
            if len(head) == MAX_REFUSED_HEAD_BYTES:
                head = whole_lines(head)
            shown = self._redactor.redact_head(head)
            data["refused_response_head"] = shown.decode(errors="backslashreplace")

        for name, tags in _TRAILERS.items():
            dropped = captured.notes.get(tags[1])
            if dropped is not None:
                data[f"{name}_dropped"] = dropped.decode(errors="backslashreplace").split(",")
        return data

    def _payload(
        self, captured: CapturedExchange, exchange: DecodedExchange, clean_bytes: int
    ) -> Payload:
        request = exchange.request
        response = exchange.response
        payload = Payload(
            exchange.line.redacted + request.redacted,
            exchange.status_line + response.redacted,
            self._body(
                captured, exchange.request_body, captured.request_bytes, request, clean_bytes
            ),
            self._body(
                captured, exchange.response_body, captured.response_bytes, response, clean_bytes
            ),
            exchange.timeline,
        )
        if captured.notes:
            payload.request_trailers = self._trailers(captured, NOTES_REQUEST_TRAILERS)
            payload.response_trailers = self._trailers(captured, NOTES_RESPONSE_TRAILERS)
        return payload

    def _trailers(self, captured: CapturedExchange, tags: tuple[int, int]) -> bytes:
        lines = captured.notes.get(tags[0], b"")
        # gRPC trailers repeat like heads, so they are read through a memo.
        if lines:
            return self._decoder.trailers.read(b"\r\n" + lines.removesuffix(b"\r\n")).redacted[2:]
        return b""

    def _body(
        self,
        captured: CapturedExchange,
        body: DecodedBody | None,
        size: int,
        facts: HeadFacts,
        clean_bytes: int,
    ) -> Body | None:
        """Return the stored body; None without one, and for a WebSocket: its messages are
        events.
        """
        if body is not None and not captured.flags & FLAG_BODIES_OFF:
            return redacted_body(
                body, facts.content_type, self._redactor, self._max_body_bytes,
                is_clean=len(body.head) <= clean_bytes,
            )  # fmt: skip
        if not size or captured.status == SWITCHING_PROTOCOLS:
            return None
        return omitted_body(size, facts.content_encoding, omitted_reason(captured) or "coding")

    def message(
        self, captured: CapturedMessage, descriptor: Descriptor, limit_bytes: int = MAX_OUTPUT_BYTES
    ) -> Entry:
        """Build the event of a message, with the columns of its connection.

        Its trace is that of its exchange, or else derived from the exchange's id.

        Raises:
            TooLong: the price list must be loaded first, or the message takes long to decode, and
                the caller has set a limit. The caller may try again without a limit.
        """
        reader = self._readers.of_message(captured)
        if limit_bytes < MAX_OUTPUT_BYTES and reader.is_long(captured):
            raise TooLong

        labels = labels_of(descriptor, captured.route)
        self._redactor.take_hits()  # drop the hits of texts before this message
        shown, content = reader.describe(captured, labels.id)
        record = message_record(captured, descriptor, self._instance, shown)
        record.redactions = self._redactor.take_hits()
        if captured.access:
            attribute_message(record, captured.access, labels, self._keys)
        if captured.opening:
            self._note_connection(captured, descriptor)
        facts = self._readers.ask(reader.read_message, record, captured, content)
        connection = self.connections.get(captured.exchange_id)
        if connection is not None:
            connection.give_to(record)
        if facts is None:
            return Entry(record)
        self._merger.merge(record, facts)
        payload = facts.payload
        if connection is not None and facts.usage is not None:
            payload = connection.with_heads(payload)
        return _with_message(Entry(record, payload))

    def _note_connection(self, captured: CapturedMessage, descriptor: Descriptor) -> None:
        """Keep the columns and heads that a message carries for its connection."""
        opened = CapturedExchange.opened(captured.opening)
        decoded = self._decode(descriptor, MAX_OUTPUT_BYTES, False, opened)
        exchange = decoded[2]
        record = self._record(decoded)
        self._name_running(record, exchange)
        heads = b"", b""
        has_heads = not opened.flags & FLAG_HEADS_OFF
        if has_heads and captured.session and captured.kind == KIND_WEBSOCKET:
            request = exchange.line.redacted + exchange.request.redacted
            heads = request, exchange.status_line + exchange.response.redacted
        self.connections.add(record.id, Connection.of(record, heads))

    def know_connections(
        self, exchanges: Iterable[InflightExchange], descriptor: Descriptor
    ) -> None:
        """Keep the connections that a worker shows as in flight, because their first message was
        read before this process started.
        """
        for exchange in exchanges:
            if exchange.status == SWITCHING_PROTOCOLS or _GRPC in exchange.head:
                decoded = self._decode_in_flight(exchange, descriptor)
                record = self._in_flight(exchange, descriptor, decoded, exchange.status)
                if decoded.request.redacted:
                    head = _request_head(decoded).request_head
                else:
                    head = b""
                heads = head, b""
                self.connections.add(record.id, Connection.of(record, heads))

    def lost(self, exchanges: Iterable[InflightExchange], descriptor: Descriptor) -> list[Entry]:
        """Build the records of the in-flight table of a dead worker: outcome `worker_lost`, no
        status.
        """
        entries = []
        ended_at_us = now_us()
        for exchange in exchanges:
            decoded = self._decode_in_flight(exchange, descriptor)
            record = self._in_flight(exchange, descriptor, decoded)
            record.outcome = Outcome.WORKER_LOST.value
            record.level = "error"
            record.ended_at_us = ended_at_us
            record.duration_us = max(0, ended_at_us - record.started_at_us)
            if record.provider is None:
                record.usage_state = None
            else:
                record.usage_state = "lost"
            entries.append(Entry(record, _request_head(decoded)))

        return entries

    def running(self, exchange: InflightExchange, descriptor: Descriptor) -> Entry:
        """Build the preliminary record of an exchange in flight, without end or seq, with its
        request's head.
        """
        decoded = self._decode_in_flight(exchange, descriptor)
        record = self._in_flight(exchange, descriptor, decoded, exchange.status)
        return Entry(record, _request_head(decoded))

    def running_tools(self, exchange: InflightExchange, descriptor: Descriptor) -> list[ToolCall]:
        decoded = self._decode_in_flight(exchange, descriptor)
        record = self._in_flight(exchange, descriptor, decoded)
        return [
            call for reader in self._readers.all for call in reader.running_tools(record, decoded)
        ]

    def _decode_in_flight(
        self, exchange: InflightExchange, descriptor: Descriptor
    ) -> DecodedExchange:
        return self._decoder.decode_in_flight(exchange, labels_of(descriptor, exchange.route))

    def _in_flight(
        self,
        exchange: InflightExchange,
        descriptor: Descriptor,
        decoded: DecodedExchange,
        status: int = 0,
    ) -> Record:
        duration_us = max(0, now_us() - exchange.started_at_us)
        origin = self._decoder.client_origin(exchange.client_ip)
        shared = SharedColumns(
            self._instance, descriptor, (status, exchange.route, OK, 0, 0, 0), origin, b""
        )
        numbers = (exchange.started_at_us * 1000, -1, -1, -1, -1, duration_us * 1000, 0, 0)
        record = shared.record(exchange.record_id, numbers, decoded.line, decoded.request)
        record.ended_at_us = 0
        attribute_in_flight(record, exchange.caller, shared.labels, self._keys)
        self._name_running(record, decoded)
        return record

    def _name_running(self, record: Record, decoded: DecodedExchange) -> None:
        """Fill the columns of an exchange in flight from its request, and name its endpoint."""
        for reader in self._readers.of(decoded):
            facts = self._readers.ask(reader.running, record, decoded)
            if facts is not None:
                self._merger.merge(record, facts, decoded)
        record.endpoint = self._endpoints.name(record)

    def await_answers(self, calls: Iterable[ToolCall]) -> None:
        """Wait for the responses of tool calls that were stored as `processing` before this process
        started.
        """
        awaited = list(calls)
        for reader in self._readers.all:
            reader.await_responses(awaited)

    def know_jobs(self, jobs: Iterable[Job]) -> None:
        """Remember the jobs that were stored before this process started, newest first."""
        known = list(jobs)
        for reader in self._readers.all:
            reader.know_jobs(known)

    def recall_conversations(self, records: Iterable[Record]) -> None:
        """Remember LLM calls that were stored before this process started, oldest first."""
        self._merger.conversations.recall(records)

    @property
    def call_evictions(self) -> tuple[int, int, int]:
        """Number of evicted calls of conversations, unfinished calls over WebSockets, and
        connections.
        """
        evictions = sum(reader.evictions for reader in self._readers.all)
        return self._merger.conversations.evictions, evictions, self.connections.evictions

    def waiting_tools(self) -> list[ToolCall]:
        """Return the tool calls with a response still to come on another stream."""
        return [call for reader in self._readers.all for call in reader.pending()]

    def expired(self) -> list[Entry]:
        """Return an event with the tool calls without a response in time; nothing without any."""
        calls = [call for reader in self._readers.all for call in reader.expired()]
        if not calls:
            return []
        entry = self.event("unanswered_tool_calls", {"count": len(calls)})
        return [Entry(entry.record, None, calls)]

    def event(self, name: str, data: dict[str, object]) -> Entry:
        self._counter += 1
        at_us = now_us()
        record_id = new_id(time.time_ns(), self._nonce, self._counter)
        level = _EVENT_LEVELS.get(name, "info")
        encoded = msgspec.json.encode(data)
        return Entry(
            Record(
                0, record_id, self._instance, "event", at_us, at_us, level, name=name, data=encoded
            )
        )


def _captured(limit_bytes: int, entry: RingEntry) -> CapturedExchange:
    _, header, sections, _ = entry
    if len(sections) > limit_bytes:
        raise TooLong
    return CapturedExchange(header, sections)


def _with_message(entry: Entry) -> Entry:
    """Set the message of a failed record; failures of one kind share it."""
    if entry.record.level in ("warn", "error"):
        entry.record.message = failure_line(entry.record, entry.payload)
    return entry


def secret_headers(settings: Settings) -> tuple[str, ...]:
    """Return the names of headers that the settings declare secret."""
    return (
        *settings.redact.headers,
        *(route.key_header for route in settings.routes if route.auth != "off"),
    )


def redactor_of(settings: Settings) -> Redactor:
    """Return a redactor with the rules of the settings."""
    redact = settings.redact
    names = redact.query, redact.json_keys, redact.excepted
    return Redactor(
        secret_headers(settings),
        *names,
        patterns=redact.patterns,
        rules=redact.rules,
        disabled=redact.disable,
    )


def _request_head(decoded: DecodedExchange) -> Payload:
    return Payload(decoded.line.redacted + decoded.request.redacted, b"", None, None)
