"""What one attempt commits: a writer's batch, and those that others have handed in, each with its numbers. Pure.

Invariant: the batches of a group have attempts and `seq`s that follow each other, the writer's own first.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from storage.clickhouse.link import Needed

EPOCH_SHIFT: Final = 32
"""An attempt is the number of its epoch, and below it its own within that."""


class Span(NamedTuple):
    """When the records of a batch started, and the milliseconds of their ids."""

    min_started_at_us: int
    max_started_at_us: int
    min_id_ms: int
    max_id_ms: int


NO_SPAN: Final = Span(0, -1, 0, -1)
"""Of a batch without records: nothing lies in it."""


class Turn(NamedTuple):
    """What the rows of an attempt are written with."""

    attempt: int
    first_seq: int
    erasures: int
    """Of the store, when it is committed."""

    @property
    def epoch(self) -> int:
        """In which it was made."""
        return self.attempt >> EPOCH_SHIFT


class Base(msgspec.Struct, frozen=True, array_like=True):
    """What a batch of a sidecar builds on."""

    instance: str
    attempt: int
    """The newest of the sidecar: where that is another one by now, the batch is of no account."""
    positions: bytes
    """Behind the batch, as they are stored in the journal."""


class HandedRows(msgspec.Struct, frozen=True, array_like=True):
    """Rows of one table; see `storage.clickhouse.writes.rows.Rows`."""

    table: str
    places: int | list[int]
    """Of each row the place of its record; a number where there is one row for each, as many as it says."""
    numbers: tuple[str, str]
    names: tuple[str, ...]
    rows: int
    data: bytes


class HandedIn(msgspec.Struct, frozen=True, array_like=True):
    """A batch as it is handed in."""

    base: Base
    records: int
    span: Span
    asked_ms: int | None
    """When the oldest tool call was asked for that it ends; None without any."""
    tables: list[HandedRows]
    needed: Sequence[Needed] = ()
    """What else its rows rely on."""


class Follower(NamedTuple):
    """A batch that somebody else commits."""

    turn: Turn
    batch: HandedIn


class Group(NamedTuple):
    """What is committed together."""

    turn: Turn
    """Of the batch of the writer itself."""
    followers: Sequence[Follower]

    @property
    def attempts(self) -> tuple[int, int]:
        """The first and the last."""
        return self.turn.attempt, self.turn.attempt + len(self.followers)

    def span(self, own: Span) -> Span:
        """Span all batches that have records, its own being one."""
        spans = [span for span in (own, *(batch.span for _, batch in self.followers)) if span != NO_SPAN]
        if not spans:
            return NO_SPAN
        starts, ends, first_ids, last_ids = zip(*spans, strict=True)
        return Span(min(starts), max(ends), min(first_ids), max(last_ids))


def group_of(turn: Turn, records: int, handed: Sequence[HandedIn]) -> Group:
    """Number the batches behind one that has a turn.

    Args:
        turn: Of the writer's own batch.
        records: How many that has.
        handed: The others.
    """
    followers, attempt, seq = list[Follower](), turn.attempt, turn.first_seq + records
    for batch in handed:
        attempt += 1
        followers.append(Follower(turn._replace(attempt=attempt, first_seq=seq), batch))
        seq += batch.records
    return Group(turn, followers)
