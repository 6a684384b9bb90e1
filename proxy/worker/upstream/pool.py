"""The pool of one route's connections of HTTP/1.1: which one is lent, and whether there is room for
another.

Last in, first out: the connection used most recently is the least likely to have been closed by the
other side.
"""

import time
from collections.abc import Callable
from typing import Final, cast

from proxy.http1.memo.response_heads import ResponseHeads
from proxy.network.concurrency import SILENT_NS, Concurrency
from proxy.network.fair_loop import FairLoop
from proxy.network.socket_queues import has_ended
from proxy.settings.model import LimitSettings
from proxy.worker.routes import Route
from proxy.worker.upstream.connection import UpstreamConnection
from proxy.worker.upstream.places import AnyConnection, Places

POST_IDLE_NS: Final = 1_000_000_000
"""A request that must not be sent twice uses a pooled connection only if idle for less than this
(P13).
"""

REST_NS: Final = 100_000_000
"""How long a connection rests after a 5xx: servers close after an error, once they have logged it.
"""

RESPONSE_BYTES: Final = 4
"""The head of a response may have so many times the bytes of a request's: cookies and policies are
many.
"""


class Pool(Places[UpstreamConnection]):
    """Connections of HTTP/1.1: each is one lane."""

    def __init__(
        self,
        route: Route,
        limits: LimitSettings,
        on_open: Callable[[int], None],
        turns: FairLoop,
        responses: ResponseHeads,
    ) -> None:
        """Begin empty; `on_open` gets +1 and -1 as connections open and close, `responses` reads
        heads of responses.
        """
        super().__init__(route, limits, on_open)
        self._turns = turns
        self._idle: dict[UpstreamConnection, None] = {}
        """In the order in which they became idle: any of many is found at once."""
        self._resting: dict[UpstreamConnection, None] = {}
        """Idle ones that have just carried a 5xx, in the same order."""
        self._connections: set[UpstreamConnection] = set()
        self._unanswered: dict[UpstreamConnection, int] = {}
        """Connections on which no response has ended yet, and since when they are open, ns."""
        self._answered: set[UpstreamConnection] = set()
        """Open connections on which a response has ended, and whose upstream has not ended its
        side.
        """
        self._draining: set[UpstreamConnection] = set()
        """Open connections whose tunnel has ended, and whose upstream has not taken all of it."""
        self._concurrency = Concurrency()
        self._max_head_bytes = RESPONSE_BYTES * limits.max_header_bytes or 1 << 24
        self._responses = responses

    def new_connection(self) -> UpstreamConnection:
        return UpstreamConnection(
            self, self._responses, self._max_head_bytes, self.route.address_text, self._turns
        )

    def keep_alive_of(self, announced_s: int) -> int:
        """Return how long to keep an idle connection, ns: a second less than the upstream
        announces, or the setting.

        Of a single second half is kept: a request must not meet its end.
        """
        if announced_s > 0:
            return max((announced_s - 1) * 1_000_000_000, 500_000_000)
        return self.keep_alive_ns

    def acquire(
        self, now_ns: int, *, may_repeat: bool, is_turn: bool = False
    ) -> UpstreamConnection | None:
        """Return the most recently used idle connection that is young enough for a request, if any.

        One that may be sent once more, where the connection turns out to be closed, may use an
        older one.

        While others wait there is none, unless it is the caller's turn: a client with its next
        request ready whenever a connection comes back would otherwise keep it for good.
        """
        if (self._waiting or self._woken) and not is_turn:
            return None
        if self._resting:
            self._end_rests(now_ns)
        idle = self._idle
        while idle:
            connection, _ = idle.popitem()
            age_ns = now_ns - connection.idle_since_ns
            if age_ns < connection.keep_alive_ns and not connection.transport.is_closing():
                if may_repeat or age_ns < POST_IDLE_NS:
                    return connection
                idle[connection] = None
                return None

            connection.close()

        return None

    def release(self, connection: UpstreamConnection, now_ns: int) -> None:
        """Take a connection back, whose response ended where it should."""
        if connection.transport.is_closing():
            return
        if not connection.is_reused:
            self._note_answered(connection)
        connection.uses_left -= 1
        is_spent = not connection.uses_left or now_ns >= connection.retires_ns
        if is_spent or (self._concurrency.is_wary and self._holds_others(now_ns, 0)):
            connection.close()
            return

        connection.idle_since_ns = now_ns
        if connection.has_failed:
            if (
                self._waiting or self._concurrency.seen < 2
            ):  # an upstream that serves one at a time would wait for its end
                connection.close()
            else:
                self._resting[connection] = None

            return

        self._idle[connection] = None
        if self._waiting:
            self.pass_on()

    def _end_rests(self, now_ns: int) -> None:
        """Lend connections again that had time enough to be closed, and were not."""
        while self._resting:
            connection = next(iter(self._resting))
            if now_ns - connection.idle_since_ns < REST_NS:
                return

            del self._resting[connection]
            if has_ended(connection.transport):
                connection.close()
            else:
                self._idle[connection] = None

    def _note_answered(self, connection: UpstreamConnection) -> None:
        connection.is_reused = True
        self._unanswered.pop(connection, None)
        self._answered.add(connection)
        self._concurrency.served(len(self._answered))

    def _holds_others(self, now_ns: int, silent_ns: int) -> bool:
        """Whether idle connections may keep a new one from being served: it has had no answer for
        so long.
        """
        return self._concurrency.may_hold(len(self._answered)) and any(
            connection.is_waiting and now_ns - since_ns >= silent_ns
            for connection, since_ns in self._unanswered.items()
        )

    def ending(self, connection: UpstreamConnection) -> None:
        """Note that the upstream has ended its side: it may serve another in its place already
        (P27).
        """
        self._answered.discard(connection)

    def remove(self, connection: UpstreamConnection) -> None:
        """Remove a connection that is closed or about to be; idempotent."""
        if connection in self._connections:
            self._connections.remove(connection)
            self._unanswered.pop(connection, None)
            self._answered.discard(connection)
            self._draining.discard(connection)
            self._idle.pop(connection, None)
            self._resting.pop(connection, None)
            self._count_closed()

    @property
    def has_free(self) -> bool:
        return bool(self._idle)

    @property
    def is_draining(self) -> bool:
        """Whether an upstream has yet to take what a client left behind."""
        return bool(self._draining)

    def draining(self, connection: UpstreamConnection) -> None:
        """Check with each sweep whether the upstream has taken what a client left behind."""
        self._draining.add(connection)

    def make_room(self) -> bool:
        """Return whether there is a place, if need be by closing the connection idle longest,
        unusable here (P13).
        """
        if self.is_full and (idle := self._idle or self._resting):
            next(iter(idle)).close()
        return not self.is_full

    def opened(self, connection: AnyConnection) -> UpstreamConnection:
        own = cast(UpstreamConnection, connection)
        self._connections.add(own)
        self._unanswered[own] = now_ns = time.monotonic_ns()
        own.retires_ns = self._count_opened(now_ns)
        return own

    def expire(self, now_ns: int) -> None:
        """Close idle connections that are too old or hold others, and drained ones; called a few
        times a second.
        """
        for connection in list(self._draining):
            connection.close_if_taken(now_ns)
        self._end_rests(now_ns)
        idle = self._idle
        if not idle:
            return

        if self._holds_others(now_ns, SILENT_NS):
            self._concurrency.is_wary = True
            expired = list(idle)
        elif self.route.tls is not None:
            expired = [c for c in idle if now_ns - c.idle_since_ns >= c.keep_alive_ns]
        else:
            idle_ns = self._concurrency.idle_ns
            expired = [c for c in idle if now_ns - c.idle_since_ns >= idle_ns(c.keep_alive_ns)]

        for connection in expired:
            connection.close()

    def close(self) -> None:
        for connection in list(self._connections):
            connection.close()
