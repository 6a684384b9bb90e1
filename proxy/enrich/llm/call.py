"""What is read out of one LLM call, filled piece by piece by the shapes; and what a shape is."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

UsageState = Literal["complete", "partial", "absent"]


@dataclass(slots=True)
class Reading:
    """What one call said about itself. Counts overwrite what was read before them; null is not known."""

    model: str | None = None
    """As requested."""
    resolved_model: str | None = None
    """As the answer names it."""
    uncached_tokens: int | None = None
    """Input that no cache knew, where the provider counts it apart."""
    input_tokens: int | None = None
    """Cached ones included."""
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: float | None = None
    """As the provider reported it."""
    finish_reason: str | None = None
    error_type: str | None = None
    is_finished: bool = False
    """The stream's own terminator was seen, or the answer is whole."""
    is_settled: bool = False
    """Counts came with, or after, the reason why the output ended."""

    @property
    def has_usage(self) -> bool:
        """Whether any count is known."""
        return self.input_tokens is not None or self.output_tokens is not None

    @property
    def usage_state(self) -> UsageState:
        """How far the counts can be trusted; an error in the middle of a stream cuts it as a lost connection does."""
        if not self.has_usage:
            return "absent"
        is_whole = self.is_settled or (self.is_finished and self.error_type is None)
        return "complete" if is_whole else "partial"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How one family of APIs words its answers."""

    provider: str
    """Who is asked, unless the upstream's host tells better."""
    is_wanted: Callable[[bytes], bool]
    """Cheap byte tests: whether a frame says anything that `read` reads."""
    read: Callable[[Reading, bytes], None]
    """Read one frame, or one whole answer."""
    content: re.Pattern[bytes]
    """Found in the first frame that carries output."""
    members: tuple[bytes, ...]
    """Members that are looked for in an answer whose middle is missing."""
    reasons: tuple[bytes, ...]
    """Names of the reason why the output ended."""
