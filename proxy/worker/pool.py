"""The pool of one route's upstream connections.

Decide synchronously, act asynchronously: `acquire` only picks; opening a connection is the one thing that awaits.
Last in, first out: the connection used most recently is the least likely to have been closed by the other side.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

from proxy.http1.errors import UpstreamError, unreached
from proxy.http1.field_lines import PlainLines
from proxy.http1.head_memo import HeadMemo
from proxy.http1.response_head import ResponseHead, parse_response_head
from proxy.network.concurrency import SILENT_NS, Concurrency
from proxy.network.dialer import Address, Dialer
from proxy.network.turns import Turns
from proxy.settings.addresses import UpstreamAddress, is_loopback
from proxy.settings.model import LimitSettings
from proxy.worker.routes import Route
from proxy.worker.upstream import UpstreamConnection

POST_IDLE_NS: Final = 1_000_000_000
"""A request that must not be sent twice uses a pooled connection only if idle for less than this (P13)."""


class Pool:
    """Connections of one route's upstream."""

    def __init__(
        self,
        route: Route,
        limits: LimitSettings,
        on_open: Callable[[int], None],
        own: frozenset[tuple[str, int]],
        turns: Turns,
    ) -> None:
        """Begin empty; `on_open` gets +1 and -1 as connections open and close, `own` are addresses we listen on."""
        self._own = own
        self._turns = turns
        self._route = route
        self._limits = limits
        self._on_open = on_open
        self._idle: list[UpstreamConnection] = []
        self._connections: set[UpstreamConnection] = set()
        self._opening = 0
        self._unanswered: dict[UpstreamConnection, int] = {}
        """Connections on which no response has ended yet, and since when they are open, ns."""
        self._concurrency = Concurrency()
        self._dialer = _dialer_for(route.address)
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._plain = PlainLines()
        self._max_headers = limits.max_headers or 1 << 20
        self._max_head_bytes = limits.max_header_bytes or 1 << 24
        self._responses = HeadMemo(self._parse)
        self.keep_alive_ns = int(limits.upstream_keep_alive_s * 1e9)
        self._max_connections = limits.upstream_max_connections or 1 << 30

    def _parse(self, raw: bytes) -> ResponseHead:
        head = parse_response_head(raw, max_headers=self._max_headers, plain=self._plain)
        self._route.response_rules.apply(head)
        return head

    def new_connection(self) -> UpstreamConnection:
        return UpstreamConnection(self, self._responses, self._max_head_bytes, self._route.address_text, self._turns)

    def keep_alive_of(self, announced_s: int) -> int:
        """Return how long to keep an idle connection, ns: a second less than the upstream announces, or the setting."""
        return max(self.keep_alive_ns, (announced_s - 1) * 1_000_000_000) if announced_s > 0 else self.keep_alive_ns

    def acquire(self, now_ns: int, *, is_idempotent: bool) -> UpstreamConnection | None:
        """Return the most recently used idle connection that is young enough, if any."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            age_ns = now_ns - connection.idle_since_ns
            if age_ns < connection.keep_alive_ns and not connection.transport.is_closing():
                if is_idempotent or age_ns < POST_IDLE_NS:
                    return connection
                idle.append(connection)
                return None
            connection.close()
        return None

    def release(self, connection: UpstreamConnection, now_ns: int) -> None:
        """Take a connection back, whose response ended where it should."""
        if connection.transport.is_closing():
            return
        if not connection.is_reused:
            self._note_answered(connection)
        if self._concurrency.is_wary and self._holds_others(now_ns, 0):
            connection.close()
            return
        connection.idle_since_ns = now_ns
        self._idle.append(connection)
        if self._waiting:
            self._wake()

    def _note_answered(self, connection: UpstreamConnection) -> None:
        connection.is_reused = True
        self._unanswered.pop(connection, None)
        self._concurrency.served(self._answered())

    def _answered(self) -> int:
        return sum(c.is_reused and not c.transport.is_closing() for c in self._connections)

    def _holds_others(self, now_ns: int, silent_ns: int) -> bool:
        """Whether connections that are idle may keep a new one from being served: it got no answer for so long."""
        return any(
            connection.is_waiting and now_ns - since_ns >= silent_ns
            for connection, since_ns in self._unanswered.items()
        ) and self._concurrency.may_hold(self._answered())

    def remove(self, connection: UpstreamConnection) -> None:
        """Remove a connection that is closed or about to be; idempotent."""
        if connection in self._connections:
            self._connections.remove(connection)
            self._unanswered.pop(connection, None)
            self._on_open(-1)
            if connection in self._idle:
                self._idle.remove(connection)
            self._wake()

    def _wake(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def open(self, *, is_idempotent: bool) -> UpstreamConnection:
        """Open a connection, or wait for one when the limit is reached.

        Raises:
            UpstreamError: one of `errors.unreached`, `upstream_timeout`, or `overloaded` when the limit held too long.
        """
        is_full = False
        try:
            async with asyncio.timeout(self._limits.timeout_connect_s or None):
                while len(self._connections) + self._opening >= self._max_connections:
                    is_full = True
                    waiter = asyncio.get_running_loop().create_future()
                    self._waiting.append(waiter)
                    await self._wait_turn(waiter)
                    idle = self.acquire(time.monotonic_ns(), is_idempotent=is_idempotent)
                    if idle is not None:
                        return idle
                is_full = False
                return await self._connect()
        except TimeoutError as error:
            if is_full:
                raise UpstreamError(
                    "overloaded",
                    f"all {self._max_connections} upstream connections are busy (upstream_max_connections)",
                ) from error
            raise UpstreamError(
                "upstream_timeout",
                f"no connection to the upstream ({self._limits.timeout_connect_s:g} s, timeout_connect_s)",
            ) from error
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UpstreamError(unreached(error), f"cannot connect to the upstream: {reason}") from error

    async def _wait_turn(self, waiter: "asyncio.Future[None]") -> None:
        """Wait to be woken; whoever is woken and cancelled at once passes the turn on."""
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                self._wake()
            raise

    async def _connect(self) -> UpstreamConnection:
        self._opening += 1
        try:
            connection = await (self._open() if self._dialer is None else self._dial(self._dialer))
        except BaseException:
            self._opening -= 1
            self._wake()
            raise
        self._opening -= 1
        if self._is_ourselves(connection.transport):
            connection.transport.abort()
            raise UpstreamError("loop_detected", "the upstream's address is a port of this proxy")
        self._connections.add(connection)
        self._unanswered[connection] = time.monotonic_ns()
        self._on_open(1)
        return connection

    async def _open(self) -> UpstreamConnection:
        """Connect to the one address there is."""
        loop, route = asyncio.get_running_loop(), self._route
        address = route.address
        if address.scheme == "unix":
            _, connection = await loop.create_unix_connection(self.new_connection, address.path)
        else:
            _, connection = await loop.create_connection(
                self.new_connection, address.host, address.port, ssl=route.tls, server_hostname=route.server_name
            )
        return connection

    async def _dial(self, dialer: Dialer) -> UpstreamConnection:
        """Connect to one of a name's addresses; one that connects and goes no further is avoided, too."""
        connected, address = await dialer.connect()
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                self.new_connection, sock=connected, ssl=self._route.tls, server_hostname=self._route.server_name
            )
        except BaseException:
            dialer.avoid(address)
            connected.close()
            raise
        connection.address_text = _text_of(address)
        return connection

    def _is_ourselves(self, transport: asyncio.Transport) -> bool:
        """Whether the peer is one of our own listeners: what a name leads to may change after the start (P19)."""
        peer, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        if not isinstance(peer, tuple) or not (peer[0] == own[0] or is_loopback(peer[0])):
            return False  # another machine
        host, port = peer[:2]
        return any(port == mine and listen in (host, "0.0.0.0", "::") for listen, mine in self._own)  # noqa: S104

    def expire(self, now_ns: int) -> None:
        """Close idle connections that are too old, or that hold others; called a few times a second."""
        idle = self._idle
        if not idle:
            return
        if self._holds_others(now_ns, SILENT_NS):
            self._concurrency.is_wary = True
            expired = list(idle)
        elif self._route.tls is not None:
            expired = [c for c in idle if now_ns - c.idle_since_ns >= c.keep_alive_ns]
        else:
            idle_ns = self._concurrency.idle_ns
            expired = [c for c in idle if now_ns - c.idle_since_ns >= idle_ns(c.keep_alive_ns)]
        for connection in expired:
            connection.close()

    def close(self) -> None:
        for connection in list(self._connections):
            connection.close()


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
