"""Routes: the upstream of a request, and the changes to its head on the way.

Routes are compiled once from the settings into bytes, so that the path of a request only joins
them. Matching uses the raw path, as the upstream will see it. If there is more than one route, the
normalised path (percent-decoded, dot segments removed) must lead to the same one. A path that two
readers could route differently is refused (P10).
"""

import logging
import ssl
from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from proxy.egress.hosts import HostList, plain_host
from proxy.http1.errors import Refused, shown
from proxy.http1.field_lines import TE_LINES, UPGRADE_LINES, hyphenated
from proxy.http1.header_rules import compile_rules
from proxy.http1.memo.varying_fields import GAP, VARIES
from proxy.http1.request_head import OUR_FIELDS, RequestHead
from proxy.http1.trailers import HEAD_ONLY
from proxy.process.listeners import host_port
from proxy.ring.capture_windows import CaptureWindows
from proxy.ring.exchange import FLAG_BODIES_OFF, FLAG_HEADS_OFF, NO_ROUTE, Exchange
from proxy.settings.addresses import UpstreamAddress, Via, parse_upstream, parse_via, target_at
from proxy.settings.model import CaptureLevel, LimitSettings, RouteSettings, Settings
from proxy.worker.admission.key_auth import Access, compile_access
from proxy.worker.deadlines import LLM_FIRST_BYTE_S, Deadlines

log = logging.getLogger(__name__)

CAPTURE_FLAGS: Final[dict[CaptureLevel, int]] = {
    "none": FLAG_BODIES_OFF | FLAG_HEADS_OFF,
    "meta": FLAG_BODIES_OFF | FLAG_HEADS_OFF,
    "usage": FLAG_BODIES_OFF | FLAG_HEADS_OFF,
    "headers": FLAG_BODIES_OFF,
    "body": 0,
}
"""Capture level → the flags of exchanges that are recorded at it."""

_VIA: Final = b"Via: 1.1 sidelog\r\n"
"""Only for what is not secured: behind TLS a client sees nothing between itself and its host."""
_PERCENT: Final = 0x25
_SEMICOLON: Final = 0x3B
_BACKSLASH: Final = 0x5C


def settle_unrouted(exchange: Exchange, level: CaptureLevel, route: int) -> None:
    """Record an exchange that reached no route, and so has no level of its own, at a given level at
    most, and as one of the route with the index `route`.
    """
    if exchange.route == NO_ROUTE:
        exchange.route = route
        exchange.flags |= CAPTURE_FLAGS[level]
        exchange.is_recorded = exchange.is_recorded and level != "none"


