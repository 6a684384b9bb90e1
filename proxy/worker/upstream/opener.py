"""Opens connections for a pool, within its limits and its time.

`open` finds a free lane, or room for a connection, and waits for either. A new connection is made
in one of two ways: `_connect_by_name` tries the addresses of a name, or goes through a proxy
(`via`); `_connect_directly` lets the loop connect to a literal address or a path.
"""

import asyncio
import re
import socket
import ssl
import time
from collections.abc import Callable, Coroutine
from ipaddress import ip_address
from typing import Final, Generic

from proxy.http1.errors import NotHttp2, UpstreamError, unreached, why_unreached
from proxy.network.dial import Address, Dialer, secure
from proxy.network.sockets import probe_silent_peers
from proxy.process.listeners import host_port
from proxy.settings.addresses import UpstreamAddress, Via, is_loopback
from proxy.worker.upstream.http2_connection import Http2Upstream
from proxy.worker.upstream.places import AnyConnection, Lane_co, LanePool

Connect = Callable[
    [Callable[[], asyncio.Protocol]],
    Coroutine[None, None, tuple[asyncio.BaseTransport, asyncio.Protocol]],
]
"""Opens a transport for the protocol object that its argument returns."""

MAX_TUNNEL_HEAD_BYTES: Final = 8192
"""The longest head of a proxy's reply to CONNECT."""
_TUNNEL_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")


class Opener(Generic[Lane_co]):
    """Opens connections to one route's upstream."""

    def __init__(
        self,
        pool: LanePool[Lane_co],
        own: frozenset[tuple[str, int]],
        dialer: Dialer | None = None,
    ) -> None:
        """Open for a pool.

        `own` are the addresses that we listen on. Without a `dialer`, the opener makes one for the
        route's address.
        """
        self._pool = pool
        self._own_addresses = own
        via = pool.route.via
        self._via = via
        if dialer is not None:
            self._dialer: Dialer | None = dialer
        elif via is None:
            self._dialer = _dialer_for(pool.route.address)
        else:
            self._dialer = Dialer(via.host, via.port)

    async def open(self, *, may_repeat: bool) -> Lane_co:
        """Open a connection, or wait for a free lane at the limit.

        Raises:
            UpstreamError: one of `errors.unreached`; `upstream_timeout`; or `overloaded`, when all
                connections were busy for too long.
        """
        pool = self._pool
        limits = pool.route.limits

        is_waiting = True
        try:
            async with asyncio.timeout(limits.timeout_connect_s or None) as deadline:
                lane = await self._await_lane_or_room(may_repeat=may_repeat)
                is_waiting = False
                if lane is None:
                    lane = await self._connect(deadline)
                return lane
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

    async def _await_lane_or_room(self, *, may_repeat: bool) -> Lane_co | None:
        """Return a free lane, or None if there is room for a connection; first come, first served."""
        pool = self._pool
        is_turn = False
        while True:
            if is_turn or not pool.has_queue:
                if is_turn or pool.is_full:
                    lane = pool.acquire(time.monotonic_ns(), may_repeat=may_repeat, is_turn=is_turn)
                    if lane is not None:
                        pool.wake_if_free()
                        return lane

                if pool.make_room():
                    return None

            waiter = asyncio.get_running_loop().create_future()
            pool.add_waiter(waiter, is_first=is_turn)
            await self._wait_turn(waiter)
            is_turn = True

    async def _wait_turn(self, waiter: "asyncio.Future[None]") -> None:
        """Wait to be woken; if cancelled after that, wake the next waiter instead."""
        pool = self._pool
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                pool.remove_waiter(waiter)
            else:
                pool.note_awake()
                pool.wake_next()
            raise

        pool.note_awake()

    async def _connect(self, deadline: asyncio.Timeout) -> Lane_co:
        pool = self._pool
        pool.begin_opening()
        pool.wake_if_free()

        try:
            if self._dialer is None:
                connection = await self._connect_directly()
            else:
                connection = await self._connect_by_name(self._dialer, deadline)

            if self._is_ourselves(connection.transport):
                connection.transport.abort()
                raise UpstreamError(
                    "loop_detected", "the upstream's address is a port of this proxy"
                )

            if isinstance(connection, Http2Upstream):
                await await_settings(connection)
        except BaseException:
            pool.fail_opening()
            raise

        probe_silent_peers(connection.transport.get_extra_info("socket"))
        return pool.opened(connection)

    async def _connect_directly(self) -> AnyConnection:
        """Connect to a literal address or a path."""
        loop = asyncio.get_running_loop()
        tls = self._pool.tls
        address = self._pool.route.address
        if address.scheme == "unix":
            return await self._connect_plain(
                lambda make: loop.create_unix_connection(make, address.path)
            )
        if tls is None:
            return await self._connect_plain(
                lambda make: loop.create_connection(make, address.host, address.port)
            )

        raw, _ = await loop.create_connection(asyncio.Protocol, address.host, address.port)
        return await self._secure(raw, tls)

    async def _connect_plain(self, connect: Connect) -> AnyConnection:
        """Let the loop connect. When cancelled, it may close a transport without `connection_lost`."""
        connection = self._pool.new_connection()
        try:
            await connect(lambda: connection)
        except BaseException:
            connection.abandon()
            raise

        return connection

    async def _connect_by_name(self, dialer: Dialer, deadline: asyncio.Timeout) -> AnyConnection:
        """Connect to one of a name's addresses; avoid an address that accepts and gets no further."""
        connected, address = await dialer.connect()
        try:
            loop = asyncio.get_running_loop()
            tls = self._pool.tls
            if self._via is not None and not self._via.is_asked:
                await open_tunnel(connected, self._pool.route.address_text, self._via)

            if tls is None:
                connection = await self._connect_plain(
                    lambda make: loop.create_connection(make, sock=connected)
                )
            else:
                raw, _ = await loop.create_connection(asyncio.Protocol, sock=connected)
                connection = await self._secure(raw, tls)
        except BaseException as error:
            # A client that leaves meanwhile is not a sign of a bad address.
            if deadline.expired() or not isinstance(error, asyncio.CancelledError):
                dialer.avoid(address)
            connected.close()
            raise

        if self._via is None:
            connection.address_text = text_of(address)
        return connection

    async def _secure(self, raw: asyncio.Transport, tls: ssl.SSLContext) -> AnyConnection:
        """Speak TLS over a connected transport."""
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
        """Return True if the peer is one of our own listeners (P19).

        Each connection is checked: a name may get another address after the start.
        """
        peer = transport.get_extra_info("peername")
        own = transport.get_extra_info("sockname")
        if isinstance(peer, str):
            return (peer, 0) in self._own_addresses
        if not isinstance(peer, tuple) or not (peer[0] == own[0] or is_loopback(peer[0])):
            return False  # another machine

        host, port = peer[:2]
        return any(
            port == own_port and own_host in (host, "0.0.0.0", "::")  # noqa: S104
            for own_host, own_port in self._own_addresses
        )


