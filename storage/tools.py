"""Filters, pages and statistics of tool calls. Values only, no I/O.

`matches` defines the meaning of a filter: the memory backend evaluates it, and every other backend
is tested against it. A call carries its own search text: arguments and result, case-folded,
bounded.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

import msgspec

from storage.query import EVERYTHING, Order, Query, Scope
from storage.record import Entry, ToolCall

TOOL_ERROR: Final = "tool_error"
"""Error type of a failed tool call, and of an LLM call that reports one."""


class FailedTool(NamedTuple):
    """A tool that failed, as an LLM call reports it."""

    name: str
    said: str = ""
    """What the tool returned instead of a result; empty if unknown."""
    is_reported: bool = False
    """Whether the request of the call reports it, since the client ran the tool before."""


MAX_SEARCH_BYTES: Final = 16 * 1024
"""Size of the search text of one call (`api/dialects/README.md`)."""

_NEEDFUL_ESCAPE: Final = re.compile(rb"\\u00(?:22|5[cC]|[01][0-9a-fA-F])")
"""A numeric escape of a character that must be escaped and has a shorter escape (RFC 8259 §7)."""
_NEEDLESS_ESCAPE: Final = re.compile(
    r"(?<!\\)\\++(?:u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\++u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|u(?!00(?:22|5[cC]|[01]))(?P<one>(?![dD][89a-fA-F])[0-9a-fA-F]{4})|/)"
)
"""An escape of a slash, or of any other character that needs none; with more backslashes in a
document in a string.

PHP writes `\\/`, Python `\\u00e9`, Go `\\u003c`, others neither.
"""

ToolSort = Literal["timestamp", "latency", "cost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFilter:
    """Conditions on tool calls; tuples are alternatives. A condition left at its default restricts
    nothing.
    """

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
    """Substring of arguments or result, ignoring case, without wildcards. It matches plain text and
    text escaped as in a JSON string (`spellings`).
    """
    seq_until: int | None = None
    """Only calls that were stored with a record up to this `seq`."""

    @property
    def has_only_rollup_dimensions(self) -> bool:
        """Whether the hourly rollups can count the matching calls."""
        times = (self.since_us, self.until_us, self.min_latency_us, self.max_latency_us)
        bounds = (*times, self.content, self.seq_until)
        return not self.llm_request_ids and all(bound is None for bound in bounds)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolQuery(Query["ToolPage"]):
    """One page of the calls that match a filter; ties are in the order of storing, in the direction
    of `order`.
    """

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
    """False when the time budget ended the search: more calls may match."""


@dataclass(frozen=True, slots=True)
class ToolStats:
    """Statistics of a filter."""

    executions: int = 0
    successes: int = 0
    timed: int = 0
    """Calls with a known latency."""
    latency_us: int = 0
    """Sum of the known latencies."""
    cost_usd: float = 0.0
    exact: bool = True
    """False when the time budget ended the count: all numbers are then lower bounds."""
    stored: int = 0
    """Number of calls that pages list; it differs from executions if some calls stand for several.
    """
    sampled: bool = False
    """Whether some calls stand for several, so that the other numbers are estimates."""


@dataclass(frozen=True, slots=True)
class ToolStatsQuery(Query[ToolStats]):
    """Asks for the statistics of a filter, from rollups if it has only their dimensions."""

    filter: ToolFilter = field(default_factory=ToolFilter)


class ToolKey(NamedTuple):
    """An API key that called tools."""

    id: str
    name: str | None


@dataclass(frozen=True, slots=True)
class ToolValues:
    """Values for filters, each list sorted and without duplicates."""

    tool_names: list[str]
    server_labels: list[str]
    keys: list[ToolKey]

    @property
    def is_used(self) -> bool:
        return bool(self.tool_names)


@dataclass(frozen=True, slots=True)
class ToolValuesQuery(Query[ToolValues]):
    """Asks for the values that a filter may name, from rollups."""

    filter: ToolFilter = field(default_factory=ToolFilter)
    """Only its scope is used."""


def ended_calls(entry: Entry) -> list[ToolCall]:
    return [call for call in entry.tool_calls if call.status != "processing"]


def awaited_calls(entry: Entry) -> list[ToolCall]:
    return [call for call in entry.tool_calls if call.status == "processing"]


def matches(filter: ToolFilter, call: ToolCall) -> bool:
    """Return whether a call matches a filter, the credential's scope included."""
    return (
        _has_dimensions(filter, call)
        and _is_within(call.started_at_us, filter.since_us, filter.until_us)
        and _is_within(call.latency_us, filter.min_latency_us, filter.max_latency_us)
        and (not filter.content or any(text in call.search for text in spellings(filter.content)))
    )


def spellings(content: str) -> list[str]:
    """Return the forms that a text may have in JSON, case-folded: plain, in a string, and in a
    document inside a string.
    """
    found = [_without_needless_escapes(content)]
    for _ in range(2):
        found.append(
            msgspec.json.encode(found[-1].encode("utf-8", "replace").decode())[1:-1].decode()
        )
    return list(dict.fromkeys(text.casefold() for text in found))


def sort_key(sort: ToolSort, call: ToolCall) -> float:
    """Return the sort key of a call; a call without a latency sorts before all others."""
    if sort == "timestamp":
        return call.started_at_us
    if sort == "cost":
        return call.cost_usd
    if call.latency_us is None:
        return -1
    return call.latency_us


def search_text(*parts: bytes | None) -> str:
    """Return the search text of JSON values: decoded, case-folded, at most `MAX_SEARCH_BYTES` of
    UTF-8.
    """
    shown = (_readable(part) for part in parts if part)
    text = "\n".join(shown).casefold().encode("utf-8", "replace")
    return text[:MAX_SEARCH_BYTES].decode("utf-8", "ignore")


def _readable(part: bytes) -> str:
    """Remove needless escapes from JSON, also from a document inside a string; other text stays as
    it is.
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
