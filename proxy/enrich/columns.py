"""The columns of a finished exchange. Columns shared by many exchanges are computed once, the
others for each record.

Records are built by position, in the order of `Record`'s fields (0.1 µs, by keyword 2.0 µs).
"""

from collections.abc import Callable
from typing import Final

import msgspec

from proxy.enrich.http.exchange import RequestLine
from proxy.enrich.http.exchange_decoder import ClientOrigin
from proxy.enrich.http.head_facts import HeadFacts
from proxy.http1.trace_context import TRACEPARENT, context_of
from proxy.ring.descriptor import Descriptor, RouteLabels
from proxy.ring.exchange import (
    ERROR_CODES,
    ERROR_INDEX,
    FLAG_HTTP10,
    FLAG_REQUEST_COMPLETE,
    OK,
    CapturedExchange,
)
from proxy.ring.message import KIND_GRPC, CapturedMessage
from proxy.settings.model import EGRESS_ROUTE
from storage.record import (
    GRPC_MESSAGE_EVENT,
    MESSAGE_EVENT,
    OUTCOMES,
    Level,
    Record,
    Shed,
    format_id,
    level_of,
)

NO_LABELS: Final = RouteLabels("", None, None, None, None, None)
_OUTCOMES: Final = tuple(outcome.value for outcome in OUTCOMES)
_SHED: Final[tuple[Shed, ...]] = ("none", "tail", "bodies")
_HTTP2: Final = b" HTTP/2"
"""End of a request line of HTTP/2; the flags of a ring entry have no room for the version."""
_NO_FAULTS: Final = frozenset((ERROR_INDEX["http2_unsupported"], ERROR_INDEX["tls_on_plain_port"]))
"""Errors of clients that only probe the protocol of a port; they need no alert."""
MAX_SHARED: Final = 8192
"""Combinations of ring, status, route and client; about 5 MB."""

Numbers = tuple[int, int, int, int, int, int, int, int]
"""The start on the wall clock in ns. Then ns from the start until: connected, sent, first byte,
done, end; -1: not reached. Then the sizes of the request body and of the response body in bytes.
"""


class SharedColumns:
    """Columns that all records of a ring with the same codes and addresses share."""

    def __init__(
        self, instance: str, descriptor: Descriptor, codes: tuple[int, int, int, int, int, int],
        origin: ClientOrigin, upstream: bytes,
    ) -> None:  # fmt: skip
        """Compute the columns; `codes` are status, route, outcome, error, flags and shedding."""
        status, route, outcome, error, flags, shed = codes
        self.labels = labels_of(descriptor, route)
        self._instance = instance
        self._descriptor = descriptor
        self._level: Level = "info"
        if (outcome != OK or status >= 400) and error not in _NO_FAULTS:
            self._level = level_of(status or None, _OUTCOMES[outcome])
        self._outcome = _OUTCOMES[outcome]
        self._status = status or None
        self._version = "1.0" if flags & FLAG_HTTP10 else "1.1"
        self._is_complete = bool(flags & FLAG_REQUEST_COMPLETE)
        self._client_ip, self._scheme, self._host = origin
        self._upstream = upstream.decode() or None
        self._route_id = self.labels.id or None
        self._is_outgoing = self._route_id == EGRESS_ROUTE
        self._error = ERROR_CODES[error] or None
        self._shed = _SHED[shed]

    def record(
        self,
        record_id: bytes,
        numbers: Numbers,
        line: RequestLine,
        facts: HeadFacts,
        data: bytes | None = None,
    ) -> Record:
        """Return the record of one exchange: these shared columns, and the exchange's own times,
        sizes and request line.
        """
        start, connect, sent, first, done, end, request_bytes, response_bytes = numbers
        labels = self.labels
        descriptor = self._descriptor
        authority = line.authority
        host = self._host or (facts.host if authority is None else authority)
        trace_id = facts.trace_id
        span_id = facts.span_id
        if trace_id is None and descriptor.makes_traces:
            trace_id, span_id = context_of(record_id)
        record = Record(
            0, record_id, self._instance, "exchange", start // 1000, (start + end) // 1000,
            self._level, self._outcome, self._status,
            line.method, self._scheme, host, line.path, line.query,
            "2" if line.redacted.endswith(_HTTP2) else self._version,
            end // 1000,
            connect // 1000 if connect >= 0 else None,
            first // 1000 if first >= 0 else None,
            (done - sent) // 1000 if done >= 0 <= sent else None,
            (start + sent) // 1000 if sent >= 0 else None,
            (start + done) // 1000 if done >= 0 else None,
            request_bytes, response_bytes, self._is_complete,
            self._client_ip, self._upstream,
            self._route_id, labels.service, labels.container, labels.project, labels.client, None,
            descriptor.source, descriptor.stage, trace_id, span_id,
            facts.request_id or format_id(record_id), facts.user_agent,
            self._error, self._shed, None, data,
        )  # fmt: skip
        if self._is_outgoing:
            record.direction = "out"
        return record


class SharedColumnsMemo:
    """Memoises up to `MAX_SHARED` shared columns. Not thread-safe."""

    def __init__(self, instance: str, client_origin: Callable[[bytes, int], ClientOrigin]) -> None:
        self._instance = instance
        self._client_origin = client_origin
        self.known: dict[tuple[int | bytes, ...], SharedColumns] = {}
        """Columns by the id of a ring's descriptor, kept alive by the value, and by codes and
        addresses.
        """

    def of(self, captured: CapturedExchange, descriptor: Descriptor) -> SharedColumns:
        status = captured.status
        route = captured.route
        flags = captured.flags
        outcome = captured.outcome
        error = captured.error
        shed = captured.shed
        client = captured.client
        upstream = captured.upstream
        key = (id(descriptor), status, route, outcome, error, flags, shed, client, upstream)

        shared = self.known.get(key)
        if shared is None:
            codes = (status, route, outcome, error, flags, shed)
            shared = SharedColumns(
                self._instance, descriptor, codes, self._client_origin(client, flags), upstream
            )
            if len(self.known) >= MAX_SHARED:
                self.known.clear()
            self.known[key] = shared

        return shared


def labels_of(descriptor: Descriptor, route: int) -> RouteLabels:
    if route < len(descriptor.routes):
        return descriptor.routes[route]
    return NO_LABELS


def message_record(
    captured: CapturedMessage, descriptor: Descriptor, instance: str, data: dict[str, object]
) -> Record:
    """Return the event of a message. If the client sent a trace, `data` gets the exchange's id."""
    labels = labels_of(descriptor, captured.route)
    trace = TRACEPARENT.fullmatch(captured.traceparent)
    at_us = captured.at_ns // 1000
    if trace is not None:
        data["exchange_id"] = format_id(captured.exchange_id)
    return Record(
        0, captured.id, instance, "event", at_us, at_us, "debug",
        name=GRPC_MESSAGE_EVENT if captured.kind == KIND_GRPC else MESSAGE_EVENT,
        trace_id=captured.exchange_id.hex() if trace is None else trace[1].decode(),
        data=msgspec.json.encode(data),
        route_id=labels.id or None,
        service=labels.service,
        container=labels.container,
        project=labels.project,
        client=labels.client,
        source=descriptor.source,
        stage=descriptor.stage,
    )  # fmt: skip
