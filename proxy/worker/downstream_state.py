"""A client connection's state, and what requests and responses have in common: back-pressure, recording, the end.

The ground floor of `answering.py` and `connection.py`. The invariant: an exchange is recorded exactly once
(`_record`), and from then on the connection belongs to the next one.
"""

import asyncio
import time

from proxy.http1.chunked import ChunkedDecoder
from proxy.http1.request_head import RequestHead
from proxy.ring.exchange import Exchange
from proxy.worker.deadlines import HALF_CLOSE_NS, Phase
from proxy.worker.engine import Engine
from proxy.worker.routes import Route
from proxy.worker.socket_queues import has_vanished, unsent_bytes
from proxy.worker.tunnel import Tunnel
from proxy.worker.upstream import UpstreamConnection

BY_CLIENT, BY_UPSTREAM, BY_UNSENT = 1, 2, 4
"""Why reading from the client is paused; it goes on when no reason is left."""


class ClientSide(asyncio.Protocol):
    """What all of a client connection shares; `connection.Downstream` is the whole."""

    __slots__ = (
        "_buffer",
        "_connecting",
        "_decoder",
        "_engine",
        "_eof_ns",
        "_fields",
        "_head",
        "_is_chunked_out",
        "_is_keep_alive",
        "_is_parsing",
        "_is_responding",
        "_is_retried",
        "_lingered_bytes",
        "_paused",
        "_peer",
        "_remaining",
        "_route",
        "_scheme",
        "_since_ns",
        "_stalled_bytes",
        "_stalled_ns",
        "_transport",
        "_tunnel",
        "_unsent",
        "_unsent_bytes",
        "_upload_bytes",
        "_upstream",
        "_upstream_head",
        "exchange",
        "has_sent_request",
        "method",
        "phase",
    )

    _transport: asyncio.Transport

    def __init__(self, engine: Engine) -> None:
        """Belong to an engine."""
        self._engine = engine
        # of the connection
        self._peer = b""
        self._scheme = b"http"
        self._buffer = b""
        self._paused = 0
        self._stalled_ns = self._eof_ns = self._stalled_bytes = self._upload_bytes = 0
        self._lingered_bytes = 0
        self._is_parsing = False
        self._fields: tuple[RequestHead | None, Route | None, bytes, bytes] = (None, None, b"", b"")
        """The last head, its route, the lines they became, and the client they came from."""
        self.phase = Phase.FRESH
        self._since_ns = 0
        # of the exchange
        self.exchange: Exchange | None = None
        self.method = b""
        self.has_sent_request = True
        self._head: RequestHead | None = None
        self._route: Route | None = None
        self._upstream: UpstreamConnection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._upstream_head = b""
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._decoder: ChunkedDecoder | None = None
        self._tunnel: Tunnel | None = None
        self._remaining = 0
        self._is_keep_alive = self._is_responding = self._is_chunked_out = self._is_retried = False

    @property
    def is_flushing(self) -> bool:
        """Whether bytes for the client are still in our buffer."""
        return self._transport.get_write_buffer_size() > 0

    def _go_on(self) -> None:
        """Begin the requests that wait in the buffer."""
        raise AssertionError("bug: only a whole connection reads requests")

    # Back-pressure.

    def _pause(self, reason: int) -> None:
        if not self._paused:
            self._transport.pause_reading()
        self._paused |= reason

    def _resume(self, reason: int) -> None:
        if self._paused & reason:
            self._paused &= ~reason
            if not self._paused and not self._transport.is_closing():
                self._transport.resume_reading()

    def pause_request(self) -> None:
        """The upstream takes no more for now."""
        self._pause(BY_UPSTREAM)
        if self.phase is Phase.BODY:
            self.phase = Phase.WAITING
        if self.phase is not Phase.STREAMING:
            self._since_ns = time.monotonic_ns()

    def _is_upload_stalled(self, now_ns: int) -> bool:
        """Whether the upstream has taken nothing for too long of what is on its way to it (P17).

        Asked by the tick, while nothing is added to it: whatever goes is progress and gives more time. An upstream that
        answers already may leave the rest alone (P16).
        """
        upstream, exchange = self._upstream, self.exchange
        if upstream is None or exchange is None or exchange.request_body is None:
            return False
        if self.phase is not Phase.WAITING and not (self.phase is Phase.TUNNEL and self._paused & BY_UPSTREAM):
            return False
        unsent = unsent_bytes(upstream.transport)
        if unsent != self._upload_bytes:
            self._upload_bytes = unsent
            self._since_ns = now_ns
        limit_ns = self._engine.deadlines.write_stall_ns
        return unsent > 0 and 0 < limit_ns <= now_ns - self._since_ns

    def resume_request(self) -> None:
        """The upstream takes bytes again."""
        if self.phase is Phase.WAITING and not self.has_sent_request:
            self.phase = Phase.BODY
            self._since_ns = time.monotonic_ns()
        self._resume(BY_UPSTREAM)

    def pause_writing(self) -> None:
        """The client takes no more for now: stop reading from the upstream."""
        self._stalled_ns = time.monotonic_ns()
        self._stalled_bytes = self._transport.get_write_buffer_size()
        if self._upstream is not None:
            self._upstream.transport.pause_reading()

    def resume_writing(self) -> None:
        """The client takes bytes again."""
        self._stalled_ns = 0
        if self._upstream is not None:
            self._upstream.transport.resume_reading()
        if self.phase is Phase.STREAMING:
            self._since_ns = time.monotonic_ns()
        elif self.exchange is None and self._buffer and self.phase is not Phase.LINGERING:
            self._go_on()

    # Ends.

    def _has_left(self, now_ns: int) -> bool:
        """Whether the client is gone: it ended its side a while ago, or was reset while nothing of it is read (P15)."""
        if self._eof_ns and self.exchange is not None and now_ns - self._eof_ns >= HALF_CLOSE_NS:
            return True
        return self._paused > 0 and has_vanished(self._transport)

    def _record(self, exchange: Exchange, now_ns: int) -> None:
        self.exchange = None
        self._engine.in_flight.discard(self)
        self._engine.recorder.finish(exchange, now_ns)

    def _end_early(self, outcome: int, status: int) -> None:
        """Record the running exchange, if any, as cut short; `status` counts when no head had been sent."""
        exchange = self.exchange
        self._drop_upstream()
        if exchange is None:
            return
        exchange.outcome = outcome
        if not self._is_responding:
            exchange.status = status
        self._record(exchange, time.monotonic_ns())

    def _drop_upstream(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self._upstream is not None:
            self._upstream.abandon()
            self._upstream = None

    def _close(self) -> None:
        """Close after what is written; unread input is drained for a moment, lest a reset destroys the answer (P16)."""
        self.phase = Phase.LINGERING
        self._since_ns = time.monotonic_ns()
        self._buffer = b""
        self._is_keep_alive = False
        if self._eof_ns or self.has_sent_request or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._paused = 0
        self._transport.resume_reading()
        self._transport.write_eof()

    # Failures.
