"""The figures of alerts, from what a store adds up."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from api.access.principal import ADMIN
from api.access.query_gate import QueryGate
from api.access.scoped import ScopedStorage
from proxy.collector.watch.alerts.figures import (
    Figure,
    IncompleteFigures,
    read_examples,
    read_figures,
)
from proxy.settings.model import AlertSettings
from storage.aggregates import Percentiles, Summary
from storage.backends import open_storage
from storage.base import Storage
from tests.api.samples import START_US, Item, make_batch, make_body, make_payload, make_record

NOW_US = START_US + 60_000_000


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    """A store in a file, as alerts read it."""
    async with await open_storage("sqlite:///records.db", tmp_path) as opened:
        yield cast(Storage, ScopedStorage(opened, ADMIN, QueryGate(max_queries=1)))


async def figures_of(
    storage: Storage, changes: dict[str, Any], *records: Item
) -> dict[str, Figure]:
    """Store records; return the figures of an alert."""
    alert = AlertSettings(
        **{"name": "a", "url": "http://x/", "above": 1.0, "window_s": 120.0, **changes}
    )
    await storage.commit(make_batch(*records))
    return await read_figures(storage, alert, NOW_US)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"": 4}),
        ({"query": "status:5xx"}, {"": 1}),
        ({"figure": "share", "of": "status:5xx"}, {"": 0.25}),
        ({"figure": "share", "of": "status:5xx", "query": "path:/none"}, {"": None}),
        ({"figure": "share", "of": "status:5xx", "query": "method:GET or method:POST"}, {"": 0.25}),
        ({"figure": "p95"}, {"": 102.0}),
        ({"figure": "p95", "query": "path:/none"}, {"": None}),
        ({"figure": "cost"}, {"": 0.75}),
        ({"figure": "cost", "query": "level:info method:GET"}, {"": 0.75}),
        ({"figure": "cost", "by": "project"}, {"shop": 0.5, "web": 0.25}),
        ({"figure": "count", "by": "status"}, {"200": 3, "500": 1}),
        ({"figure": "share", "of": "status:5xx", "by": "project"}, {"shop": 0.0, "web": 0.5}),
        ({"figure": "change"}, {"": 2.0}),
        ({"figure": "change", "query": "status:5xx"}, {"": None}),
        ({"min_requests": 5}, {"": None}),
        ({"query": "since:-30s"}, {"": 0}),
        ({"above": None, "below": 1.0, "query": "path:/none", "window_s": 60.0}, {"": 0}),
        ({"above": None, "below": 1.0, "query": "path:/none", "window_s": 3600.0}, {}),
    ],
)
async def test_a_figure_is_that_of_its_window(
    storage: Storage, changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Of the requests that a search finds in it, together or apart."""
    call = {
        "provider": "openai",
        "model": "gpt-4o",
        "usage_state": "exact",
        "input_tokens": 1,
        "cost_usd": 0.25,
    }
    records = [
        make_record(1, project="shop", **call),
        make_record(2, project="shop", **call),
        make_record(3, project="web", **call),
        make_record(4, project="web", status=500),
        make_record(-100_000, project="web"),
        make_record(-100_001, project="web"),
    ]
    found = await figures_of(storage, changes, *records)
    assert {group: figure.value for group, figure in found.items()} == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"": (11.0, True)}),
        ({"query": "status:5xx"}, {"": (1.0, False)}),
        ({"figure": "share", "of": "status:5xx"}, {"": (1 / 11, True)}),
        ({"figure": "change", "query": "status:5xx"}, {"": (None, False)}),
        ({"by": "project"}, {"shop": (10.0, True), "web": (1.0, False)}),
    ],
)
async def test_a_figure_of_a_sample_is_marked(
    storage: Storage, changes: dict[str, Any], expected: dict[str, tuple[float | None, bool]]
) -> None:
    """Where a record in it stands for several: it is an estimate."""
    records = [
        make_record(1, project="shop", weight=5.0),
        make_record(2, project="shop", weight=5.0),
        make_record(3, project="web", status=500),
    ]
    found = await figures_of(storage, changes, *records)
    shown = {group: (figure.value, figure.sampled) for group, figure in found.items()}
    assert shown == expected


