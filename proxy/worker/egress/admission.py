"""The admission of outgoing calls: each goes to the host that the client named.

What a client says to its proxy alone is not recorded (RFC 9110 §11.7.1).
"""

import re
from collections.abc import Callable
from typing import Final

from proxy.egress.hosts import HostList, plain_host
from proxy.http1.errors import Refused, shown
from proxy.http1.field_lines import name_of, options_of
from proxy.http1.memo.varying_fields import as_format
from proxy.http1.request_head import RequestHead
from proxy.http1.request_reader import RequestReader
from proxy.ring.exchange import FLAG_BODIES_OFF, FLAG_HEADS_OFF, FLAG_TLS, Exchange
from proxy.settings.addresses import parse_upstream
from proxy.worker.admission.admission import Admission
from proxy.worker.egress.destinations import HTTP11, WEBSOCKET, Destination, Destinations
from proxy.worker.engine import Engine
from proxy.worker.routes import Route

_HTTPS_URL: Final = re.compile(rb"\S+ https://", re.IGNORECASE)
_FIELD_END: Final = re.compile(rb"\r\n(?![ \t])(?=[^\r\n]*:|\r\n|\Z)")
"""Not one before a line that is folded (RFC 9112 §5.2) or names no field: a head that is refused is
recorded too.
"""
_TO_PROXY: Final = frozenset((b"proxy-authorization", b"proxy-connection"))

Find = Callable[[Exchange, RequestReader], Destination]
"""Returns where a request goes; raises `Refused` if it says no such place."""


class OutgoingAdmission(Admission):
    """Admits the requests of one connection, to the destinations that `find` returns."""

    __slots__ = ("_destinations", "_find")

    def __init__(
        self,
        engine: Engine,
        peer: bytes,
        destinations: Destinations,
        find: Find,
        *,
        takes_https: bool,
    ) -> None:
        """Admit requests of the client `peer`; `takes_https` allows them to name `https` URLs."""
        super().__init__(engine, peer, is_tls=takes_https)
        self._destinations = destinations
        self._find = find
        self.unrouted = destinations.route_index

    def admit(
        self, exchange: Exchange, request: RequestReader, head: RequestHead
    ) -> tuple[Route, bytes]:
        if request.authority is not None and request.authority != head.host:
            head = head.with_host(request.authority)
        destination = self._find(exchange, request)
        if head.is_websocket and not destination.is_tls and destination.protocol == HTTP11:
            destination = destination._replace(protocol=WEBSOCKET)
        route = self._destinations.route(destination)
        exchange.route = route.index
        exchange.flags |= route.flags
        exchange.is_recorded = route.is_recorded
        length = request.content_length
        if 0 < route.max_body_bytes < length:
            raise Refused(
                "body_too_large", f"body of {length} bytes, the limit is {route.max_body_bytes}"
            )

        lines = self._engine.render(head, route)
        if request.gaps:
            lines = as_format(lines) % request.gaps
        if route.changes_target:
            target = route.target(request.target)
        else:
            target = request.target
        return route, b"%b %b HTTP/1.1\r\n%b\r\n" % (request.method, target, lines)

    def client_of(self, head: RequestHead) -> bytes:
        """Return the peer's address. Forwarding fields of the client are meant for the host."""
        return self._peer


def destination_of_url(unread: HostList, exchange: Exchange, request: RequestReader) -> Destination:
    """Return where a request for a whole URL goes (RFC 9112 §3.2.2), and note on its exchange what
    that says; of those to `unread` hosts that is as little as CONNECT would say.

    Raises:
        Refused: it is not for a URL, or not one with a host.
    """
    if request.authority is None:
        raise Refused(
            "bad_request",
            f"this port takes whole URLs and CONNECT, got {shown(request.target)}: it is for "
            "HTTP_PROXY and HTTPS_PROXY",
        )
    is_tls = _HTTPS_URL.match(request.raw) is not None
    scheme = "https" if is_tls else "http"
    try:
        address = parse_upstream(f"{scheme}://{request.authority.decode()}")
    except ValueError as error:
        raise Refused("bad_request", f"{error}, got {shown(request.authority)}") from error

    exchange.request_head = without_proxy_fields(request.raw)
    if is_tls:
        exchange.flags |= FLAG_TLS
    if unread.has(plain_host(address.host)):
        exchange.flags |= FLAG_HEADS_OFF | FLAG_BODIES_OFF
        origin = f"{scheme}://{address.authority}".encode()
        exchange.request_head = b"%b %b HTTP/1.1\r\n\r\n" % (request.method, origin)
    return Destination(is_tls, address.host, address.port, HTTP11)


def without_proxy_fields(raw: bytes) -> bytes:
    """Return a whole head without the fields that are for a proxy or for one connection alone."""
    lines = _FIELD_END.split(raw)
    dropped = set(_TO_PROXY)
    for line in lines:
        if name_of(line) == b"connection":
            dropped.update(options_of(line.partition(b":")[2]))
    return b"\r\n".join([line for line in lines if name_of(line) not in dropped])
