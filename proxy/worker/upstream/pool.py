"""The HTTP/1.1 connections of one route: lent to requests, and kept for a while when idle.

Strategy: last in, first out, since the most recently used connection is the least likely to have
been closed by its upstream. After a 5xx a connection rests first (P13). Idle connections are closed
early if they may keep a new one from being served (P27).

Every open connection is in `_connections`; without an exchange it is also in `_idle`, `_resting` or
`_draining`. `_unanswered` and `_answered` show how many connections the upstream serves at once.
"""

import time
from collections.abc import Callable
from typing import Final, cast

from proxy.http1.memo.response_heads import ResponseHeads
from proxy.network.dial import SILENT_NS, Concurrency
from proxy.network.pacing import FairLoop
from proxy.network.sockets import has_ended
from proxy.worker.routes import Route
from proxy.worker.upstream.connection import UpstreamConnection
from proxy.worker.upstream.places import AnyConnection, LanePool

POST_IDLE_NS: Final = 1_000_000_000
"""A request that must not be sent twice gets no connection that was idle for longer (P13)."""

REST_NS: Final = 100_000_000
"""How long a connection rests after a 5xx: servers close after an error, once they have logged it.
"""


class Pool(LanePool[UpstreamConnection]):
    """The HTTP/1.1 connections of one route; each is one lane."""

    def __init__(
        self,
        route: Route,
        on_open: Callable[[int], None],
        turns: FairLoop,
        responses: ResponseHeads,
    ) -> None:
        """Begin empty.

        Args:
            route: the route to the upstream.
            on_open: gets +1 and -1 as connections open and close.
            turns: shares the worker's time among connections (P23).
            responses: reads response heads.
        """
        super().__init__(route, on_open)
        self._turns = turns
        self._idle: dict[UpstreamConnection, None] = {}
        """Idle connections, the one idle longest first; a dict, so any of many is removed at once.
        """
        self._resting: dict[UpstreamConnection, None] = {}
        """Idle connections after a 5xx, in the same order."""
        self._connections: set[UpstreamConnection] = set()
        self._unanswered: dict[UpstreamConnection, int] = {}
        """Connections without a finished response so far → when they were opened, ns."""
        self._answered: set[UpstreamConnection] = set()
        """Connections with a finished response, and not ended by their upstream."""
        self._draining: set[UpstreamConnection] = set()
        """Connections of ended tunnels, while the upstream has yet to receive bytes of the client.
        """
        self._concurrency = Concurrency()
        self._responses = responses

    def new_connection(self) -> UpstreamConnection:
        return UpstreamConnection(
            self, self._responses, self.max_head_bytes, self.route.address_text, self._turns
        )

    def keep_alive_of(self, announced_s: int) -> int:
        """Return how long to keep an idle connection, in ns: the setting, or the time announced by
        its upstream.

        An announced time is shortened by a second (by half a second if one second is announced), so
        that no request meets the upstream's close.
        """
        if announced_s > 0:
            return max((announced_s - 1) * 1_000_000_000, 500_000_000)
        return self.keep_alive_ns

    def acquire(
        self, now_ns: int, *, may_repeat: bool, is_turn: bool = False
    ) -> UpstreamConnection | None:
        """Return the most recently used idle connection that is fresh enough for a request, if any.

        A request that may be repeated gets an older connection too: if that turns out to be closed,
        the request is sent again.

        While others wait, only the caller whose turn it is gets a connection. Otherwise a client
        that always has its next request ready would keep a connection forever.
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

                # Too old for a request that must not be sent twice, but not for others.
                idle[connection] = None
                return None

            connection.close()

        return None

    def release(self, connection: UpstreamConnection, now_ns: int) -> None:
        """Take back a connection after a response that ended exactly as framed."""
        if connection.transport.is_closing():
            return
        if not connection.is_reused:
            self._note_answered(connection)
        connection.uses_left -= 1
        is_spent = not connection.uses_left or now_ns >= connection.retires_ns
        if is_spent or (self._concurrency.is_wary and self._may_block_others(now_ns, 0)):
            connection.close()
            return

        connection.idle_since_ns = now_ns
        if connection.is_after_5xx:
            # While the connection rests, an upstream that serves one connection at a time serves no
            # other.
            if self._waiting or self._concurrency.seen < 2:
                connection.close()
            else:
                self._resting[connection] = None
            return

        self._idle[connection] = None
        if self._waiting:
            self.wake_next()

    def _end_rests(self, now_ns: int) -> None:
        """Move connections that have rested long enough to the idle ones, unless their upstream
        closed them.
        """
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

    def _may_block_others(self, now_ns: int, silent_ns: int) -> bool:
        """Return True if idle connections may keep a new one from being served (P27).

        That is so if they are as many as the upstream was ever seen to serve, and a new one has had
        no response for `silent_ns`.
        """
        return self._concurrency.may_hold(len(self._answered)) and any(
            connection.is_unanswered and now_ns - since_ns >= silent_ns
            for connection, since_ns in self._unanswered.items()
        )

    def note_eof(self, connection: UpstreamConnection) -> None:
        """Note that the upstream has ended its side: it may already serve another connection (P27)."""
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
    def has_free_lane(self) -> bool:
        return bool(self._idle)

    @property
    def is_draining(self) -> bool:
        """True if an upstream has yet to receive the last bytes of a client that is gone."""
        return bool(self._draining)

    def drain(self, connection: UpstreamConnection) -> None:
        """Check with each `expire` if the upstream has received the last bytes of a client."""
        self._draining.add(connection)

    def make_room(self) -> bool:
        """Return True if a connection may be opened; the one idle longest is closed for it if
        needed.

        The caller has found no idle connection that its request may use (P13).
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
        """Close idle connections that are too old or may block others, and drained ones."""
        for connection in list(self._draining):
            connection.close_if_taken(now_ns)
        self._end_rests(now_ns)
        idle = self._idle
        if not idle:
            return

        if self._may_block_others(now_ns, SILENT_NS):
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
