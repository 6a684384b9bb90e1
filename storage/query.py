"""Filters and queries that a store answers about records. Values only, no I/O.

`matches` defines the meaning of a filter: the model of a store in the tests evaluates it, and every
backend is tested against it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, Protocol, TypeVar

from storage.aggregates import (
    FACETS,
    MAX_FACET_VALUES,
    FacetValue,
    Histogram,
    Summary,
    Top,
    TopSeries,
)
from storage.record import Payload, Record
from storage.search.expression import Expression, needs_payload, needs_tools
from storage.search.meaning import fulfils
from storage.search.subject import Subject

Order = Literal["asc", "desc"]
Kind = Literal["exchange", "event", "all"]
OrderBy = Literal["seq", "id"]
"""`seq` is the order of commit, `id` that of receipt. They differ because a long exchange is
committed after later ones.
"""
Answer = TypeVar("Answer")
Durability = Literal["fast", "safe"]
"""`safe` syncs every commit to the disk; with `fast` a power cut may cost the newest commits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Restriction of a credential to some projects, containers and clients.

    An empty tuple restricts nothing; all three must hold.
    """

    projects: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()

    @property
    def is_everything(self) -> bool:
        return not (self.projects or self.containers or self.clients)


EVERYTHING = Scope()


ROLLUP_METHODS: Final = frozenset(
    (
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
        "OPTIONS",
        "TRACE",
        "CONNECT",
        "QUERY",
        "PROPFIND",
        "PROPPATCH",
        "MKCOL",
        "COPY",
        "MOVE",
        "LOCK",
        "UNLOCK",
        "REPORT",
        "SEARCH",
        "MKCALENDAR",
        "ACL",
    )
)
"""Methods that rollups and metrics count separately (RFC 9110 §9.3, RFC 5789, WebDAV and its
extensions). Others share one count, since clients may invent any number of them.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Conditions on records; all of them must hold. A condition left at its default restricts
    nothing.

    Values unknown to the store match nothing and are not an error.
    """

    scope: Scope = EVERYTHING
    """The credential's restriction, always applied on top of everything else."""
    kind: Kind = "exchange"
    since_us: int | None = None
    """Inclusive, on `started_at_us`."""
    until_us: int | None = None
    """Exclusive, on `started_at_us`."""
    seq_after: int | None = None
    """Exclusive lower bound of `seq`."""
    seq_until: int | None = None
    """Inclusive upper bound of `seq`."""
    where: Expression | None = None
    """The search expression (`storage.search.meaning`)."""

    @property
    def needs_more_than_records(self) -> bool:
        """Whether the row is not enough to evaluate the filter: it asks about tool calls, heads or
        bodies.
        """
        return needs_payload(self.where) or needs_tools(self.where)


class Query(Generic[Answer]):
    """A question that `storage.base.Storage.read` answers."""

    __slots__ = ()
    filter: Any
    """Filter of records or of tool calls. The caller's scope is added to it, and no answer tells of
    anything outside.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordQuery(Query["Page"]):
    """One page of the records that match a filter."""

    filter: Filter = field(default_factory=Filter)
    by: OrderBy = "seq"
    order: Order = "desc"
    limit: int = 100
    """Most rows of the page; 0 returns an empty page."""
    offset: int = 0
    """Rows to skip; prefer `after`. If the time budget ends a search while it skips, the page has
    no cursor.
    """
    after: int | None = None
    """Keyset cursor: `seq`, or the id as a number, of the last row of the previous page. Exclusive,
    in the direction of `order`.
    """


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one query, in its order."""

    records: list[Record]
    complete: bool
    """False when the time budget ended the search early; `next_after` then continues it, even if
    the page has no rows.
    """
    next_after: int | None
    """Cursor of the next page; None when the filter is exhausted."""


@dataclass(frozen=True, slots=True)
class Count:
    """How many records a filter matches."""

    exchanges: int
    events: int
    exact: bool = True
    """False when the time budget ended the count early: both numbers are then lower bounds."""


@dataclass(frozen=True, slots=True)
class CountQuery(Query[Count]):
    """Counts the stored records that match a filter, from rollups where the filter has only their
    dimensions.

    It counts rows, as pages list them, whatever each stands for. All other sums are weighted
    (`Record.weight`).
    """

    filter: Filter


@dataclass(frozen=True, slots=True)
class FacetQuery(Query[dict[str, list[FacetValue]]]):
    """Asks for the values of some of `storage.aggregates.FACETS`, most frequent first; null is not
    a value.

    Counts are exact if the filter has only whole hours and rollup dimensions and the facet is one
    of `ROLLUP_FACETS` of which no hour counts several values as `{other}`. Otherwise counts are
    None, and the values are those of a wider filter (its rollup dimensions, whole hours), or of the
    newest `aggregates.SAMPLE_ROWS` records for facets that rollups do not have. The scope always
    holds.

    Raises:
        ValueError: An unknown facet is named.
    """

    filter: Filter
    names: Sequence[str]
    limit: int = MAX_FACET_VALUES
    """Most values of a facet, up to `aggregates.MAX_FACET_LIMIT`."""

    def __post_init__(self) -> None:
        for name in self.names:
            if name not in FACETS:
                raise ValueError(f"unknown facet {name!r}, known are {', '.join(FACETS)}")


