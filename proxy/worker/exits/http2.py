"""Responses on one HTTP/2 stream, and flow control of its request: the codec makes frames, the
connection writes them.

A stream is both the exit and the client of its relay. The client gets credit for a part of its body
once the relay has passed it on, and none while that part waits for the upstream: so a stream holds
no more than its window (F13). A WebSocket is a tunnel on its stream: DATA in both directions, and
END_STREAM at the end of a side (RFC 8441).
"""

import time
from typing import Protocol

from proxy.http1.errors import STATUS_OF
from proxy.http1.field_lines import name_of
from proxy.http1.response_head import ResponseHead
from proxy.http2.connection import Connection
from proxy.http2.errors import ErrorCode
from proxy.http2.grpc import DEADLINE_EXCEEDED, grpc_status_of, status_lines
from proxy.ring.http2_notes import BY_UPSTREAM, StreamState
from proxy.worker.engine import Engine
from proxy.worker.exits.exit import Exit


class StreamOwner(Protocol):
    """The connection of a stream, `Http2Streams`; a protocol, because that module imports the
    exits.
    """

    eof_ns: int
    """When the client ended its side; 0: not yet."""

    def flush(self) -> None:
        """Write the codec's output, now or at the end of the running step."""

    def await_window(self, stream_id: int) -> None:
        """Note that a part of a response waits for the client's window."""

    def reset(self, stream_id: int, code: int) -> None:
        """Send RST_STREAM to end a stream early, and count the reset."""

    def exchange_ended(self, stream_id: int) -> None:
        """Forget a recorded exchange; release its stream once its response is sent."""