class Route:
    """One route, compiled."""

    __slots__ = (
        "_base_path",
        "_host_line",
        "_rules",
        "access",
        "address",
        "address_text",
        "changes_target",
        "deadlines",
        "flags",
        "host",
        "http2_tls",
        "index",
        "is_http2",
        "is_recorded",
        "limits",
        "max_body_bytes",
        "path",
        "place",
        "request_names",
        "request_trailers_without",
        "request_window_bytes",
        "response_rules",
        "response_trailers_without",
        "response_window_bytes",
        "server_name",
        "strip_bytes",
        "takes_grpc",
        "tls",
        "via",
        "windows",
    )

    def __init__(self, index: int, route: RouteSettings, settings: Settings) -> None:
        """Compile `route`, the `index`-th of the settings."""
        self.index = index
        """The index of the route in records."""
        self.place = index
        """The key of its pools in the engine: outgoing calls share a route, and have pools of their
        own.
        """
        self.path = route.path.encode()
        self.host = _host_name(route.host.encode())
        self.strip_bytes = route.strip_bytes
        self.address: UpstreamAddress = parse_upstream(route.upstream)
        self.address_text = _address_text(self.address)
        self.via = parse_via(route.via) if self.address.scheme != "unix" else None
        self._base_path = self.address.base_path.encode()
        self.changes_target = bool(self.strip_bytes or self._base_path)
        self.is_http2 = route.upstream_protocol == "http2"
        """True if all requests go by HTTP/2, and not only gRPC calls."""
        self.takes_grpc = route.upstream_protocol != "http1"
        is_tls = self.address.scheme == "https"
        self.tls: ssl.SSLContext | None = route.tls_context() if is_tls else None
        self.http2_tls: ssl.SSLContext | None = route.tls_context("h2") if is_tls else None
        # The name in a TLS handshake has no dot at its end (RFC 6066 §3).
        self.server_name = self.address.host.removesuffix(".") if self.tls else None
        self._host_line = self._fixed_host(route)
        general = settings.proxy.headers
        own = route.headers
        rules = compile_rules(general.set_request, own.set_request)
        self._rules = replace(rules, without=hyphenated(rules.without))
        response_rules = compile_rules(general.set_response, own.set_response)
        self.response_rules = response_rules.and_without(settings.proxy.record_id_header)
        self.access = compile_access(route)
        self.request_names = self._rules.without | self._key_fields()
        """Lower-case names of fields that the route reads, removes or sets in requests."""
        self.request_trailers_without = HEAD_ONLY | hyphenated(self.request_names) | OUR_FIELDS
        """Lower-case names of fields that are not forwarded as trailers."""
        self.response_trailers_without = HEAD_ONLY | self.response_rules.without
        self.limits = limits_of(route, settings.proxy.limits)
        # A limit that the route itself sets applies to its LLM calls too.
        has_own_limit = route.limits.timeout_first_byte_s is not None
        self.deadlines = Deadlines(self.limits, 0 if has_own_limit else LLM_FIRST_BYTE_S)
        self.max_body_bytes = self.limits.max_body_bytes
        level = route.capture or settings.capture.level
        self.is_recorded = level != "none"
        self.flags = CAPTURE_FLAGS[level]
        self.windows = CaptureWindows(settings.capture, settings.ring.bytes, level, route.provider)
        self.request_window_bytes = self.windows.plain.request_bytes
        self.response_window_bytes = self.windows.plain.response_bytes

    def _key_fields(self) -> frozenset[bytes]:
        """Return the name of the field with the key, if the route checks keys."""
        access = self.access
        return frozenset((access.header,) if access is not None and access.is_keyed else ())

    def _fixed_host(self, route: RouteSettings) -> bytes | None:
        """Return the Host line sent upstream; None to keep the client's own (`upstream_host`)."""
        if route.upstream_host:
            return b"Host: %b\r\n" % route.upstream_host.encode()
        if self.address.scheme == "https":
            return b"Host: %b\r\n" % self.address.authority.encode()
        return None

    def render(self, head: RequestHead, hop: bytes) -> bytes:
        """Return the field lines for the upstream that depend only on the head and the route.

        Our own fields come last, after the removal of the fields named by the client's Connection
        (P1).
        """
        host = self._host_line or b"Host: %b\r\n" % (head.host or self.address.authority.encode())
        request_id = b"X-Request-Id: %b\r\n" % head.request_id if head.request_id else b""
        hops = b", ".join([*head.hops, hop]) if head.hops else hop
        fields = head.render(self._rules.without)
        if self.access is not None:
            fields = self.access.without_key(fields)
        return b"%b%b%b%bX-Sidelog-Hop: %b\r\n%b" % (
            host, fields, self._rules.lines, request_id, hops, hop_lines(head),
        )  # fmt: skip

    def target(self, target: bytes) -> bytes:
        """Return a target as its upstream gets it: after the path of the upstream's URL, and
        without the route's prefix if the route strips it.
        """
        if target == b"*":
            return target
        return target_at(target, self.strip_bytes, self._base_path)


def hop_lines(head: RequestHead) -> bytes:
    """Return the field lines of a request that are only for the next hop: connection, framing."""
    connection = b""
    if head.is_websocket:
        connection = UPGRADE_LINES
    elif head.accepts_trailers:
        connection = TE_LINES

    framing = b""
    if head.is_chunked:
        framing = b"Transfer-Encoding: chunked\r\n"
    elif head.content_length == VARIES:
        framing = b"Content-Length: %b\r\n" % GAP
    elif head.content_length >= 0:
        framing = b"Content-Length: %d\r\n" % head.content_length
    return connection + framing


class OutgoingRoute(Route):
    """The route to one destination of outgoing calls: each goes there as its client sent it.

    Nothing is added that tells a stranger of the client: no address, no id. Fields that concern one
    connection only stay behind, as everywhere (RFC 9110 §7.6.1).
    """

    __slots__ = ("_added", "_authority", "_origin")

    def __init__(
        self,
        index: int,
        route: RouteSettings,
        settings: Settings,
        via: Via | None,
        *,
        is_tls: bool,
    ) -> None:
        """Compile `route`, which shares the place `index` in records with those to all others.

        `via` is the proxy on the way.
        """
        host = plain_host(parse_upstream(route.upstream).host)
        if route.capture != "none" and HostList(settings.egress.tunnel).has(host):
            # Of hosts that are never read no body is to reach the ring.
            route = msgspec.structs.replace(route, capture="meta")
        super().__init__(index, route, settings)
        self.via = via
        own = replace(self.address, scheme="https" if is_tls else "http")
        self._authority = own.authority.encode()
        self._added = b"" if is_tls else _VIA
        self._origin = b""
        if via is not None and via.is_asked:
            self.changes_target = True
            self._added += via.credentials_line
            self._origin = b"http://" + self.address.authority.encode()

    def render(self, head: RequestHead, hop: bytes) -> bytes:
        """Return the field lines as the client sent them, those included that other routes write
        themselves.
        """
        sent = (
            (b"X-Forwarded-For", head.forwarded_for),
            (b"X-Forwarded-Proto", head.forwarded_proto),
            (b"X-Forwarded-Host", head.forwarded_host),
            (b"X-Sidelog-Hop", b", ".join(head.hops)),
            (b"X-Request-Id", head.request_id),
        )
        again = b"".join(b"%b: %b\r\n" % field for field in sent if field[1])
        return b"Host: %b\r\n%b%b%b%b" % (
            head.host or self._authority, head.render(), self._added, again, hop_lines(head),
        )  # fmt: skip

    def target(self, target: bytes) -> bytes:
        """Return a target as the proxy on the way is asked for it: in absolute form, where `*` is no
        path (RFC 9112 §3.2.2, §3.2.4).
        """
        return self._origin + (b"" if target == b"*" else target)


