"""The upstream side of the default engine: one kept-alive connection and the response it reads.

A connection belongs to at most one downstream at a time and goes back to its pool only when the response ended exactly
where its framing said (RFC 9112 §6.3, §9.3): anything unexpected, surplus bytes first of all, closes it.
"""

import asyncio
import time
from typing import TYPE_CHECKING, Protocol, cast

from proxy.http1.chunked import ChunkedDecoder, ChunkError
from proxy.http1.errors import UpstreamError
from proxy.http1.response_head import ResponseHead

if TYPE_CHECKING:
    from proxy.worker.pool import Pool

_HEAD, _LENGTH, _CHUNKED, _CLOSE, _TUNNEL = range(5)


class Owner(Protocol):
    """What an upstream connection tells the downstream that borrowed it. Called in this order, never concurrently."""

    method: bytes
    has_sent_request: bool

    @property
    def wants_websocket(self) -> bool:
        """Whether the request asked to become a WebSocket."""

    def open_tunnel(self, head: ResponseHead, raw: bytes, data: bytes) -> None:
        """Take the 101, with the bytes that came along."""

    def tunnel_data(self, data: bytes) -> None:
        """Take more bytes of an open tunnel."""

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
        elif state == _TUNNEL:
            owner.tunnel_data(data)
        else:
            owner.response_data(data)

    def _read_head(self, owner: Owner, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        while True:
            end = data.find(b"\r\n\r\n") + 4
            if (end if end >= 4 else len(data)) > self._pool.max_head_bytes:
                self._fail(UpstreamError("upstream_bad_response", f"head over {self._pool.max_head_bytes} bytes"))
                return
            if end < 4:
                self._buffer = data
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
                if head.is_websocket and owner.wants_websocket:
                    self._state = _TUNNEL
                    owner.open_tunnel(head, raw, data[end:])
                    return
                self._fail(UpstreamError("upstream_bad_response", "101 to a request that asked for no upgrade"))
                return
            self.is_reused = False  # it has begun to answer: its end is no staleness any more (P13)
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
