"""Opens connections for a pool, within its limits and its time."""

import asyncio
import ssl
import time
from collections.abc import Callable, Coroutine
from ipaddress import ip_address
from typing import Generic

from proxy.http1.errors import NotHttp2, UpstreamError, unreached, why_unreached
from proxy.network.dialer import Dialer
from proxy.network.lookup import Address
from proxy.network.socket_queues import probe_silent_peers
from proxy.network.tls_dial import secure
from proxy.settings.addresses import UpstreamAddress, is_loopback
from proxy.worker.upstream.connect_tunnel import open_tunnel
from proxy.worker.upstream.http2_connection import Http2Upstream
from proxy.worker.upstream.places import AnyConnection, Lane_co, Places

Connect = Callable[
    [Callable[[], asyncio.Protocol]],
    Coroutine[None, None, tuple[asyncio.BaseTransport, asyncio.Protocol]],
]
"""What opens a connection for the protocol that its argument returns."""


class Opener(Generic[Lane_co]):
    """Opens connections to one route's upstream."""

    def __init__(self, pool: Places[Lane_co], own: frozenset[tuple[str, int]]) -> None:
        """Open for a pool; `own` are addresses we listen on."""
        self._pool = pool
        self._own = own
        via = pool.route.via
        self._via = via
        if via is None:
            self._dialer = _dialer_for(pool.route.address)
        else:
            self._dialer = Dialer(via.host, via.port)

    async def open(self, *, may_repeat: bool) -> Lane_co:
        """Open a connection, or wait for a lane of one when the limit is reached.

        Raises:
            UpstreamError: one of `errors.unreached`, `upstream_timeout`, or `overloaded` when the limit held too long.
        """
        pool = self._pool
        limits = self._pool.limits

        is_waiting = True
        try:
            async with asyncio.timeout(limits.timeout_connect_s or None) as deadline:
                idle = await self._find_place(may_repeat=may_repeat)
                is_waiting = False
                if idle is None:
                    return await self._connect(deadline)
                return idle
        except TimeoutError as error:
            if is_waiting and pool.is_at_limit:
                raise UpstreamError(
                    "overloaded",
                    f"all {pool.max_connections} upstream connections are busy "
                    "(upstream_max_connections)",
                ) from error

            raise UpstreamError(
                "upstream_timeout",
                f"no connection to the upstream ({limits.timeout_connect_s:g} s, "
                "timeout_connect_s)",
            ) from error
        except (OSError, UnicodeError) as error:
            raise UpstreamError(
                unreached(error), f"cannot connect to the upstream: {why_unreached(error)}"
            ) from error

    async def _find_place(self, *, may_repeat: bool) -> Lane_co | None:
        """Return a free lane, or None when there is a place for a new connection; first come, first
        served.
        """
        pool = self._pool
        is_turn = False
        while True:
            if is_turn or not pool.has_queue:
                if is_turn or pool.is_full:
                    idle = pool.acquire(time.monotonic_ns(), may_repeat=may_repeat, is_turn=is_turn)
                    if idle is not None:
                        pool.share()
                        return idle

                if pool.make_room():
                    return None

            waiter = asyncio.get_running_loop().create_future()
            pool.await_place(waiter, is_next=is_turn)
            await self._wait_turn(waiter)
            is_turn = True

    async def _wait_turn(self, waiter: "asyncio.Future[None]") -> None:
        """Wait to be woken; a waiter that is cancelled as it is woken passes the turn on."""
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                self._pool.leave(waiter)
            else:
                self._pool.take_turn()
                self._pool.pass_on()
            raise

        self._pool.take_turn()

    async def _connect(self, deadline: asyncio.Timeout) -> Lane_co:
        pool = self._pool
        pool.begin_opening()
        pool.share()

        try:
            connection = await (
                self._open() if self._dialer is None else self._dial(self._dialer, deadline)
            )
            if self._is_ourselves(connection.transport):
                connection.transport.abort()
                raise UpstreamError(
                    "loop_detected", "the upstream's address is a port of this proxy"
                )

            if isinstance(connection, Http2Upstream):
                await _await_settings(connection)
        except BaseException:
            pool.failed()
            raise

        probe_silent_peers(connection.transport.get_extra_info("socket"))
        return pool.opened(connection)

    async def _open(self) -> AnyConnection:
        """Connect to the one address there is."""
        loop = asyncio.get_running_loop()
        tls = self._pool.tls
        address = self._pool.route.address
        if address.scheme == "unix":
            return await self._plain(lambda make: loop.create_unix_connection(make, address.path))
        if tls is None:
            return await self._plain(
                lambda make: loop.create_connection(make, address.host, address.port)
            )

        raw, _ = await loop.create_connection(asyncio.Protocol, address.host, address.port)
        return await self._secure(raw, tls)

    async def _plain(self, connect: Connect) -> AnyConnection:
        """Have the loop connect; cancelled, it closes the transport, and may tell no one that it is
        lost.
        """
        connection = self._pool.new_connection()
        try:
            await connect(lambda: connection)
        except BaseException:
            connection.abandon()
            raise

        return connection

    async def _dial(self, dialer: Dialer, deadline: asyncio.Timeout) -> AnyConnection:
        """Connect to one of a name's addresses; one that connects and goes no further is avoided,
        too.
        """
        connected, address = await dialer.connect()
        try:
            loop = asyncio.get_running_loop()
            tls = self._pool.tls
            if self._via is not None:
                await open_tunnel(
                    connected, self._pool.route.address_text.decode(), self._via.credentials
                )

            if tls is None:
                connection = await self._plain(
                    lambda make: loop.create_connection(make, sock=connected)
                )
            else:
                raw, _ = await loop.create_connection(asyncio.Protocol, sock=connected)
                connection = await self._secure(raw, tls)
        except BaseException as error:
            # A client that leaves meanwhile says nothing about the address.
            if deadline.expired() or not isinstance(error, asyncio.CancelledError):
                dialer.avoid(address)
            connected.close()
            raise

        if self._via is None:
            connection.address_text = _text_of(address)
        return connection

    async def _secure(self, raw: asyncio.Transport, tls: ssl.SSLContext) -> AnyConnection:
        route = self._pool.route
        connection = self._pool.new_connection()
        try:
            await secure(raw, connection, tls, route.server_name or route.address.host)
        except ssl.SSLError as error:
            if "NO_APPLICATION_PROTOCOL" in (error.reason or ""):
                raise NotHttp2(
                    "upstream_bad_response",
                    "the upstream does not speak HTTP/2: it has none by ALPN",
                ) from error
            raise

        return connection

    def _is_ourselves(self, transport: asyncio.Transport) -> bool:
        """Whether the peer is one of our own listeners: what a name leads to may change after the
        start (P19).
        """
        peer = transport.get_extra_info("peername")
        own = transport.get_extra_info("sockname")
        if isinstance(peer, str):
            return (peer, 0) in self._own
        if not isinstance(peer, tuple) or not (peer[0] == own[0] or is_loopback(peer[0])):
            return False  # another machine

        host, port = peer[:2]
        return any(port == mine and listen in (host, "0.0.0.0", "::") for listen, mine in self._own)  # noqa: S104


async def _await_settings(connection: Http2Upstream) -> None:
    """Wait until the upstream has begun to speak HTTP/2, and takes streams; how many is known then."""
    try:
        await connection.begun.wait()
    except BaseException:
        connection.transport.abort()
        raise

    failure = connection.failure
    # Raised itself, it would hold the frames that hold the connection, which holds it.
    if failure is not None:
        raise type(failure)(failure.code, failure.message, failure.refused_head)


def _dialer_for(address: UpstreamAddress) -> Dialer | None:
    """Return a dialer for a name; a literal address and a path need none."""
    if address.scheme == "unix":
        return None
    try:
        ip_address(address.host)
    except ValueError:
        return Dialer(address.host, address.port)

    return None


def _text_of(address: Address) -> bytes:
    host, port = address[1][:2]
    return (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode()
