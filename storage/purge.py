"""Values that a store and retention exchange: state of retention, results of deletion steps."""

from dataclasses import dataclass, field, replace
from typing import Final, Literal

from storage.query import Filter


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionState:
    """The state of retention in a store."""

    purge_floor_us: int
    """Rows that started before it are invisible; 0 before the first purge. A whole hour, Unix µs.
    """
    body_floor_us: int
    """Bodies of rows that started before it are invisible."""
    purged_through_seq: int
    """All rows up to this `seq` are deleted."""
    oldest_us: int | None
    """Approximate start of the oldest row on the disk, below the floor or not; None when empty."""
    used_bytes: int
    """Space in use, without space that can be given back; 0 when unknown."""
    last_seq: int = 0
    """`seq` of the newest row."""
    reaches_back_us: int | None = None
    """Start of the oldest visible record; None when empty."""
    server_now_us: int | None = field(default=None, compare=False)
    """Clock of a server that several sidecars share, Unix µs; None for a local store."""

    @property
    def lag_s(self) -> float:
        """How far deletion lags behind the floor, in seconds of the age of rows."""
        if self.oldest_us is None or self.oldest_us >= self.purge_floor_us:
            return 0.0
        return (self.purge_floor_us - self.oldest_us) / 1_000_000


@dataclass(frozen=True, slots=True)
class Purged:
    """Result of one slice of deletion below the floors."""

    rows: int
    blocks: int
    """Deleted blocks of payloads; 0 for a store without blocks."""
    is_done: bool
    """Whether everything below the floors is deleted and its space given back."""


@dataclass(frozen=True, slots=True)
class Trimmed:
    """Result of one slice of deletion for the size cap."""

    rows: int
    """Rows deleted, with everything that belongs to them."""
    bodies: int
    """Older rows that stayed without their bodies."""

    @property
    def is_done(self) -> bool:
        """Return True if the slice deleted nothing, because no more records or bodies may be
        deleted.
        """
        return not self.rows and not self.bodies


@dataclass(frozen=True, slots=True)
class TrimStep:
    """The next slice to delete: bodies or rows of a range of `seq`, both ends inclusive."""

    what: Literal["bodies", "rows"]
    first_seq: int
    last_seq: int


KEPT_ROWS: Final = 100
"""The newest rows, kept however small the cap is."""


def next_trim(
    first_seq: int, last_seq: int, bodies_through_seq: int, max_rows: int
) -> TrimStep | None:
    """Choose the next slice to delete for the size cap: first bodies of the older half of the rows,
    then rows. None when nothing more may be deleted.

    Bodies up to `bodies_through_seq` are deleted already.
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
    """Newest row that was checked: later rows may match the filter again."""
    is_finished: bool = True
    """Whether the records of all erasures have left the disk. If not, the store hides them and is
    still deleting.
    """


@dataclass(frozen=True, slots=True)
class Slice:
    """Result of one transaction of an erasure, and where the next one continues."""

    exchanges: int
    events: int
    next_seq: int | None
    """None when the filter is exhausted."""


@dataclass(frozen=True, slots=True)
class TextStep:
    """Result of one step of indexing."""

    records: int
    """Records that the step added to the index."""
    is_done: bool
    """Whether everything that is committed is indexed."""
    is_lost: bool = False
    """Whether the step was discarded: another sidecar was quicker, or an erasure intervened."""


@dataclass(frozen=True, slots=True)
class TextIndex:
    """Progress and size of the index of words."""

    waiting: int
    """Approximate number of records in no cell yet; searches read each of them."""
    size_bytes: int
    """Size of the index."""


def bounded(filter: Filter, through_seq: int) -> Filter:
    """Return the filter without records that are committed after `through_seq`."""
    if filter.seq_until is None:
        until = through_seq
    else:
        until = min(through_seq, filter.seq_until)
    return replace(filter, seq_until=until)
