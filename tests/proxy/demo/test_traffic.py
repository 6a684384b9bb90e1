"""Sample traffic: repeatable, varied, and not disturbed by what goes wrong."""

import json
import random
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from proxy.demo import traffic
from proxy.demo.steps import Step
from proxy.demo.traffic import perform, visit
from proxy.demo.upstream import serving
from proxy.demo.visits import VISITS
from proxy.enrich.facts import CallUsage
from proxy.enrich.llm.prices import Prices, load_list
from tests.support.ports import free_port

LEFT_OUT = ("slow report", "large")
NO_DIGITS = str.maketrans("", "", "0123456789")


@pytest.fixture
async def base_url() -> AsyncIterator[str]:
    """The URL of a demo upstream that does not pause between frames."""
    async with serving(pace_s=0) as port:
        yield f"http://127.0.0.1:{port}"


def test_the_same_seed_makes_the_same_visits() -> None:
    """A run can be repeated, another seed gives another one."""
    first, again, other = (
        [visit(draw) for _ in range(50)]
        for draw in (random.Random(1), random.Random(1), random.Random(2))
    )
    assert first == again
    assert first != other


def test_every_visit_is_drawn() -> None:
    """None is too rare to be seen within an hour of demo."""

    def form(draw: random.Random, name: str = "") -> list[str]:
        return [step.request.translate(NO_DIGITS) for step in visit(draw, name=name)]

    draw = random.Random(3)
    seen = [form(draw) for _ in range(2000)]
    for each in VISITS:
        assert form(random.Random(4), each.name) in seen


def test_the_models_of_the_demo_have_prices() -> None:
    """All but those that never answer: the overview of a first run shows what calls cost."""
    pytest.importorskip("genai_prices")
    prices = Prices(load_list)
    for provider, name in (
        ("openai", "streamed chat"),
        ("anthropic", "streamed message"),
        ("anthropic", "agent"),
    ):
        steps = [visit(random.Random(seed), name=name)[-1] for seed in range(20)]
        for model in {
            json.loads(step.body)["model"] for step in steps if step.target.startswith("/v1")
        }:
            assert (
                prices.cost_of(provider, CallUsage(model=model, input_tokens=10, output_tokens=10))
                is not None
            )


async def test_visits_succeed_and_fail_in_measure(base_url: str) -> None:
    """Every request is answered; most fine, some with errors of client and server."""
    draw = random.Random(5)
    statuses: list[int] = []
    async with ClientSession() as session:
        for each in VISITS:
            if each.name not in LEFT_OUT:
                steps = visit(draw, name=each.name)
                found = await perform(session, base_url, steps)
                assert len(found) == len(steps)
                statuses += found

    assert {200, 201, 202, 204, 301, 302, 404, 422, 429, 529, 101} <= set(statuses)
    assert 0 not in statuses


async def test_the_size_of_an_answer(base_url: str) -> None:
    """A megabyte, and a body in gzip."""
    async with ClientSession(auto_decompress=False) as session:
        async with session.get(f"{base_url}/api/large") as answer:
            assert len(await answer.read()) > 1_000_000
        async with session.get(f"{base_url}/api/compressed") as answer:
            assert (await answer.read())[:2] == b"\x1f\x8b"


def test_a_key_goes_where_it_belongs() -> None:
    """Requests of users carry it, unless their visitor has a wrong one; no others do."""
    draw = random.Random(7)
    steps = [step for _ in range(600) for step in visit(draw, "sk-mine")]
    found = {
        (step.target.startswith(traffic.KEYED), (step.headers.get("api-key") or "none")[:6])
        for step in steps
    }
    assert found == {(True, "sk-min"), (True, "sk_0wr"), (False, "none")}


async def test_leaving_a_stream_ends_only_that_request(base_url: str) -> None:
    """The visitor closes the connection and goes on."""
    early = Step(request="GET /api/events?symbol=DEMO", leave_after_chunks=1)
    async with ClientSession() as session:
        assert await perform(session, base_url, (early, Step(request="GET /api/users"))) == [
            200,
            200,
        ]


async def test_nobody_listening_is_not_an_end() -> None:
    """A proxy that is gone for a moment costs a visit, not the demo."""
    async with ClientSession() as session:
        steps = (Step(request="GET /"), Step(request="GET /"))
        assert await perform(session, f"http://127.0.0.1:{free_port()}", steps) == [0]
