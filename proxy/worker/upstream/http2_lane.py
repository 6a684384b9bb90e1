"""One stream of HTTP/2 to an upstream: what carries one exchange there and back, at the pace of
both sides (F13).

Credit for the response is given when its client has taken it, and the client is read no further
while the upstream grants no window. The beginning of a request's body is kept until a response
begins: an upstream may refuse a stream before it works on it, which is then opened once more (RFC
9113 §8.7).
"""

import asyncio
import time
from typing import Protocol

from proxy.http2.connection import Connection
from proxy.network.socket_queues import unsent_bytes
from proxy.worker.deadlines import MAX_READ_AHEAD_BYTES
from proxy.worker.upstream.response_handler import ResponseHandler


class LaneOwner(Protocol):
    """The connection of some lanes."""

    codec: Connection
    transport: asyncio.Transport
    address_text: bytes
    is_full: bool
    """Whether our buffer is full: the upstream reads nothing."""

    def open(self, lane: "Http2Lane", head: bytes, *, is_end: bool) -> int:
        """Send the head of a request; return the id of its stream."""

    def flush(self) -> None:
        """Write what the codec has to send."""

    def part(self, lane: "Http2Lane") -> None:
        """Let go of a lane; what is left of its stream is cancelled."""


class Http2Lane:
    """One stream: what carries one exchange to the upstream, and back."""

    __slots__ = (
        "_codec", "_connection", "_sent", "_sent_bytes", "address_text", "handler", "has_begun",
        "id", "is_waiting", "transport",
    )  # fmt: skip

    def __init__(self, connection: LaneOwner) -> None:
        self._connection = connection
        self._codec = connection.codec
        self.address_text = connection.address_text
        self.transport = connection.transport
        self.handler: ResponseHandler | None = None
        self.id = 0
        self._sent: list[bytes] = []
        self._sent_bytes = 0
        """Of the request's body, kept as far as it is short: it may have to be sent once more."""
        self.has_begun = False
        """Whether anything of a response came."""
        self.is_waiting = False
        """Whether the upstream takes no more of the request for now."""

    def begin(self, handler: ResponseHandler, data: bytes) -> None:
        """Open the stream for a handler: send its head, and what there is of its body."""
        self.handler = handler
        is_complete = handler.is_request_complete
        trailers = handler.request_trailers
        is_all = is_complete and not (data or trailers)
        self.id = self._connection.open(self, handler.upstream_head, is_end=is_all)

        if data or (is_complete and not is_all):
            self.send(data, trailers, is_last=is_complete)
        else:
            self._connection.flush()

    def send(self, data: bytes, trailers: bytes, *, is_last: bool) -> None:
        """Send more of the request's body; behind the last of it trailer lines, each with its CRLF."""
        handler = self.handler
        if handler is None:
            return

        self._sent_bytes += len(data)
        if data and not self.has_begun and self._sent_bytes <= MAX_READ_AHEAD_BYTES:
            self._sent.append(data)
        now_ns = time.monotonic_ns()
        has_room = self._codec.send_data(self.id, data, now_ns, is_end=is_last and not trailers)
        if trailers:
            has_room = self._codec.send_trailers(self.id, trailers, now_ns)
        self._connection.flush()
        if (
            (not has_room or self._connection.is_full)
            and not self.is_waiting
            and self.handler is handler
        ):
            self.is_waiting = True
            handler.pause_request()

    def drained(self) -> None:
        """The upstream takes the request again."""
        if self.is_waiting and self.handler is not None:
            self.is_waiting = False
            self.handler.resume_request()

    def sent(self) -> bytes | None:
        """Return what was sent of the body; None: it is not at hand any more."""
        if self._sent_bytes <= MAX_READ_AHEAD_BYTES and not self.has_begun:
            return b"".join(self._sent)
        return None

    def unsent_bytes(self) -> int:
        """Bytes of the request that wait for windows; where none do, those of the connection its
        peer has not taken.
        """
        stream = self._codec.streams.open.get(self.id)
        queued = 0 if stream is None else stream.queued_bytes
        return queued or unsent_bytes(self.transport)

    # The response, as far as its client takes it.

    def pause(self, reason: int) -> None:
        """Give no credit, for a reason."""
        self._codec.pause(self.id, reason)

    def resume(self, reason: int) -> None:
        """Give it again, as far as this reason goes."""
        self._codec.resume(self.id, reason)
        self._connection.flush()

    def close(self) -> None:
        """Cancel it, without notifying anyone; idempotent."""
        if self.handler is not None:
            self.handler = None
            self._connection.part(self)