@dataclass(frozen=True, slots=True)
class HistogramQuery(Query[Histogram]):
    """Asks for counts over time, from `since_us` to `until_us` (exclusive), in at most `buckets`
    steps.

    Steps of an hour and more, and steps of ranges too long to scan, are whole hours or days. The
    first may then begin before `since_us`, and one more may be added. Records outside the range are
    never counted.
    """

    filter: Filter
    since_us: int
    until_us: int
    buckets: int


@dataclass(frozen=True, slots=True)
class SummaryQuery(Query[Summary]):
    """Asks for totals, latency percentiles, and the most frequent values of
    `storage.aggregates.TOPS`.
    """

    filter: Filter
    only_totals: bool = False
    """Leave `top` empty and `models` None: rows are read once instead of three times."""


@dataclass(frozen=True, slots=True)
class TopQuery(Query[Top]):
    """Asks for sums of exchanges grouped by a field, of the newest exchanges where there are too
    many.
    """

    filter: Filter
    by: str
    """One of `aggregates.TOP_FIELDS`, or a field of heads and bodies (`search.cell.is_cell_field`).
    For the latter the names of a row are the value, or None, and its state.
    """


@dataclass(frozen=True, slots=True)
class SeriesQuery(Query[TopSeries]):
    """Asks for counts of exchanges over time, grouped by one of `aggregates.TOP_FIELDS`.

    Steps are those of a histogram; for ranges of twelve hours and more they are whole hours or
    days.
    """

    filter: Filter
    by: str
    since_us: int
    until_us: int
    buckets: int


@dataclass(frozen=True, slots=True)
class Stats:
    """Log entries (two per exchange, one per event) by dimension; rows without a value count as
    `unknown`.
    """

    total: int
    by_level: dict[str, int]
    """Always has all four levels."""
    by_project: dict[str, int]
    by_container: dict[str, int]
    by_service: dict[str, int]
    sampled: bool = False
    """Whether some records stand for several exchanges, so that counts are estimates."""


@dataclass(frozen=True, slots=True)
class StatsQuery(Query[Stats]):
    """Counts the log entries in a scope, from rollups."""

    filter: Filter = field(default_factory=Filter)
    """Only its scope is used."""


@dataclass(frozen=True, slots=True)
class StorageInfo:
    """Description of a store for operators."""

    backend: str
    """`memory`, `sqlite`, …"""
    location: str
    """Path or address, without credentials."""
    schema_version: int
    rows: int
    last_seq: int
    size_bytes: int
    """Space on the disk, 0 when unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """State of one copy of the store, for operators."""

    host: str
    """Host as in the address."""
    name: str = ""
    """The replica's own name, which commits mention; empty when unknown."""
    version: str = ""
    """Version of its server."""
    reason: str = ""
    """Why it does not answer; empty if it answers."""
    has_all: bool | None = None
    """Whether it has everything that is committed; tails wait until it has. None: unknown."""
    is_read_only: bool = False
    """Whether it refuses rows because it has lost its coordinator."""
    waiting: int = 0
    """Replication steps that its server has still to take."""
    delay_s: float = 0.0
    """Age of the oldest data that it lacks, in seconds."""

    @property
    def state(self) -> str:
        """Return the replica's state for display, one of `REPLICA_STATES`."""
        if self.reason:
            return "away"
        if self.has_all is None:
            return "unknown"
        if self.has_all:
            return "whole"
        return "left_out"


REPLICA_STATES: Final = ("whole", "left_out", "away", "unknown")


def matches(
    filter: Filter, record: Record, payload: Payload | None = None, tools: tuple[str, ...] = ()
) -> bool:
    """Return whether a record matches a filter, the credential's scope included.

    Args:
        filter: The conditions.
        record: The row.
        payload: The heads and bodies that the filter asks about.
        tools: Names of the tools that the record called.
    """
    return (
        filter.kind in ("all", record.kind)
        and is_visible(record, filter.scope)
        and (filter.since_us is None or record.started_at_us >= filter.since_us)
        and (filter.until_us is None or record.started_at_us < filter.until_us)
        and (filter.seq_after is None or record.seq > filter.seq_after)
        and (filter.seq_until is None or record.seq <= filter.seq_until)
        and (filter.where is None or fulfils(Subject(record, payload, tools), filter.where))
    )


class Located(Protocol):
    """A value with a project, a container and a client: a record, or a route."""

    @property
    def project(self) -> str | None:
        """Project of the record or route."""

    @property
    def container(self) -> str | None:
        """Container of the record or route."""

    @property
    def client(self) -> str | None:
        """Client (organisation) of the record or route."""


def is_visible(record: Located, scope: Scope) -> bool:
    return (
        (not scope.projects or record.project in scope.projects)
        and (not scope.containers or record.container in scope.containers)
        and (not scope.clients or record.client in scope.clients)
    )
