"""Which idle connection is closed for a new one: the one that has waited longest, with nothing of
ours under way.

A silent connection costs an attacker nothing. Kept until their deadline, a crowd of them would lock
all others out. Strategy: while connections are near their limit, each sweep of the deadlines notes
which ones wait; a new one then takes the place of the first of them, those that never got a
response before those that wait for their next request. Notes are grouped by the moment since which
they wait, and only the group whose turn it is gets sorted: sorted whole, or a tuple each, 10 000 of
them delayed all requests by 3 to 9 ms several times a second (`bench.hostile`). The invariant: a
noted connection is evicted only if it still waits for what it waited for then.
"""

from operator import attrgetter
from typing import Final, Protocol

LEAST_WAIT_NS: Final = (250_000_000, 1_000_000_000)
"""How long a connection keeps its place at least, before its first response and after it: one that
is about to ask is not cut off. A crowd that comes back as soon as it is closed waits less than a
second in a table that it fills.
"""

_NEAR_PART: Final = 0.75
"""Part of the limit from which on the sweep notes waiting connections."""
_MOMENT_BITS: Final = 26
"""A moment is 2²⁶ ns, 67 ms: 4 500 of them in five minutes."""
_SERVED: Final = 1 << 63
"""Added to the moments of connections that have had a response."""


class Waiting(Protocol):
    """A client connection that may be evicted."""

    @property
    def waits_since_ns(self) -> int:
        """Since when it waits for a request, or the rest of a head; 0: something is under way."""

    @property
    def has_been_served(self) -> bool:
        """Whether it has had a response."""

    def evict(self, reason: str) -> None:
        """Close now, and be counted out."""


class IdleEviction:
    """Notes which connections wait, longest first. Notes may be old: each is checked before it is
    used.
    """

    __slots__ = ("_limit", "_moment", "_moments", "_noted", "_noting", "_turn")

    def __init__(self, limit: int) -> None:
        """`limit` is how many connections may be open."""
        self._limit = limit
        self._noting: dict[int, list[Waiting]] = {}
        """Moment since which they wait → connections."""
        self._noted: dict[int, list[Waiting]] = {}
        self._moments: list[int] = []
        """Of those noted, the next at the end."""
        self._moment = 0
        """Whose turn it is."""
        self._turn: list[Waiting] = []
        """Its connections, the next at the end."""

    def __len__(self) -> int:
        """Count the notes of the last sweep that have not had their turn."""
        return len(self._turn) + sum(map(len, self._noted.values()))

    def is_near(self, open_connections: int) -> bool:
        """Whether so many connections are open that the sweep must note which ones wait."""
        return open_connections >= self._limit * _NEAR_PART

    def note(self, connection: Waiting, now_ns: int) -> None:
        """Note a connection of the sweep that runs, if it has waited for long enough."""
        since_ns = connection.waits_since_ns
        if since_ns and now_ns - since_ns >= LEAST_WAIT_NS[connection.has_been_served]:
            moment = _moment(connection)
            noted = self._noting.get(moment)
            if noted is None:
                self._noting[moment] = [connection]
            else:
                noted.append(connection)

    def swept(self) -> None:
        """Let the notes of this sweep take the place of those of the last one."""
        self._noted = self._noting
        self._noting = {}
        self._moments = sorted(self._noted, reverse=True)
        self._turn = []

    def evict(self) -> bool:
        """Close the connection that has waited longest; False where none has waited for long
        enough.
        """
        while self._turn or self._moments:
            if not self._turn:
                self._moment = self._moments.pop()
                self._turn = sorted(
                    self._noted.pop(self._moment), key=attrgetter("waits_since_ns"), reverse=True
                )

            connection = self._turn.pop()
            if connection.waits_since_ns and _moment(connection) == self._moment:
                connection.evict(
                    f"{self._limit} connections are open, the limit, and a new one came"
                )
                return True

        return False


def _moment(connection: Waiting) -> int:
    return (connection.waits_since_ns >> _MOMENT_BITS) + (
        _SERVED if connection.has_been_served else 0
    )