class RouteTable:
    """All routes in match order."""

    def __init__(self, routes: Sequence[Route]) -> None:
        """Keep the routes; the first that matches wins."""
        self.routes: Final = tuple(routes)
        self.catch_all: Final = _catch_all(self.routes)
        """The only route, if it takes every request; otherwise None."""
        self.request_names: Final = frozenset().union(
            *(route.request_names for route in self.routes)
        )
        """Lower-case names of fields that some route reads, removes or sets in requests."""
        self.is_keyed: Final = any(
            route.access is not None and route.access.is_keyed for route in self.routes
        )
        """True if a route checks API keys."""

    def access_of(self, index: int) -> Access | None:
        """Return the demands of a route on its callers. The route of outgoing calls comes after all
        others, and has no demands.
        """
        if index == len(self.routes):
            return None
        return self.routes[index].access

    def match(self, host: bytes, target: bytes) -> Route | None:
        """Return the route of a request, or None.

        Raises:
            Refused: `bad_request`, if raw and normalised path lead to different routes.
        """
        name = _host_name(host)
        path = target.partition(b"?")[0]

        found = self._first(name, path)
        if not _is_plain(path) and self._first(name, normalise(path)) is not found:
            raise Refused(
                "bad_request",
                f"ambiguous path {shown(path)}: other readings of it change its route",
            )

        return found

    def _first(self, name: bytes, path: bytes) -> Route | None:
        """Return the first route of a host and a path."""
        for route in self.routes:
            if (not route.host or route.host == name) and _has_prefix(path, route.path):
                return route
        return None


def _catch_all(routes: tuple[Route, ...]) -> Route | None:
    if len(routes) == 1 and routes[0].path == b"/" and not routes[0].host:
        return routes[0]
    return None


def _is_plain(path: bytes) -> bool:
    """Return True if every server reads a path as it is written."""
    # Searching for integers takes 0.9 instead of 3.8 µs: `b"%" in path` first formats an error
    # message and drops it.
    has_escapes = _PERCENT in path or _BACKSLASH in path or _SEMICOLON in path
    return not has_escapes and path.find(b"/.") < 0 and path.find(b"//") < 0


def limits_of(route: RouteSettings, general: LimitSettings) -> LimitSettings:
    """Return the general limits with the route's own limits applied."""
    own = {
        name: limit
        for name, limit in msgspec.structs.asdict(route.limits).items()
        if limit is not None
    }
    return msgspec.structs.replace(general, **own)


def compile_routes(settings: Settings) -> RouteTable:
    """Compile the effective routes of the settings.

    Raises:
        OSError: a CA file cannot be read.
        ssl.SSLError: a CA file holds no certificate.
    """
    for route in settings.routes:
        if not route.tls_verify and route.upstream.startswith("https:"):
            log.warning(
                "the certificate of this route's upstream is not checked", extra={"route": route.id}
            )

    return RouteTable(
        [Route(index, route, settings) for index, route in enumerate(settings.routes)]
    )


def normalise(path: bytes) -> bytes:
    """Return a path in the form that a lenient server might see.

    It is decoded, its slashes are merged, parameters of segments are left out (servlet containers
    read `/..;x/` as `/../`), and dot segments are resolved.
    """
    kept: list[bytes] = []
    segments = [
        part.partition(b";")[0] for part in unquote_to_bytes(path).replace(b"\\", b"/").split(b"/")
    ]
    for segment in segments:
        if segment == b"..":
            kept[-1:] = []
        elif segment not in (b"", b"."):
            kept.append(segment)

    end = b"/" if kept and segments[-1] in (b"", b".", b"..") else b""
    return b"/" + b"/".join(kept) + end


def _has_prefix(path: bytes, prefix: bytes) -> bool:
    """Return True if a path is within a route's path: `/a/` matches `/a` too, and `/` matches `*`."""
    return path.startswith(prefix) or (prefix.endswith(b"/") and path == (prefix[:-1] or b"*"))


def _address_text(address: UpstreamAddress) -> bytes:
    """Return host:port, or the socket's path, as records show it."""
    if address.scheme == "unix":
        return address.path.encode()
    return host_port(address.host, address.port).encode()


def _host_name(host: bytes) -> bytes:
    """Return a host as routes compare it: lower case, without port and without a dot at its end."""
    if host.startswith(b"["):
        return host.partition(b"]")[0].lower() + b"]"
    return host.partition(b":")[0].lower().removesuffix(b".")
