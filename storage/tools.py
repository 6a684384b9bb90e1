"""Tool calls as readers ask for them: filter, page, statistics. Values only, no I/O.

`matches` is the meaning of a filter, written down once: the memory backend evaluates it, every
other backend is tested against it. A call carries its own search text: what was said in arguments
and result, folded, bounded.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

import msgspec

from storage.query import EVERYTHING, Order, Query, Scope
from storage.record import Entry, ToolCall

TOOL_ERROR: Final = "tool_error"
"""Error type of a call of a tool that failed, and of an LLM call that tells of one."""


class FailedTool(NamedTuple):
    """A tool that failed, as a call tells of it."""

    name: str
    said: str = ""
    """What it gave in the place of a result; empty where that is not known."""
    is_reported: bool = False
    """Whether the request of the call reports it: the client ran the tool before."""


MAX_SEARCH_BYTES: Final = 16 * 1024
"""Of the search text of one call (`api/dialects/README.md`)."""

_NEEDFUL_ESCAPE: Final = re.compile(rb"\\u00(?:22|5[cC]|[01][0-9a-fA-F])")
"""A character as its number that has to be escaped, and for which JSON has a shorter way (RFC 8259
§7).
"""
_NEEDLESS_ESCAPE: Final = re.compile(
    r"(?<!\\)\\++(?:u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\++u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|u(?!00(?:22|5[cC]|[01]))(?P<one>(?![dD][89a-fA-F])[0-9a-fA-F]{4})|/)"
)
"""A slash, or any other character that could stand for itself; with more backslashes in a document
in a string.

PHP writes `\\/`, Python `\\u00e9`, Go `\\u003c`, others neither.
"""

ToolSort = Literal["timestamp", "latency", "cost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFilter:
    """Which tool calls. Every field left at its default restricts nothing; tuples are alternatives."""

    scope: Scope = EVERYTHING
    """The credential's restriction, always applied on top of everything else."""
    tool_names: tuple[str, ...] = ()
    server_labels: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    """`success`, `error`; other words match nothing."""
    key_ids: tuple[str, ...] = ()
    llm_request_ids: tuple[str, ...] = ()
    since_us: int | None = None
    until_us: int | None = None
    """Both inclusive, on `started_at_us`."""
    min_latency_us: int | None = None
    max_latency_us: int | None = None
    """Both inclusive; a call without a latency matches neither."""
    content: str | None = None
    """Substring of arguments or result, without regard to case; nothing in it is special. Matched
    as it is written, and as JSON writes it in a string (`spellings`).
    """
    seq_until: int | None = None
    """Only calls that were stored with a record up to this one."""

    @property
    def has_only_rollup_dimensions(self) -> bool:
        """Whether the hourly rollups can answer how many calls match."""
        times = (self.since_us, self.until_us, self.min_latency_us, self.max_latency_us)
        bounds = (*times, self.content, self.seq_until)
        return not self.llm_request_ids and all(bound is None for bound in bounds)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolQuery(Query["ToolPage"]):
    """A page of a filter; ties are broken by the order of storing, in the direction of `order`."""

    filter: ToolFilter = field(default_factory=ToolFilter)
    sort: ToolSort = "timestamp"
    order: Order = "desc"
    limit: int = 50
    offset: int = 0


@dataclass(frozen=True, slots=True)
class ToolPage:
    """Calls of one query, in its order."""

    calls: list[ToolCall]
    complete: bool
    """False when the time budget ended the search: nothing is then said about what is missing."""


@dataclass(frozen=True, slots=True)
class ToolStats:
    """Statistics of a filter."""

    executions: int = 0
    successes: int = 0
    timed: int = 0
    """Calls whose latency is known."""
    latency_us: int = 0
    """Sum over those."""
    cost_usd: float = 0.0
    exact: bool = True
    """False when the time budget ended the count: all numbers are then lower bounds."""
    stored: int = 0
    """How many calls pages list: as many as executions, unless some of them stand for several."""
    sampled: bool = False
    """Whether some do, so that the other numbers are estimates."""


@dataclass(frozen=True, slots=True)
class ToolStatsQuery(Query[ToolStats]):
    """The statistics of a filter, from rollups where it has only their dimensions."""

    filter: ToolFilter = field(default_factory=ToolFilter)


