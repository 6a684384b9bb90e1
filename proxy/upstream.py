"""The upstream side of the default engine: kept-alive connections, and the pool that lends them.

Decide synchronously, act asynchronously: `Pool.acquire` only picks; opening a connection is the one thing that awaits.
A connection belongs to at most one downstream at a time and goes back only when the response ended exactly where its
framing said (RFC 9112 §6.3, §9.3): anything unexpected, surplus bytes first of all, closes it. Last in, first out: the
connection used most recently is the least likely to have been closed by the other side.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol, cast

from proxy.chunked import ChunkedDecoder, ChunkError
from proxy.errors import UpstreamError
from proxy.field_lines import PlainLines
from proxy.response_head import ResponseHead, parse_response_head
from proxy.routes import Route
from proxy.settings import LimitSettings

POST_IDLE_NS: Final = 1_000_000_000
"""A request that must not be sent twice uses a pooled connection only if idle for less than this (P13)."""

MAX_MEMO_BYTES: Final = 2048
"""Longer heads are not memoised: they hardly ever repeat."""
MAX_MEMO_HEADS: Final = 1024
"""Then the memo starts anew; with the limit above it holds at most 2 MiB of keys."""

_HEAD, _LENGTH, _CHUNKED, _CLOSE = range(4)


class Owner(Protocol):
    """What an upstream connection tells the downstream that borrowed it. Called in this order, never concurrently."""

    method: bytes
    has_sent_request: bool

    def interim(self, head: ResponseHead) -> None:
        """Take a 1xx response."""

    def respond(self, head: ResponseHead, raw: bytes, body: bytes, now_ns: int) -> None:
        """Take the final response head, as parsed and as received, with the body bytes that came along."""

    def respond_whole(self, head: ResponseHead, raw: bytes, body: bytes, now_ns: int) -> None:
        """Take a whole response at once."""

    def response_data(self, data: bytes) -> None:
        """Take more body."""

    def response_end(self, data: bytes) -> None:
        """Take the last of the body, possibly nothing."""

    def upstream_failed(self, error: UpstreamError, *, is_stale: bool) -> None:
        """Take the failure; `is_stale`: a reused connection was closed before it answered anything."""

    def pause_request(self) -> None:
        """Stop sending request body: the upstream's buffer is full."""

    def resume_request(self) -> None:
        """Go on."""


