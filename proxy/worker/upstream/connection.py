"""One kept-alive HTTP/1.1 connection to an upstream, and the responses it reads.

A connection carries one exchange at a time. It goes back to its pool only when the response ended
exactly as framed (RFC 9112 §6.3, §9.3). Anything unexpected closes it, above all surplus bytes.

State: `handler` is the exchange that has borrowed the connection. It is None while the connection
is idle in its pool, drains, or is closed. With a handler, `_state` tells the meaning of the next
bytes: a head, a body or a tunnel.

Ends: `_finish` follows a complete response and `_fail` a malformed one. `close` closes at once and
notifies no handler. `detach` closes once the upstream has received the last bytes of a tunnel. When
the upstream ends the connection, `_lose` first has the buffered bytes read; `_report_end` then
judges the end for the exchange (P14).
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol, cast

from proxy.http1.body_framing import BodyFramer
from proxy.http1.chunked import ChunkError
from proxy.http1.errors import UpstreamError, bad_response
from proxy.http1.field_lines import has_bare_line_end, without_blanks_before_colons
from proxy.http1.memo.head_templates import ConnectionHeads
from proxy.http1.memo.response_heads import ResponseHeads
from proxy.http1.response_head import ResponseHead, accepts_websocket
from proxy.network.pacing import HELD_BYTES, TURN_BYTES, FairLoop, PacedReader
from proxy.network.sockets import (
    bound_buffers,
    is_flushing,
    last_bytes,
    unsent_bytes,
    untaken_bytes,
)
from proxy.worker.deadlines import STALLED_NS
from proxy.worker.upstream.response_handler import ResponseHandler

_HEAD: Final = 0
_BODY: Final = 1
_TUNNEL: Final = 2
_DRAINING: Final = 3

_VERSION_PREFIX: Final = b"HTTP/"
_TLS_ALERT: Final = b"\x15\x03"
"""The reply of a TLS server to a request in plain text (RFC 8446 §5.1, §6)."""

NEVER_NS: Final = 1 << 61
"""A point in time that no clock reaches."""

MAX_INTERIM: Final = 16
"""Most interim responses passed on in one turn (P23). Each is a write, and one read may contain
thousands.
"""


class ConnectionPool(Protocol):
    """The pool that an upstream connection returns to; declared here, as `pool.py` imports this."""

    keep_alive_ns: int
    max_requests: int

    def keep_alive_of(self, announced_s: int) -> int:
        """Return for how long to keep an idle connection, given the upstream's `Keep-Alive`."""

    def release(self, connection: "UpstreamConnection", now_ns: int) -> None:
        """Take back a connection after a response that ended exactly as framed."""

    def remove(self, connection: "UpstreamConnection") -> None:
        """Remove a connection that is closed or about to be; idempotent."""

    def note_eof(self, connection: "UpstreamConnection") -> None:
        """Note that the upstream has ended its side."""

    def drain(self, connection: "UpstreamConnection") -> None:
        """Call `close_if_taken` from time to time, until the connection is closed."""


