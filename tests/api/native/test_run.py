"""A run of an agent whole: what each call says anew, MCP calls where they belong, and the
file of it.
"""

import json
import re
from typing import Any

import pytest

from api.native.run import joined
from storage.record import Entry, Record, Stream, ToolCall, format_id
from tests.api.conftest import BEARER, Client, World, ask
from tests.api.samples import make_body, make_payload, make_record

RUN = bytes([7]) * 16


def call(number: int, **changes: Any) -> Record:
    """Make an LLM call of the run."""
    fields = {"provider": "openai", "model": "gpt-4o", "conversation": RUN, "marks": bytes(16)}
    return make_record(number, **(fields | changes))


def tool(record: Record, name: str, **changes: Any) -> ToolCall:
    """Make the MCP call of a record."""
    fields: dict[str, Any] = {
        "record_id": record.id, "started_at_us": record.started_at_us, "created_at_us": record.started_at_us,
        "tool_name": name, "server_label": "files", "status": "success", "arguments": (
            b'{"path": "a"}'
        ),
        "result": b'"done"', "latency_us": 2000,
    }  # fmt: skip
    return ToolCall(**(fields | changes))


async def fill(world: World, steps: int = 3) -> list[Record]:
    """Store a run whose requests repeat what was said, and an MCP call of the same trace behind the
    first.
    """
    said: list[dict[str, str]] = []
    entries = []
    for number in range(steps):
        said += [{"role": "user", "content": f"question {number} \U0001f600 </script><b>"}]
        sent = json.dumps({"messages": said, "tools": ["x" * 500]}, ensure_ascii=False).encode()
        answer = {"role": "assistant", "content": f"answer {number}"}
        said.append(answer)
        body = json.dumps({"choices": [{"message": answer}]}).encode()
        record = call(number * 10, trace_id="ab" * 16)
        entries.append(Entry(record, make_payload(make_body(sent), make_body(body))))

    mcp = make_record(5, provider="mcp", trace_id="ab" * 16)
    elsewhere = make_record(6, provider="mcp")
    entries.append(Entry(mcp, None, [tool(mcp, "read")]))
    entries.append(Entry(elsewhere, None, [tool(elsewhere, "read")]))
    await world.store(*entries)
    return [entry.record for entry in entries]


async def read(client: Client, path: str = "run", **parameters: Any) -> Any:
    """Ask for the run."""
    return await ask(client, f"/api/conversations/{format_id(RUN)}/{path}", **parameters)


async def test_a_step_has_what_the_one_before_had_not(world: World, client: Client) -> None:
    """Put together again, each request has all that was said; its bodies stand at its record."""
    await fill(world)
    run = await read(client)
    assert run["turns"] == 3
    known: list[dict[str, Any]] = []
    answered: list[dict[str, Any]] = []

    for number, step in enumerate(run["steps"]):
        chat = step["chat"]
        assert [message["role"] for message in chat["fresh"]] == ["user"]
        known = known[: chat["same"]] + answered[: chat["repeats_answer"]] + chat["fresh"]
        assert [message["parts"][0]["text"].split()[0] for message in known] == [
            "question",
            "answer",
        ] * number + ["question"]
        answered = [{"role": "assistant", "parts": chat["answer"]["parts"]}]
        assert "request" not in step


async def test_mcp_calls_stand_behind_the_call_that_they_follow(
    world: World, client: Client
) -> None:
    """Those that belong to the run, with why."""
    records = await fill(world)
    run = await read(client)
    shown = [
        [(each["tool_name"], each["joined_by"]) for each in step["mcp_calls"]]
        for step in run["steps"]
    ]
    assert shown == [[("read", "trace")], [], []]
    assert run["steps"][0]["mcp_calls"][0]["metadata"]["record_id"] == format_id(records[3].id)


