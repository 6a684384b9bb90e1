"""What became of the writer's attempts to settle batches."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

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
