"""Chooses the idle connection to close for a new one: the one that has waited longest.

Silent connections cost an attacker nothing. If they were kept until their deadline, a crowd of them
would lock everyone else out. While connections are near their limit, each sweep of the deadlines
notes the waiting ones. A new connection takes the place of the first of them; those without a
response yet go before those that wait for their next request. Notes are grouped by the time since
which they wait, and only the current group is sorted: sorting all 10,000, or a tuple for each,
delayed requests by 3 to 9 ms several times a second (`bench.hostile`). Invariant: a noted
connection is evicted only if it has been waiting ever since.
"""

from operator import attrgetter
from typing import Final, Protocol

LEAST_WAIT_NS: Final = (250_000_000, 1_000_000_000)
"""Least time that a connection keeps its place, before its first response and after it, so that one
about to ask is not cut off. A crowd that reconnects at once waits less than a second in a table
that it fills.
"""

_NEAR_PART: Final = 0.75
"""Fraction of the limit from which the sweep notes waiting connections."""
_MOMENT_BITS: Final = 26
"""Bits of a time that are dropped to group notes: 2²⁶ ns, 67 ms, or 4,500 groups in five minutes.
"""
_SERVED: Final = 1 << 63
"""Added to the group of connections that have had a response."""


class Waiting(Protocol):
    """A client connection that may be evicted."""

    @property
    def waits_since_ns(self) -> int:
        """Time since which it waits for a request or the rest of a head; 0 while it is busy."""

    @property
    def has_been_served(self) -> bool:
        """Whether it has had a response."""

    def evict(self, reason: str) -> None:
        """Close now, and stop being counted."""


class IdleEviction:
    """Notes waiting connections, longest first. Notes may be outdated: each is checked before use."""

    __slots__ = ("_limit", "_moment", "_moments", "_noted", "_noting", "_turn")

    def __init__(self, limit: int) -> None:
        """`limit` is the largest number of open connections."""
        self._limit = limit
        self._noting: dict[int, list[Waiting]] = {}
        """Group → connections, of the current sweep."""
        self._noted: dict[int, list[Waiting]] = {}
        self._moments: list[int] = []
        """Groups of the last sweep, the next one at the end."""
        self._moment = 0
        """The current group."""
        self._turn: list[Waiting] = []
        """Its connections, the next one at the end."""

    def __len__(self) -> int:
        """Return the number of notes of the last sweep that are left."""
        return len(self._turn) + sum(map(len, self._noted.values()))

    def is_near(self, open_connections: int) -> bool:
        """Whether there are enough open connections that the sweep must note the waiting ones."""
        return open_connections >= self._limit * _NEAR_PART

    def note(self, connection: Waiting, now_ns: int) -> None:
        """Note a connection in the current sweep, if it has waited long enough."""
        since_ns = connection.waits_since_ns
        if since_ns and now_ns - since_ns >= LEAST_WAIT_NS[connection.has_been_served]:
            moment = _moment(connection)
            noted = self._noting.get(moment)
            if noted is None:
                self._noting[moment] = [connection]
            else:
                noted.append(connection)

    def swept(self) -> None:
        """Replace the notes of the last sweep by those of this one."""
        self._noted = self._noting
        self._noting = {}
        self._moments = sorted(self._noted, reverse=True)
        self._turn = []

    def evict(self) -> bool:
        """Close the connection that has waited longest; return False if none has waited long
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
