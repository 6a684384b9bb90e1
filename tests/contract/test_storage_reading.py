"""Filters, pages, counts and stats of every backend, judged by `storage.query.matches`, the meaning
of a filter.
"""

import asyncio
import itertools
import random
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.base import Storage
from storage.grpc import Grpc
from storage.query import (
    CountQuery,
    Filter,
    Order,
    RecordQuery,
    Scope,
    StatsQuery,
    matches,
)
from storage.record import LEVELS, OUTCOMES, Record, Stream
from storage.search.expression import Has, Is, Like, Not
from tests.contract.backends import USUAL
from tests.contract.listing import of_store
from tests.storage.samples import START_US, make_batch, make_record
from tests.support.filters import make_filter

T = TypeVar("T")
HOUR_US = 3_600_000_000
RECORDS = 240
PER_BATCH = 60

NAMES = ("a", "b", "", "a\0b", "A")
METHODS = ("GET", "POST", "BREW", "get", "CONNECT")
STATUSES = (101, 200, 204, 301, 404, 429, 500, 503, 999)
PATHS = ("/Items/1", "/items_1", "/items%1", "/\0/ITEMS", "/ÄPFEL", "/äpfel", "0", "", "/a\\b")
TOOLS = (*NAMES, "a,", ",", '"a', "\n", "ä", "\\")
REDACTED = (
    "github-token",
    "card-number",
    "name:password",
    "name:pass",
    "name:a b",
    "name:\n",
    'name:"',
    "",
    "ä",
)
TRACES = ("0af7651916cd43dd8448eb211c80319c", "", "0", "other")


def make_dataset() -> list[Record]:
    """Make records that differ in everything a filter sees, nulls included; always the same."""
    chance = random.Random(7)

    def pick(values: tuple[Any, ...]) -> Any:
        return chance.choice((*values, None))

    return [
        make_record(
            kind=chance.choice(("exchange", "exchange", "event")),
            started_at_us=START_US + chance.randrange(3 * HOUR_US),
            level=chance.choice(LEVELS),
            outcome=chance.choice(OUTCOMES[:3]).value,
            status=pick(STATUSES),
            method=pick(METHODS),
            host=pick(NAMES),
            path=pick(PATHS),
            route_id=pick(NAMES),
            service=pick(NAMES),
            endpoint=pick(NAMES),
            project=pick(NAMES),
            container=pick(NAMES[:2]),
            client=pick(NAMES[:2]),
            key_id=pick(NAMES),
            source=chance.choice(("backend", "edge")),
            direction=chance.choice(("in", "out")),
            error_type=pick(NAMES),
            provider=pick(NAMES),
            model=pick(NAMES),
            resolved_model=pick(NAMES),
            grpc=pick(
                (
                    Grpc(
                        pick(tuple(range(19))),
                        message=pick(NAMES),
                        end=chance.choice(("trailers", "reset")),
                    ),
                )
            ),
            stream=pick((make_stream(pick(NAMES), chance.sample(TOOLS, chance.randrange(4))),)),
            message=pick(NAMES),
            trace_id=pick(TRACES),
            duration_us=chance.randrange(1000),
            keyed=chance.random() < 0.3,
            redactions=make_redactions(chance),
        )
        for _ in range(RECORDS)
    ]


def make_stream(finish_reason: str | None, tools: list[str]) -> Stream:
    return Stream(
        None,
        None,
        None,
        True,
        finish_reason,
        tools=tools or None,
        failed_tools=tools[:2] * 2 or None,
    )


def make_redactions(chance: random.Random) -> dict[str, int] | None:
    """Take out nothing, or some of what has odd names, in some places."""
    return {
        name: chance.choice((1, 1, 300)) for name in chance.sample(REDACTED, chance.randrange(4))
    } or None


