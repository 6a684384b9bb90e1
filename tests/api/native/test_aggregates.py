"""Facets, histogram and summary over HTTP: the store's figures as JSON, scoped, and errors that
name the parameter.
"""

from dataclasses import replace
from typing import Any

import pytest

from tests.api.conftest import BEARER, Client, World, ask
from tests.api.samples import START_US, make_record
from tests.support.cases import each_of

RANGE = "since=2024-06-12T14:00:00Z&until=2024-06-12T15:00:00Z"


async def fill(world: World) -> None:
    """Store ten exchanges: two failures, two routes."""
    records = [
        make_record(
            n,
            status=500 if n < 2 else 200,
            route_id="a" if n % 2 else "b",
            project="p" if n < 4 else None,
        )
        for n in range(10)
    ]
    await world.store(*records)


async def test_facets_list_values_with_counts(client: Client, world: World) -> None:
    """Values come most frequent first; only the facets asked for are answered."""
    await fill(world)
    found = (await ask(client, "/api/facets?name=route,status"))["facets"]
    assert set(found) == {"route", "status"}
    assert found["status"] == [{"value": "2xx", "count": 8}, {"value": "5xx", "count": 2}]
    assert {value["value"]: value["count"] for value in found["route"]} == {"a": 5, "b": 5}


async def test_a_summary_says_that_it_is_of_the_newest(
    client: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the time does not suffice for all that a search finds; else it says nothing of it."""
    await fill(world)
    whole = await ask(client, "/api/summary?query=api")
    assert whole["complete"]
    assert "newest" not in whole

    read = world.storage.read

    async def read_part(query: Any) -> Any:
        return replace(await read(query), complete=False, is_newest=True)

    monkeypatch.setattr(world.storage, "read", read_part)
    part = await ask(client, "/api/summary?query=api")
    assert (part["complete"], part["newest"]) == (False, True)


async def test_a_histogram_counts_over_time(client: Client, world: World) -> None:
    """The steps add up to what is stored in the range."""
    await fill(world)
    found = await ask(client, f"/api/histogram?{RANGE}&buckets=12")
    assert found["complete"]
    assert sum(bucket["exchanges"] for bucket in found["buckets"]) == 10
    assert sum(bucket["status"].get("5xx", 0) for bucket in found["buckets"]) == 2
    assert found["step_s"] == 300
    full = next(bucket for bucket in found["buckets"] if bucket["exchanges"])
    assert 100 <= full["duration_ms"]["p50"] <= 250
    assert full["duration_ms"]["estimated"] is False


async def test_a_heat_map_counts_by_time_and_duration(client: Client, world: World) -> None:
    """Its cells add up to the exchanges of the range; a row's bounds are a search that finds what
    is in it.
    """
    await fill(world)
    found = await ask(client, f"/api/heatmap?{RANGE}&columns=12&rows=8")
    assert found["complete"]
    assert len(found["buckets"]) == len(found["counts"]) == 12
    assert 0 < len(found["rows"]) <= 8
    assert sum(map(sum, found["counts"])) == 10
    plain = await ask(client, f"/api/histogram?{RANGE}&buckets=12")
    assert found["buckets"] == plain["buckets"]

    for row, bounds in enumerate(found["rows"]):
        search = f"query=duration:{bounds['min_ms']}ms..{bounds['max_ms']}ms"
        summary = await ask(client, f"/api/summary?{RANGE}&{search}")
        assert summary["exchanges"] == sum(column[row] for column in found["counts"])


@pytest.mark.parametrize("since", ["0s", "4545-02-08T10:00:00Z", "9999-12-31T23:59:59.999-23:59"])
async def test_a_histogram_since_a_time_ahead_is_empty(
    client: Client, world: World, since: str
) -> None:
    """A client whose clock is ahead gets an empty hour, as it gets an empty summary, unless it
    names the end itself.
    """
    await fill(world)
    response = await client.get(f"/api/histogram?since={since}&max_latency_ms=", headers=BEARER)
    found = await response.json()
    assert response.status == 200, found
    assert found["step_s"] == 60
    assert len(found["buckets"]) == 60
    assert not any(bucket["exchanges"] for bucket in found["buckets"])
    ended = await client.get(f"/api/histogram?since={since}&until=2000-01-01", headers=BEARER)
    assert ended.status == 400


async def test_a_summary_adds_up(client: Client, world: World) -> None:
    """Totals follow the filter, and the top lists name what fails."""
    await fill(world)
    found = await ask(client, "/api/summary?route=a")
    assert found["exchanges"] == 5
    assert found["status"] == {"2xx": 4, "5xx": 1}
    assert found["request_bytes"] == 5 * 412
    assert found["top"]["route"] == [{"value": "a", "count": 5}]
    assert START_US > 0


async def test_a_summary_tells_the_use_of_models(client: Client, world: World) -> None:
    """Tokens and cost of all calls, and by model: in one form, whatever the filter."""
    calls = [
        make_record(
            n,
            provider="openai",
            model="small" if n else "large",
            input_tokens=10,
            output_tokens=n,
            cost_usd=0.5,
        )
        for n in range(3)
    ]
    await world.store(*calls, make_record(9))
    usage = (await ask(client, "/api/summary"))["usage"]
    assert (usage["calls"], usage["counted"], usage["priced"], usage["cost_usd"]) == (3, 3, 3, 1.5)
    assert (usage["input_tokens"], usage["output_tokens"], usage["cache_read_tokens"]) == (30, 3, 0)
    assert [(one["provider"], one["model"], one["calls"]) for one in usage["models"]] == [
        ("openai", "small", 2),
        ("openai", "large", 1),
    ]
    of_one = (await ask(client, "/api/summary?model=large"))["usage"]
    assert (of_one["calls"], of_one["input_tokens"]) == (1, 10)
    totals = await ask(client, "/api/summary?model=large&totals=true")
    assert (totals["exchanges"], totals["top"], totals["usage"]) == (of_one["calls"], {}, None)
    for filter in ("level=info", "method=GET", "query=status:2xx", "query=path:/", "q=x or y"):
        found = (await ask(client, f"/api/summary?{filter}"))["usage"]
        assert found.keys() == usage.keys(), filter
        assert found["calls"] == (0 if filter.startswith("q=") else 3), filter


@each_of(
    ("path", "parameter"),
    [
        ("/api/facets?name=colour", "name"),
        ("/api/facets?colour=red", "colour"),
        ("/api/histogram?buckets=0", "buckets"),
        ("/api/histogram?buckets=501", "buckets"),
        ("/api/histogram?since=2024-01-02&until=2024-01-01", "since"),
        ("/api/histogram?query=since:2024-01-02 until:2024-01-01", "since"),
        ("/api/histogram?since=2024-01-01&until=2024-01-02&query=since:2024-01-03", "since"),
        ("/api/heatmap?until=2024-01-01&query=since:2024-01-02", "since"),
        ("/api/histogram?since=tomorrow", "since"),
        ("/api/heatmap?columns=121", "columns"),
        ("/api/heatmap?rows=61", "rows"),
        ("/api/heatmap?since=2024-01-02&until=2024-01-01", "since"),
        ("/api/summary?status=0xx", "status"),
        ("/api/summary?totals=2", "totals"),
    ],
)
async def test_bad_parameters_are_named(client: Client, path: str, parameter: str) -> None:
    """A bad parameter is a problem that names it."""
    assert (await ask(client, path, 400))["parameter"] == parameter