class UpstreamConnection(asyncio.Protocol):
    """One connection to an upstream."""

    __slots__ = (
        "_buffer",
        "_decoder",
        "_pool",
        "_remaining",
        "_state",
        "idle_since_ns",
        "is_reused",
        "keep_alive_ns",
        "owner",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, pool: "Pool") -> None:
        """Belong to a pool."""
        self._pool = pool
        self.owner: Owner | None = None
        self.is_reused = False
        self.idle_since_ns = 0
        self.keep_alive_ns = pool.keep_alive_ns
        self._state = _HEAD
        self._buffer = b""
        self._remaining = 0
        self._decoder: ChunkedDecoder | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=65536)

    def begin(self, owner: Owner, data: bytes) -> None:
        """Lend the connection to a downstream and send its request head, and what body there is."""
        self.owner = owner
        self._state = _HEAD
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Read the response; whatever comes without being asked for closes the connection."""
        owner = self.owner
        if owner is None:
            self.abandon()
            return
        state = self._state
        if state == _HEAD:
            self._read_head(owner, data)
        elif state == _LENGTH:
            self._read_length(owner, data)
        elif state == _CHUNKED:
            self._read_chunked(owner, data)
        else:
            owner.response_data(data)

    def _read_head(self, owner: Owner, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        while True:
            end = data.find(b"\r\n\r\n") + 4
            if end < 4:
                self._buffer = data
                if len(data) > self._pool.max_head_bytes:
                    self._fail(UpstreamError("upstream_bad_response", f"head over {self._pool.max_head_bytes} bytes"))
                return
            raw = data[:end]
            try:
                head = self._pool.parse(raw)
            except UpstreamError as error:
                self._fail(error)
                return
            if head.status >= 200:
                self._begin_body(owner, head, raw, data[end:])
                return
            if head.status == 101:
                self._fail(UpstreamError("upstream_bad_response", "101 to a request that asked for no upgrade"))
                return
            owner.interim(head)
            data = data[end:]
            if not data:
                return

    def _begin_body(self, owner: Owner, head: ResponseHead, raw: bytes, rest: bytes) -> None:
        now_ns = time.monotonic_ns()
        length = head.content_length
        if owner.method == b"HEAD" or head.has_no_body:
            length = 0
        if length == len(rest):
            if head.keep_alive_s >= 0:
                self.keep_alive_ns = self._pool.keep_alive_of(head.keep_alive_s)
            self._finish(owner, now_ns, is_reusable=head.is_keep_alive)
            owner.respond_whole(head, raw, rest, now_ns)
        elif 0 <= length < len(rest):
            self._finish(owner, now_ns, is_reusable=False)
            owner.respond_whole(head, raw, rest[:length], now_ns)
        else:
            self._remember(head)
            if length >= 0:
                self._state = _LENGTH
                self._remaining = length - len(rest)
                owner.respond(head, raw, rest, now_ns)
            elif head.is_chunked:
                self._state = _CHUNKED
                self._decoder = ChunkedDecoder()
                owner.respond(head, raw, b"", now_ns)
                if rest and self.owner is owner:
                    self._read_chunked(owner, rest)
            else:
                self._state = _CLOSE
                owner.respond(head, raw, rest, now_ns)

    def _remember(self, head: ResponseHead) -> None:
        """Note whether, and how long, the connection may be kept after this response."""
        self.keep_alive_ns = self._pool.keep_alive_of(head.keep_alive_s) if head.is_keep_alive else -1

    def _read_length(self, owner: Owner, data: bytes) -> None:
        self._remaining -= len(data)
        if self._remaining > 0:
            owner.response_data(data)
            return
        surplus = -self._remaining
        self._finish(owner, time.monotonic_ns(), is_reusable=not surplus and self.keep_alive_ns >= 0)
        owner.response_end(data[: len(data) - surplus] if surplus else data)

    def _read_chunked(self, owner: Owner, data: bytes) -> None:
        decoder = self._decoder
        assert decoder is not None
        try:
            pieces, rest = decoder.feed(data)
        except ChunkError as error:
            self._fail(UpstreamError("upstream_bad_response", str(error)))
            return
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if not decoder.is_done:
            if body:
                owner.response_data(body)
            return
        self._decoder = None
        self._finish(owner, time.monotonic_ns(), is_reusable=not rest and self.keep_alive_ns >= 0)
        owner.response_end(body)

    def _finish(self, owner: Owner, now_ns: int, *, is_reusable: bool) -> None:
        """Part from the downstream, before it is told: it may want this very connection for its next request."""
        self.owner = None
        if is_reusable and owner.has_sent_request:
            self._pool.release(self, now_ns)
        else:
            self.abandon()

    def _fail(self, error: UpstreamError, *, is_stale: bool = False) -> None:
        owner = self.owner
        self.abandon()
        if owner is not None:
            owner.upstream_failed(error, is_stale=is_stale)

    def abandon(self) -> None:
        """Close at once, without telling anyone; idempotent."""
        self.owner = None
        self._pool.forget(self)
        self.transport.abort()

    def eof_received(self) -> bool:
        """The upstream is done sending: close; `connection_lost` sorts out what that means."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the downstream what the end of the connection means in this state (P14)."""
        owner = self.owner
        self.owner = None
        self._pool.forget(self)
        if owner is None:
            return
        if self._state == _CLOSE and error is None:
            owner.response_end(b"")
            return
        is_stale = self.is_reused and self._state == _HEAD and not self._buffer
        reason = str(error) if error else "closed"
        owner.upstream_failed(UpstreamError("upstream_reset", f"upstream connection: {reason}"), is_stale=is_stale)

    def pause_writing(self) -> None:
        """Our send buffer is full."""
        if self.owner is not None:
            self.owner.pause_request()

    def resume_writing(self) -> None:
        """It has drained."""
        if self.owner is not None:
            self.owner.resume_request()