class Reader:
    """A filled store and the records in it, for tests that are not coroutines."""

    def __init__(self, runner: asyncio.Runner, store: Storage, records: list[Record]) -> None:
        self._run = runner.run
        self.store = store
        self.records = records

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Await something of the store."""
        return self._run(work)

    def pages(self, query: RecordQuery) -> list[Record]:
        """Follow the cursors of a query from its first page to the last."""
        found: list[Record] = []
        while True:
            page = self.wait(self.store.read(query))
            assert page.complete
            assert len(page.records) <= query.limit
            found += page.records
            if page.next_after is None:
                return found

            assert page.next_after == page.records[-1].seq
            query = replace(query, after=page.next_after, offset=0)

    def check(self, filter: Filter) -> None:
        """Compare the rows and the count of a filter, whose bounds number the records, with its
        meaning.
        """
        filter = of_store(filter, self.records)
        expected = [record for record in self.records if matches(filter, record)]
        assert self.pages(RecordQuery(filter=filter, order="asc", limit=90)) == expected
        counted = self.wait(self.store.read(CountQuery(filter)))
        assert counted.exact
        assert counted.exchanges == sum(record.kind == "exchange" for record in expected)
        assert counted.events == sum(record.kind == "event" for record in expected)


@pytest.fixture(params=USUAL, ids=lambda backend: backend.name, scope="module")
def reader(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Reader]:
    """Every backend in turn, filled once."""
    directory: Path = tmp_path_factory.mktemp("store")
    with asyncio.Runner() as runner:
        store: Storage = runner.run(request.param.open(directory))
        records = make_dataset()
        for start in range(0, RECORDS, PER_BATCH):
            runner.run(store.commit(make_batch(*records[start : start + PER_BATCH])))
        yield Reader(runner, store, records)
        runner.run(store.close())


def _some(values: tuple[T, ...]) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=3).map(tuple)


_names = _some((*NAMES, "unknown", "\udc80"))
_times = st.one_of(
    st.integers(START_US - HOUR_US, START_US + 4 * HOUR_US),
    st.sampled_from((-(1 << 70), 0, 1 << 70)),
)
_seqs = st.one_of(st.integers(-2, RECORDS + 2), st.sampled_from((-(1 << 70), 1 << 70)))
_durations = st.one_of(st.integers(-1, 1001), st.sampled_from((-(1 << 70), 1 << 70)))
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "scope": st.builds(
        Scope, projects=st.one_of(st.just(()), _names), containers=st.one_of(st.just(()), _names)
    ),
    "kind": st.sampled_from(("exchange", "event", "all")),
    "since_us": _times,
    "until_us": _times,
    "seq_after": _seqs,
    "seq_until": _seqs,
    "statuses": _some((*STATUSES, 0, -1, 418, 1 << 70)),
    "status_classes": _some((1, 2, 3, 4, 5, 9, 0, -1, 1 << 70)),
    "methods": _some((*METHODS, "PUT")),
    "hosts": _names,
    "path_contains": st.sampled_from(
        (*PATHS, "ITEMS", "_", "%", "\\", "\0", "ä", "Ä", "-", "\udc80")
    ),
    "routes": _names,
    "services": _names,
    "projects": _names,
    "containers": _names,
    "clients": _names,
    "keys": _names,
    "levels": _some((*LEVELS, "fatal")),
    "sources": _some(("backend", "edge", "moon")),
    "directions": _some(("in", "out", "up")),
    "outcomes": _some((*(outcome.value for outcome in OUTCOMES[:4]), "fine")),
    "error_types": _names,
    "trace_id": st.sampled_from((*TRACES, "unknown", "\udc80")),
    "min_duration_us": _durations,
    "max_duration_us": _durations,
    "keyed": st.booleans(),
    "providers": _names,
    "models": _names,
    "finish_reasons": _names,
    "grpc_statuses": _some(("OK", "UNKNOWN", "UNAVAILABLE", "ok")),
    "called_tools": _some((*TOOLS, "unknown", "\udc80")),
    "tool_errors": _some((*TOOLS, "unknown")),
    "redacted": _some((*REDACTED, "token", "name:", "\udc80")),
    "endpoints": _names,
    "is_llm": st.booleans(),
    "tools": _names,  # no record here holds a call: see test_storage_calls.py
    "conversations": st.sampled_from(((), (bytes(16),))),  # none of these records is in one
    "where": st.sampled_from(
        (Is("method", METHODS[:2]), Not(Has("path")), Like("host", ("A", "")))
    ),
}


def test_every_field_of_a_filter_is_tested() -> None:
    """The strategies name every field there is."""
    assert FIELDS.keys() >= {field.name for field in fields(Filter)}


@pytest.mark.parametrize("name", FIELDS)
@settings(max_examples=12, suppress_health_check=list(HealthCheck), derandomize=True)
@given(data=st.data())
def test_a_field_restricts_as_it_says(reader: Reader, name: str, data: st.DataObject) -> None:
    """Each field of a filter alone finds and counts what it means."""
    reader.check(make_filter(**({"kind": "all"} | {name: data.draw(FIELDS[name])})))


@settings(max_examples=50, suppress_health_check=list(HealthCheck), derandomize=True)
@given(data=st.data())
def test_fields_restrict_together(reader: Reader, data: st.DataObject) -> None:
    """Fields of a filter hold together, in pairs and threes."""
    names = data.draw(
        st.lists(st.sampled_from(sorted(FIELDS)), min_size=2, max_size=3, unique=True)
    )
    reader.check(
        make_filter(**({"kind": "all"} | {name: data.draw(FIELDS[name]) for name in names}))
    )


def test_a_scope_holds_whatever_the_filter_asks(reader: Reader) -> None:
    """The scope is applied on top of a filter on the same dimension."""
    filter = make_filter(scope=Scope(projects=("a",)), projects=("a", "b"), kind="all")
    found = reader.pages(RecordQuery(filter=filter))
    assert found
    assert {record.project for record in found} == {"a"}
    assert (
        reader.pages(
            RecordQuery(filter=make_filter(scope=filter.scope, projects=("b",), kind="all"))
        )
        == []
    )


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize(
    "filter", [Filter(kind="all"), make_filter(projects=("a",)), make_filter(projects=("unknown",))]
)
def test_pages_follow_order_offset_and_cursor(reader: Reader, order: Order, filter: Filter) -> None:
    """Offset, limit and cursor cut the same list, in both orders, and the last page has no cursor."""
    expected = [record for record in reader.records if matches(filter, record)]
    expected.sort(key=lambda record: record.seq, reverse=order == "desc")

    cursors = [None, *(record.seq for record in expected[:3]), 0, -5, reader.records[-1].seq + 7]
    for limit, offset, after in itertools.product((0, 1, 7, 1000), (0, 1, 30, 5000), cursors):
        page = reader.wait(
            reader.store.read(
                RecordQuery(filter=filter, order=order, limit=limit, offset=offset, after=after)
            )
        )
        rest = [
            record
            for record in expected
            if after is None or (record.seq > after if order == "asc" else record.seq < after)
        ]
        assert page.records == rest[offset : offset + limit]
        assert page.complete
        has_more = 0 < limit < len(rest) - offset
        assert page.next_after == (page.records[-1].seq if has_more else None)


@pytest.mark.parametrize("limit", [1, 7, 80, 240])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_cursors_lead_through_everything(reader: Reader, limit: int, order: Order) -> None:
    """Following the cursors meets every record once."""
    found = reader.pages(RecordQuery(filter=Filter(kind="all"), order=order, limit=limit))
    assert found == sorted(reader.records, key=lambda record: record.seq, reverse=order == "desc")


@pytest.mark.parametrize(
    "scope",
    [
        Scope(),
        Scope(projects=("a", "b")),
        Scope(containers=("a",), clients=("b",)),
        Scope(projects=("zzz",)),
    ],
)
def test_stats_count_entries(reader: Reader, scope: Scope) -> None:
    """Stats count two entries per exchange and one per event, under every dimension."""
    found = [
        record for record in reader.records if matches(Filter(scope=scope, kind="all"), record)
    ]

    def by(value: Callable[[Record], str | None]) -> dict[str, int]:
        groups: dict[str, int] = {}
        for record in found:
            name = value(record)
            name = "unknown" if name is None else name
            groups[name] = groups.get(name, 0) + (1 if record.kind == "event" else 2)
        return groups

    stats = reader.wait(reader.store.read(StatsQuery(Filter(scope=scope))))
    assert stats.by_level == dict.fromkeys(map(str, LEVELS), 0) | by(lambda record: record.level)
    assert stats.by_project == by(lambda record: record.project)
    assert stats.by_container == by(lambda record: record.container)
    assert stats.by_service == by(lambda record: record.service)
    assert stats.total == sum(stats.by_level.values()) == sum(stats.by_project.values())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Zürich", 1), ("Z\u00dcRICH", 0), ("a b", 1), ("A B/c", 1), ("100%", 1), ("%20", 1), ("z%c3", 1),
        ("it's", 1), ("b c", 0),
    ],
)  # fmt: skip
async def test_a_path_is_found_as_a_person_writes_it(store: Storage, text: str, found: int) -> None:
    """Clients percent-encode what is no ASCII, and blanks; what is searched for may be written
    either way.
    """
    paths = ("/Z%C3%BCrich/menu", "/a%20b/c", "/100%25/it's", "/bc")
    await store.commit(make_batch(*(make_record(path=path) for path in paths)))
    page = await store.read(RecordQuery(filter=make_filter(path_contains=text)))
    assert len(page.records) == found
    assert (await store.read(CountQuery(make_filter(path_contains=text)))).exchanges == found
