"""The admission of a request: its route, the check of its caller, and the head for its upstream.

Strategy: everything that depends only on the head and the route is rendered once, and used again as
long as a client repeats its head. The invariant: a request is admitted before a byte of it is
forwarded.
"""

from proxy.http1.errors import Refused, no_route
from proxy.http1.forwarded import forwarded_lines
from proxy.http1.memo.varying_fields import as_format
from proxy.http1.request_head import RequestHead
from proxy.http1.request_reader import RequestReader
from proxy.http1.trace_context import traceparent_line
from proxy.ring.exchange import NO_ROUTE, Exchange, client_section
from proxy.worker.engine import Engine
from proxy.worker.routes import Route

Rendered = tuple[RequestHead | None, Route | None, bytes, bytes]
"""A rendered head: the head, its route, the field lines for the upstream, the client as in records
(`client_section`).

The head is None if the lines must not be used for another request.
"""


class Admission:
    """Admits the requests of one client connection."""

    __slots__ = ("_engine", "_peer", "_rendered", "_scheme", "takes_https", "unrouted")

    def __init__(self, engine: Engine, peer: bytes, *, is_tls: bool) -> None:
        """Admit requests from the address `peer`."""
        self._engine = engine
        self._peer = peer
        self._scheme = b"https" if is_tls else b"http"
        self.takes_https = is_tls
        """True if a request may name an `https` URL."""
        self.unrouted = NO_ROUTE
        """Index of the route on records of requests that reached none."""
        self._rendered: Rendered = (None, None, b"", b"")
        """The newest head, rendered."""

    def admit(
        self, exchange: Exchange, request: RequestReader, head: RequestHead
    ) -> tuple[Route, bytes]:
        """Return the route of a request and the head for its upstream; note both on the exchange.

        Raises:
            Refused: the request has no route, or may not take it.
        """
        engine = self._engine
        target = request.target
        authority = request.authority
        host = head.host if authority is None else authority
        route = engine.routes.catch_all or engine.routes.match(host, target)
        if route is None:
            raise no_route(host, target)

        exchange.route = route.index
        exchange.flags |= route.flags
        exchange.is_recorded = route.is_recorded
        if engine.instance in head.hops:
            raise Refused("loop_detected", "this request has passed this proxy before")

        length = request.content_length
        if 0 < route.max_body_bytes < length:
            raise Refused(
                "body_too_large", f"body of {length} bytes, the limit is {route.max_body_bytes}"
            )

        if route.access is not None:
            engine.gate.admit(exchange, route.access, head, self._peer)
        rendered = self._rendered
        if rendered[0] is not head or rendered[1] is not route or authority is not None:
            rendered = self._render(head, route, authority, has_gaps=bool(request.gaps))
            self._rendered = rendered
        exchange.client = rendered[3]
        lines = rendered[2] % request.gaps if request.gaps else rendered[2]
        if head.request_id:
            id_line = b""
        else:
            id_line = b"X-Request-Id: %b\r\n" % exchange.id_text
        if route.changes_target:
            target = route.target(target)
        return route, b"%b %b HTTP/1.1\r\n%b%b\r\n" % (request.method, target, lines, id_line)

    def client_of(self, head: RequestHead) -> bytes:
        """Return the address of the client of a refused request, in the form of records."""
        return client_section(*self._engine.trusted.original(self._peer, head))

    def _render(
        self, head: RequestHead, route: Route, authority: bytes | None, *, has_gaps: bool
    ) -> Rendered:
        """Render the field lines for the upstream, and find the client.

        `authority` comes from a target in absolute form and replaces the Host field.
        """
        engine = self._engine
        peer = self._peer
        original = engine.trusted.original(peer, head)
        host = head.host if authority is None else authority

        if authority is None:
            lines = engine.render(head, route)
        else:
            lines = route.render(head.with_host(authority), engine.instance)

        lines += forwarded_lines(head, peer, self._scheme, host, original)
        if has_gaps:
            lines = as_format(lines)
        return head if authority is None else None, route, lines, client_section(*original)


class TracingAdmission(Admission):
    """Admits requests, and adds a trace context to those without one.

    A separate class, so that other engines do not test the setting on every request.
    """

    __slots__ = ()

    def admit(
        self, exchange: Exchange, request: RequestReader, head: RequestHead
    ) -> tuple[Route, bytes]:
        route, outgoing = super().admit(exchange, request, head)
        if head.lacks_trace:
            outgoing = outgoing[:-2] + traceparent_line(exchange.id) + b"\r\n"
        return route, outgoing


def admission_of(engine: Engine, peer: bytes, *, is_tls: bool) -> Admission:
    """Return the admission of one client connection."""
    if engine.makes_traces:
        return TracingAdmission(engine, peer, is_tls=is_tls)
    return Admission(engine, peer, is_tls=is_tls)
