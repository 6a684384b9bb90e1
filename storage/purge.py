"""What a store and retention tell each other. Values only."""

from dataclasses import dataclass, field, replace
from typing import Final, Literal

from storage.query import Filter


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionState:
    """How far retention has come in a store."""

    purge_floor_us: int
    """Rows that started before are invisible; 0 when nothing was ever purged. A whole hour, Unix
    µs.
    """
    body_floor_us: int
    """Bodies of rows that started before are invisible."""
    purged_through_seq: int
    """No row at or below it is left."""
    oldest_us: int | None
    """About when the oldest row started, purged ones that are not deleted yet included; None when
    empty.
    """
    used_bytes: int
    """Space in use, what can be given back not counted; 0 when unknown."""
    last_seq: int = 0
    """The newest."""
    reaches_back_us: int | None = None
    """When the first record that is left started; None when empty."""
    server_now_us: int | None = field(default=None, compare=False)
    """The clock of a server that several sidecars share, Unix µs; None where there is none."""

    @property
    def lag_s(self) -> float:
        """How far deletion is behind the floor, in seconds of rows' age."""
        if self.oldest_us is None or self.oldest_us >= self.purge_floor_us:
            return 0.0
        return (self.purge_floor_us - self.oldest_us) / 1_000_000


@dataclass(frozen=True, slots=True)
class Purged:
    """What one slice deleted."""

    rows: int
    blocks: int
    """Blocks of payloads, where the store has them; bodies without one are not counted."""
    is_done: bool
    """Nothing is left below the floors, and the space is given back."""


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What one slice took for the sake of the cap on size."""

    rows: int
    """Rows that went, with everything of theirs."""
    bodies: int
    """Older rows that stayed, and were left without what bodies they had."""

    @property
    def is_done(self) -> bool:
        """Whether nothing more may go."""
        return not self.rows and not self.bodies


@dataclass(frozen=True, slots=True)
class TrimStep:
    """The next slice to take: what of which `seq`s, both ends inclusive."""

    what: Literal["bodies", "rows"]
    first_seq: int
    last_seq: int


KEPT_ROWS: Final = 100
"""The newest rows, which stay however small the cap is."""


def next_trim(
    first_seq: int, last_seq: int, bodies_through_seq: int, max_rows: int
) -> TrimStep | None:
    """Decide what goes next: bodies of the older half of the rows that are left, then rows; None
    when nothing may.

    Bodies went before up to `bodies_through_seq`.
    """
    first_with_bodies = max(bodies_through_seq + 1, first_seq)
    middle = (first_seq + last_seq) // 2
    if first_with_bodies <= middle:
        return TrimStep("bodies", first_with_bodies, min(first_with_bodies + max_rows - 1, middle))

    last = min(first_seq + max_rows - 1, last_seq - KEPT_ROWS)
    if first_seq <= last:
        return TrimStep("rows", first_seq, last)

    return None


@dataclass(frozen=True, slots=True)
class Erased:
    """The receipt of an erasure."""

    exchanges: int
    events: int
    through_seq: int
    """Newest row looked at: later ones may match the filter again."""
    is_finished: bool = True
    """Nothing of any erasure is left on the disk; else the store shows none of it, and is still
    deleting it.
    """


@dataclass(frozen=True, slots=True)
class Slice:
    """What one transaction of an erasure took out, and where the next one goes on."""

    exchanges: int
    events: int
    next_seq: int | None
    """None when the filter is exhausted."""


@dataclass(frozen=True, slots=True)
class TextStep:
    """What one step made of the index of words."""

    records: int
    """Records whose words are in it now."""
    is_done: bool
    """There is nothing to do until more is committed."""
    is_lost: bool = False
    """It came to nothing: another sidecar was quicker, or an erasure came between."""


@dataclass(frozen=True, slots=True)
class TextIndex:
    """How far the index of words has come."""

    waiting: int
    """Records that are in no cell yet, about: searches look at each of them."""
    size_bytes: int
    """Its own size."""


def bounded(filter: Filter, through_seq: int) -> Filter:
    """Leave out what is committed from now on."""
    if filter.seq_until is None:
        until = through_seq
    else:
        until = min(through_seq, filter.seq_until)
    return replace(filter, seq_until=until)
