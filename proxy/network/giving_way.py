"""Which open connection gives way to a new one: the one that has waited longest, with nothing of ours under way.

A connection that says nothing costs a stranger nothing. Kept for as long as its deadline allows, a crowd of them would
keep everybody out. Strategy: while connections are near their limit, each sweep of the deadlines notes who waits;
a new one then takes the place of the first of them, those that never got a response before those that wait for their
next request. The invariant: who was noted gives way only if it still waits for what it waited for then.
"""

import heapq
from typing import Final, Protocol

LEAST_WAIT_NS: Final = (250_000_000, 1_000_000_000)
"""How long a connection keeps its place at least, before its first response and after it: one that is about to ask is
not cut off. A crowd that comes back as soon as it is closed waits less than a second in a table that it fills."""

_NEAR_PART: Final = 0.75
"""Of the limit, from which on the sweep notes who waits."""


class Waiting(Protocol):
    """A client connection, as far as it may have to give way."""

    @property
    def waits_since_ns(self) -> int:
        """Since when it waits for a request, or the rest of a head; 0: something is under way."""

    @property
    def has_been_served(self) -> bool:
        """Whether it has had a response."""

    def give_way(self, reason: str) -> None:
        """Close now, and be counted out."""


class GivingWay:
    """Remembers who waits, longest first. Notes may be old: each is checked when its turn comes."""

    __slots__ = ("_limit", "_noted", "_noting")

    def __init__(self, limit: int) -> None:
        """`limit` is how many connections may be open."""
        self._limit = limit
        self._noted: list[tuple[bool, int, int, Waiting]] = []
        self._noting: list[tuple[bool, int, int, Waiting]] = []

    def is_near(self, open_connections: int) -> bool:
        """Whether so many are so near the limit that a sweep is to note who waits."""
        return open_connections >= self._limit * _NEAR_PART

    def note(self, connection: Waiting, now_ns: int) -> None:
        """Note a connection of the sweep that runs, if it has waited for long enough."""
        since_ns, has_been_served = connection.waits_since_ns, connection.has_been_served
        if since_ns and now_ns - since_ns >= LEAST_WAIT_NS[has_been_served]:
            self._noting.append((has_been_served, since_ns, id(connection), connection))

    def swept(self) -> None:
        """Let the notes of this sweep take the place of those of the last one."""
        self._noted, self._noting = self._noting, []
        heapq.heapify(self._noted)

    def make_room(self) -> bool:
        """Close the connection that has waited longest; False where none has waited for long enough."""
        while self._noted:
            _, since_ns, _, connection = heapq.heappop(self._noted)
            if connection.waits_since_ns == since_ns:
                connection.give_way(f"{self._limit} connections are open, the limit, and a new one came")
                return True
        return False
