"""The base of both pools: the connections of one route to its upstream, and the requests that wait.

A pool lends *lanes*. A lane carries one exchange at a time: an HTTP/1.1 connection is a single lane
(`pool.py`), an HTTP/2 connection has one for each stream (`http2_pool.py`).

Strategy: a pool decides synchronously, and `opener.py` acts, which takes time. A request that finds
neither a free lane nor room for a connection queues a future here, its waiter. Whatever frees a
lane or room wakes the first waiter, and the opener looks again for it. The invariant: waiters are
served in the order of arrival, and none sleeps while something is free.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from secrets import randbelow
from typing import Final, Generic, TypeVar

from proxy.settings.model import LimitSettings
from proxy.worker.routes import Route
from proxy.worker.upstream.connection import UpstreamConnection
from proxy.worker.upstream.http2_connection import Http2Upstream
from proxy.worker.upstream.http2_lane import Http2Lane

Lane = UpstreamConnection | Http2Lane
Lane_co = TypeVar("Lane_co", covariant=True)
AnyConnection = UpstreamConnection | Http2Upstream

RESPONSE_HEAD_FACTOR: Final = 4
"""A response head may be so many times as long as a request head: it has more cookies and policies.
"""

MAX_REQUESTS: Final = 10_000
"""After so many requests a connection is closed."""
MAX_AGE_NS: Final = 3600 * 10**9
"""At this age, or up to a tenth before, a connection is closed, to follow DNS."""


class LanePool(ABC, Generic[Lane_co]):
    """Counts the connections to one upstream, up to a limit, and queues the waiters."""

    def __init__(self, route: Route, limits: LimitSettings, on_open: Callable[[int], None]) -> None:
        """Begin empty; `on_open` gets +1 and -1 as connections open and close."""
        self.route = route
        self.tls = route.tls
        self.limits = limits
        self._on_open = on_open
        self._open = 0
        self._opening = 0
        self._waiting: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._woken = 0
        """How many waiters were woken and have not run yet."""

        # Settings; 0 stands for no limit.
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
        """Return a free lane, None without one.

        While requests wait there is none, unless it `is_turn` of the caller: a woken waiter.
        """

    @abstractmethod
    def opened(self, connection: AnyConnection) -> Lane_co:
        """Take in a connection that was opened; return a lane of it."""

    @abstractmethod
    def make_room(self) -> bool:
        """Return whether a connection may be opened, if need be by closing an idle one."""

    @abstractmethod
    def expire(self, now_ns: int) -> None:
        """Close idle connections that are too old. Called a few times a second."""

    @abstractmethod
    def close(self) -> None:
        """Close all connections."""

    @property
    @abstractmethod
    def has_free_lane(self) -> bool:
        """Whether a lane is free."""

    @property
    def is_at_limit(self) -> bool:
        """Whether as many connections are open, or being opened, as the limit allows."""
        return self._open + self._opening >= self.max_connections

    @property
    def is_full(self) -> bool:
        """Whether no other connection may be opened for now."""
        return self.is_at_limit

    @property
    def is_awaited(self) -> bool:
        """Whether requests wait for a lane, or for room to open a connection."""
        return bool(self._waiting)

    @property
    def has_queue(self) -> bool:
        """Whether requests wait, or were woken and have not run yet."""
        return bool(self._waiting or self._woken)

    @property
    def is_used(self) -> bool:
        """Whether connections are open or being opened, or requests wait for one."""
        return self._open + self._opening > 0 or self.has_queue

    def add_waiter(self, waiter: "asyncio.Future[None]", *, is_first: bool) -> None:
        """Queue a future, resolved when a lane, or room for a connection, becomes free.

        A waiter that was woken in vain `is_first` again; others go to the end.
        """
        self._waiting[waiter] = None
        if is_first:
            self._waiting.move_to_end(waiter, last=False)

    def remove_waiter(self, waiter: "asyncio.Future[None]") -> None:
        """Remove a waiter that gave up: thousands may, while connections are busy for days."""
        self._waiting.pop(waiter, None)

    def wake_next(self) -> None:
        """Wake the first waiter, if any; it calls `note_awake` when it runs."""
        while self._waiting:
            waiter, _ = self._waiting.popitem(last=False)
            if not waiter.done():
                waiter.set_result(None)
                self._woken += 1
                return

    def note_awake(self) -> None:
        """Note that a woken waiter runs."""
        self._woken -= 1

    def wake_if_free(self) -> None:
        """Wake the first waiter if a lane or room is free: the one before it may have left some."""
        if self._waiting and (self.has_free_lane or not self.is_full):
            self.wake_next()

    def begin_opening(self) -> None:
        """Count a connection that is about to be opened; `opened` or `fail_opening` follows."""
        self._opening += 1

    def fail_opening(self) -> None:
        """Uncount a connection that was not opened."""
        self._opening -= 1
        self.wake_next()

    def _count_opened(self, now_ns: int) -> int:
        """Count an open connection; return when it is to retire.

        Ages differ by up to a tenth, so that the connections of a busy minute do not retire at
        once.
        """
        self._opening -= 1
        self._open += 1
        self._on_open(1)
        return now_ns + MAX_AGE_NS - randbelow(MAX_AGE_NS // 10 + 1)

    def _count_closed(self) -> None:
        self._open -= 1
        self._on_open(-1)
        self.wake_next()
