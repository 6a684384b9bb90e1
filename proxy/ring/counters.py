"""The counters page of a worker: u64 cells in shared memory, exact even when records are dropped.

Strategy: the number of routes fixes the layout; the worker adds to a cell in place (about 50 ns),
the collector reads the page when metrics are requested. One more route, `no_route`, takes requests
that no route matched.
Invariant: counters only grow and outlive their worker (`add_counts`); gauges show the present state
and end with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import product
from typing import Final, TypeVar

from proxy.http1.errors import AUTH_CODES, KEYS_UNAVAILABLE
from proxy.http2.errors import ErrorCode

Key = TypeVar("Key")

METHODS: Final = (
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "PATCH",
    "OPTIONS",
    "CONNECT",
    "TRACE",
    "QUERY",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "REPORT",
    "SEARCH",
    "MKCALENDAR",
    "ACL",
    "OTHER",
)
"""Methods counted by name: RFC 9110 §9.3, RFC 5789, WebDAV and CalDAV (RFC 4918, 3253, 3744, 4791,
5323).
"""
CLASSES: Final = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
"""Status classes; "none" is an exchange without a response, or a status outside of 100 to 599."""
UPSTREAM_ERRORS: Final = ("refused", "unresolved", "untrusted", "reset", "bad_response", "timeout")
TLS_FAILURES: Final = (
    "plain_http",
    "not_tls",
    "timeout",
    "closed",
    "version",
    "cipher",
    "certificate",
    "other",
)
"""Reasons for a TLS connection that was never secured: another protocol, silence, the client left,
or nothing in common. "certificate": the client rejected ours.
"""
EGRESS_OUTCOMES: Final = (
    "read",
    "plain",
    "forwarded",
    "tunnel",
    "refused",
    "failed",
    "untrusted",
    "closed",
)
"""Outcomes of connections to the port of outgoing calls: TLS that is read; plain HTTP within
CONNECT; `http://` URLs; a tunnel; a refused request; an unreachable host; a client that does not
trust our certificate; a client that left early.
"""
PROXY_FAILURES: Final = ("malformed", "timeout", "closed")
"""Reasons for an unknown client behind a load balancer."""
HTTP2_CODES: Final = tuple(code.name.lower() for code in ErrorCode)
"""Reasons for resets of streams and ends of HTTP/2 connections, by their numbers (RFC 9113 §7)."""
HTTP2_SIDES: Final = ("client", "server", "upstream")
AUTH_FAILURES: Final = (*AUTH_CODES, KEYS_UNAVAILABLE)
NO_LABEL: Final = ""
_ONE: Final = (NO_LABEL,)
LABELS: Final[Mapping[str, Sequence[object]]] = {
    "refused_connections": _ONE,
    "upstream_retries": _ONE,
    "connections_downstream": _ONE,
    "connections_upstream": _ONE,
    "requests_in_flight": _ONE,
    "auth_failures": AUTH_FAILURES,
    "tls_failures": TLS_FAILURES,
    "proxy_failures": PROXY_FAILURES,
    "dropped_messages": _ONE,
    "log_lines_dropped": _ONE,
    "displaced_connections": _ONE,
    "recording_waits": _ONE,
    "recording_wait_us": _ONE,
    "connections_http2": _ONE,
    "connections_upstream_http2": _ONE,
    "http2_ends": HTTP2_CODES,
    "http2_resets": tuple(product(HTTP2_SIDES, HTTP2_CODES)),
    "dropped_grpc_messages": _ONE,
    "recording_standstills": _ONE,
    "egress": EGRESS_OUTCOMES,
}
"""Counter of a worker → its labels, each with a cell of its own. Counters and labels are in the order
of the cells.
"""

_METHOD_CELL: Final = {
    method.encode(): index * len(CLASSES) for index, method in enumerate(METHODS[:-1])
}
_OTHER_CELL: Final = (len(METHODS) - 1) * len(CLASSES)
_ROUTE_CELLS: Final = len(METHODS) * len(CLASSES)
_ERROR_INDEX: Final = {reason: index for index, reason in enumerate(UPSTREAM_ERRORS)}


@dataclass(slots=True)
class CounterSnapshot:
    """The content of the pages.

    Route names are keys, "" for no route; the dictionaries have no zeros.
    """

    requests: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """(route, method, status class) → exchanges."""
    request_bytes: dict[str, int] = field(default_factory=dict)
    """Route → bytes of request bodies."""
    response_bytes: dict[str, int] = field(default_factory=dict)
    """Route → bytes of response bodies."""
    upstream_errors: dict[tuple[str, str], int] = field(default_factory=dict)
    """(route, reason) → failures."""
    refused_connections: int = 0
    """Connections that were refused."""
    upstream_retries: int = 0
    """Requests sent to an upstream a second time."""
    connections_downstream: int = 0
    """Gauge: open now."""
    connections_upstream: int = 0
    """Gauge: open now."""
    requests_in_flight: int = 0
    """Gauge: running now."""
    auth_failures: dict[str, int] = field(default_factory=dict)
    """Code of the key check → refused calls."""
    tls_failures: dict[str, int] = field(default_factory=dict)
    """Reason → connections of the TLS port that were never secured."""
    proxy_failures: dict[str, int] = field(default_factory=dict)
    """Reason → connections without a PROXY header that names the client."""
    dropped_messages: int = 0
    """WebSocket messages that were passed on and not recorded."""
    dropped_grpc_messages: int = 0
    """Messages of gRPC streams that were passed on and not recorded."""
    log_lines_dropped: int = 0
    """Lines of the worker's log that stderr did not accept."""
    displaced_connections: int = 0
    """Idle connections that were closed for new ones."""
    recording_waits: int = 0
    """Requests and reads of messages that waited for room for their records."""
    recording_wait_us: int = 0
    """Total duration of these waits."""
    recording_standstills: int = 0
    """Waits that ended because no record had left the ring for too long."""
    connections_http2: int = 0
    """Gauge: number of `connections_downstream` that speak HTTP/2."""
    connections_upstream_http2: int = 0
    """Gauge: number of `connections_upstream` that speak HTTP/2."""
    http2_ends: dict[str, int] = field(default_factory=dict)
    """Code → connections of HTTP/2 that we ended."""
    http2_resets: dict[tuple[str, str], int] = field(default_factory=dict)
    """(side, code) → streams that the side reset."""
    egress: dict[str, int] = field(default_factory=dict)
    """Outcome → connections to the port of outgoing calls."""