class Http2Exit(Exit):
    """One stream of a client's connection."""

    __slots__ = (
        "_codec",
        "_eof_ns",
        "_is_head",
        "_is_tunnel",
        "_owner",
        "_state",
        "held_bytes",
        "id",
        "read_ahead",
    )

    def __init__(
        self, engine: Engine, owner: StreamOwner, codec: Connection, state: StreamState
    ) -> None:
        super().__init__(engine)
        self._codec = codec
        self._state = state
        self._owner = owner
        self._is_head = False
        self._is_tunnel = False
        self._eof_ns = 0
        self.read_ahead = b""
        """Bytes for a tunnel that is not open yet."""
        self.id = state.id
        self.held_bytes = 0
        self.takes_trailers = True

    def begin(self, method: bytes, *, is_keep_alive: bool, is_http10: bool) -> None:
        self._is_head = method == b"HEAD"

    def inform(self, head: ResponseHead) -> None:
        self._codec.send_response(self.id, head.status, head.fields)
        self._owner.flush()

    def whole(self, head: ResponseHead, body: bytes, id_text: bytes) -> None:
        self._send_head(head, id_text, is_end=not body)
        if body:
            self._send(body, is_end=True)

    def start(self, head: ResponseHead, id_text: bytes) -> None:
        self._send_head(head, id_text, is_end=False)
        self._owner.flush()

    def _send_head(self, head: ResponseHead, id_text: bytes, *, is_end: bool) -> None:
        line = self._engine.record_id_format
        own = line % id_text if line else b""
        self._codec.send_response(
            self.id, head.status, head.prefix[len(head.status_line) :], own, is_end=is_end
        )

    def data(self, data: bytes) -> None:
        self._send(data, is_end=False)
        self._owner.flush()

    def end(self, data: bytes, trailers: bytes) -> None:
        if data or not trailers:
            self._send(data, is_end=not trailers)
        if trailers and not self._codec.send_trailers(self.id, trailers, time.monotonic_ns()):
            self._owner.await_window(self.id)

    def _send(self, data: bytes, *, is_end: bool) -> None:
        if not self._codec.send_data(self.id, data, time.monotonic_ns(), is_end=is_end):
            self._owner.await_window(self.id)

    def refuse(self, code: str, message: str, id_text: bytes) -> tuple[bytes, bytes]:
        if self._state.requests is not None:
            return self._refuse_call(code, message, id_text), b""
        head, body = self._own_response(code, message, id_text, close=False)
        status_line, _, fields = head.partition(b"\r\n")
        self._codec.send_response(
            self.id, int(status_line[9:12]), fields[:-2], is_end=self._is_head
        )
        if self._is_head:
            body = b""
        else:
            self._send(body, is_end=True)
        return head, body

    def _refuse_call(self, code: str, message: str, id_text: bytes) -> bytes:
        """Refuse a gRPC call in its own way, by trailers alone (gRPC over HTTP/2, Responses)."""
        if self._state.is_expired:
            status = DEADLINE_EXCEEDED
        else:
            status = grpc_status_of(STATUS_OF[code])
        lines = status_lines(status, message)
        return self.end_grpc_call(
            lines + b"x-sidelog-error: %b\r\n" % code.encode(), id_text, has_begun=False
        )

    def end_grpc_call(self, lines: bytes, id_text: bytes, *, has_begun: bool) -> bytes:
        """End a gRPC call with a status of our own.

        Returns:
            The head that was sent; empty if the response had begun already.
        """
        if has_begun:
            self.end(b"", lines)
            return b""
        line = self._engine.record_id_format
        lines = b"content-type: application/grpc\r\n%b%b" % (lines, line % id_text if line else b"")
        self._codec.send_response(self.id, 200, lines, is_end=True)
        return b"HTTP/2 200\r\n%b\r\n" % lines

    def release(self) -> None:
        self._owner.flush()

    @property
    def unsent_bytes(self) -> int:
        stream = self._codec.streams.open.get(self.id)
        if stream is None:
            return 0
        return stream.queued_bytes

    def half_close(self) -> None:
        """Do nothing: END_STREAM has ended our side."""

    def break_off(self) -> None:
        state = self._state
        code = state.reset_code if state.reset_by == BY_UPSTREAM else 0
        # Not NO_ERROR: curl takes it for the end of a body.
        self._owner.reset(self.id, code or ErrorCode.INTERNAL_ERROR)
        self._owner.exchange_ended(self.id)

    def switch(self, head: ResponseHead, id_text: bytes) -> None:
        """Open a tunnel: the 101 becomes a 200, without the answer to the key (RFC 8441 §5)."""
        self._is_tunnel = True
        lines = (self._engine.head_end_format % (head.prefix, id_text))[len(head.status_line) : -2]
        kept = [
            line
            for line in lines.splitlines(keepends=True)
            if name_of(line) != b"sec-websocket-accept"
        ]
        self._codec.send_response(self.id, 200, b"".join(kept))
        self._owner.flush()

    # The client's side.

    @property
    def eof_ns(self) -> int:
        """Return the time at which the client ended its side of the connection, or of a tunnel; 0
        if it has not done so.
        """
        return self._eof_ns or self._owner.eof_ns

    def note_client_eof(self) -> None:
        """Note that the client has ended its side of a tunnel."""
        self._eof_ns = time.monotonic_ns()

    def credit(self, size: int) -> None:
        """Let the client send `size` more bytes, now or once its body is read again."""
        self._codec.credit(self.id, size)

    def pause(self, reason: int) -> None:
        """Stop giving the client credit to send more of its body, for one of the `BY_` reasons."""
        self._codec.pause(self.id, reason)

    def resume(self, reason: int) -> None:
        """Give the client credit to send its body again, unless another reason to pause remains."""
        self._codec.resume(self.id, reason)
        self._owner.flush()

    def take_read_ahead(self) -> bytes:
        data = self.read_ahead
        self.read_ahead = b""
        self.credit(len(data))
        return data

    def exchange_ended(self, now_ns: int, *, linger: bool) -> None:
        """Release the stream; the rest of its request is not read."""
        if self._is_tunnel:
            self._send(b"", is_end=True)
            self._owner.flush()
        self._owner.exchange_ended(self.id)