class ToolKey(NamedTuple):
    """An API key that called tools."""

    id: str
    name: str | None


@dataclass(frozen=True, slots=True)
class ToolValues:
    """What a reader may filter by, each sorted, without duplicates."""

    tool_names: list[str]
    server_labels: list[str]
    keys: list[ToolKey]

    @property
    def is_used(self) -> bool:
        return bool(self.tool_names)


@dataclass(frozen=True, slots=True)
class ToolValuesQuery(Query[ToolValues]):
    """The values that a filter may name, from rollups."""

    filter: ToolFilter = field(default_factory=ToolFilter)
    """Only its scope counts."""


def ended_calls(entry: Entry) -> list[ToolCall]:
    return [call for call in entry.tool_calls if call.status != "processing"]


def awaited_calls(entry: Entry) -> list[ToolCall]:
    return [call for call in entry.tool_calls if call.status == "processing"]


def matches(filter: ToolFilter, call: ToolCall) -> bool:
    """Return whether a call is one of a filter's, the credential's scope included."""
    return (
        _has_dimensions(filter, call)
        and _is_within(call.started_at_us, filter.since_us, filter.until_us)
        and _is_within(call.latency_us, filter.min_latency_us, filter.max_latency_us)
        and (not filter.content or any(text in call.search for text in spellings(filter.content)))
    )


def spellings(content: str) -> list[str]:
    """Write a text as it may stand in JSON: as it is, in a string, and in a string of a document in
    a string.
    """
    found = [_without_needless_escapes(content)]
    for _ in range(2):
        found.append(
            msgspec.json.encode(found[-1].encode("utf-8", "replace").decode())[1:-1].decode()
        )
    return list(dict.fromkeys(text.casefold() for text in found))


def sort_key(sort: ToolSort, call: ToolCall) -> float:
    """Order of a call; one without a latency comes before all others."""
    if sort == "timestamp":
        return call.started_at_us
    if sort == "cost":
        return call.cost_usd
    return -1 if call.latency_us is None else call.latency_us


def search_text(*parts: bytes | None) -> str:
    """Make the search text of JSON values: decoded, folded, at most `MAX_SEARCH_BYTES` of UTF-8."""
    shown = (_readable(part) for part in parts if part)
    text = "\n".join(shown).casefold().encode("utf-8", "replace")
    return text[:MAX_SEARCH_BYTES].decode("utf-8", "ignore")


def _readable(part: bytes) -> str:
    """Write JSON with all characters as themselves, also in a document in a string; what is no JSON
    stays as it is.
    """
    part = part[: 4 * MAX_SEARCH_BYTES]
    if _NEEDFUL_ESCAPE.search(part):
        try:
            part = msgspec.json.encode(msgspec.json.decode(part))
        except (msgspec.MsgspecError, RecursionError, ValueError):
            pass

    return _without_needless_escapes(part.decode("utf-8", "replace"))


def _without_needless_escapes(text: str) -> str:
    if "\\u" in text or "\\/" in text:
        return _NEEDLESS_ESCAPE.sub(_unescaped, text)
    return text


def _unescaped(found: re.Match[str]) -> str:
    if found["high"]:
        high = int(found["high"], 16)
        low = int(found["low"], 16)
        return chr(0x10000 + ((high - 0xD800) << 10) + low - 0xDC00)
    if found["one"] is None:
        return "/"
    return chr(int(found["one"], 16))


def _has_dimensions(filter: ToolFilter, call: ToolCall) -> bool:
    scope = filter.scope
    pairs: Iterable[tuple[tuple[str, ...], str | None]] = (
        (scope.projects, call.project),
        (scope.containers, call.container),
        (scope.clients, call.client),
        (filter.tool_names, call.tool_name),
        (filter.server_labels, call.server_label),
        (filter.statuses, call.status),
        (filter.key_ids, call.key_id),
        (filter.llm_request_ids, call.llm_request_id),
    )
    return all(not wanted or value in wanted for wanted, value in pairs)


def _is_within(value: int | None, least: int | None, most: int | None) -> bool:
    if least is None and most is None:
        return True
    if value is None:
        return False
    return (least is None or value >= least) and (most is None or value <= most)
