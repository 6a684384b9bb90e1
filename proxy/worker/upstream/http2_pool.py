"""The pool of one route's connections of HTTP/2: which lends its next lane, and when another is
opened.

Strategy: lanes are those of the connection that is open longest, as long as it has some; another is
opened when none has, one at a time, since one may serve all that wait. It is lent once its upstream
has sent settings by which it takes exchanges; then it is known how many, and that it speaks HTTP/2
at all.
"""

import time
from collections.abc import Callable

from proxy.http1.memo.response_heads import ResponseHeads
from proxy.http2.budget import Limits
from proxy.http2.frames import MAX_WINDOW_BYTES
from proxy.http2.hpack.encoder import LineEncoder
from proxy.network.fair_loop import FairLoop
from proxy.settings.model import LimitSettings
from proxy.worker.exits.frame_writer import Steps
from proxy.worker.routes import Route
from proxy.worker.upstream.http2_connection import Http2Upstream
from proxy.worker.upstream.http2_lane import Http2Lane
from proxy.worker.upstream.places import AnyConnection, Places
from proxy.worker.upstream.pool import RESPONSE_BYTES


class Http2Pool(Places[Http2Lane]):
    """Connections of HTTP/2: each has as many lanes as its upstream allows."""

    def __init__(
        self,
        route: Route,
        limits: LimitSettings,
        on_open: Callable[[int], None],
        turns: FairLoop,
        responses: ResponseHeads,
        encoder: LineEncoder,
        steps: Steps,
        count_reset: Callable[[int], None],
    ) -> None:
        """Begin empty; `on_open` gets +1 and -1, `count_reset` the code of each stream that the
        upstream resets.
        """
        super().__init__(route, limits, on_open)
        self.tls = route.http2_tls
        self._turns = turns
        self._responses = responses
        self._steps = steps
        self._count_reset = count_reset
        self._connections: dict[Http2Upstream, None] = {}
        self._lending: dict[Http2Upstream, None] = {}
        """Those that may have free lanes, the one that is open longest first."""
        own = Limits(
            max_header_bytes=RESPONSE_BYTES * limits.max_header_bytes or 1 << 24,
            stream_window_bytes=limits.http2_stream_window_bytes,
            connection_window_bytes=MAX_WINDOW_BYTES,
        )
        self._codec = own, encoder

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
        if ((self._waiting or self._woken) and not is_turn) or not self.has_free:
            return None
        return Http2Lane(next(iter(self._lending)))

    @property
    def has_free(self) -> bool:
        while self._lending:
            connection = next(iter(self._lending))
            if connection.free_lanes > 0:
                return True
            del self._lending[connection]
        return False

    @property
    def is_full(self) -> bool:
        return self._opening > 0 or self.has_free or self.is_at_limit

    def make_room(self) -> bool:
        return not self.is_full

    def opened(self, connection: AnyConnection) -> Http2Lane:
        assert isinstance(connection, Http2Upstream)
        now_ns = time.monotonic_ns()
        connection.idle_since_ns = now_ns
        connection.retires_ns = self._count_opened(now_ns)
        self._connections[connection] = None
        self._lending[connection] = None
        self.share()
        return Http2Lane(connection)

    def freed(self, connection: Http2Upstream) -> None:
        if connection in self._connections:
            self._lending[connection] = None
            self.share()

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
            if is_idle or now_ns >= connection.retires_ns:
                connection.retire()

    def close(self) -> None:
        for connection in list(self._connections):
            connection.close()
