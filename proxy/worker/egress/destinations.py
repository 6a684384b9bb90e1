"""The hosts that outgoing calls go to: a route, its pools and its way there, made as they are asked
for.

A destination is what one client may share with another: scheme, host, port, and the version of HTTP
that is spoken. Each has a place in the engine, like a route of the settings; all are recorded by
one route. Bounded: beyond `MAX_DESTINATIONS` those that were asked for longest ago go, once they
have no connection.
"""

import asyncio
import socket
import ssl
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache, lru_cache
from typing import Final, NamedTuple, cast

import msgspec

from proxy.http1.errors import NotHttp2, UpstreamError, unreached, why_unreached
from proxy.network.dial import Dialer, secure
from proxy.network.sockets import probe_silent_peers
from proxy.process.listeners import host_port
from proxy.process.tls import upstream_context
from proxy.settings.addresses import UpstreamAddress, Via, parse_via, via_for
from proxy.settings.model import EGRESS_ROUTE, HeaderSettings, RouteSettings, Settings
from proxy.worker.egress.reach import Reach
from proxy.worker.engine import Engine, UpstreamOpener
from proxy.worker.routes import OutgoingRoute, Route
from proxy.worker.upstream.connection import UpstreamConnection
from proxy.worker.upstream.http2_connection import Http2Upstream
from proxy.worker.upstream.http2_pool import Http2Pool
from proxy.worker.upstream.opener import Opener, await_settings, open_tunnel, text_of
from proxy.worker.upstream.places import Lane_co, LanePool
from proxy.worker.upstream.pool import Pool

MAX_DESTINATIONS: Final = 256
"""Each has two pools, which every sweep of the deadlines visits in one turn of the loop."""
HTTP2: Final = "h2"
HTTP11: Final = "http/1.1"
WEBSOCKET: Final = "websocket"
"""HTTP/1.1 without TLS that a proxy on the way has to tunnel, as few pass an upgrade on."""
_FAILED_S: Final = 10.0
"""How long the failure to reach a host waits for the request that it is the answer to."""
_UNLIMITED_ASK_S: Final = 10.0
"""How long a host is asked for its version of HTTP where `timeout_connect_s` sets no limit."""
_AGREED_S: Final = 600.0
"""How long the version of HTTP that a host chose is taken to be what it would choose again."""


class Destination(NamedTuple):
    """Where requests go."""

    is_tls: bool
    host: str
    """Name or IP literal without brackets."""
    port: int
    protocol: str
    """What is spoken there, as ALPN names it: `http/1.1` or `h2`; or `WEBSOCKET`."""


