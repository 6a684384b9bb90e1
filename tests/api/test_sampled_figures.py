"""A known truth, of which a rule of capture keeps a tenth and all failures: whoever shows a figure
comes near it.

Near is four standard errors of a sample of its size, and for a percentile the bucket beside its
own. Ids and numbers are always the same, so the answers are.
"""

import asyncio
import io
import random
from bisect import bisect_left
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from math import exp, sqrt
from typing import Any, Final

import pytest

from proxy.cli import app
from proxy.collector.rings.capture_rules import CaptureRules
from proxy.collector.watch.alerts.figures import read_figures
from proxy.settings.model import AlertSettings, CaptureRuleSettings
from storage.aggregates import BOUNDS_US
from storage.query import CountQuery, Filter
from storage.record import Batch, Entry, Record
from tests.api.conftest import TOKEN, Client, World, ask
from tests.api.dialects.test_mcp import call
from tests.api.samples import START_US, make_record

NUMBER: Final = 20_000
SHARE: Final = 0.1
PERIOD_US: Final = 3_000_000_000
STEP: Final = NUMBER * 360_000_000 // PERIOD_US
"""Exchanges of one of ten steps of an hour."""
ENDPOINTS: Final = {
    "/users/{id}": 50,
    "/orders": 25,
    "/orders/{id}": 15,
    "/search": 7,
    "/export": 3,
}
NOW_US: Final = START_US + 3_600_000_000
Figure = Callable[[Record], float]