async def test_a_run_is_read_page_by_page(world: World, client: Client) -> None:
    """Each page goes on where the one before ended; MCP calls are on the page of the call before."""
    await fill(world)
    ids = []
    cursor = ""
    calls = 0

    while cursor is not None:
        run = await read(client, limit=1, **({"cursor": cursor} if cursor else {}))
        [step] = run["steps"]
        assert [message["role"] for message in step["chat"]["fresh"]] == ["user"]
        ids.append(step["id"])
        calls += len(step["mcp_calls"])
        cursor = run["next_cursor"]

    assert (len(set(ids)), calls) == (3, 1)


@pytest.mark.parametrize(
    ("own", "other", "why"),
    [
        ({"request_id": "call-1"}, {"llm_request_id": "call-1"}, "request"),
        (
            {"stream": Stream(None, None, None, True, "tool_calls", tools=["mcp__files__read"])},
            {},
            "time",
        ),
        ({"stream": Stream(None, None, None, True, "tool_calls", tools=["unread"])}, {}, None),
        ({"stream": None}, {}, None),
    ],
)
def test_a_call_belongs_to_what_asked_for_it(
    own: dict[str, Any], other: dict[str, Any], why: str | None
) -> None:
    """By a name that it carries, or as the tool that was just asked for; else it does not."""
    mcp = make_record(5)
    found = joined([call(1, **own)], [tool(mcp, "read", **other)], {mcp.id: None})
    assert [reason for _, reason in found] == ([] if why is None else [why])


def test_a_session_belongs_where_one_call_of_it_does() -> None:
    """The others of it follow, also those without a trace."""
    first, second, third = (make_record(number) for number in (5, 6, 7))
    calls = [
        tool(first, "a", session="s"),
        tool(second, "b", session="s"),
        tool(third, "c", session="t"),
    ]
    traces = {first.id: "ab" * 16, second.id: None, third.id: None}
    found = joined([call(1, trace_id="ab" * 16)], calls, traces)
    assert [(each.tool_name, why) for each, why in found] == [("a", "trace"), ("b", "session")]


async def test_runs_are_filtered_by_failures_and_cost(world: World, client: Client) -> None:
    """Only those with as many, and as expensive; the order stays."""
    other = bytes([8]) * 16
    cheap = bytes([9]) * 16
    await world.store(
        call(1, cost_usd=1.5, status=500, level="error"),
        call(2, cost_usd=2.5, conversation=other),
        call(3, cost_usd=0.1, conversation=cheap),
    )

    for parameters, ids in (
        ({"min_failed": "1"}, [RUN]),
        ({"min_cost_usd": "1"}, [other, RUN]),
        ({"min_cost_usd": "1", "sort": "cost", "limit": "1"}, [other]),
        ({"min_cost_usd": "3"}, []),
    ):
        assert [
            each["id"]
            for each in (await ask(client, "/api/conversations", **parameters))["conversations"]
        ] == [format_id(each) for each in ids]

    response = await client.get("/api/conversations?min_cost_usd=-1", headers=BEARER)
    assert response.status == 400


async def test_the_address_of_a_run_leads_to_its_page(client: Client) -> None:
    """Below any path: the way there is relative."""
    response = await client.get("/conversations/0192%2F..", allow_redirects=False)
    assert (response.status, response.headers["Location"]) == (307, "../run?id=0192%2F..")


async def test_a_file_has_all_that_it_needs(world: World, client: Client) -> None:
    """Nothing to load, and no markup but its own."""
    await fill(world)
    response = await client.get(f"/api/conversations/{format_id(RUN)}/file", headers=BEARER)
    assert (
        response.headers["Content-Disposition"]
        == f'attachment; filename="run-{format_id(RUN)}.html"'
    )
    text = await response.text()
    assert "</script><b>" not in text
    assert not re.search(r'(?:src|href)="', text)


async def test_what_is_no_conversation_is_not_there(client: Client) -> None:
    """Neither page nor file."""
    for name in ("run", "file"):
        response = await client.get(
            f"/api/conversations/{format_id(bytes([1]) * 16)}/{name}", headers=BEARER
        )
        assert response.status == 404