class Destinations:
    """The destinations of one worker."""

    def __init__(self, settings: Settings, engine: Engine, reach: Reach) -> None:
        """Begin with none; `reach` judges the addresses that their names lead to.

        Raises:
            OSError: the file of authorities cannot be read.
        """
        egress = settings.egress
        self._engine = engine
        self._egress = egress
        proxy = msgspec.structs.replace(settings.proxy, headers=HeaderSettings())
        self._settings = msgspec.structs.replace(settings, proxy=proxy)
        self._capture = settings.capture.level
        self.route_index: Final = len(settings.routes)
        """What all records of outgoing calls have as their route."""
        self._places = len(settings.recorded_routes)
        self._routes: OrderedDict[Destination, Route] = OrderedDict()
        self._agreed: OrderedDict[tuple[str, int], tuple[str, float]] = OrderedDict()
        """(host, port) → what it chose of both protocols, and until when that counts."""
        self._failures: dict[tuple[str, int], tuple[UpstreamError, float]] = {}
        """(host, port) → why it was not reached when it was asked, and until when that counts."""

        @lru_cache(MAX_DESTINATIONS)
        def dialer(host: str, port: int, is_via: bool) -> Dialer:
            return Dialer(host, port, reach.judge_proxy if is_via else reach.judge)

        @cache
        def context(offered: tuple[str, ...]) -> ssl.SSLContext:
            return _client_context(egress.upstream_ca, offered)

        self._dialers = dialer
        self._context = context
        context((HTTP11,))  # which all hosts need

    def route(self, destination: Destination) -> Route:
        """Return the route to a destination."""
        route = self._routes.get(destination)
        if route is not None:
            self._routes.move_to_end(destination)
            return route

        route = self._make(destination)
        self._routes[destination] = route
        if len(self._routes) > MAX_DESTINATIONS:
            self._forget_unused()
        return route

    def _forget_unused(self) -> None:
        """Forget destinations without a connection, those that were asked for longest ago first; not
        the newest, which is about to have one.
        """
        for destination, route in list(self._routes.items())[:-1]:
            if len(self._routes) <= MAX_DESTINATIONS:
                break
            if self._engine.close_place(route.place):
                del self._routes[destination]

    def _make(self, destination: Destination) -> Route:
        protocol = "http2" if destination.protocol == HTTP2 else "http1"
        declared = RouteSettings(
            id=EGRESS_ROUTE,
            upstream=f"http://{host_port(destination.host, destination.port)}",
            upstream_protocol=protocol,  # type: ignore[arg-type]
            capture=self._capture,
        )
        is_tls = destination.is_tls
        is_asked = not is_tls and destination.protocol == HTTP11
        via = self._via(destination.host, destination.port, is_asked=is_asked)
        route = OutgoingRoute(self.route_index, declared, self._settings, via, is_tls=is_tls)
        route.place = self._places
        self._places += 1
        route.response_rules = route.response_rules.and_without("Alt-Svc")
        if is_tls:
            route.tls = self._context((HTTP11,))
            if destination.protocol == HTTP2:
                route.http2_tls = self._context((HTTP2,))
            route.server_name = destination.host.removesuffix(".")

        self._engine.open_place(route, self._opener)
        return route

    def _opener(self, pool: Pool | Http2Pool) -> UpstreamOpener:
        route = pool.route
        dialer = self._dialer(route.address.host, route.address.port, route.via)
        return _HostOpener(pool, dialer, self)

    def _via(self, host: str, port: int, *, is_asked: bool = False) -> Via | None:
        """Return the proxy on the way to a host, which `is_asked` for a URL or tunnels."""
        proxy = self._egress.http_via if is_asked else self._egress.via
        address = UpstreamAddress(scheme="https", host=host, port=port, path="")
        return parse_via(via_for(address, proxy, self._egress.no_via), is_asked=is_asked)

    def _dialer(self, host: str, port: int, via: Via | None) -> Dialer:
        """Return what connects to a host, or to the proxy on the way there, which alone can judge
        what a name leads to.
        """
        if via is None:
            return self._dialers(host, port, False)
        return self._dialers(via.host, via.port, True)

    async def dial(self, host: str, port: int) -> tuple[socket.socket, bytes]:
        """Return a socket that leads to a host, and the address it leads to, as records show it.

        Raises:
            UpstreamError: the host cannot be reached, not in time, or may not be.
        """
        via = self._via(host, port)
        async with self._in_time(host):
            connected, address = await self._dialer(host, port, via).connect()
            probe_silent_peers(connected)
            if via is None:
                return connected, text_of(address)
            authority = host_port(host, port).encode()
            try:
                await open_tunnel(connected, authority, via)
            except BaseException:
                connected.close()
                raise
            return connected, authority

    @asynccontextmanager
    async def _in_time(self, host: str) -> AsyncIterator[None]:
        """Limit the time to reach a host, and say in an `UpstreamError` why it was not reached."""
        limit_s = self._settings.proxy.limits.timeout_connect_s
        try:
            async with asyncio.timeout(limit_s or None):
                yield
        except TimeoutError as error:
            raise UpstreamError(
                "upstream_timeout", f"no connection to {host} ({limit_s:g} s, timeout_connect_s)"
            ) from error
        except (OSError, UnicodeError) as error:
            raise UpstreamError(
                unreached(error), f"cannot connect to {host}: {why_unreached(error)}"
            ) from error

    async def protocol_of(self, host: str, port: int, offered: tuple[str, ...]) -> str:
        """Return the protocol that a host chooses among those a client offers, `h2` and `http/1.1`.

        Where the client leaves the choice, the host is asked, and the connection on which it
        answers waits for the first request. One that cannot be reached is not asked again for that
        request, whose answer says why.
        """
        if len(offered) < 2:
            if offered:
                return offered[0]
            return HTTP11
        protocol, until_s = self._agreed.get((host, port), ("", 0.0))
        if time.monotonic() < until_s:
            return protocol

        is_limited = self._settings.proxy.limits.timeout_connect_s > 0
        try:
            async with asyncio.timeout(None if is_limited else _UNLIMITED_ASK_S):
                protocol = await self._ask(host, port, offered)
        except (UpstreamError, TimeoutError):
            return HTTP11
        self._agreed[host, port] = protocol, time.monotonic() + _AGREED_S
        self._agreed.move_to_end((host, port))
        if len(self._agreed) > MAX_DESTINATIONS:
            self._agreed.popitem(last=False)
        return protocol

    def forget_protocol(self, host: str, port: int) -> None:
        """Forget what a host chose, since it no longer speaks that: the next client asks anew."""
        self._agreed.pop((host, port), None)

    async def _ask(self, host: str, port: int, offered: tuple[str, ...]) -> str:
        try:
            connected, address = await self.dial(host, port)
            chosen = _Chosen(self, host, port, address)
            async with self._in_time(host):
                raw, _ = await asyncio.get_running_loop().create_connection(
                    asyncio.Protocol, sock=connected
                )
                await secure(raw, chosen, self._context(offered), host.removesuffix("."))
        except UpstreamError as error:
            if len(self._failures) >= MAX_DESTINATIONS:
                self._failures.clear()
            # Not the error itself: once raised, it refers to frames.
            failure = UpstreamError(error.code, error.message)
            self._failures[host, port] = failure, time.monotonic() + _FAILED_S
            raise

        async with self._in_time(host):
            await chosen.keep()
        return chosen.protocol

    def take_failure(self, host: str, port: int) -> UpstreamError | None:
        """Return why a host was not reached when it was asked for its protocol, once."""
        failure, until_s = self._failures.pop((host, port), (None, 0.0))
        if time.monotonic() < until_s:
            return failure
        return None

    def pool(self, host: str, port: int, protocol: str) -> Pool | Http2Pool:
        """Return the pool for connections over TLS to a host that chose a protocol."""
        route = self.route(Destination(True, host, port, protocol))
        pools: dict[int, Pool] | dict[int, Http2Pool] = self._engine.pools
        if protocol == HTTP2:
            pools = self._engine.http2_pools
        return pools[route.place]