class Pool:
    """Connections of one route's upstream."""

    def __init__(self, route: Route, limits: LimitSettings, on_open: Callable[[int], None]) -> None:
        """Begin empty. `on_open` gets +1 and -1 as connections open and close."""
        self._route = route
        self._limits = limits
        self._on_open = on_open
        self._idle: list[UpstreamConnection] = []
        self._connections: set[UpstreamConnection] = set()
        self._opening = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._memo: dict[bytes, ResponseHead] = {}
        self._plain = PlainLines()
        self.keep_alive_ns = int(limits.upstream_keep_alive_s * 1e9)
        self.max_head_bytes = limits.max_header_bytes or 1 << 24
        self._max_headers = limits.max_headers or 1 << 20
        self._max_connections = limits.upstream_max_connections or 1 << 30

    def parse(self, raw: bytes) -> ResponseHead:
        """Read a response head, or recall it: identical heads come in runs (one Date a second)."""
        head = self._memo.get(raw)
        if head is None:
            head = parse_response_head(raw, max_headers=self._max_headers, plain=self._plain)
            if len(raw) <= MAX_MEMO_BYTES:
                if len(self._memo) >= MAX_MEMO_HEADS:
                    self._memo.clear()
                self._memo[raw] = head
        return head

    def keep_alive_of(self, announced_s: int) -> int:
        """How long to keep an idle connection, ns: a second less than the upstream announces, else the setting."""
        return max(self.keep_alive_ns, (announced_s - 1) * 1_000_000_000) if announced_s > 0 else self.keep_alive_ns

    def acquire(self, now_ns: int, *, is_idempotent: bool) -> UpstreamConnection | None:
        """Lend the most recently used idle connection that is young enough, if any."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            age_ns = now_ns - connection.idle_since_ns
            if age_ns < connection.keep_alive_ns and not connection.transport.is_closing():
                if is_idempotent or age_ns < POST_IDLE_NS:
                    return connection
                idle.append(connection)
                return None
            connection.abandon()
        return None

    def release(self, connection: UpstreamConnection, now_ns: int) -> None:
        """Take a connection back, whose response ended where it should."""
        if connection.transport.is_closing():
            return
        connection.is_reused = True
        connection.idle_since_ns = now_ns
        self._idle.append(connection)
        if self._waiting:
            self._wake()

    def forget(self, connection: UpstreamConnection) -> None:
        """Strike out a connection that is closed or about to be; idempotent."""
        if connection in self._connections:
            self._connections.remove(connection)
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
            UpstreamError: `upstream_refused`, `upstream_timeout`, or `overloaded` when the limit held too long.
        """
        is_full = False
        try:
            async with asyncio.timeout(self._limits.timeout_connect_s or None):
                while len(self._connections) + self._opening >= self._max_connections:
                    is_full = True
                    waiter = asyncio.get_running_loop().create_future()
                    self._waiting.append(waiter)
                    await waiter
                    idle = self.acquire(time.monotonic_ns(), is_idempotent=is_idempotent)
                    if idle is not None:
                        return idle
                is_full = False
                return await self._connect()
        except TimeoutError as error:
            if is_full:
                raise UpstreamError(
                    "overloaded", f"all {self._max_connections} upstream connections are busy"
                ) from error
            raise UpstreamError(
                "upstream_timeout", f"no connection after {self._limits.timeout_connect_s:g} s"
            ) from error
        except OSError as error:
            raise UpstreamError(
                "upstream_refused", f"cannot connect to the upstream: {error.strerror or error}"
            ) from error

    async def _connect(self) -> UpstreamConnection:
        loop = asyncio.get_running_loop()
        address = self._route.address
        self._opening += 1
        try:
            if address.scheme == "unix":
                _, connection = await loop.create_unix_connection(lambda: UpstreamConnection(self), address.path)
            else:
                _, connection = await loop.create_connection(
                    lambda: UpstreamConnection(self),
                    address.host,
                    address.port,
                    ssl=self._route.tls,
                    server_hostname=self._route.server_name,
                )
        finally:
            self._opening -= 1
        self._connections.add(connection)
        self._on_open(1)
        return connection

    def expire(self, now_ns: int) -> None:
        """Close connections that were idle too long; called once a second."""
        for connection in [c for c in self._idle if now_ns - c.idle_since_ns >= c.keep_alive_ns]:
            connection.abandon()

    def close(self) -> None:
        """Close every connection."""
        for connection in list(self._connections):
            connection.abandon()
