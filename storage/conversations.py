"""Queries and values for conversations: which ones match, with sums over their calls. Values only,
no I/O.

A conversation has no row of its own and is derived from its records. So retention, erasure and
scopes apply to it without further rules.
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
"""Highest cost of one call in sums, so that the claim of a response cannot overflow them."""
MAX_CALLS_READ: Final = 5000
"""Calls of one page whose tools are counted, newest first."""
EARLY_CALLS: Final = 3
"""Calls after the first whose bodies a page names. An agent makes its side requests at the
beginning, so one of these calls shows what the conversation is about.
"""
FIRST_REFUSAL: Final = 400
"""Least status of a call that costs nothing."""
FAILED_LEVEL: Final = LEVELS.index("warn")

TOKENS: Final = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)


def in_conversations(ids: Iterable[bytes]) -> Is:
    """Require that a call belongs to one of the conversations; ids that are not 16 bytes match
    nothing.
    """
    return Is("conversation", tuple(format_id(each) for each in ids if len(each) == 16))


Sort = Literal["newest", "cost", "turns", "failures", "tokens", "duration"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationQuery(Query["ConversationPage"]):
    """Asks for a page of conversations, in the order of `sort`."""

    filter: Filter = field(default_factory=Filter)
    """A conversation is listed if one of its calls matches; its sums cover all its calls in scope.
    """
    min_turns: int = 1
    min_failed: int = 0
    min_cost_usd: float = 0.0
    sort: Sort = "newest"
    """Largest value first; of equal ones the one with the newer matching call."""
    limit: int = 50
    before: int | None = None
    """Cursor: `seq` of the newest matching call of the previous page's last conversation. Only if
    `is_of_all` is false.
    """

    @property
    def is_of_all(self) -> bool:
        """Return True if the query must compare the sums of all conversations, so that it has only
        one page.
        """
        return self.sort != "newest" or self.min_failed > 0 or self.min_cost_usd > 0


class EarlyCall(NamedTuple):
    """An early call of a conversation, with the size of its bodies."""

    seq: int
    body_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """Sums over the calls of one conversation that the reader may see."""

    id: bytes
    first: Record
    """The first call."""
    early: tuple[EarlyCall, ...]
    """The next `EARLY_CALLS` calls, in order."""
    last: Record
    """The newest call."""
    failure: Record | None
    """The newest failed call."""
    turns: int
    failed: int
    """Number of failed calls: of level warn or error, or with an error within their stream."""
    began_at_us: int
    """Start of the earliest call, not necessarily the one stored first."""
    ended_at_us: int
    duration_us: int
    """Sum of the durations of all calls. Calls may overlap, and there are gaps while the client
    works.
    """
    counted: int
    """Number of calls with known tokens."""
    priced: int
    """Number of calls with a known cost, including refused calls without tokens, whose cost is
    zero.
    """
    tokens: dict[str, int]
    """Sums of the columns `TOKENS`."""
    cost_usd: float
    models: dict[str, int]
    """Requested model → calls, most frequent first."""
    tools: dict[str, int]
    """Tool → calls in which the model called it, most frequent first; of the newest
    `MAX_CALLS_READ` calls of a page.
    """
    failed_tools: dict[str, int]
    """Tool → number of failures, counted in the same calls."""
    sampled: bool = False
    """Whether a capture rule kept only a share of its calls. Its sums cover the stored calls only.
    No weight tells whether this conversation lacks calls, or is complete and stands for others that
    were left out.
    """


FIGURES: Final[Mapping[Sort, Callable[[Conversation], float]]] = {
    "cost": lambda each: each.cost_usd,
    "turns": lambda each: each.turns,
    "failures": lambda each: each.failed,
    "tokens": lambda each: each.tokens["input_tokens"] + each.tokens["output_tokens"],
    "duration": lambda each: each.ended_at_us - each.began_at_us,
}
"""Sort order → the value that conversations are compared by."""


@dataclass(frozen=True, slots=True)
class ConversationPage:
    """Conversations of one query, in its order."""

    conversations: list[Conversation]
    complete: bool
    """False if the time budget ended the search early; `next_before` then continues it."""
    next_before: int | None
    """Cursor of the next page; None when the filter is exhausted."""


def has_failed(record: Record) -> bool:
    return LEVELS.index(record.level) >= FAILED_LEVEL or record.error_type is not None


def most_frequent(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
