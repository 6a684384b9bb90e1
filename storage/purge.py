"""What a store and retention tell each other. Values only."""

from dataclasses import dataclass, replace

from storage.query import Filter


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionState:
    """How far retention has come in a store."""

    purge_floor_us: int
    """Rows that started before are invisible; 0 when nothing was ever purged. A whole hour, Unix µs."""
    body_floor_us: int
    """Bodies of rows that started before are invisible."""
    purged_through_seq: int
    """No row at or below it is left."""
    oldest_us: int | None
    """About when the oldest row started, purged ones that are not deleted yet included; None when empty."""
    used_bytes: int
    """Space in use, what can be given back not counted; 0 when unknown."""

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
class Erased:
    """The receipt of an erasure."""

    exchanges: int
    events: int
    through_seq: int
    """Newest row looked at: later ones may match the filter again."""


@dataclass(frozen=True, slots=True)
class Slice:
    """What one transaction of an erasure took out, and where the next one goes on."""

    exchanges: int
    events: int
    next_seq: int | None
    """None when the filter is exhausted."""


def bounded(filter: Filter, through_seq: int) -> Filter:
    """Leave out what is committed from now on."""
    until = through_seq if filter.seq_until is None else min(through_seq, filter.seq_until)
    return replace(filter, seq_until=until)
