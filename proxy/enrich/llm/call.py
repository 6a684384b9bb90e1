"""What is read of one LLM call, and how one provider's API is read."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from proxy.enrich.formats.json_parts import amount_of, count_of, text_of
from storage.tools import FailedTool

UsageState = Literal["exact", "partial", "lost", "absent"]

MAX_TOOLS: Final = 32
"""Names of tools that are kept of one call."""
KINDS: Final = ("audio", "image", "video")
"""Of tokens that are no text."""
OTHER_MODELS: Final = ("other_models_input_tokens", "other_models_output_tokens")
"""Meters of what `CallUsage.others` used."""


@dataclass(slots=True)
class CallUsage:
    """What one call reported about itself. Counts replace those read before; null is not known."""

    model: str | None = None
    """As requested."""
    resolved_model: str | None = None
    """As the response names it."""
    response_id: str | None = None
    """Of a response that later calls may continue."""
    uncached_tokens: int | None = None
    """Input read from no cache, where the provider counts it apart."""
    input_tokens: int | None = None
    """Cached ones included."""
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    meters: dict[str, int] = field(default_factory=dict)
    """What else is paid by: see `storage.record.Stream.meters`."""
    service_tier: str | None = None
    region: str | None = None
    """Where the call was served, if that has a price of its own."""
    requests: int = 1
    """That the counts are the sum of."""
    price_list: str | None = None
    """Id of the price list that the call is paid by, where it is not that of the provider."""
    others: list["CallUsage"] = field(default_factory=list)
    """What is billed with the call beside these counts: what other models were asked, each at its
    own price.
    """
    cost_usd: float | None = None
    """As the provider reported it."""
    finish_reason: str | None = None
    error_type: str | None = None
    tools: dict[str, None] = field(default_factory=dict)
    """Names of the tools that the model called, in order."""
    tool_names: dict[str, str] = field(default_factory=dict)
    """Of tools that the provider runs, by the ids of their calls."""
    failed_tools: list[FailedTool] = field(default_factory=list)
    """Those that failed, and those of which the request tells so."""
    has_failed: bool = False
    """The response is, or ended with, an error."""
    is_finished: bool = False
    """The stream's own terminator was seen, or the response is whole."""
    is_settled: bool = False
    """Counts came with, or after, the reason why the output ended."""
    is_lost: bool = False
    """What came last was not seen, so counts may be old ones."""
    is_cut: bool = False
    """One of the two sides left before the end."""
    counts_read: int = 0
    """How often there were counts."""

    def update(self, **counts: float | None) -> None:
        for name, value in counts.items():
            if value is not None:
                self.counts_read += 1
                setattr(self, name, value)

    def measure(self, **meters: object) -> None:
        """Note further priced units; zeros and invalid counts are ignored."""
        for name, value in meters.items():
            if value and (count := count_of(value)):
                self.meters[name] = count

    def measure_cached(self, cached: Mapping[str, object]) -> None:
        """Note how much of each kind of input, other than text, came from the cache; also 0: else
        no price is known.
        """
        for kind in KINDS:
            if (
                f"input_{kind}_tokens" in self.meters
                and (count := count_of(cached.get(kind))) is not None
            ):
                self.meters[f"cache_{kind}_read_tokens"] = count

    def set_resolved_model(self, value: object) -> None:
        if model := text_of(value):
            self.resolved_model = model

    def add_tools(self, names: Iterable[object]) -> None:
        for text in filter(None, map(text_of, names)):
            if len(self.tools) < MAX_TOOLS:
                self.tools[text] = None

    def add_failed_tool(self, call_id: object, name: object, said: object = None) -> None:
        """Note that a tool failed which the provider ran."""
        known = self.tool_names.get(call_id) if isinstance(call_id, str) else None
        if len(self.failed_tools) < MAX_TOOLS:
            self.failed_tools.append(
                FailedTool(text_of(name) or known or "unknown", text_of(said) or "")
            )

    def fail(self, *error_types: object) -> None:
        """Note an error and the first of these types that is a text."""
        self.error_type = next(filter(None, map(text_of, error_types)), None)
        self.has_failed = True

    def take_reason(self) -> str | None:
        """Return the reason why the output ended, which is not known any more."""
        reason = self.finish_reason
        self.finish_reason = None
        return reason

    def forget_counts(self) -> None:
        """What may be wrong is not shown."""
        self.uncached_tokens = None
        self.input_tokens = None
        self.output_tokens = None
        self.reasoning_tokens = None
        self.cache_read_tokens = None
        self.cache_write_tokens = None
        self.cost_usd = None
        self.meters.clear()
        self.others.clear()

    @property
    def parts(self) -> tuple["CallUsage", ...]:
        """A unit with a price of its own; a cost reported by the provider covers all of them."""
        if self.cost_usd is None:
            return (self, *self.others)
        return (self,)

    @property
    def has_usage(self) -> bool:
        return self.input_tokens is not None or self.output_tokens is not None or bool(self.meters)

    @property
    def usage_state(self) -> UsageState:
        """How far the counts can be trusted; an error in the middle of a stream cuts it as a lost
        connection does.
        """
        if self.is_lost:
            return "lost"
        if not self.has_usage:
            return "absent"
        if self.is_settled or (self.is_finished and not self.has_failed and not self.is_cut):
            return "exact"

        return "partial"


def charged(cost: object, details: object, *, is_own_key: bool) -> float | None:
    """Return what OpenRouter says a call costs: what it charged, and of a caller's own key what the
    provider will.
    """
    amount = amount_of(cost)
    upstream = (
        amount_of(details.get("upstream_inference_cost"))
        if is_own_key and isinstance(details, dict)
        else None
    )
    if amount is None or upstream is None:
        return amount

    return amount + upstream


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """How the responses of one provider, and of all compatible ones, are read."""

    name: str
    """Whom the call is attributed to, unless the upstream's host is known to be another's."""
    wanted: re.Pattern[bytes]
    """Found, by google-re2, in every frame that `read` finds anything in."""
    read: Callable[[CallUsage, bytes], None]
    """Reads one frame, or one whole response."""
    content: re.Pattern[bytes]
    """Found in the first frame that carries output."""
    members: frozenset[bytes]
    """Members of a response, or of a frame, that are looked for where the rest of it is missing."""
    reason: bytes
    """Name of the reason why the output ended."""
    choices: bytes = b""
    """Array of the response whose elements have the reason; empty: the response has it itself."""
    read_head: Callable[[CallUsage, bytes], None] | None = None
    """Reads the head of a response, where it may say what the body does not."""
    wrapper: bytes = b""
    """Member of a frame that may hold the response."""
