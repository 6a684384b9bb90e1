"""One HTTP/2 stream to an upstream: it carries one exchange, at the pace of both sides (F13).

The upstream gets credit for the response when the client has received it, and the client is not
read while the upstream grants no window. The beginning of a request's body is kept until a response
begins: an upstream may refuse a stream before it works on it, and the request is then sent once
more (RFC 9113 §8.7).
"""

import asyncio
import time
from typing import Protocol

from proxy.http2.connection import Connection
from proxy.network.sockets import untaken_bytes
from proxy.worker.deadlines import MAX_READ_AHEAD_BYTES
from proxy.worker.upstream.response_handler import ResponseHandler


class LaneOwner(Protocol):
    """The connection of a lane; declared here, as `http2_connection.py` imports this module."""

    codec: Connection
    transport: asyncio.Transport
    address_text: bytes
    is_write_paused: bool
    """True if our send buffer is full: the upstream reads nothing."""

    @property
    def written_bytes(self) -> int:
        """Bytes that the connection was given to send so far."""

    def open_stream(self, lane: "Http2Lane", head: bytes, *, is_end: bool) -> int:
        """Send the head of a request on a new stream; return the stream's id."""

    def flush(self) -> None:
        """Write the frames that the codec has to send."""

    def distrust(self, since_ns: int) -> None:
        """Stop lending lanes if nothing came in the second half of a wait that began then."""

    def release(self, lane: "Http2Lane") -> None:
        """Take back a lane; its stream is cancelled if it has not ended."""


class Http2Lane:
    """One stream: it carries one exchange to the upstream and back."""

    __slots__ = (
        "_codec", "_connection", "_is_request_paused", "_sent", "_sent_at", "_sent_bytes", "address_text", "handler",
        "has_response", "id", "transport",
    )  # fmt: skip

    def __init__(self, connection: LaneOwner) -> None:
        self._connection = connection
        self._codec = connection.codec
        self.address_text = connection.address_text
        self.transport = connection.transport
        self.handler: ResponseHandler | None = None
        self.id = 0
        self._sent: list[bytes] = []
        """The pieces of a short request body, kept in case it has to be sent again."""
        self._sent_bytes = 0
        self._sent_at = 0
        """The connection's `written_bytes` after the last piece of the body."""
        self.has_response = False
        """True once the response has begun."""
        self._is_request_paused = False
        """True if the upstream takes no more of the request for now."""

    def begin(self, handler: ResponseHandler, data: bytes) -> None:
        """Open the stream for a handler: send its request head and the body read so far."""
        self.handler = handler
        is_complete = handler.is_request_complete
        trailers = handler.request_trailers
        is_all = is_complete and not (data or trailers)
        self.id = self._connection.open_stream(self, handler.upstream_head, is_end=is_all)

        if data or (is_complete and not is_all):
            self.send(data, trailers, is_last=is_complete)
        else:
            self._connection.flush()

    def send(self, data: bytes, trailers: bytes, *, is_last: bool) -> None:
        """Send more of the request's body; after its end, trailer lines, each with its CRLF."""
        handler = self.handler
        if handler is None:
            return

        self._sent_bytes += len(data)
        if data and not self.has_response and self._sent_bytes <= MAX_READ_AHEAD_BYTES:
            self._sent.append(data)

        now_ns = time.monotonic_ns()
        has_room = self._codec.send_data(self.id, data, now_ns, is_end=is_last and not trailers)
        if trailers:
            has_room = self._codec.send_trailers(self.id, trailers, now_ns)
        self._connection.flush()
        self._sent_at = self._connection.written_bytes
        if not has_room or self._connection.is_write_paused:
            self.pause_request()

    def pause_request(self) -> None:
        """Make the handler stop sending; idempotent."""
        if not self._is_request_paused and self.handler is not None:
            self._is_request_paused = True
            self.handler.pause_request()

    def resume_request(self) -> None:
        """Make the handler send on; idempotent."""
        if self._is_request_paused and self.handler is not None:
            self._is_request_paused = False
            self._sent_at = self._connection.written_bytes
            self.handler.resume_request()

    def sent_body(self) -> bytes | None:
        """Return the body sent so far; None if it was too long to keep or the response began."""
        if self._sent_bytes <= MAX_READ_AHEAD_BYTES and not self.has_response:
            return b"".join(self._sent)
        return None

    def untaken_bytes(self) -> int:
        """Return how many bytes of the request the upstream has yet to read.

        Bytes that wait for a window count. Without any, the connection's bytes up to the last piece
        of the body count, and later bytes of other streams do not.
        """
        stream = self._codec.streams.open.get(self.id)
        if stream is not None and stream.queued_bytes:
            return stream.queued_bytes
        taken = self._connection.written_bytes - untaken_bytes(self.transport)
        return max(self._sent_at - taken, 0)

    @property
    def arriving_bytes(self) -> int:
        """Bytes in hand of an incomplete frame of the response."""
        reader = self._codec.reader
        if reader.stream_id == self.id:
            return reader.arriving_bytes
        return 0

    @property
    def has_whole_content(self) -> bool:
        """True if all of the response's content is here, by its length, and only the end of its
        stream is missing.
        """
        stream = self._codec.streams.open.get(self.id)
        if stream is None or not stream.has_head:
            return False
        return stream.expected_bytes == 0 or not stream.allows_body

    # Credit for the response, as its client takes it.

    def pause(self, reason: int) -> None:
        """Stop giving the upstream credit to send more of the response, for one of the `BY_`
        reasons.
        """
        self._codec.pause(self.id, reason)

    def resume(self, reason: int) -> None:
        """Give the upstream credit to send the response again, unless another reason to pause
        remains.
        """
        self._codec.resume(self.id, reason)
        self._connection.flush()

    def give_up(self, since_ns: int) -> None:
        """Cancel an exchange that has waited without success since then; others take another
        connection if this one may be dead.
        """
        self._connection.distrust(since_ns)
        self.close()

    def close(self) -> None:
        """Cancel the exchange, without notifying the handler; idempotent."""
        if self.handler is not None:
            self.handler = None
            self._connection.release(self)
