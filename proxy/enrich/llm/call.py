"""What is read of one LLM call, and how one provider's API is read."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from proxy.enrich.formats.json_parts import text_of

UsageState = Literal["complete", "partial", "absent"]


@dataclass(slots=True)
class CallUsage:
    """What one call reported about itself. Counts replace those read before; null is not known."""

    model: str | None = None
    """As requested."""
    resolved_model: str | None = None
    """As the response names it."""
    uncached_tokens: int | None = None
    """Input read from no cache, where the provider counts it apart."""
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
    """The stream's own terminator was seen, or the response is whole."""
    is_settled: bool = False
    """Counts came with, or after, the reason why the output ended."""

    def update(self, **counts: float | None) -> None:
        for name, value in counts.items():
            if value is not None:
                setattr(self, name, value)

    def set_resolved_model(self, value: object) -> None:
        if model := text_of(value):
            self.resolved_model = model

    def fail(self, *error_types: object) -> None:
        """End the call with the first of these error types that is a text."""
        self.error_type = next(filter(None, map(text_of, error_types)), "error")
        self.is_finished = True

    @property
    def has_usage(self) -> bool:
        return self.input_tokens is not None or self.output_tokens is not None

    @property
    def usage_state(self) -> UsageState:
        """How far the counts can be trusted; an error in the middle of a stream cuts it as a lost connection does."""
        if not self.has_usage:
            return "absent"
        is_whole = self.is_settled or (self.is_finished and self.error_type is None)
        return "complete" if is_whole else "partial"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """How the responses of one provider, and of all who copy its API, are read."""

    name: str
    """Whom the call is attributed to, unless the upstream's host is known to be another's."""
    is_wanted: Callable[[bytes], bool]
    """Cheap byte tests: whether `read` would find anything in a frame."""
    read: Callable[[CallUsage, bytes], None]
    """Reads one frame, or one whole response."""
    content: re.Pattern[bytes]
    """Found in the first frame that carries output."""
    members: tuple[bytes, ...]
    """Members that are searched for in a response whose middle is missing."""
    reasons: tuple[bytes, ...]
    """Names of the reason why the output ended."""