class UpstreamConnection(PacedReader, asyncio.Protocol):
    """One connection to an upstream."""

    __slots__ = (
        "_buffer", "_drained_at_ns", "_framer", "_has_unread_heads", "_is_lost", "_max_head_bytes", "_pool",
        "_read_response", "_state", "_undrained_bytes", "address_text", "handler", "idle_since_ns", "is_after_5xx",
        "is_reused", "keep_alive_ns", "retires_ns", "transport", "uses_left", "write",
    )  # fmt: skip

    transport: asyncio.Transport
    write: Callable[[bytes], None]
    _framer: BodyFramer
    """The framer of the response's body; set once its head is read."""

    def __init__(
        self,
        pool: ConnectionPool,
        responses: ResponseHeads,
        max_head_bytes: int,
        address_text: bytes,
        turns: FairLoop,
    ) -> None:
        """Belong to a pool.

        Args:
            pool: takes the connection back when a response has ended.
            responses: reads response heads, for all connections with the same header rules.
            max_head_bytes: the longest response head, and so the most bytes buffered.
            address_text: the upstream's address as records show it.
            turns: shares the worker's time among its connections (P23).
        """
        super().__init__(turns)
        self.address_text = address_text
        self._pool = pool
        self._is_lost = False
        """True if the connection ended with bytes in hand: its end is reported after them."""
        self._read_response = ConnectionHeads(responses).read
        self._max_head_bytes = max_head_bytes
        self.handler: ResponseHandler | None = None
        self.is_reused = False
        """True if an earlier response ended here; False again after an interim response."""
        self.idle_since_ns = 0
        self.keep_alive_ns = pool.keep_alive_ns
        """How long to keep the idle connection; -1 if its current response is the last."""
        self.uses_left = pool.max_requests
        self.retires_ns = NEVER_NS
        """When the connection is too old for another request."""
        self.is_after_5xx = False
        """True if the status of the last response was 5xx."""
        self._state = _HEAD
        self._buffer = b""
        """The beginning of a head; or, with `_has_unread_heads`, heads left for another turn."""
        self._has_unread_heads = False
        self._undrained_bytes = 0
        """While draining: bytes of the client that the upstream has not received."""
        self._drained_at_ns = 0
        """While draining: when the upstream last received some."""

    @property
    def is_unanswered(self) -> bool:
        """Return True if a whole request was sent and no byte of its final response has arrived."""
        handler = self.handler
        return (
            handler is not None
            and handler.is_request_complete
            and self._state == _HEAD
            and not self._buffer
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport of the opened connection, and bound its buffers; asyncio calls this."""
        self.transport = cast(asyncio.Transport, transport)
        self.write = bound_buffers(self.transport)
        if transport.get_extra_info("sslcontext") is not None:
            self.held_bytes = HELD_BYTES
        else:
            self.held_bytes = 0

    def abandon(self) -> None:
        """Break the reference cycle with a transport that was abandoned during its opening."""
        if hasattr(self, "transport"):
            self.transport.set_protocol(asyncio.Protocol())

    def begin(self, handler: ResponseHandler, data: bytes) -> None:
        """Lend the connection to a handler; send its request head and the body read so far."""
        self.handler = handler
        self._state = _HEAD
        self.write(data)

    def data_received(self, data: bytes) -> None:
        """Read the response; bytes that no request asked for close the connection."""
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
            self._has_unread_heads = False

        at = 0
        interim = 0
        while interim < MAX_INTERIM:
            # Below 4, the end of the head has not come.
            end = data.find(b"\r\n\r\n", at) + 4
            if (end if end >= 4 else len(data)) - at > self._max_head_bytes:
                self._fail(bad_response(f"head over {self._max_head_bytes} bytes", data[at:]))
                return

            if end < 4:
                self._await_head(data[at:])
                return

            raw = data[at:end]
            try:
                head = self._read_response(raw)
            except UpstreamError as error:
                # A proxy removes blanks before colons (RFC 9112 §5.1); the rest is judged again.
                mended = without_blanks_before_colons(raw)
                if mended != raw:
                    data = data[:at] + mended + data[end:]
                    continue

                error.refused_head = raw
                self._fail(error)
                return

            if head.status >= 200:
                self._begin_body(handler, head, raw, data[end:])
                return
            if head.status == 101:
                self._switch_protocols(handler, head, raw, data[end:])
                return

            # The upstream has begun to respond: a close is not a sign of a stale connection now
            # (P13).
            self.is_reused = False
            handler.send_informational(head)
            at = end
            interim = interim + 1
            if at == len(data):
                return

        self._buffer = data[at:]
        self._has_unread_heads = True
        self._await_turn(len(self._buffer))

    def _switch_protocols(
        self, handler: ResponseHandler, head: ResponseHead, raw: bytes, rest: bytes
    ) -> None:
        if not head.is_websocket or not handler.wants_websocket:
            self._fail(bad_response("101 to a request that asked for no upgrade", raw))
        elif handler.stream is not None and not accepts_websocket(handler.upstream_head, raw):
            message = "101 without the Sec-WebSocket-Accept that belongs to the key"
            self._fail(bad_response(message, raw))
        else:
            self._state = _TUNNEL
            handler.open_tunnel(head, raw, rest)

    def _await_head(self, data: bytes) -> None:
        """Buffer an incomplete head; fail at once if its end can never come (P3)."""
        beginning = data.lstrip(b"\r\n")[: len(_VERSION_PREFIX)]
        if not _VERSION_PREFIX.startswith(beginning):
            if beginning.startswith(_TLS_ALERT):
                message = "the upstream speaks TLS: write https:// for this upstream"
            else:
                message = "the response is not HTTP"
            self._fail(bad_response(message, data))
        elif has_bare_line_end(data):
            self._fail(bad_response("bare CR or LF in the response head", data))
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
            self._fail(bad_response(message, raw))
            return

        now_ns = time.monotonic_ns()
        self.is_after_5xx = head.status >= 500

        # The length is -1 for a chunked body, and for one that ends with the connection.
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
            # Surplus bytes after the body are a response that no request asked for.
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
            self._fail(bad_response(str(error)))
            return

        if framer.is_done:
            is_reusable = not surplus and self.keep_alive_ns >= 0
            self._finish(handler, time.monotonic_ns(), is_reusable=is_reusable)
            handler.response_end(body, framer.trailers)
            return

        if body:
            handler.response_data(body)
        if framer.has_more or len(data) >= TURN_BYTES:
            self._await_turn(framer.in_hand)

    # Turns (P23): the methods that `PacedReader` calls.

    @property
    def _has_more(self) -> bool:
        if self.handler is None:
            return False
        if self._state == _BODY:
            return self._framer.has_more
        return self._has_unread_heads

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
            self._report_end(None)
        elif not self.transport.is_closing():
            self.transport.resume_reading()

    def _finish(self, handler: ResponseHandler, now_ns: int, *, is_reusable: bool) -> None:
        """Release or close the connection at the end of a response.

        Callers notify the handler afterwards: its next request may want this very connection.
        """
        self.handler = None
        if not is_reusable or not handler.is_request_complete or handler.is_continue_due:
            self.close()
        elif handler.has_long_body and is_flushing(self.transport):
            # The upstream responded after half a request body; it may take the rest for the next
            # request.
            self.close()
        else:
            self._pool.release(self, now_ns)

    def _fail(self, error: UpstreamError) -> None:
        handler = self.handler
        self.close()
        if handler is not None:
            handler.upstream_failed(error, is_stale=False)

    def untaken_bytes(self) -> int:
        """Return how many bytes of the request the upstream has yet to read."""
        return untaken_bytes(self.transport)

    @property
    def arriving_bytes(self) -> int:
        """Bytes in hand of a body's framing that carry no content yet."""
        if self._state == _BODY:
            return self._framer.in_hand
        return 0

    def close(self) -> None:
        """Close at once, without notifying the handler; idempotent."""
        self.handler = None
        self._pool.remove(self)
        self.transport.abort()

    def detach(self) -> None:
        """Drain a tunnel whose client is gone: close once the upstream has received the client's
        bytes.

        Bytes of the upstream are read and discarded meanwhile: unread, they would turn the close
        into a reset (P15).
        """
        self._undrained_bytes = unsent_bytes(self.transport)
        if self.handler is None or self.transport.is_closing() or not self._undrained_bytes:
            self.close()
            return

        self._drained_at_ns = time.monotonic_ns()
        self._state = _DRAINING
        self._pool.drain(self)
        self.handler = None
        self._paused = 0
        self.transport.resume_reading()
        if self.transport.can_write_eof():
            with suppress(OSError):  # the connection was reset already
                self.transport.write_eof()

    def close_if_taken(self, now_ns: int) -> None:
        """Close a draining connection if the upstream has received all, or nothing for too long.

        A transport that closes by itself would wait without a limit.
        """
        unsent = unsent_bytes(self.transport)
        if unsent < self._undrained_bytes:
            self._undrained_bytes = unsent
            self._drained_at_ns = now_ns
        if not unsent or now_ns - self._drained_at_ns >= STALLED_NS:
            self.close()

    def eof_received(self) -> bool:
        """Close, as the upstream has ended its side; `connection_lost` follows.

        A transport closes only after everything is sent. If the upstream may have stopped reading,
        the end is reported without waiting for that.
        """
        self._pool.note_eof(self)
        if self.handler is not None and is_flushing(self.transport):
            self._lose(None)
            self.transport.abort()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Notify the handler, once the bytes in hand are read.

        An upstream that cannot be sent to may have responded before: that response is read first
        (P16).
        """
        if error is not None and self.handler is not None and (data := last_bytes(self.transport)):
            self.data_received(data)
        self._lose(error)

    def _lose(self, error: Exception | None) -> None:
        self._pool.remove(self)
        if self._has_more:
            self._is_lost = True
        else:
            self._report_end(error)

    def _report_end(self, error: Exception | None) -> None:
        """Notify the handler: the end of the connection is the end of a body, or a failure (P14)."""
        handler = self.handler
        self.handler = None
        if handler is None:
            return
        if self._state == _BODY and self._framer.ends_at_close and error is None:
            handler.response_end(b"", b"")
            return

        if error is not None:
            message = f"the connection to the upstream failed: {error}"
        elif self._state == _HEAD:
            message = "the upstream closed the connection before sending a complete response head"
        elif self._state == _TUNNEL:
            message = "the upstream closed the connection without a close frame"
        else:
            message = "the upstream closed the connection before the end of the response"

        is_stale = self.is_reused and self._state == _HEAD and not self._buffer
        handler.upstream_failed(UpstreamError("upstream_reset", message), is_stale=is_stale)

    def pause_writing(self) -> None:
        """Stop sending request body: our send buffer is full."""
        if self.handler is not None:
            self.handler.pause_request()

    def resume_writing(self) -> None:
        """Send request body again, because the send buffer has drained."""
        if self.handler is not None:
            self.handler.resume_request()
