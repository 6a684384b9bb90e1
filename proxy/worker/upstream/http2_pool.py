"""The HTTP/2 connections of one route: they lend lanes, and the pool opens another when all are in
use.

Strategy: the connection open longest lends its lanes as long as it has some. Another is opened when
none has, one at a time, since one may serve all requests that wait. A connection lends nothing
before its upstream has sent settings: only settings tell how many streams it takes, and that it
speaks HTTP/2 at all.
"""

import time
from collections.abc import Callable

from proxy.http1.memo.response_heads import ResponseHeads
from proxy.http2.budget import Limits
from proxy.http2.frames import MAX_WINDOW_BYTES
from proxy.http2.hpack.encoder import LineEncoder
from proxy.network.pacing import FairLoop
from proxy.worker.exits.frame_writer import Steps
from proxy.worker.routes import Route
from proxy.worker.upstream.http2_connection import Http2Upstream
from proxy.worker.upstream.http2_lane import Http2Lane
from proxy.worker.upstream.places import AnyConnection, LanePool


class Http2Pool(LanePool[Http2Lane]):
    """The HTTP/2 connections of one route; each has a lane for every stream it may open."""

    def __init__(
        self,
        route: Route,
        on_open: Callable[[int], None],
        turns: FairLoop,
        responses: ResponseHeads,
        encoder: LineEncoder,
        steps: Steps,
        count_reset: Callable[[int], None],
    ) -> None:
        """Begin empty.

        Args:
            route: the route to the upstream.
            on_open: gets +1 and -1 as connections open and close.
            turns: shares the worker's time among connections (P23).
            responses: reads response heads.
            encoder: compresses the field lines of requests.
            steps: has frames written in batches, for all connections of the worker.
            count_reset: gets the error code of each stream that an upstream resets.
        """
        super().__init__(route, on_open)
        self.tls = route.http2_tls
        self._turns = turns
        self._responses = responses
        self._steps = steps
        self._count_reset = count_reset
        self._connections: dict[Http2Upstream, None] = {}
        self._lending: dict[Http2Upstream, None] = {}
        """The connections that may have free lanes, the one open longest first."""
        codec_limits = Limits(
            max_header_bytes=self.max_head_bytes,
            connection_window_bytes=MAX_WINDOW_BYTES,
        )
        self._codec = codec_limits, encoder

    def new_connection(self) -> Http2Upstream:
        return Http2Upstream(
            self,
            self._steps,
            self._codec,
            self._responses,
            self.route.address_text,
            self._turns,
            self.max_requests,
        )

    def acquire(self, now_ns: int, *, may_repeat: bool, is_turn: bool = False) -> Http2Lane | None:
        if ((self._waiting or self._woken) and not is_turn) or not self.has_free_lane:
            return None
        return Http2Lane(next(iter(self._lending)))

    @property
    def has_free_lane(self) -> bool:
        while self._lending:
            connection = next(iter(self._lending))
            if connection.free_lanes > 0:
                return True
            del self._lending[connection]
        return False

    @property
    def is_full(self) -> bool:
        return self._opening > 0 or self.has_free_lane or self.is_at_limit

    def make_room(self) -> bool:
        return not self.is_full

    def opened(self, connection: AnyConnection) -> Http2Lane:
        assert isinstance(connection, Http2Upstream)
        now_ns = time.monotonic_ns()
        connection.idle_since_ns = now_ns
        connection.retires_ns = self._count_opened(now_ns)
        self._connections[connection] = None
        self._lending[connection] = None
        self.wake_if_free()
        return Http2Lane(connection)

    def note_free_lane(self, connection: Http2Upstream) -> None:
        """Lend the lanes of a connection again."""
        if connection in self._connections:
            self._lending[connection] = None
            self.wake_if_free()

    def retire(self, connection: Http2Upstream) -> None:
        self._lending.pop(connection, None)

    def remove(self, connection: Http2Upstream) -> None:
        self._lending.pop(connection, None)
        if connection in self._connections:
            del self._connections[connection]
            self._count_closed()

    def count_reset(self, code: int) -> None:
        self._count_reset(code)

    def expire(self, now_ns: int) -> None:
        for connection in list(self._connections):
            is_idle = (
                not connection.has_lanes and now_ns - connection.idle_since_ns >= self.keep_alive_ns
            )
            is_spent = now_ns >= connection.retires_ns or connection.is_stuck(now_ns)
            if is_idle or (is_spent and not connection.is_retired):
                connection.retire()

    def close(self) -> None:
        for connection in list(self._connections):
            connection.close()
