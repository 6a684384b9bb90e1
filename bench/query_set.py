"""What `python -m bench.queries` asks a filled store: each list at three depths, words, totals,
facets, figures.

Strategy: no two rounds ask the same page. A cursor moves with the round, so that what is measured
is not what the round before has just read.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from storage.aggregates import FACETS
from storage.base import Storage
from storage.conversations import ConversationQuery
from storage.query import (
    CountQuery,
    FacetQuery,
    Filter,
    HistogramQuery,
    OrderBy,
    RecordQuery,
    Scope,
    SeriesQuery,
    StatsQuery,
    SummaryQuery,
    TopQuery,
)
from storage.record import Record
from storage.relational.by_id import id_number
from storage.relational.time_ranges import DAY_US, HOUR_US
from storage.search.expression import And, Substring, Text
from storage.search.phrase import Phrase
from tests.support.filters import make_filter

_STEP_ROWS: Final = 997
_STEP_MS: Final = 80_000
_ID_MS_SHIFT: Final = 80
PAGE_RECORDS: Final = 100

Query = Callable[[int], Awaitable[object]]
"""From the number of the round to an answer."""


def list_filters(example: Record, oldest_us: int, newest_us: int) -> dict[str, Filter]:
    """Name the filters of the lists that an index, or their frequency, serves.

    Args:
        example: A record with a trace id.
        oldest_us: When the oldest record started.
        newest_us: The newest.
    """
    length_us = newest_us - oldest_us
    return {
        "newest": make_filter(),
        "project": make_filter(projects=("project-3",)),
        "scope of one project": make_filter(scope=Scope(projects=("project-3",))),
        "service": make_filter(services=("service-7",)),
        "service + level": make_filter(services=("service-7",), levels=("error",)),
        "status class": make_filter(status_classes=(5,)),
        "status": make_filter(statuses=(404,)),
        "level": make_filter(levels=("warn", "error")),
        "key": make_filter(keys=("key-77",)),
        "model": make_filter(models=("gpt-4o",)),
        "provider": make_filter(providers=("anthropic",)),
        "LLM calls": make_filter(is_llm=True),
        "LLM calls of a project": make_filter(projects=("project-3",), is_llm=True),
        "trace id": make_filter(trace_id=example.trace_id or "0"),
        "route": make_filter(routes=("route-7",)),
        "method": make_filter(methods=("DELETE",)),
        "host": make_filter(hosts=("api-1.example.com",)),
        "error type": make_filter(error_types=("internal",)),
        "time range": make_filter(since_us=oldest_us + length_us // 2, until_us=oldest_us + length_us * 6 // 10),
    }  # fmt: skip


def searches(example: Record) -> dict[str, Filter]:
    """Name the searches that read rows, or bodies, until they have a page or their time is over."""
    return {
        "path substring, one row in 30": make_filter(path_contains="/items/47"),
        "path substring, one row in 9 000": make_filter(path_contains="items/4711"),
        "path substring, no row": make_filter(path_contains="not there"),
        "text, every row": make_filter(where=Substring('"currency":')),
        "text, one row": make_filter(where=Substring(f'"{example.path}"')),
        "text, no row": make_filter(where=Substring("not there")),
        "nothing matches": make_filter(
            projects=("project-3",), methods=("GET",), path_contains="not there"
        ),
    }


def lists(
    storage: Storage, filters: dict[str, Filter], first_seq: int, last_seq: int
) -> dict[str, Query]:
    """Ask for a page of each filter: the first, and by cursor in the middle and deep down."""
    found: dict[str, Query] = {}
    numbers = last_seq - first_seq
    depths = (
        ("first", None),
        ("middle", first_seq + numbers // 2),
        ("deep", first_seq + numbers // 20),
    )
    for name, filter in filters.items():
        for depth, below in depths:
            found[f"list, {name}, {depth}"] = _page(storage, filter, below)
    return found


def by_id(storage: Storage, middle: Record) -> dict[str, Query]:
    """Ask for pages in the order of receipt: the first, and by cursor in the middle."""
    filters = {
        "all": make_filter(),
        "a project": make_filter(projects=("project-3",)),
        "a route of a client": make_filter(routes=("route-7",), clients=("acme",)),
    }
    found: dict[str, Query] = {}
    for name, filter in filters.items():
        for depth, below in (("first", None), ("middle", id_number(middle.id))):
            found[f"received, {name}, {depth}"] = _page(
                storage, filter, below, "id", _STEP_MS << _ID_MS_SHIFT
            )

    return found


def words(storage: Storage) -> dict[str, Query]:
    """Ask for words of bodies as `bench.generate` makes them: rare ones, none, and two of which one
    is rare.
    """
    asked: dict[str, Callable[[int], str]] = {
        "one row in a million": lambda number: f"{number * 1009 + 23_456}",
        "no row": lambda number: f"absent{number}x",
        "of one row and of all": lambda number: f"{number * 1009 + 23_457} currency",
    }

    def query(texts: Callable[[int], str]) -> Query:
        return lambda number: storage.read(
            RecordQuery(
                filter=Filter(
                    where=And(tuple(Text(Phrase((text,))) for text in texts(number).split()))
                ),
                limit=PAGE_RECORDS,
            )
        )

    return {f"word, {kind}": query(texts) for kind, texts in asked.items()}


def totals(storage: Storage, filters: dict[str, Filter]) -> dict[str, Query]:
    """Ask how many there are."""
    return {f"total, {name}": _total(storage, filter) for name, filter in filters.items()}


def aggregates(storage: Storage, oldest_us: int, newest_us: int) -> dict[str, Query]:
    """Ask for facets, stats, summary and histogram."""
    counted = (
        "status",
        "method",
        "route",
        "service",
        "project",
        "container",
        "client",
        "key",
        "level",
        "source",
    )
    day_us = newest_us - DAY_US
    return {
        "facets, counted": lambda _: storage.read(FacetQuery(make_filter(), counted)),
        "facets, all": lambda _: storage.read(FacetQuery(make_filter(), tuple(FACETS))),
        "facets, of a project": lambda _: storage.read(
            FacetQuery(make_filter(projects=("project-3",)), counted)
        ),
        "facets, last 24 h": lambda _: storage.read(
            FacetQuery(make_filter(since_us=day_us), counted)
        ),
        "facets, all, of a path": lambda _: storage.read(
            FacetQuery(make_filter(path_contains="items/4711"), tuple(FACETS))
        ),
        "stats": lambda _: storage.read(StatsQuery()),
        "stats, of a project": lambda _: storage.read(
            StatsQuery(Filter(scope=Scope(projects=("project-3",))))
        ),
        "summary": lambda _: storage.read(SummaryQuery(make_filter())),
        "summary, last 24 h": lambda _: storage.read(
            SummaryQuery(make_filter(since_us=day_us + 77))
        ),
        "histogram, last 15 min": lambda _: storage.read(
            HistogramQuery(make_filter(), newest_us - HOUR_US // 4, newest_us, 60)
        ),
        "histogram, last 24 h": lambda _: storage.read(
            HistogramQuery(make_filter(), day_us, newest_us, 48)
        ),
        "histogram, all days": lambda _: storage.read(
            HistogramQuery(make_filter(), oldest_us, newest_us, 60)
        ),
    }


def _page(
    storage: Storage, filter: Filter, below: int | None, by: OrderBy = "seq", step: int = _STEP_ROWS
) -> Query:
    def ask(number: int) -> Awaitable[object]:
        after = None if below is None else max(below - number * step, 2)
        return storage.read(RecordQuery(filter=filter, by=by, limit=PAGE_RECORDS, after=after))

    return ask


def _total(storage: Storage, filter: Filter) -> Query:
    return lambda _: storage.read(CountQuery(filter))


def tops(storage: Storage, oldest_us: int, newest_us: int) -> dict[str, Query]:
    """Ask for groups of all exchanges, of part of them, and hour by hour; and for conversations."""
    week_us = max(oldest_us, newest_us - 7 * DAY_US) + 77
    groups = ("endpoint", "host", "status", "model", "user", "provider", "key", "failure")
    found: dict[str, Query] = {
        f"top, by {by}": lambda _, by=by: storage.read(TopQuery(make_filter(), by))  # type: ignore[misc]
        for by in groups
    }
    return found | {
        "top, by endpoint, 7 days and a bit": lambda _: storage.read(
            TopQuery(make_filter(since_us=week_us), "endpoint")
        ),
        "top, by endpoint of a service": lambda _: storage.read(
            TopQuery(make_filter(services=("service-7",)), "endpoint")
        ),
        "series, by endpoint, hours": lambda _: storage.read(
            SeriesQuery(make_filter(), "endpoint", week_us, newest_us, 60)
        ),
        "summary, 7 days and a bit": lambda _: storage.read(
            SummaryQuery(make_filter(since_us=week_us))
        ),
        "histogram, 7 days in hours": lambda _: storage.read(
            HistogramQuery(make_filter(), week_us, newest_us, 120)
        ),
        "conversations, newest": lambda _: storage.read(ConversationQuery()),
        "conversations, dearest of all": lambda _: storage.read(ConversationQuery(sort="cost")),
        "conversations, dearest of the last day": lambda _: storage.read(
            ConversationQuery(filter=make_filter(since_us=newest_us - DAY_US), sort="cost")
        ),
    }