def truth() -> list[Record]:
    """Make exchanges with 3 % failures, which take longer, and a heavy tail; every fifth is an LLM
    call.
    """
    chance = random.Random(5)
    records = []
    for number in range(NUMBER):
        has_failed = chance.random() < 0.03
        duration_us = round(50_000 * exp(0.8 * chance.gauss(0, 1))) * (3 if has_failed else 1)
        changes: dict[str, Any] = {"provider": "openai", "model": f"gpt-{chance.choice('445')}"}
        changes |= {
            "input_tokens": chance.randrange(2000),
            "output_tokens": 10,
            "cost_usd": chance.random() / 100,
        }
        records.append(
            make_record(
                number, status=500 if has_failed else 200, duration_us=duration_us,
                started_at_us=START_US + number * (PERIOD_US // NUMBER), request_bytes=chance.randrange(1000),
                endpoint=chance.choices(list(ENDPOINTS), list(ENDPOINTS.values()))[0],
                **(changes if number % 5 == 0 else {}),
            )
        )  # fmt: skip

    return records


RECORDS: Final = truth()


@pytest.fixture
async def left_out(world: World) -> int:
    """Store what the rule keeps; return how many it does not."""
    rules = CaptureRules([CaptureRuleSettings(query="path:/v1/*", share=SHARE, slow_ms=0)])
    kept = [entry for record in RECORDS if (entry := rules.apply(Entry(record))) is not None]
    for start in range(0, len(kept), 500):
        await world.storage.commit(Batch("side-1", kept[start : start + 500]))
    return NUMBER - len(kept)


def near(figure: Figure, records: Iterable[Record] = RECORDS) -> Any:
    """Compare with the sum of a figure of records, within the error of the sample."""
    found = list(records)
    sampled = (figure(record) ** 2 for record in found if record.level == "info")
    error = sqrt(sum(sampled) * (1 - SHARE) / SHARE)
    return pytest.approx(sum(map(figure, found)), abs=4 * error + 1e-6)


def is_near_percentile(value_ms: float, percent: int, records: Iterable[Record] = RECORDS) -> bool:
    """Whether a percentile lies in the bucket of the true one, or beside it."""
    durations = sorted(record.duration_us for record in records)
    true_us = durations[-(-len(durations) * percent // 100) - 1]
    return abs(bisect_left(BOUNDS_US, value_ms * 1000) - bisect_left(BOUNDS_US, true_us)) <= 1


def one(record: Record) -> float:
    """Count an exchange."""
    return 1


def failed(record: Record) -> float:
    """Count a failure."""
    return float(record.status == 500)


def check_summary(found: Any) -> None:
    """Judge totals, by status and of LLM calls, and percentiles."""
    assert found["sampled"] is True
    assert found["exchanges"] == near(one)
    assert found["status"] == {
        "2xx": near(lambda record: record.status == 200),
        "5xx": sum(map(failed, RECORDS)),
    }
    assert found["request_bytes"] == near(lambda record: record.request_bytes)
    assert all(
        is_near_percentile(found["duration_ms"][f"p{percent}"], percent) for percent in (50, 95, 99)
    )
    usage = found["usage"]
    assert usage["calls"] == near(lambda record: record.provider is not None)
    assert usage["input_tokens"] == near(lambda record: record.input_tokens or 0)
    assert usage["cost_usd"] == near(lambda record: record.cost_usd or 0)

    for model in usage["models"]:
        of_model = [record for record in RECORDS if record.model == model["model"]]
        assert model["calls"] == near(one, of_model)
        assert model["cost_usd"] == near(lambda record: record.cost_usd or 0, of_model)


def check_endpoints(found: Any) -> None:
    """Judge each endpoint: requests, share, failures, and of the larger ones percentiles."""
    assert {row["value"] for row in found["rows"]} == set(ENDPOINTS)
    for row in found["rows"]:
        records = [record for record in RECORDS if record.endpoint == row["value"]]
        assert row["exchanges"] == near(one, records)
        assert row["share"] == pytest.approx(len(records) / NUMBER, abs=0.02)
        assert row["server_errors"] == sum(map(failed, records))
        if len(records) > NUMBER / 5:
            assert is_near_percentile(row["duration_ms"]["p95"], 95, records)


async def test_the_api_comes_near(client: Client, left_out: int) -> None:
    """Totals, endpoints, groups by other fields, steps of time, durations, and values with counts."""
    check_summary(await ask(client, "/api/summary"))
    check_summary(await ask(client, "/api/summary?query=duration:>=0"))
    endpoints = await ask(client, "/api/endpoints?since=-1h&buckets=10")
    assert endpoints["sampled"] is True
    check_endpoints(endpoints)
    assert sum(map(sum, (row["series"] for row in endpoints["rows"]))) == near(one)
    for by in ("status", "header.x-tenant", "model"):
        rows = (await ask(client, f"/api/top?by={by}"))["rows"]
        assert sum(row["exchanges"] for row in rows) == near(one)
    histogram = await ask(client, "/api/histogram?since=-1h&buckets=10")
    for number, bucket in enumerate(histogram["buckets"]):
        assert bucket["exchanges"] == near(one, RECORDS[number * STEP : (number + 1) * STEP])
    heat = await ask(client, "/api/heatmap?since=-1h&columns=10&rows=20")
    assert sum(map(sum, heat["counts"])) == near(one)
    facets = await ask(client, "/api/facets?name=status,endpoint,model")
    assert facets["sampled"] is True
    assert {each["value"]: each["count"] for each in facets["facets"]["endpoint"]} == {
        name: near(one, [record for record in RECORDS if record.endpoint == name])
        for name in ENDPOINTS
    }


async def test_agents_are_told_the_same(client: Client, left_out: int) -> None:
    """By `figures` and `endpoints`; a record that is found says for how many it stands."""
    check_summary(await call(client, "figures", since="1h"))
    check_endpoints(await call(client, "endpoints", since="1h"))
    found = await call(client, "search", query="weight:>1", since="1h", limit=1)
    assert found["records"][0]["weight"] == 10
    found = await call(client, "search", query="status:5xx", since="1h", limit=1)
    assert "weight" not in found["records"][0]


async def test_top_says_that_it_estimates(client: Client, left_out: int) -> None:
    """It says so in words, as its figures are of a sample."""
    source = ["--url", str(client.make_url("")).rstrip("/"), "--token", TOKEN]
    shown = io.StringIO()
    with redirect_stdout(shown):
        assert await asyncio.to_thread(app.main, ["top", *source]) == 0
    assert "Of a sample" in shown.getvalue()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"figure": "count"}, near(one)),
        (
            {"figure": "share", "of": "status:5xx"},
            pytest.approx(sum(map(failed, RECORDS)) / NUMBER, rel=0.1),
        ),
        ({"figure": "cost"}, near(lambda record: record.cost_usd or 0)),
    ],
)
async def test_alerts_come_near(
    world: World, left_out: int, changes: dict[str, Any], expected: Any
) -> None:
    """A share of failures that are all kept is not ten times what it is."""
    alert = AlertSettings(
        **{"name": "a", "url": "http://x/", "above": 1.0, "window_s": 3600.0, **changes}
    )
    assert (await read_figures(world.storage, alert, NOW_US))[""].value == expected
    percentile = AlertSettings(name="a", url="http://x/", above=1.0, window_s=3600.0, figure="p95")
    value_ms = (await read_figures(world.storage, percentile, NOW_US))[""].value
    assert value_ms is not None
    assert is_near_percentile(value_ms, 95)


async def test_the_ledger_is_of_records(world: World, left_out: int) -> None:
    """What is stored and what is left out add up to what there was, whatever the weights."""
    stored = (await world.storage.read(CountQuery(Filter()))).exchanges
    assert stored + left_out == NUMBER
    assert (await world.storage.info()).rows == stored
