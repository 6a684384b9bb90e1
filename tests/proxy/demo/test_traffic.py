"""Sample traffic: repeatable, varied, and not disturbed by what goes wrong."""

import random
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import ClientSession

from proxy.demo import agent, mcp, traffic
from proxy.demo.traffic import MIX, Step, Visit, perform, visit
from proxy.demo.upstream import serving
from proxy.enrich.llm.call import CallUsage
from proxy.enrich.llm.prices import Prices, load_list
from tests.support.ports import free_port


@pytest.fixture
async def base_url() -> AsyncIterator[str]:
    """The URL of a demo upstream that does not pause between frames."""
    async with serving(pace_s=0) as port:
        yield f"http://127.0.0.1:{port}"


def test_the_same_seed_makes_the_same_visits() -> None:
    """A run can be repeated, another seed gives another one."""
    first, again, other = (
        [visit(draw) for _ in range(50)] for draw in (random.Random(1), random.Random(1), random.Random(2))
    )
    assert first == again
    assert first != other


def test_every_visit_of_the_mix_is_drawn() -> None:
    """Nothing in the table is too rare to be seen within an hour of demo."""
    draw = random.Random(3)
    seen = {step.path.partition("?")[0] for _ in range(2000) for step in visit(draw)}
    for _, make in MIX:
        assert {step.path.partition("?")[0] for step in make(random.Random(4))} & seen


def test_the_models_of_the_demo_have_prices() -> None:
    """All but those that never answer: the overview of a first run shows what calls cost."""
    pytest.importorskip("genai_prices")
    prices = Prices(load_list)
    assert prices.cost_of("anthropic", CallUsage(model=agent.MODEL, input_tokens=10, output_tokens=10)) is not None
    for provider, make in (("openai", traffic.chat), ("anthropic", traffic.message)):
        draws = (make(random.Random(seed))[0].body for seed in range(50))
        models = {body["model"] for body in draws if body} - {"gpt-busy", "claude-busy"}
        assert len(models) == 2
        for model in models:
            assert prices.cost_of(provider, CallUsage(model=model, input_tokens=10, output_tokens=10)) is not None


async def test_visits_succeed_and_fail_in_measure(base_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step is answered; most fine, some with errors of client and server."""
    draw = random.Random(5)
    statuses: list[int] = []
    async with ClientSession() as session:
        for _ in range(150):
            steps = visit(draw)
            if steps[0].path == "/api/reports/slow":
                continue
            found = await perform(session, base_url, steps)
            assert len(found) == len(steps)
            statuses += found
    assert 0 not in statuses
    classes = {kind: sum(status // 100 == kind for status in statuses) / len(statuses) for kind in (2, 4, 5)}
    assert classes[2] > 0.7
    assert classes[4] > 0
    assert classes[5] > 0


async def test_an_agent_works_in_turns_of_which_one_is_refused(base_url: str) -> None:
    """Each request repeats all that was said, and what the model says is what the next request repeats."""
    visit = traffic.agent_run(random.Random(6))
    steps = [step for step in visit if step.path == "/v1/messages"]
    async with ClientSession() as session:
        assert sorted(await perform(session, base_url, visit)) == [200] * (agent.TURNS + 3) + [202, 529]
        said = []
        for step in steps[:3]:
            async with session.post(base_url + step.path, json=step.body) as answer:
                said.append({"role": "assistant", "content": (await answer.json())["content"]})
    assert [body["messages"][-2] for step in steps[1:4] if (body := step.body)] == said
    assert [len(step.body["messages"]) for step in steps if step.body] == [*range(1, 17, 2), *range(15, 25, 2)]
    assert agent.TURNS == 12


async def test_two_tools_of_an_agent_fail_and_two_are_of_the_mcp_server(base_url: str) -> None:
    """What the server says to the call is what the agent sends to its model."""
    steps = traffic.agent_run(random.Random(6))
    calls = [
        step.body["params"] for step in steps if step.body["method" if step.path == "/mcp" else "model"] == "tools/call"
    ]
    assert [call["name"] for call in calls] == [agent.SEARCH, agent.RESTART]
    for call in calls:
        (use,) = (use for use in agent.USES if use.name == call["name"])
        result = mcp.call_tool(call)
        assert (result["content"][0]["text"], result["isError"]) == (use.result, use.is_error)
    said = [block for step in steps[-1:] for message in step.body["messages"] for block in message["content"]]
    assert [block["content"][:8] for block in said if isinstance(block, dict) and block.get("is_error")] == [
        "1 failed",
        "permissi",
    ]


@pytest.mark.parametrize(("make", "status"), [(traffic.stock, 200), (traffic.orders, 101)])
async def test_calls_of_grpc_and_web_sockets_are_visits(
    base_url: str, make: Callable[[random.Random], Visit], status: int
) -> None:
    """Whatever is drawn is answered to its end."""
    async with ClientSession() as session:
        for seed in range(10):
            steps = make(random.Random(seed))
            assert await perform(session, base_url, steps) == [status] * len(steps)


def test_a_key_goes_where_it_belongs() -> None:
    """Requests of users carry it, unless their visitor has a wrong one; no others do."""
    draw = random.Random(7)
    steps = [step for _ in range(300) for step in visit(draw, "sk-mine")]
    found = {(step.path.startswith(traffic.KEYED), step.headers.get("api-key")) for step in steps}
    assert found == {(True, "sk-mine"), (True, traffic.WRONG_KEY), (False, None)}


async def test_a_session_id_is_carried_through_a_visit(base_url: str) -> None:
    """An MCP visit is accepted from initialize to DELETE."""
    async with ClientSession() as session:
        assert set(await perform(session, base_url, traffic.tools(random.Random(6)))) == {200, 202}


async def test_leaving_a_stream_ends_only_that_request(base_url: str) -> None:
    """The visitor closes the connection and goes on."""
    early = Step(method="GET", path="/api/events?count=1000", leave_after_chunks=1)
    async with ClientSession() as session:
        assert await perform(session, base_url, (early, Step(method="GET", path="/api/users"))) == [200, 200]


async def test_nobody_listening_is_not_an_end() -> None:
    """A proxy that is gone for a moment costs a visit, not the demo."""
    async with ClientSession() as session:
        steps = (Step(method="GET", path="/"), Step(method="GET", path="/"))
        assert await perform(session, f"http://127.0.0.1:{free_port()}", steps) == [0]
