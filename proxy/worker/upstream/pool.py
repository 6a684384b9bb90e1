"""The pool of one route's upstream connections: which one is lent, and whether there is room for another.

Decides synchronously; `opener` acts on it, which takes time.
Last in, first out: the connection used most recently is the least likely to have been closed by the other side.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from secrets import randbelow
from typing import Final

from proxy.http1.memo.response_heads import ResponseHeads
from proxy.network.concurrency import SILENT_NS, Concurrency
from proxy.network.fair_loop import FairLoop
from proxy.network.socket_queues import has_ended
from proxy.settings.model import LimitSettings
from proxy.worker.routes import Route
from proxy.worker.upstream.connection import UpstreamConnection

POST_IDLE_NS: Final = 1_000_000_000
"""A request that must not be sent twice uses a pooled connection only if idle for less than this (P13)."""

REST_NS: Final = 100_000_000
"""How long a connection rests after a 5xx: servers close after an error, once they have logged it."""

RESPONSE_BYTES: Final = 4
"""The head of a response may have so many times the bytes of a request's: cookies and policies are many."""


class Pool:
    """Connections of one route's upstream."""

    def __init__(
        self,
        route: Route,
        limits: LimitSettings,
        on_open: Callable[[int], None],
        turns: FairLoop,
        responses: ResponseHeads,
    ) -> None:
        """Begin empty; `on_open` gets +1 and -1 as connections open and close, `responses` reads heads of responses."""
        self._turns = turns
        self.route = route
        self.limits = limits
        self._on_open = on_open
        self._idle: dict[UpstreamConnection, None] = {}
        """In the order in which they became idle: any of many is found at once."""
        self._resting: dict[UpstreamConnection, None] = {}
        """Idle ones that have just carried a 5xx, in the same order."""
        self._connections: set[UpstreamConnection] = set()
        self._opening = 0
        self._unanswered: dict[UpstreamConnection, int] = {}
        """Connections on which no response has ended yet, and since when they are open, ns."""
        self._answered: set[UpstreamConnection] = set()
        """Open connections on which a response has ended, and whose upstream has not ended its side."""
        self._draining: set[UpstreamConnection] = set()
        """Open connections whose tunnel has ended, and whose upstream has not taken all of it."""
        self._concurrency = Concurrency()
        self._waiting: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._woken = 0
        """How many waiters were woken and have not run yet."""
        self._max_head_bytes = RESPONSE_BYTES * limits.max_header_bytes or 1 << 24
        self._responses = responses
        self.keep_alive_ns = int(limits.upstream_keep_alive_s * 1e9)
        self.max_connections = limits.upstream_max_connections or 1 << 30
        self.max_requests = limits.upstream_max_requests or 1 << 60
        self._max_age_ns = int(limits.upstream_max_age_s * 1e9)

    def new_connection(self) -> UpstreamConnection:
        return UpstreamConnection(self, self._responses, self._max_head_bytes, self.route.address_text, self._turns)

    def keep_alive_of(self, announced_s: int) -> int:
        """Return how long to keep an idle connection, ns: a second less than the upstream announces, or the setting.

        Of a single second half is kept: a request must not meet its end.
        """
        return max((announced_s - 1) * 1_000_000_000, 500_000_000) if announced_s > 0 else self.keep_alive_ns

    def acquire(self, now_ns: int, *, may_repeat: bool, is_turn: bool = False) -> UpstreamConnection | None:
        """Return the most recently used idle connection that is young enough for a request, if any.

        One that may be sent once more, where the connection turns out to be closed, may use an older one.

        While others wait there is none, unless it is the caller's turn: a client with its next request ready whenever a
        connection comes back would otherwise keep it for good.
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
        """Whether idle connections may keep a new one from being served: it has had no answer for so long."""
        return self._concurrency.may_hold(len(self._answered)) and any(
            connection.is_waiting and now_ns - since_ns >= silent_ns
            for connection, since_ns in self._unanswered.items()
        )

    def ending(self, connection: UpstreamConnection) -> None:
        """Note that the upstream has ended its side: it may serve another in its place already (P27)."""
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
            self._on_open(-1)
            self.pass_on()

    @property
    def is_full(self) -> bool:
        """Whether as many connections are open, or being opened, as the limit allows."""
        return len(self._connections) + self._opening >= self.max_connections

    @property
    def is_awaited(self) -> bool:
        """Whether requests wait for a connection, or for a place to open one."""
        return bool(self._waiting)

    @property
    def is_draining(self) -> bool:
        """Whether an upstream has yet to take what a client left behind."""
        return bool(self._draining)

    def draining(self, connection: UpstreamConnection) -> None:
        """Check with each sweep whether the upstream has taken what a client left behind."""
        self._draining.add(connection)

    @property
    def has_queue(self) -> bool:
        """Whether requests wait, or were woken and have not run yet."""
        return bool(self._waiting or self._woken)

    def make_room(self) -> bool:
        """Return whether there is a place, if need be by closing the connection idle longest, unusable here (P13)."""
        if self.is_full and (idle := self._idle or self._resting):
            next(iter(idle)).close()
        return not self.is_full

    def await_place(self, waiter: "asyncio.Future[None]", *, is_next: bool) -> None:
        """Resolve a future when a connection or a place for one becomes free; first come, first served.

        `is_next` puts a waiter that was woken in vain back to the front.
        """
        self._waiting[waiter] = None
        if is_next:
            self._waiting.move_to_end(waiter, last=False)

    def leave(self, waiter: "asyncio.Future[None]") -> None:
        """Forget a waiter that gave up: a place may be taken for days, and thousands may time out waiting."""
        self._waiting.pop(waiter, None)

    def pass_on(self) -> None:
        """Wake the next that waits, if any; it calls `take_turn`."""
        while self._waiting:
            waiter, _ = self._waiting.popitem(last=False)
            if not waiter.done():
                waiter.set_result(None)
                self._woken += 1
                return

    def take_turn(self) -> None:
        """Note that a woken waiter goes on."""
        self._woken -= 1

    def share(self) -> None:
        """Wake the next if there is something for it: the waiter before it may have needed less than was free."""
        if self._waiting and (self._idle or not self.is_full):
            self.pass_on()

    def begin_opening(self) -> None:
        """Take a place for a connection; `opened` or `failed` follows."""
        self._opening += 1

    def opened(self, connection: UpstreamConnection) -> None:
        self._opening -= 1
        self._connections.add(connection)
        self._unanswered[connection] = now_ns = time.monotonic_ns()
        if self._max_age_ns:  # not all at once: those of a busy minute are of one age
            connection.retires_ns = now_ns + self._max_age_ns - randbelow(self._max_age_ns // 10 + 1)
        self._on_open(1)

    def failed(self) -> None:
        self._opening -= 1
        self.pass_on()

    def expire(self, now_ns: int) -> None:
        """Close idle connections that are too old or hold others, and drained ones; called a few times a second."""
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