_GAUGES: Final = frozenset(
    (
        "connections_downstream",
        "connections_upstream",
        "requests_in_flight",
        "connections_http2",
        "connections_upstream_http2",
    )
)


class CounterLayout:
    """The cell of each counter of a worker with `routes` routes."""

    __slots__ = (
        "_cells",
        "_upstream_errors",
        "no_route",
        "request_bytes",
        "requests",
        "response_bytes",
        "routes",
        "size",
    )

    def __init__(self, routes: int) -> None:
        """Lay out the cells; the same number of routes always gives the same layout."""
        rows = routes + 1
        self.routes = routes
        self.no_route = routes
        """Route index of requests that matched no route."""
        self.requests = tuple(row * _ROUTE_CELLS for row in range(rows))
        """First cell of each route's requests."""
        self.request_bytes = rows * _ROUTE_CELLS
        """Add the route index."""
        self.response_bytes = self.request_bytes + rows
        """Add the route index."""
        self._upstream_errors = self.response_bytes + rows
        first = self._upstream_errors + rows * len(UPSTREAM_ERRORS)
        labelled = [(counter, label) for counter, labels in LABELS.items() for label in labels]
        self._cells = {each: first + at for at, each in enumerate(labelled)}
        self.size = first + len(labelled)
        """Total number of cells."""

    def request_cell(self, route: int, method: bytes, status: int) -> int:
        """Return the cell of a finished exchange; `status` 0 = no response."""
        status_class = status // 100 if status < 600 else 0
        return self.requests[route] + _METHOD_CELL.get(method, _OTHER_CELL) + status_class

    def upstream_error_cell(self, route: int, reason: str) -> int | None:
        """Return the cell of an upstream failure; None for a reason without a cell."""
        index = _ERROR_INDEX.get(reason)
        if index is None:
            return None
        return self._upstream_errors + route * len(UPSTREAM_ERRORS) + index

    def cell(self, counter: str, label: object = NO_LABEL) -> int:
        """Return the cell of a counter that is not counted by route, or of one of its labels."""
        return self._cells[counter, label]

    def read(
        self, cells: "Sequence[int] | memoryview[int]", names: Sequence[str] | None = None
    ) -> CounterSnapshot:
        """Read a page. Without route names, the index of a route is its name.

        Raises:
            ValueError: the page or the names do not fit this layout.
        """
        keys = [*(map(str, range(self.routes)) if names is None else names), ""]
        if len(cells) < self.size or len(keys) != self.routes + 1:
            raise ValueError(
                f"{len(cells)} cells and {len(keys) - 1} names for {self.size} cells and "
                f"{self.routes} routes"
            )

        values = list(cells[: self.size])
        snapshot = CounterSnapshot()
        for (counter, label), cell in self._cells.items():
            if label == NO_LABEL:
                setattr(snapshot, counter, values[cell])
            else:
                _add(getattr(snapshot, counter), label, values[cell])
        for row, key in enumerate(keys):
            self._read_route(snapshot, values, row, key)
        return snapshot

    def _read_route(self, snapshot: CounterSnapshot, values: list[int], row: int, key: str) -> None:
        first = self.requests[row]
        for index, count in enumerate(values[first : first + _ROUTE_CELLS]):
            if count:
                method, status_class = divmod(index, len(CLASSES))
                _add(snapshot.requests, (key, METHODS[method], CLASSES[status_class]), count)

        _add(snapshot.request_bytes, key, values[self.request_bytes + row])
        _add(snapshot.response_bytes, key, values[self.response_bytes + row])
        first = self._upstream_errors + row * len(UPSTREAM_ERRORS)
        for reason, count in zip(UPSTREAM_ERRORS, values[first:], strict=False):
            _add(snapshot.upstream_errors, (key, reason), count)


def http2_code(code: int) -> str:
    """Return the label of an HTTP/2 error code. An unknown one means an internal error (RFC 9113 §7)."""
    if code < len(HTTP2_CODES):
        return HTTP2_CODES[code]
    return HTTP2_CODES[ErrorCode.INTERNAL_ERROR]


def _add(into: dict[Key, int], key: Key, count: int) -> None:
    if count:
        into[key] = into.get(key, 0) + count


def add_counts(
    base: CounterSnapshot, snapshot: CounterSnapshot, *, is_alive: bool = False
) -> CounterSnapshot:
    """Return the sum of two snapshots.

    Gauges of `snapshot` are added only if its worker is alive.
    """
    total = CounterSnapshot()
    for name in (each.name for each in fields(CounterSnapshot)):
        before = getattr(base, name)
        more = getattr(snapshot if is_alive or name not in _GAUGES else total, name)
        setattr(total, name, _sum(before, more) if isinstance(before, dict) else before + more)
    return total


def _sum(base: Mapping[Key, int], more: Mapping[Key, int]) -> dict[Key, int]:
    return {key: base.get(key, 0) + more.get(key, 0) for key in (*base, *more)}
