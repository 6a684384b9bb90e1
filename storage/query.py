"""What readers ask a store for: a filter, a page of it, and the counts around it. Values only, no I/O.

`matches` is the meaning of a filter, written down once: the model of a store in the tests evaluates it, and
every backend is tested against it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import quote

from storage.record import Payload, Record
from storage.search.expression import Expression, needs_payload, needs_tools
from storage.search.meaning import fulfils
from storage.search.subject import Subject

Order = Literal["asc", "desc"]
OrderBy = Literal["seq", "id"]
"""`seq` is the order of commit, `id` that of receipt: an exchange that lasts is committed after later ones."""
Durability = Literal["fast", "safe"]
"""`safe` syncs every commit to the disk; with `fast` a power cut may cost the newest commits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a credential may see. An empty tuple is no restriction; the three dimensions must all hold."""

    projects: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()

    @property
    def is_everything(self) -> bool:
        return not (self.projects or self.containers or self.clients)


EVERYTHING = Scope()


_UNENCODED: Final = "/!$&'()*+,;=:@~"
"""Characters that clients leave as they are in a path (RFC 3986 §3.3)."""
ROLLUP_METHODS: Final = frozenset(
    (
        *("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"),
        *("PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", "MKCALENDAR", "ACL"),
    )
)
"""Methods that rollups and metrics count apart (RFC 9110 §9.3, RFC 5789, those of WebDAV and its heirs); clients may
invent others without end."""
ROLLUP_FIELDS: Final = (
    *("scope", "kind", "status_classes", "methods", "routes", "services", "projects", "containers", "clients", "keys"),
    *("levels", "sources"),
)
"""Fields of a filter that the hourly rollups know."""


@dataclass(frozen=True, slots=True)
class FormerEndpoints:
    """Names that records of one route and project have, which endpoints of others may have for something else."""

    route: str | None
    project: str | None
    names: tuple[str, ...]

    def has(self, record: Record) -> bool:
        return record.endpoint in self.names and (record.route_id, record.project) == (self.route, self.project)


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
    """Substring of the raw path, case-insensitive for ASCII; `%`, `_` and backslash are literal. Matched as it is
    written, and as a client encodes it (`path_spellings`)."""
    routes: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    """Templates, as they are stored."""
    former_endpoints: tuple[FormerEndpoints, ...] = ()
    """Further alternatives of `endpoints`."""
    projects: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    """Key ids."""
    keyed: bool = False
    """Only calls of routes that asked for a key."""
    levels: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    error_types: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    """Models as requested, or as the response named them."""
    finish_reasons: tuple[str, ...] = ()
    """Why the output of an LLM call ended, as the provider says: exactly, case included."""
    called_tools: tuple[str, ...] = ()
    """Names of tools: LLM calls whose output called one of them."""
    is_llm: bool = False
    """Only LLM calls."""
    conversations: tuple[bytes, ...] = ()
    """Ids of conversations, 16 bytes; others match nothing."""
    tools: tuple[str, ...] = ()
    """Names of MCP tools: records that hold a call of one."""
    where: Expression | None = None
    """What else a search asks (`storage.search.meaning`)."""
    seqs: frozenset[int] | None = None
    """Only these: how a store that has looked up `tools` and `where` elsewhere asks `matches`."""
    trace_id: str | None = None
    min_duration_us: int | None = None
    max_duration_us: int | None = None
    """Both inclusive."""

    @property
    def has_only_rollup_dimensions(self) -> bool:
        """Whether the hourly rollups can answer how many records match."""
        return self == self.only(ROLLUP_FIELDS) and ROLLUP_METHODS.issuperset(self.methods)

    def only(self, names: Iterable[str]) -> "Filter":
        """Return what some of the fields ask for."""
        return Filter(**{name: getattr(self, name) for name in names})

    @property
    def needs_more_than_records(self) -> bool:
        """Whether `matches` cannot tell from a record alone: calls, heads or bodies are asked about."""
        return bool(self.tools) or needs_payload(self.where) or needs_tools(self.where)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordQuery:
    """A page of a filter."""

    filter: Filter = field(default_factory=Filter)
    by: OrderBy = "seq"
    order: Order = "desc"
    limit: int = 100
    """0: an empty page."""
    offset: int = 0
    """Rows to skip; prefer `after`. A search that its time budget ends while it skips returns no cursor."""
    after: int | None = None
    """Keyset cursor: `seq`, or the id as a number, of the last row of the page before; exclusive, towards `order`."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one query, in its order."""

    records: list[Record]
    complete: bool
    """False when the time budget ended the search early; `next_after` then says where to go on, even without rows."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """A copy of the store on one of several servers, as an operator asks for it."""

    host: str
    """As in the address."""
    name: str = ""
    """Its own, which commits name; empty where it was not told."""
    version: str = ""
    """Of its server."""
    reason: str = ""
    """Why it does not answer; empty: it does."""
    has_all: bool | None = None
    """Whether it has everything that is committed: one that has not is neither written nor read. None: unknown."""
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


def path_spellings(text: str) -> list[str]:
    """Write a part of a path as it is, and percent-encoded, which is how clients send `café` and `a b`."""
    encoded = quote(text, safe=_UNENCODED, errors="surrogatepass")
    return [text] if encoded == text else [text, encoded]


def matches(filter: Filter, record: Record, payload: Payload | None = None) -> bool:
    """Return whether a record is one of a filter's, the credential's scope included.

    Where the filter's `where` is about heads and bodies, they are the `payload`.
    """
    return (
        filter.kind in ("all", record.kind)
        and _has_dimensions(filter, record)
        and _has_endpoint(filter, record)
        and _has_status(filter, record.status)
        and (record.keyed or not filter.keyed)
        and _has_output(filter, record)
        and (not filter.conversations or record.conversation in filter.conversations)
        and _is_found(filter, record, payload)
        and _is_within(record.started_at_us, filter.since_us, filter.until_us, until_inclusive=False)
        and _is_within(record.duration_us, filter.min_duration_us, filter.max_duration_us, until_inclusive=True)
        and (filter.seq_after is None or record.seq > filter.seq_after)
        and (filter.seq_until is None or record.seq <= filter.seq_until)
        and (filter.trace_id is None or record.trace_id == filter.trace_id)
        and (
            filter.path_contains is None
            or any(_contains(record.path, spelling) for spelling in path_spellings(filter.path_contains))
        )
    )


def _has_dimensions(filter: Filter, record: Record) -> bool:
    scope = filter.scope
    pairs: Iterable[tuple[tuple[str, ...], str | None]] = (
        (scope.projects, record.project),
        (scope.containers, record.container),
        (scope.clients, record.client),
        (filter.methods, record.method),
        (filter.hosts, record.host),
        (filter.routes, record.route_id),
        (filter.services, record.service),
        (filter.projects, record.project),
        (filter.containers, record.container),
        (filter.clients, record.client),
        (filter.keys, record.key_id),
        (filter.levels, record.level),
        (filter.sources, record.source),
        (filter.outcomes, record.outcome),
        (filter.error_types, record.error_type),
        (filter.providers, record.provider),
    )
    for wanted, value in pairs:  # noqa: SIM110 - asked of each record for each live tail, and `all` takes a third more
        if wanted and value not in wanted:
            return False
    return True


def _has_endpoint(filter: Filter, record: Record) -> bool:
    if not filter.endpoints and not filter.former_endpoints:
        return True
    return record.endpoint in filter.endpoints or any(former.has(record) for former in filter.former_endpoints)


def _has_output(filter: Filter, record: Record) -> bool:
    """Whether a record is one of the LLM calls that are wanted."""
    if filter.models and record.model not in filter.models and record.resolved_model not in filter.models:
        return False
    stream = record.stream
    if filter.finish_reasons and (stream is None or stream.finish_reason not in filter.finish_reasons):
        return False
    if filter.called_tools and (stream is None or not set(filter.called_tools).intersection(stream.tools or ())):
        return False
    return record.provider is not None or not filter.is_llm


def _has_status(filter: Filter, status: int | None) -> bool:
    if not filter.statuses and not filter.status_classes:
        return True
    return status is not None and (status in filter.statuses or status // 100 in filter.status_classes)


def _is_found(filter: Filter, record: Record, payload: Payload | None) -> bool:
    """What a record itself says of `tools`, nothing of its calls, and of `where`."""
    if filter.seqs is not None:
        return record.seq in filter.seqs
    return not filter.tools and (filter.where is None or fulfils(Subject(record, payload), filter.where))


def _is_within(value: int, since: int | None, until: int | None, *, until_inclusive: bool) -> bool:
    if since is not None and value < since:
        return False
    return until is None or value < until or (until_inclusive and value == until)


def _contains(text: str | None, part: str) -> bool:
    # Over bytes, because str.lower() folds far more than ASCII.
    if text is None:
        return False
    return part.encode("utf-8", "surrogatepass").lower() in text.encode("utf-8", "surrogatepass").lower()
