"""The admission of outgoing calls: each goes to the host that the client named, unchanged.

Nothing is added that tells a stranger of the client: no address, no id. Fields that concern one
connection only stay behind, as everywhere (RFC 9110 §7.6.1); what a client says to its proxy alone
is not recorded either (§11.7.1).
"""

import re
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
from proxy.worker.egress.destinations import Destination, Destinations
from proxy.worker.engine import MAX_RENDERED_ROUTES, Engine
from proxy.worker.routes import Route, hop_lines

_VIA: Final = b"Via: 1.1 sidelog\r\n"
"""Only for what is not secured: behind TLS a client sees nothing between itself and its host."""
_HTTPS_URL: Final = re.compile(rb"\S+ https://", re.IGNORECASE)
_TO_PROXY: Final = frozenset((b"proxy-authorization", b"proxy-connection"))


class HostAdmission(Admission):
    """Admits the requests within one CONNECT, which all go to its host."""

    __slots__ = ("_destination", "_destinations", "_via")

    def __init__(
        self, engine: Engine, peer: bytes, destinations: Destinations, destination: Destination
    ) -> None:
        """Admit requests of the client `peer` to a destination."""
        super().__init__(engine, peer, is_tls=destination.is_tls)
        self._destinations = destinations
        self._destination = destination
        self._via = b"" if destination.is_tls else _VIA
        self.unrouted = destinations.route_index

    def admit(
        self, exchange: Exchange, request: RequestReader, head: RequestHead
    ) -> tuple[Route, bytes]:
        if request.authority is not None and request.authority != head.host:
            head = head.with_host(request.authority)
        route = self._destinations.route(self._destination)
        exchange.route = route.index
        exchange.flags |= route.flags
        exchange.is_recorded = route.is_recorded
        length = request.content_length
        if 0 < route.max_body_bytes < length:
            raise Refused(
                "body_too_large", f"body of {length} bytes, the limit is {route.max_body_bytes}"
            )

        lines = head.rendered.get(route.place)
        if lines is None:
            lines = outgoing_lines(head, self._via)
            if len(head.rendered) >= MAX_RENDERED_ROUTES:
                del head.rendered[next(iter(head.rendered))]
            head.rendered[route.place] = lines
        if request.gaps:
            lines = as_format(lines) % request.gaps
        return route, b"%b %b HTTP/1.1\r\n%b\r\n" % (request.method, request.target, lines)

    def client_of(self, head: RequestHead) -> bytes:
        """Return the peer's address. Forwarding fields of the client are meant for the host."""
        return self._peer


class UrlAdmission(HostAdmission):
    """Admits requests for whole URLs, each of which names its host (RFC 9112 §3.2.2)."""

    __slots__ = ("_unread",)

    def __init__(
        self, engine: Engine, peer: bytes, destinations: Destinations, unread: HostList
    ) -> None:
        """Admit requests of the client `peer`; of those to `unread` hosts no content is kept."""
        super().__init__(engine, peer, destinations, Destination("http", "", 0, "http/1.1"))
        self._unread = unread
        self.takes_https = True

    def admit(
        self, exchange: Exchange, request: RequestReader, head: RequestHead
    ) -> tuple[Route, bytes]:
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
        if self._unread.has(plain_host(address.host)):
            exchange.flags |= FLAG_HEADS_OFF | FLAG_BODIES_OFF
        self._destination = Destination(scheme, address.host, address.port, "http/1.1")
        self._via = b"" if is_tls else _VIA
        return super().admit(exchange, request, head)


def outgoing_lines(head: RequestHead, via: bytes) -> bytes:
    """Return the field lines of a request as its host gets them, with those that routes write
    themselves as the client sent them.
    """
    sent = (
        (b"X-Forwarded-For", head.forwarded_for),
        (b"X-Forwarded-Proto", head.forwarded_proto),
        (b"X-Forwarded-Host", head.forwarded_host),
        (b"X-Sidelog-Hop", b", ".join(head.hops)),
        (b"X-Request-Id", head.request_id),
    )
    again = b"".join(b"%b: %b\r\n" % field for field in sent if field[1])
    return b"Host: %b\r\n%b%b%b%b" % (head.host, head.render(), via, again, hop_lines(head))


def without_proxy_fields(raw: bytes) -> bytes:
    """Return a whole head without the fields that are for a proxy or for one connection alone."""
    lines = raw.split(b"\r\n")
    dropped = set(_TO_PROXY)
    for line in lines:
        if name_of(line) == b"connection":
            dropped.update(options_of(line.partition(b":")[2]))
    return b"\r\n".join([line for line in lines if name_of(line) not in dropped])
