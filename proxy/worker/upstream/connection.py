"""The upstream side of the default engine: one kept-alive connection and the response it reads.

A connection belongs to at most one downstream at a time and goes back to its pool only when the
response ended exactly where its framing said (RFC 9112 §6.3, §9.3): anything unexpected, surplus
bytes first of all, closes it.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol, cast

from proxy.http1.body_framing import BodyFramer
from proxy.http1.chunked import ChunkError
from proxy.http1.errors import UpstreamError
from proxy.http1.field_lines import has_bare_line_end, without_blanks_before_colons
from proxy.http1.memo.head_templates import ConnectionHeads
from proxy.http1.memo.response_heads import ResponseHeads
from proxy.http1.response_head import ResponseHead, accepts_websocket
from proxy.network.fair_loop import HELD_BYTES, TURN_BYTES, FairLoop
from proxy.network.paced_reader import PacedReader
from proxy.network.socket_queues import is_flushing, last_bytes, unsent_bytes
from proxy.network.tls_buffers import bound_buffers
from proxy.worker.deadlines import STALLED_NS
from proxy.worker.upstream.response_handler import ResponseHandler

_HEAD, _BODY, _TUNNEL, _DRAINING = range(4)
_VERSION_PREFIX: Final = b"HTTP/"
_TLS_ALERT: Final = b"\x15\x03"
"""What a TLS server says to a request in plain text, and closes (RFC 8446 §5.1, §6)."""

MAX_INTERIM: Final = 16
"""Interim responses that are passed on in one turn (P23): each is a write, and a read has room for
thousands.
"""


class ConnectionPool(Protocol):
    """The pool that an upstream connection returns to."""

    keep_alive_ns: int
    max_requests: int

    def keep_alive_of(self, announced_s: int) -> int:
        """Return how long to keep an idle connection whose upstream announces its time."""

    def release(self, connection: "UpstreamConnection", now_ns: int) -> None:
        """Take a connection back, whose response ended where it should."""

    def remove(self, connection: "UpstreamConnection") -> None:
        """Remove a connection that is closed or about to be; idempotent."""

    def ending(self, connection: "UpstreamConnection") -> None:
        """Note that the upstream has ended its side."""

    def draining(self, connection: "UpstreamConnection") -> None:
        """Check from time to time whether the upstream has taken what a client left behind
        (`close_if_taken`).
        """


class UpstreamConnection(PacedReader, asyncio.Protocol):
    """One connection to an upstream."""

    __slots__ = (
        "_buffer", "_framer", "_has_heads", "_is_lost", "_left_bytes", "_left_since_ns", "_max_head_bytes", "_pool",
        "_read_response", "_state", "address_text", "handler", "has_failed", "idle_since_ns", "is_reused",
        "keep_alive_ns", "retires_ns", "transport", "uses_left", "write",
    )  # fmt: skip

    transport: asyncio.Transport
    write: Callable[[bytes], None]
    _framer: BodyFramer
    """Of the response, once its head is read."""

    def __init__(
        self,
        pool: ConnectionPool,
        responses: ResponseHeads,
        max_head_bytes: int,
        address_text: bytes,
        turns: FairLoop,
    ) -> None:
        """Belong to a pool; `max_head_bytes` bounds what is buffered, `address_text` is shown on
        records.
        """
        super().__init__(turns)
        self.address_text = address_text
        self._pool = pool
        self._is_lost = False
        """Whether the connection ended while some of the body was in hand; what that means is said
        when it is read.
        """
        self._read_response = ConnectionHeads(responses).read
        self._max_head_bytes = max_head_bytes
        self.handler: ResponseHandler | None = None
        self.is_reused = False
        self.idle_since_ns = 0
        self.keep_alive_ns = pool.keep_alive_ns
        self.uses_left = pool.max_requests
        self.retires_ns = 1 << 61  # when it is used no more
        self.has_failed = False  # its last response was a 5xx
        self._state = _HEAD
        self._buffer = b""
        self._left_bytes = 0
        self._left_since_ns = 0
        """While draining: how much of the client's bytes is not taken yet, and since when none was
        taken.
        """
        self._has_heads = False
        """Whether what is in hand may hold a whole head: the last turn came to an end before it."""

    @property
    def is_waiting(self) -> bool:
        """Whether it was given all of a request, and nothing came back yet."""
        handler = self.handler
        return (
            handler is not None
            and handler.is_request_complete
            and self._state == _HEAD
            and not self._buffer
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = cast(asyncio.Transport, transport)
        self.write = bound_buffers(self.transport)
        if transport.get_extra_info("sslcontext") is not None:
            self.held_bytes = HELD_BYTES
        else:
            self.held_bytes = 0

    def abandon(self) -> None:
        """Be let go of by a transport that was given up while it was opened: each would hold the
        other.
        """
        if hasattr(self, "transport"):
            self.transport.set_protocol(asyncio.Protocol())

    def begin(self, handler: ResponseHandler, data: bytes) -> None:
        """Lend the connection to a handler and send its request head, and what body there is."""
        self.handler = handler
        self._state = _HEAD
        self.write(data)

    def data_received(self, data: bytes) -> None:
        """Read the response; whatever comes without being asked for closes the connection."""
        handler = self.handler
        if handler is None:
            if self._state != _DRAINING:
                self.close()
            elif len(data) >= TURN_BYTES:
                self._await_turn(0)
        elif self._state == _HEAD:
            self._read_head(handler, data)
        elif self._state == _BODY:
            self._read_body(handler, data)
        else:
            handler.tunnel_data(data)
            if len(data) >= TURN_BYTES:
                self._await_turn(0)

    def _read_head(self, handler: ResponseHandler, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
            self._has_heads = False

        at = 0
        interim = 0
        while interim < MAX_INTERIM:
            end = data.find(b"\r\n\r\n", at) + 4
            if (end if end >= 4 else len(data)) - at > self._max_head_bytes:
                message = f"head over {self._max_head_bytes} bytes"
                self._fail(UpstreamError("upstream_bad_response", message, data[at:]))
                return

            if end < 4:
                self._await_head(data[at:])
                return

            raw = data[at:end]
            try:
                head = self._read_response(raw)
            except UpstreamError as error:
                if (mended := without_blanks_before_colons(raw)) != raw:
                    data = data[:at] + mended + data[end:]
                    continue
                error.refused_head = raw
                self._fail(error)
                return

            if head.status >= 200:
                self._begin_body(handler, head, raw, data[end:])
                return
            if head.status == 101:
                self._switch(handler, head, raw, data[end:])
                return

            self.is_reused = False  # it has begun to answer: its end is no staleness any more (P13)
            handler.send_informational(head)
            at = end
            interim = interim + 1
            if at == len(data):
                return

        self._buffer = data[at:]
        self._has_heads = True
        self._await_turn(len(self._buffer))

    def _switch(
        self, handler: ResponseHandler, head: ResponseHead, raw: bytes, rest: bytes
    ) -> None:
        if not head.is_websocket or not handler.wants_websocket:
            self._fail(
                UpstreamError(
                    "upstream_bad_response", "101 to a request that asked for no upgrade", raw
                )
            )
        elif handler.stream is not None and not accepts_websocket(handler.upstream_head, raw):
            message = "101 without the Sec-WebSocket-Accept that belongs to the key"
            self._fail(UpstreamError("upstream_bad_response", message, raw))
        else:
            self._state = _TUNNEL
            handler.open_tunnel(head, raw, rest)

    def _await_head(self, data: bytes) -> None:
        """Wait for the rest of a head, unless its sender takes it for complete (P3), or speaks
        something else.
        """
        beginning = data.lstrip(b"\r\n")[: len(_VERSION_PREFIX)]
        if not _VERSION_PREFIX.startswith(beginning):
            if beginning.startswith(_TLS_ALERT):
                said = "TLS: write https:// for this upstream"
            else:
                said = "not HTTP"
            self._fail(
                UpstreamError("upstream_bad_response", f"what the upstream speaks is {said}", data)
            )
        elif has_bare_line_end(data):
            self._fail(
                UpstreamError("upstream_bad_response", "bare CR or LF in the response head", data)
            )
        else:
            self._buffer = data

    def _begin_body(
        self, handler: ResponseHandler, head: ResponseHead, raw: bytes, rest: bytes
    ) -> None:
        if head.status < 300 and handler.stream is not None and handler.wants_websocket:
            message = (
                f"{head.status} in place of 101, which a client of HTTP/2 would take for an open "
                "WebSocket"
            )
            self._fail(UpstreamError("upstream_bad_response", message, raw))
            return

        now_ns = time.monotonic_ns()
        self.has_failed = head.status >= 500

        if handler.method == b"HEAD" or head.has_no_body:
            length = 0
        else:
            length = head.content_length
        if length == len(rest):
            if head.keep_alive_s >= 0:
                self.keep_alive_ns = self._pool.keep_alive_of(head.keep_alive_s)
            self._finish(handler, now_ns, is_reusable=head.is_keep_alive)
            handler.send_full_response(head, raw, rest, now_ns)
        elif 0 <= length < len(rest):
            self._finish(handler, now_ns, is_reusable=False)
            handler.send_full_response(head, raw, rest[:length], now_ns)
        else:
            if head.is_keep_alive:
                self.keep_alive_ns = self._pool.keep_alive_of(head.keep_alive_s)
            else:
                self.keep_alive_ns = -1
            self._state = _BODY
            self._framer = BodyFramer(length, is_chunked=head.is_chunked, is_response=True)
            handler.start_response(head, raw, now_ns)
            if rest and self.handler is handler:
                self._read_body(handler, rest)

    def _read_body(self, handler: ResponseHandler, data: bytes) -> None:
        framer = self._framer
        try:
            body, surplus = framer.feed(data)
        except ChunkError as error:
            self._fail(UpstreamError("upstream_bad_response", str(error)))
            return

        if framer.is_done:
            self._finish(
                handler, time.monotonic_ns(), is_reusable=not surplus and self.keep_alive_ns >= 0
            )
            handler.response_end(body, framer.trailers)
            return

        if body:
            handler.response_data(body)
        if framer.has_more or len(data) >= TURN_BYTES:
            self._await_turn(framer.in_hand)

    # Whose turn it is (P23).

    @property
    def _has_more(self) -> bool:
        if self.handler is None:
            return False
        if self._state == _BODY:
            return self._framer.has_more
        return self._has_heads

    def _read_in_hand(self) -> None:
        handler = self.handler
        if handler is None or not self._has_more:
            return
        if self._state == _BODY:
            self._read_body(handler, b"")
        else:
            self._read_head(handler, b"")

    def _stop_reading(self) -> None:
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def _read_on(self) -> None:
        if self._is_lost:
            self._end(None)
        elif not self.transport.is_closing():
            self.transport.resume_reading()

    def _finish(self, handler: ResponseHandler, now_ns: int, *, is_reusable: bool) -> None:
        """Part from the handler before it is notified: it may want this very connection for its
        next request.
        """
        self.handler = None
        if not is_reusable or not handler.is_request_complete or handler.is_continue_due:
            self.close()
        elif handler.has_long_body and is_flushing(self.transport):
            # The upstream answered half a body, and may read the other half as the next request.
            self.close()
        else:
            self._pool.release(self, now_ns)

    def _fail(self, error: UpstreamError) -> None:
        handler = self.handler
        self.close()
        if handler is not None:
            handler.upstream_failed(error, is_stale=False)

    def unsent_bytes(self) -> int:
        """Bytes of the request that the upstream's kernel has not acknowledged."""
        return unsent_bytes(self.transport)

    def close(self) -> None:
        """Close at once, without notifying anyone; idempotent."""
        self.handler = None
        self._pool.remove(self)
        self.transport.abort()

    def detach(self) -> None:
        """Leave a tunnel whose client is gone: close once the upstream has taken all it sent, or
        nothing for a while.

        Bytes of the upstream are read and discarded meanwhile: unread, they would turn the close
        into a reset (P15).
        """
        self._left_bytes = self.unsent_bytes()
        if self.handler is None or self.transport.is_closing() or not self._left_bytes:
            self.close()
            return

        self._left_since_ns = time.monotonic_ns()
        self._state = _DRAINING
        self._pool.draining(self)
        self.handler = None
        self._paused = 0
        self.transport.resume_reading()
        if self.transport.can_write_eof():
            with suppress(OSError):  # it is reset already
                self.transport.write_eof()

    def close_if_taken(self, now_ns: int) -> None:
        """Close if the upstream has taken all, or nothing for too long: a closing transport has no
        limit of its own.
        """
        unsent = self.unsent_bytes()
        if unsent < self._left_bytes:
            self._left_bytes = unsent
            self._left_since_ns = now_ns
        if not unsent or now_ns - self._left_since_ns >= STALLED_NS:
            self.close()

    def eof_received(self) -> bool:
        """The upstream is done sending: close; `connection_lost` sorts out what that means.

        A transport closes only when all is sent: an upstream that reads no more would keep that
        news back.
        """
        self._pool.ending(self)
        if self.handler is not None and is_flushing(self.transport):
            self._lose(None)
            self.transport.abort()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Notify the handler, once what is in hand of the response is read.

        A failure to send is no failure to answer: what came before it is read first (P16).
        """
        if error is not None and self.handler is not None and (data := last_bytes(self.transport)):
            self.data_received(data)
        self._lose(error)

    def _lose(self, error: Exception | None) -> None:
        self._pool.remove(self)
        if self._has_more:
            self._is_lost = True
        else:
            self._end(error)

    def _end(self, error: Exception | None) -> None:
        """Notify the handler of what the end of the connection means in this state (P14)."""
        handler = self.handler
        self.handler = None
        if handler is None:
            return
        if self._state == _BODY and self._framer.ends_at_close and error is None:
            handler.response_end(b"", b"")
            return

        is_stale = self.is_reused and self._state == _HEAD and not self._buffer
        if error is not None:
            message = f"the connection to the upstream failed: {error}"
        elif self._state == _HEAD:
            message = "the upstream closed the connection before sending a complete response head"
        elif self._state == _TUNNEL:
            message = "the upstream closed the connection without a close frame"
        else:
            message = "the upstream closed the connection before the end of the response"

        handler.upstream_failed(UpstreamError("upstream_reset", message), is_stale=is_stale)

    def pause_writing(self) -> None:
        """Our send buffer is full."""
        if self.handler is not None:
            self.handler.pause_request()

    def resume_writing(self) -> None:
        """It has drained."""
        if self.handler is not None:
            self.handler.resume_request()
