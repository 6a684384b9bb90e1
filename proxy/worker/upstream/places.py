"""The base of both pools: the connections of one route to its upstream, and the waiting requests.

A pool lends *lanes*. A lane carries one exchange at a time: an HTTP/1.1 connection is a single lane
(`pool.py`), an HTTP/2 connection has one for each stream (`http2_pool.py`).

Strategy: a pool decides synchronously; `opener.py` acts, and takes time. A request that finds
neither a free lane nor room for a connection queues a future here, its waiter. The first waiter is
woken as soon as a lane or room becomes free, and the opener looks again for it. The invariant:
waiters are served in the order of arrival, and none sleeps while something is free.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from secrets import randbelow
from typing import Final, Generic, TypeVar

from proxy.worker.routes import Route
from proxy.worker.upstream.connection import UpstreamConnection
from proxy.worker.upstream.http2_connection import Http2Upstream
from proxy.worker.upstream.http2_lane import Http2Lane

Lane = UpstreamConnection | Http2Lane
Lane_co = TypeVar("Lane_co", covariant=True)
AnyConnection = UpstreamConnection | Http2Upstream

RESPONSE_HEAD_FACTOR: Final = 4
"""A response head may be this many times as long as a request head: it has more cookies and
policies.
"""

MAX_REQUESTS: Final = 10_000
"""A connection is closed after this many requests."""
MAX_AGE_NS: Final = 3600 * 10**9
"""A connection is closed at this age, or up to a tenth earlier, to follow DNS."""


class LanePool(ABC, Generic[Lane_co]):
    """Counts the connections to one upstream, up to a limit, and queues the waiters."""

    def __init__(self, route: Route, on_open: Callable[[int], None]) -> None:
        """Begin empty; `on_open` gets +1 and -1 as connections open and close."""
        self.route = route
        self.tls = route.tls
        self._on_open = on_open
        self._open = 0
        self._opening = 0
        self._waiting: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._woken = 0
        """Waiters that were woken and have not run yet."""

        # Settings; 0 stands for no limit.
        limits = route.limits
        self.keep_alive_ns = int(limits.upstream_keep_alive_s * 1e9)
        self.max_connections = limits.upstream_max_connections or 1 << 30
        self.max_requests = MAX_REQUESTS
        self.max_head_bytes = RESPONSE_HEAD_FACTOR * limits.max_header_bytes or 1 << 24
        """The longest response head."""

    @abstractmethod
    def new_connection(self) -> AnyConnection:
        """Return an unconnected protocol object, for a transport that is about to be opened."""

    @abstractmethod
    def acquire(self, now_ns: int, *, may_repeat: bool, is_turn: bool = False) -> Lane_co | None:
        """Return a free lane, or None.

        While requests wait, only a woken waiter gets one, the caller with `is_turn`.
        """

    @abstractmethod
    def opened(self, connection: AnyConnection) -> Lane_co:
        """Add a newly opened connection to the pool, and return a lane of it for the waiting
        exchange.
        """

    @abstractmethod
    def make_room(self) -> bool:
        """Return True if a connection may be opened; an idle one is closed for it if needed."""

    @abstractmethod
    def expire(self, now_ns: int) -> None:
        """Close idle connections that are too old. Called a few times a second."""

    @abstractmethod
    def close(self) -> None:
        """Close all connections."""

    @property
    @abstractmethod
    def has_free_lane(self) -> bool:
        """Return True if an exchange can begin at once on an open connection of the pool."""

    @property
    def is_at_limit(self) -> bool:
        """Return True if the pool has reached its limit of connections, including those being
        opened.
        """
        return self._open + self._opening >= self.max_connections

    @property
    def is_full(self) -> bool:
        """True if no other connection may be opened for now."""
        return self.is_at_limit

    @property
    def is_awaited(self) -> bool:
        """True if requests wait for a lane, or for room to open a connection."""
        return bool(self._waiting)

    @property
    def has_queue(self) -> bool:
        """True if requests wait, or were woken and have not run yet."""
        return bool(self._waiting or self._woken)

    @property
    def is_used(self) -> bool:
        """Return True if the pool has connections, open or being opened, or if requests wait for
        one.
        """
        return self._open + self._opening > 0 or self.has_queue

    def add_waiter(self, waiter: "asyncio.Future[None]", *, is_first: bool) -> None:
        """Queue a future; it is resolved when a lane, or room for a connection, becomes free.

        A waiter that was woken without success `is_first` again; others go to the end.
        """
        self._waiting[waiter] = None
        if is_first:
            self._waiting.move_to_end(waiter, last=False)

    def remove_waiter(self, waiter: "asyncio.Future[None]") -> None:
        """Remove a waiter that gave up; thousands of them may do so while connections are busy for
        days.
        """
        self._waiting.pop(waiter, None)

    def wake_next(self) -> None:
        """Wake the first exchange that waits for a lane, if there is one. The woken exchange calls
        `note_awake`.
        """
        while self._waiting:
            waiter, _ = self._waiting.popitem(last=False)
            if not waiter.done():
                waiter.set_result(None)
                self._woken += 1
                return

    def note_awake(self) -> None:
        """Stop counting one woken exchange as waiting, because it runs again."""
        self._woken -= 1

    def wake_if_free(self) -> None:
        """Wake the first waiter if a lane or room is free: the previous waiter may have left some."""
        if self._waiting and (self.has_free_lane or not self.is_full):
            self.wake_next()

    def begin_opening(self) -> None:
        """Count a connection that is about to be opened; `opened` or `fail_opening` follows."""
        self._opening += 1

    def fail_opening(self) -> None:
        """Stop counting a connection that could not be opened, so that a waiting exchange can try."""
        self._opening -= 1
        self.wake_next()

    def _count_opened(self, now_ns: int) -> int:
        """Count an open connection; return the time of its retirement.

        Ages differ by up to a tenth, so that the connections of a busy minute do not retire
        together.
        """
        self._opening -= 1
        self._open += 1
        self._on_open(1)
        return now_ns + MAX_AGE_NS - randbelow(MAX_AGE_NS // 10 + 1)

    def _count_closed(self) -> None:
        self._open -= 1
        self._on_open(-1)
        self.wake_next()
