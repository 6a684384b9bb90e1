"""Conversations as readers ask for them: which ones, and what the calls of each add up to. Values
only, no I/O.

A conversation is what its records say: there is no row of its own, so retention, erasure and scopes
hold for it without a word.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from storage.query import Filter, Query
from storage.record import LEVELS, Record, format_id
from storage.search.expression import Is

MAX_TOKENS: Final = 10**12
MAX_COST_USD: Final = 1000.0
"""Of one call, in sums: what a response claims must not overflow them."""
MAX_CALLS_READ: Final = 5000
"""Calls of one page whose tools are counted, the newest first."""
EARLY_CALLS: Final = 3
"""Calls behind the first that a page tells of: what an agent asks beside its work, it asks at its
beginning, so that one of these says what a conversation is about.
"""
FIRST_REFUSAL: Final = 400
"""The least status of a call that costs nothing."""
FAILED_LEVEL: Final = LEVELS.index("warn")

TOKENS: Final = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)


def in_conversations(ids: Iterable[bytes]) -> Is:
    """Ask for the calls of some conversations; what is no id of 16 bytes has none."""
    return Is("conversation", tuple(format_id(each) for each in ids if len(each) == 16))


Sort = Literal["newest", "cost", "turns", "failures", "tokens", "duration"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationQuery(Query["ConversationPage"]):
    """A page of conversations, the one with the newest matching call first, or with the most of a
    figure.
    """

    filter: Filter = field(default_factory=Filter)
    """A conversation is listed when one of its calls matches; its sums are those of all its calls
    in scope.
    """
    min_turns: int = 1
    min_failed: int = 0
    min_cost_usd: float = 0.0
    sort: Sort = "newest"
    """What is most first; of equal ones the newer, by their newest matching call."""
    limit: int = 50
    before: int | None = None
    """Cursor: `seq` of the newest matching call of the last conversation of the page before; only
    if `is_of_all` is false.
    """

    @property
    def is_of_all(self) -> bool:
        """Whether figures of all conversations are compared, and there is one page of them."""
        return self.sort != "newest" or self.min_failed > 0 or self.min_cost_usd > 0


class EarlyCall(NamedTuple):
    """One of the first calls of a conversation: where its bodies are found, and how long they are."""

    seq: int
    body_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """The calls of one conversation that a reader may see, added up."""

    id: bytes
    first: Record
    """The first of them."""
    early: tuple[EarlyCall, ...]
    """The next `EARLY_CALLS` behind the first, in their order."""
    last: Record
    """The newest of them."""
    failure: Record | None
    """The newest of them that failed."""
    turns: int
    failed: int
    """How many of them failed: warning or error, or an error within their stream."""
    began_at_us: int
    """When the earliest of them started, which need not be the first that was stored."""
    ended_at_us: int
    duration_us: int
    """Sum of the durations of all calls: they may overlap, and between them the client works."""
    counted: int
    """How many of them have known tokens."""
    priced: int
    """How many of them have a known cost, those that were refused without tokens among them: they
    cost nothing.
    """
    tokens: dict[str, int]
    """Sums of the columns `TOKENS`."""
    cost_usd: float
    models: dict[str, int]
    """Requested model → calls, most frequent first."""
    tools: dict[str, int]
    """Tool the model called → calls that called it, most frequent first; of the newest
    `MAX_CALLS_READ` of a page.
    """
    failed_tools: dict[str, int]
    """Tool → how often it failed, likewise."""
    sampled: bool = False
    """Whether a rule of capture kept a share of its calls. Its figures are those of what is stored:
    no weight tells whether the conversation lacks calls, or is all there, and stands for others
    that are not.
    """


FIGURES: Final[Mapping[Sort, Callable[[Conversation], float]]] = {
    "cost": lambda each: each.cost_usd,
    "turns": lambda each: each.turns,
    "failures": lambda each: each.failed,
    "tokens": lambda each: each.tokens["input_tokens"] + each.tokens["output_tokens"],
    "duration": lambda each: each.ended_at_us - each.began_at_us,
}
"""What conversations are compared by."""


@dataclass(frozen=True, slots=True)
class ConversationPage:
    """Conversations of one query, in its order."""

    conversations: list[Conversation]
    complete: bool
    """False when the time budget ended the search early; `next_before` then says where to go on."""
    next_before: int | None
    """Cursor of the next page; None when the filter is exhausted."""


def has_failed(record: Record) -> bool:
    return LEVELS.index(record.level) >= FAILED_LEVEL or record.error_type is not None


def most_frequent(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