async def open_tunnel(connected: socket.socket, authority: bytes, via: Via) -> None:
    """Send CONNECT to the proxy at the other end (RFC 9110 §9.3.6); the socket then leads to
    `authority`, a `host:port`.

    The head of the reply is read octet by octet, in a few hundred calls: the bytes after it belong
    to the upstream, as that may speak first.

    Raises:
        OSError: the proxy refuses, or its reply is not HTTP/1.1.
    """
    loop = asyncio.get_running_loop()
    request = b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n"
    await loop.sock_sendall(connected, request % (authority, authority, via.credentials_line))

    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        octet = await loop.sock_recv(connected, 1)
        if not octet or len(head) >= MAX_TUNNEL_HEAD_BYTES:
            raise OSError(
                "the proxy on the way (via) closed the connection or sent no answer of HTTP/1.1"
            )
        head += octet

    status = _TUNNEL_STATUS.match(head)
    if status is None or status[1][:1] != b"2":
        answer = head.partition(b"\r\n")[0][:80].decode("ascii", "backslashreplace")
        raise OSError(f"the proxy on the way (via) answered {answer!r} to CONNECT")


async def await_settings(connection: Http2Upstream) -> None:
    """Wait until the upstream has sent settings that allow streams."""
    try:
        await connection.ready.wait()
    except BaseException:
        connection.transport.abort()
        raise

    failure = connection.failure
    # Raise a copy: the failure itself would refer to frames, these to the connection, and that to
    # the failure.
    if failure is not None:
        raise type(failure)(failure.code, failure.message, failure.refused_head)


def _dialer_for(address: UpstreamAddress) -> Dialer | None:
    """Return a dialer for a host name; a literal address and a path need none."""
    if address.scheme == "unix":
        return None
    try:
        ip_address(address.host)
    except ValueError:
        return Dialer(address.host, address.port)

    return None


def text_of(address: Address) -> bytes:
    """Return the host and port of an upstream's address as text for records."""
    return host_port(*address[1][:2]).encode()
