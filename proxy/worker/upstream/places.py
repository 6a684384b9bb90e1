"""Places for the connections of one route's upstream, and the requests that wait for one: first
come, first served.

Decides synchronously; `opener` acts on it, which takes time. Each pool lends *lanes*, one exchange
to a lane: a connection of HTTP/1.1 is one (`pool.py`), a connection of HTTP/2 has many
(`http2_pool.py`).
"""

import asyncio
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from secrets import randbelow
from typing import Generic, TypeVar

from proxy.settings.model import LimitSettings
from proxy.worker.routes import Route
from proxy.worker.upstream.connection import UpstreamConnection
from proxy.worker.upstream.http2_connection import Http2Upstream
from proxy.worker.upstream.http2_lane import Http2Lane

Lane = UpstreamConnection | Http2Lane
Lane_co = TypeVar("Lane_co", covariant=True)
AnyConnection = UpstreamConnection | Http2Upstream


class Places(ABC, Generic[Lane_co]):
    """At most so many connections to one upstream."""

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
        self.keep_alive_ns = int(limits.upstream_keep_alive_s * 1e9)
        self.max_connections = limits.upstream_max_connections or 1 << 30
        self.max_requests = limits.upstream_max_requests or 1 << 60
        self._max_age_ns = int(limits.upstream_max_age_s * 1e9)

    @abstractmethod
    def new_connection(self) -> AnyConnection:
        """Make what a new transport will belong to."""

    @abstractmethod
    def acquire(self, now_ns: int, *, may_repeat: bool, is_turn: bool = False) -> Lane_co | None:
        """Return a free lane, if there is one and no request waits; or the caller's turn has come."""

    @abstractmethod
    def opened(self, connection: AnyConnection) -> Lane_co:
        """Take a connection that was opened; return a lane of it."""

    @abstractmethod
    def make_room(self) -> bool:
        """Return whether there is a place, if need be by closing an idle connection."""

    @abstractmethod
    def expire(self, now_ns: int) -> None:
        """Close idle connections that are too old; called a few times a second."""

    @abstractmethod
    def close(self) -> None:
        """Close all."""

    @property
    @abstractmethod
    def has_free(self) -> bool:
        """Whether a lane is free."""

    @property
    def is_at_limit(self) -> bool:
        """Whether as many connections are open, or being opened, as the limit allows."""
        return self._open + self._opening >= self.max_connections

    @property
    def is_full(self) -> bool:
        """Whether no other connection may be opened now."""
        return self.is_at_limit

    @property
    def is_awaited(self) -> bool:
        """Whether requests wait for a connection, or for a place to open one."""
        return bool(self._waiting)

    @property
    def has_queue(self) -> bool:
        """Whether requests wait, or were woken and have not run yet."""
        return bool(self._waiting or self._woken)

    def await_place(self, waiter: "asyncio.Future[None]", *, is_next: bool) -> None:
        """Resolve a future when a connection or a place for one becomes free; first come, first
        served.

        `is_next` puts a waiter that was woken in vain back to the front.
        """
        self._waiting[waiter] = None
        if is_next:
            self._waiting.move_to_end(waiter, last=False)

    def leave(self, waiter: "asyncio.Future[None]") -> None:
        """Forget a waiter that gave up: a place may be taken for days, and thousands may time out
        waiting.
        """
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
        """Wake the next if there is something for it: the waiter before it may have needed less
        than was free.
        """
        if self._waiting and (self.has_free or not self.is_full):
            self.pass_on()

    def begin_opening(self) -> None:
        """Take a place for a connection; `opened` or `failed` follows."""
        self._opening += 1

    def failed(self) -> None:
        self._opening -= 1
        self.pass_on()

    def _count_opened(self, now_ns: int) -> int:
        """Count a connection; return when it is to retire: not all at once, those of a busy minute
        are of one age.
        """
        self._opening -= 1
        self._open += 1
        self._on_open(1)
        if self._max_age_ns:
            return now_ns + self._max_age_ns - randbelow(self._max_age_ns // 10 + 1)
        return 1 << 61

    def _count_closed(self) -> None:
        self._open -= 1
        self._on_open(-1)
        self.pass_on()
