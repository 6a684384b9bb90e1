"""Which rows belong to commits: those up to the last `seq`, of attempts that were committed.

Strategy: attempts rise, so an attempt between two commits that follow each other came to nothing, and rows that it left
behind are left out by its number. Commits are read once and remembered; a read asks for newer ones only. Where many
attempts came to nothing, as with sidecars that take turns, the server looks attempts up in the journal. Which of the
rows have sums is read again now and then, and after every erasure, which voids some.

Invariant: the condition of a moment holds for exactly the rows of commits up to its `last_seq`, now and later.
"""

# ruff: noqa: S608 -- identifiers come from here, every value is a number

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from storage.clickhouse.link import LIMIT_S, Link
from storage.clickhouse.upkeep.grids import NOTHING_COVERED, Covered, covered, read_grids
from storage.clickhouse.upkeep.segments import Noted, counting, read_noted
from storage.clickhouse.upkeep.state import UPKEEP, Upkeep
from storage.errors import StorageUnavailable
from storage.record import now_us
from storage.relational.session import State
from storage.relational.slices import Range
from storage.relational.time_ranges import DAY_HOURS, DAY_US
from storage.relational.usage import HAS_EVENTS

MAX_RANGES: Final = 32
"""Of dead attempts that a condition names: each costs about 1 ns a row, to look an attempt up 10 ns."""
_SUMS_S: Final = 5.0
"""How often it is looked for new sums."""
_NEWER: Final = (
    f"SELECT first_attempt, attempt, last_seq, {', '.join(UPKEEP)} FROM commits WHERE attempt > $1 ORDER BY attempt"
)

Attempts = tuple[int, int]
"""The first and the last of some."""


@dataclass(frozen=True, slots=True)
class Committed:
    """The commits up to one."""

    attempt: int = 0
    """The newest."""
    last_seq: int = 0
    upkeep: Upkeep = field(default_factory=Upkeep)
    dead: tuple[Attempts, ...] = ()
    """Attempts that were not committed, up to `MAX_RANGES + 1` ranges."""
    joined: tuple[Attempts, ...] = ()
    """Attempts whose commits were put together into one row."""
    all_sums: Covered = NOTHING_COVERED
    """Sums of rows, of this state or of a newer one."""
    segments: tuple[Noted, ...] = ()
    """Those of the index of words that count, likewise."""

    @property
    def state(self) -> State:
        """The state of the store by then."""
        # What was counted of a range is remembered: of today by the hour, so that an hour is all that changes.
        today = now_us() // DAY_US * DAY_HOURS
        return State(
            last_seq=self.last_seq, capped_dimensions=HAS_EVENTS, key_version=0, folded_until=today,
            **self.upkeep._asdict(),
        )  # fmt: skip

    def sums(self) -> Covered:
        """Choose the sums of rows that all are shown."""
        return self.all_sums.within(Range(self.upkeep.purged_through_seq + 1, self.last_seq))

    def condition(self) -> str:
        """Write the condition on rows of any table of batches, without parameters."""
        within = f"seq BETWEEN {self.upkeep.purged_through_seq + 1} AND {self.last_seq}"
        if self.upkeep.erasures:
            within += " AND seq NOT IN (SELECT seq FROM erased)"
        if len(self.dead) <= MAX_RANGES:
            return f"({within}{''.join(f' AND NOT {_between(some)}' for some in self.dead)})"
        known = "".join(f" OR {_between(some)}" for some in self.joined)
        return f"({within} AND (attempt IN (SELECT attempt FROM commits){known}))"


class Commits:
    """The commits of one store, as far as they were read, and what has sums of them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known = Committed()
        self._covered = NOTHING_COVERED
        self._segments: tuple[Noted, ...] = ()
        self._covered_erasures = -1
        """Of the store, before `_covered` was read."""
        self._covered_until = 0.0
        self._covered_replica = ""

    def forget_made(self) -> None:
        """Look for new sums and segments at the next read."""
        self._covered_until = 0.0

    async def read(self, link: Link, replica: str = "") -> Committed:
        """Return all commits there are by now; of a replica with a name, unless it has not all of their rows."""
        known = await self._read_newer(link, self._known, replica)
        upkeep = known.upkeep
        # Whoever erases says so in the table of grids before it commits.
        is_same = self._covered_erasures == upkeep.erasures and self._covered_replica == replica
        if not is_same or self._clock() >= self._covered_until:
            grids = await read_grids(link, replica)
            self._covered = covered(grids)
            self._segments = tuple(counting(await read_noted(link), grids, upkeep))
            self._covered_replica = replica
            self._covered_erasures, self._covered_until = upkeep.erasures, self._clock() + _SUMS_S
        return replace(known, all_sums=self._covered, segments=self._segments)

    async def _read_newer(self, link: Link, known: Committed, replica: str) -> Committed:
        rows = await link.fetch(_NEWER, (known.attempt,), limit_s=LIMIT_S)
        if replica:
            await _check_replica(link, replica, rows[-1][1] if rows else known.attempt)
        if not rows:
            return known
        dead, joined, before = list(known.dead), list(known.joined), known.attempt
        for first_attempt, attempt, *_ in rows:
            if first_attempt > before + 1 and len(dead) <= MAX_RANGES:
                dead.append((before + 1, first_attempt - 1))
            if first_attempt < attempt:
                joined.append((first_attempt, attempt))
            before = attempt
        _, _, last_seq, *upkeep = rows[-1]
        newest = Committed(before, last_seq, Upkeep(*upkeep), tuple(dead), tuple(joined))
        if newest.attempt > self._known.attempt:
            self._known = newest
        return newest


async def _check_replica(link: Link, replica: str, attempt: int) -> None:
    """Make sure that a replica has all rows of the commits up to an attempt.

    Raises:
        StorageUnavailable: It is behind.
    """
    sql = "SELECT count() FROM commits WHERE attempt = $1 AND has(replicas, $2)"
    if attempt and not (await link.fetch(sql, (attempt, replica), limit_s=LIMIT_S))[0][0]:
        raise StorageUnavailable(f"clickhouse: the replica {replica} is behind the others")


def _between(attempts: Attempts) -> str:
    return "(attempt BETWEEN {} AND {})".format(*attempts)
