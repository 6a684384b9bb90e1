"""What readers ask a store for: a filter, a page of it, and the counts around it. Values only, no I/O."""

from dataclasses import dataclass, field
from typing import Literal

from storage.record import Record

Order = Literal["asc", "desc"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a credential may see. An empty tuple is no restriction; the three dimensions must all hold."""

    projects: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()

    @property
    def is_everything(self) -> bool:
        """Whether nothing is restricted."""
        return not (self.projects or self.containers or self.clients)


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which records. Every field left at its default restricts nothing; all that are given must hold.

    Tuples are alternatives. Values unknown to the store match nothing and are no error.
    """

    scope: Scope = EVERYTHING
    """The credential's restriction, always applied on top of everything else."""
    kind: Literal["exchange", "event", "all"] = "exchange"
    since_us: int | None = None
    """Inclusive, on `started_at_us`."""
    until_us: int | None = None
    """Exclusive, on `started_at_us`."""
    seq_after: int | None = None
    """Exclusive lower bound of `seq`."""
    seq_until: int | None = None
    """Inclusive upper bound of `seq`."""
    statuses: tuple[int, ...] = ()
    """Exact statuses; a record matches when `statuses` or `status_classes` has it."""
    status_classes: tuple[int, ...] = ()
    """1 to 5."""
    methods: tuple[str, ...] = ()
    """Upper case."""
    hosts: tuple[str, ...] = ()
    path_contains: str | None = None
    """Substring of the raw path, case-insensitive for ASCII; `%`, `_` and backslash are literal."""
    routes: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    """Key ids."""
    levels: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    error_types: tuple[str, ...] = ()
    trace_id: str | None = None
    min_duration_us: int | None = None
    max_duration_us: int | None = None
    """Both inclusive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordQuery:
    """A page of a filter, ordered by `seq`."""

    filter: Filter = field(default_factory=Filter)
    order: Order = "desc"
    limit: int = 100
    """0 answers an empty page."""
    offset: int = 0
    """Rows to skip; prefer `after`."""
    after: int | None = None
    """Keyset cursor: the `seq` of the last row of the page before, exclusive in the direction of `order`."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one query, in its order."""

    records: list[Record]
    complete: bool
    """False when the time budget ended the search early; `next_after` then says where to go on."""
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
class Stats:
    """Entries (two per exchange, one per event) by dimension; rows without a value count under `unknown`."""

    total: int
    by_level: dict[str, int]
    """All four levels, always."""
    by_project: dict[str, int]
    by_container: dict[str, int]
    by_service: dict[str, int]


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
