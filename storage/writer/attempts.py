"""What became of the writer's attempts to settle batches, and who is told."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from storage.record import Batch

BatchOutcome = Literal["stored", "retried", "rejected", "spooled"]
OnAttempt = Callable[[BatchOutcome, int, float], None]
"""Told of every attempt: what became of it, how many records, how many seconds."""
_OUTCOMES: Final[tuple[BatchOutcome, ...]] = ("stored", "retried", "rejected", "spooled")


@dataclass(slots=True)
class WriterCounters:
    """What the writer has done since it was made."""

    batches: dict[BatchOutcome, int] = field(default_factory=lambda: dict.fromkeys(_OUTCOMES, 0))
    """Batches by what became of each attempt to commit them."""
    records_stored: int = 0
    records_escaped: int = 0
    """Of those stored, how many had to be escaped."""
    records_quarantined: int = 0
    last_flush_s: float = 0.0
    """How long the newest successful commit took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterEvents:
    """Who is told of what the writer does, on the loop; must be quick."""

    on_commit: Callable[[Batch, int], None] = lambda batch, last_seq: None
    """Every commit, in order: the batch as stored, positions corrected, and the newest `seq` of the store."""
    on_spooled: Callable[[Batch], None] = lambda batch: None
    """Every batch that went to the spool instead; its positions hold from now on."""
    on_attempt: OnAttempt = lambda outcome, records, seconds: None
    """Every attempt to commit a batch, and every batch that is spooled."""
    on_dropped: Callable[[str, int], None] = lambda reason, records: None
    """Records it had taken were dropped, after the commit that counts them: the reason in the ledger, how many."""
