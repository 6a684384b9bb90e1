"""The agent of the demo: a conversation that both sides agree on."""

import json
import random

from aiohttp import ClientSession

from proxy.demo.traffic import perform, visit
from proxy.demo.upstream import serving


async def test_an_agent_works_in_turns_of_which_one_is_refused() -> None:
    """Each request repeats all that was said, and what the model says is what the next request
    repeats.
    """
    steps = visit(random.Random(6), name="agent")
    asked = [step for step in steps if step.target == "/v1/messages"]
    async with serving(pace_s=0) as port, ClientSession() as session:
        base_url = f"http://127.0.0.1:{port}"
        assert sorted(await perform(session, base_url, steps)) == [200] * 15 + [202, 529]
        said = []
        for step in asked[:3]:
            async with session.post(base_url + step.target, data=step.body) as answer:
                said.append({"role": "assistant", "content": (await answer.json())["content"]})

    bodies = [json.loads(step.body) for step in asked]
    assert [body["messages"][-2] for body in bodies[1:4]] == said
    assert [len(body["messages"]) for body in bodies] == [*range(1, 17, 2), *range(15, 25, 2)]
    results = [block for message in bodies[-1]["messages"][2::2] for block in message["content"]]
    assert [each["content"][:8] for each in results if each.get("is_error")] == [
        "1 failed",
        "permissi",
    ]