@pytest.mark.parametrize("has_ended", [False, True])
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"figure": "cost", "by": "model"}, {"gpt-5.1": 0.75}),
        ({"figure": "cost", "by": "project"}, {"shop": 0.75}),
        ({"figure": "cost", "by": "provider"}, {"openai": 0.75}),
        ({"figure": "cost", "by": "model", "query": "project:shop"}, {"gpt-5.1": 0.75}),
        ({"figure": "cost", "by": "model", "query": "project:web"}, {}),
        ({"figure": "cost"}, {"": 0.75}),
    ],
)
async def test_calls_over_a_web_socket_cost_what_they_cost_over_http(
    storage: Storage, changes: dict[str, Any], expected: dict[str, Any], *, has_ended: bool
) -> None:
    """Each is an event of its own, and counts before its connection has ended."""
    call: dict[str, Any] = {"kind": "event", "level": "debug", "name": "websocket_message"}
    call |= {"status": None, "method": None}
    call |= {
        "provider": "openai",
        "model": "gpt-5.1",
        "usage_state": "exact",
        "input_tokens": 5,
        "cost_usd": 0.25,
    }
    records = [make_record(number, project="shop", **call) for number in (1, 2, 3)]
    records.append(
        make_record(4, project="shop", kind="event", level="debug", name="websocket_message")
    )
    if has_ended:
        records.append(make_record(5, project="shop", status=101, model="gpt-5.1"))
    found = await figures_of(storage, changes, *records)
    assert {group: figure.value for group, figure in found.items() if figure.value} == expected


@pytest.mark.parametrize(
    ("changes", "searches"),
    [
        ({"query": "status:5xx"}, {"status:5xx"}),
        ({"figure": "share", "of": "status:5xx", "query": "method:GET or method:POST"},
         {"(method:GET or method:POST) status:5xx"}),
        ({"figure": "p95", "above": 1.5}, {"duration:>1.5ms"}),
        ({"by": "project", "query": "status:5xx"}, {'status:5xx project:"my shop"', "status:5xx project:web"}),
        ({"by": "endpoint"}, {"method:GET endpoint:/items/{id}"}),
        ({"by": "error"}, {"error:http_500"}),
        ({"by": "failure"},
         {'level:warn,error method:GET endpoint:/items/{id} error:http_500 status:500 message:"no item …"'}),
        ({"by": "message"}, {'message:"no item …"'}),
        ({"by": "path"}, {'path:="/a b"', "path:=/c"}),
    ],
)  # fmt: skip
async def test_a_figure_has_the_search_for_its_requests(
    storage: Storage, changes: dict[str, Any], searches: set[str]
) -> None:
    """Which finds them, and those of other groups not."""
    fields: dict[str, Any] = {
        "status": 500,
        "level": "error",
        "endpoint": "/items/{id}",
        "message": "no item …",
        "duration_us": 2000,
    }
    records = [
        make_record(1, project="my shop", path="/a b", **fields),
        make_record(2, project="web", path="/c", **fields),
    ]
    found = await figures_of(storage, changes, *records)
    assert {figure.search for figure in found.values()} == searches
    for figure in found.values():
        ids = await read_examples(storage, figure.search, 0, NOW_US)
        assert len(ids) == len(records) / len(found)


@pytest.mark.parametrize(
    ("by", "changes", "groups"),
    [
        ("failure", {"status": 500}, {"GET /items/{id} http_500 500"}),
        ("key", {"key_id": None}, {"k1", "none"}),
        ("error", {"status": 500}, {"http_500", "none"}),
        ("status", {"status": 999}, {"200", "999"}),
        ("method", {"method": "GETT"}, {"GET", "GETT"}),
        ("method", {"method": "purge"}, {"GET", "purge"}),
        ("endpoint", {"method": "purge"}, {"GET /items/{id}", "/items/{id}"}),
    ],
)
async def test_the_search_of_a_group_finds_all_of_it(
    storage: Storage, by: str, changes: dict[str, Any], groups: set[str]
) -> None:
    """Also where a request has no value, or an unusual one."""
    usual = {"endpoint": "/items/{id}", "key_id": "k1"}
    records = [make_record(1, **usual), make_record(2, **(usual | changes))]
    found = await figures_of(storage, {"by": by}, *records)
    assert found.keys() == groups
    for figure in found.values():
        assert len(await read_examples(storage, figure.search, 0, NOW_US)) == figure.value == 1


async def test_requests_without_a_value_are_one_group(storage: Storage) -> None:
    """Whether a body is not JSON or was not kept."""
    no_json = make_payload(make_body(b"text"))
    found = await figures_of(
        storage, {"by": "body.user"}, make_record(1), (make_record(2), no_json)
    )
    assert found == {"none": Figure(2.0, "-body.user:*")}
    assert len(await read_examples(storage, "-body.user:*", 0, NOW_US)) == 2


@dataclass
class _Slow:
    """A store whose time is up."""

    async def read(self, query: object) -> Summary:
        """Add up a part."""
        none = Percentiles()
        return Summary(
            exchanges=1, events=0, status_classes={}, request_bytes=0, response_bytes=0, duration=none, first_byte=none,
            since_us=None, until_us=None, complete=False,
        )  # fmt: skip


async def test_nothing_follows_from_a_lower_bound() -> None:
    """A sum that was cut is no figure."""
    alert = AlertSettings(name="a", url="http://x/", above=1.0)
    with pytest.raises(IncompleteFigures):
        await read_figures(_Slow(), alert, NOW_US)  # type: ignore[arg-type]
