"""What readers ask a store for: a filter, and the queries of its records. Values only, no I/O.

`matches` is the meaning of a filter, written down once: the model of a store in the tests evaluates
it, and every backend is tested against it.
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
"""`seq` is the order of commit, `id` that of receipt: an exchange that lasts is committed after
later ones.
"""
Answer = TypeVar("Answer")
Durability = Literal["fast", "safe"]
"""`safe` syncs every commit to the disk; with `fast` a power cut may cost the newest commits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a credential may see. An empty tuple is no restriction; the three dimensions must all
    hold.
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
        *("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"),
        *(
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
        ),
    )
)
"""Methods that rollups and metrics count apart (RFC 9110 §9.3, RFC 5789, those of WebDAV and its
heirs); clients may invent others without end.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which records. What is left at its default restricts nothing; all that is given must hold.

    Values unknown to the store match nothing and are no error.
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
    """What else is asked (`storage.search.meaning`)."""

    @property
    def needs_more_than_records(self) -> bool:
        """Whether a record alone does not say if it matches: calls, heads or bodies are asked
        about.
        """
        return needs_payload(self.where) or needs_tools(self.where)


class Query(Generic[Answer]):
    """What `storage.base.Storage.read` answers."""

    __slots__ = ()
    filter: Any
    """Of records, or of tool calls. A caller's scope is put on it: no query tells of anything that
    it leaves out.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordQuery(Query["Page"]):
    """A page of a filter, in the order asked for."""

    filter: Filter = field(default_factory=Filter)
    by: OrderBy = "seq"
    order: Order = "desc"
    limit: int = 100
    """0: an empty page."""
    offset: int = 0
    """Rows to skip; prefer `after`. A search that its time budget ends while it skips returns no
    cursor.
    """
    after: int | None = None
    """Keyset cursor: `seq`, or the id as a number, of the last row of the page before; exclusive,
    towards `order`.
    """


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one query, in its order."""

    records: list[Record]
    complete: bool
    """False when the time budget ended the search early; `next_after` then says where to go on,
    even without rows.
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
    """How many records are stored, from rollups where the filter has only their dimensions: as many
    as pages list, whatever each stands for. All other sums are weighed (`Record.weight`).
    """

    filter: Filter


@dataclass(frozen=True, slots=True)
class FacetQuery(Query[dict[str, list[FacetValue]]]):
    """The values that records have in some of `storage.aggregates.FACETS`, most frequent first;
    null is no value.

    Counts are exact where the filter has rollup dimensions and whole hours only and the facet is
    one of `ROLLUP_FACETS`, of which no hour counts values together, else None: values are then
    those of a wider filter (its rollup dimensions, whole hours), or of the newest
    `aggregates.SAMPLE_ROWS` records where rollups do not know the facet. The scope always holds.

    Raises:
        ValueError: There is no such facet.
    """

    filter: Filter
    names: Sequence[str]
    limit: int = MAX_FACET_VALUES
    """Values of a facet, at most `aggregates.MAX_FACET_LIMIT`."""

    def __post_init__(self) -> None:
        for name in self.names:
            if name not in FACETS:
                raise ValueError(f"unknown facet {name!r}, known are {', '.join(FACETS)}")


@dataclass(frozen=True, slots=True)
class HistogramQuery(Query[Histogram]):
    """Counts over time, from `since_us` to `until_us` (exclusive), in at most `buckets` steps.

    A step of an hour and more, or of a range too long to be scanned, is a number of whole hours or
    days: the first may begin before `since_us`, and there may be one more. Records outside the
    range are never counted.
    """

    filter: Filter
    since_us: int
    until_us: int
    buckets: int


@dataclass(frozen=True, slots=True)
class SummaryQuery(Query[Summary]):
    """Totals, latency percentiles, and the most frequent values of `storage.aggregates.TOPS`."""

    filter: Filter
    only_totals: bool = False
    """`top` is then empty and `models` None: rows are read once, not three times."""


@dataclass(frozen=True, slots=True)
class TopQuery(Query[Top]):
    """Sums of exchanges by a field, of the newest where there are too many."""

    filter: Filter
    by: str
    """One of `aggregates.TOP_FIELDS`, or of heads and bodies (`search.cell.is_cell_field`): names
    of a row are then the value, or None, and the state of it.
    """


@dataclass(frozen=True, slots=True)
class SeriesQuery(Query[TopSeries]):
    """Counts of exchanges over time, apart by one of `aggregates.TOP_FIELDS`.

    Steps are as in a histogram; those of a range of twelve hours and more are whole hours or days.
    """

    filter: Filter
    by: str
    since_us: int
    until_us: int
    buckets: int


@dataclass(frozen=True, slots=True)
class Stats:
    """Entries (two per exchange, one per event) by dimension; rows without a value count under
    `unknown`.
    """

    total: int
    by_level: dict[str, int]
    """All four levels, always."""
    by_project: dict[str, int]
    by_container: dict[str, int]
    by_service: dict[str, int]
    sampled: bool = False
    """Whether some of the records stand for several, so that the numbers are estimates."""


@dataclass(frozen=True, slots=True)
class StatsQuery(Query[Stats]):
    """How many entries there are in a scope, from rollups."""

    filter: Filter = field(default_factory=Filter)
    """Only its scope counts."""


@dataclass(frozen=True, slots=True)
class StorageInfo:
    """What an operator wants to know about a store."""

    backend: str
    """`memory`, `sqlite`, …"""
    location: str
    """Path or address, without credentials."""
    schema_version: int
    rows: int
    last_seq: int
    size_bytes: int
    """Space taken, 0 when unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """A copy of the store on one of several servers, as an operator asks for it."""

    host: str
    """As in the address."""
    name: str = ""
    """Its own, which commits name; empty where it is unknown."""
    version: str = ""
    """Of its server."""
    reason: str = ""
    """Why it does not answer; empty: it does."""
    has_all: bool | None = None
    """Whether it has everything that is committed: tails wait for one that has not. None: unknown.
    """
    is_read_only: bool = False
    """It takes no rows: it has no coordinator at present."""
    waiting: int = 0
    """Steps that its server has still to take to be as the others are."""
    delay_s: float = 0.0
    """How long what it still lacks has been there."""

    @property
    def state(self) -> str:
        """One of `REPLICA_STATES`."""
        if self.reason:
            return "away"
        if self.has_all is None:
            return "unknown"
        return "whole" if self.has_all else "left_out"


REPLICA_STATES: Final = ("whole", "left_out", "away", "unknown")


def matches(
    filter: Filter, record: Record, payload: Payload | None = None, tools: tuple[str, ...] = ()
) -> bool:
    """Return whether a record is one of a filter's, the credential's scope included.

    The payload has what the filter asks about heads and bodies, `tools` are the names of the tools
    it called.
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
    """What belongs to a project, a container and a client: a record, or a route."""

    @property
    def project(self) -> str | None:
        """Its project."""

    @property
    def container(self) -> str | None:
        """Its container."""

    @property
    def client(self) -> str | None:
        """Its client (organisation)."""


def is_visible(record: Located, scope: Scope) -> bool:
    return (
        (not scope.projects or record.project in scope.projects)
        and (not scope.containers or record.container in scope.containers)
        and (not scope.clients or record.client in scope.clients)
    )