def _client_context(authorities: str, offered: tuple[str, ...]) -> ssl.SSLContext:
    """Return the context of connections to hosts, which trusts the system's authorities and those
    in a file. Making one takes about 50 ms, so all hosts share it.
    """
    context = upstream_context("", HTTP2 if offered == (HTTP2,) else HTTP11, is_verified=True)
    if authorities:
        context.load_verify_locations(authorities)
    context.set_alpn_protocols(list(offered))
    return context


class _HostOpener(Opener[Lane_co]):
    """Opens connections to a host, unless it was just found that it cannot be reached."""

    def __init__(self, pool: LanePool[Lane_co], dialer: Dialer, destinations: Destinations) -> None:
        super().__init__(pool, frozenset(), dialer)
        self._destinations = destinations

    async def open(self, *, may_repeat: bool) -> Lane_co:
        route = self._pool.route
        if route.tls is not None:
            failure = self._destinations.take_failure(route.address.host, route.address.port)
            if failure is not None:
                raise failure
        try:
            return await super().open(may_repeat=may_repeat)
        except NotHttp2:
            self._destinations.forget_protocol(route.address.host, route.address.port)
            raise


class _Chosen(asyncio.Protocol):
    """Makes a connection of the version of HTTP that its host chose in the handshake."""

    protocol = HTTP11
    _pool: Pool | Http2Pool
    _connection: UpstreamConnection | Http2Upstream

    def __init__(self, destinations: Destinations, host: str, port: int, address: bytes) -> None:
        self._destinations = destinations
        self._place = host, port
        self._address = address

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        secured = cast(asyncio.Transport, transport)
        tls = secured.get_extra_info("ssl_object")
        self.protocol = tls.selected_alpn_protocol() or HTTP11
        self._pool = self._destinations.pool(*self._place, self.protocol)
        self._pool.begin_opening()
        self._connection = self._pool.new_connection()
        self._connection.address_text = self._address
        secured.set_protocol(self._connection)
        self._connection.connection_made(secured)

    async def keep(self) -> None:
        """Give the connection to its pool."""
        connection = self._connection
        try:
            if isinstance(connection, Http2Upstream):
                await await_settings(connection)
        except BaseException:
            self._pool.fail_opening()
            raise

        self._pool.opened(connection)
        if isinstance(self._pool, Pool):
            self._pool.release(cast(UpstreamConnection, connection), time.monotonic_ns())
