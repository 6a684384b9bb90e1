"""A call of a language model as what was said: `GET /api/records/{id}/chat`."""

import json
from typing import Any

from storage.record import Record, format_id
from tests.api.conftest import BEARER, Client, World, ask
from tests.api.samples import make_body, make_payload, make_record


async def chat_of(
    world: World, client: Client, record: Record, sent: object, answer: object
) -> Any:
    """Store a call and ask for its chat."""
    bodies = (make_body(json.dumps(content).encode()) for content in (sent, answer))
    await world.store((record, make_payload(*bodies)))
    return await ask(client, f"/api/records/{format_id(record.id)}/chat")


async def test_a_call_is_told_as_what_was_said(world: World, client: Client) -> None:
    """A result has the name of the tool that gave it, and a program's block stands apart."""
    call = {"id": "c1", "function": {"name": "read", "arguments": '{"a":1}'}}
    messages = [
        {"role": "user", "content": "<system-reminder>\nIt is Monday\n</system-reminder>\nRead"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "milk"},
    ]
    answer = {"choices": [{"message": {"role": "assistant", "content": "Milk"}}]}
    record = make_record(1, provider="openai")
    block = {"kind": "block", "text": "It is Monday", "name": "system-reminder"}
    called = {"kind": "call", "text": '{"a":1}', "name": "read", "id": "c1"}
    result = {"kind": "result", "text": "milk", "name": "read", "id": "c1"}
    assert await chat_of(world, client, record, {"messages": messages}, answer) == {
        "sent": {
            "messages": [
                {"role": "user", "parts": [block, {"kind": "text", "text": "Read"}]},
                {"role": "assistant", "parts": [called]},
                {"role": "tool", "parts": [result]},
            ],
            "later": [],
            "tools": [],
            "follows": None,
            "is_cut": False,
            "is_open": False,
        },
        "answer": {"parts": [{"kind": "text", "text": "Milk"}], "error": None},
    }


async def test_what_is_no_call_of_a_model_has_no_chat(world: World, client: Client) -> None:
    """Neither another request nor a call of MCP, whatever their bodies look like; nor what is not
    there.
    """
    sent = {"messages": [{"role": "user", "content": "hi"}]}
    for number, provider in ((1, None), (2, "mcp")):
        record = make_record(number, provider=provider)
        assert await chat_of(world, client, record, sent, {}) == {"sent": None, "answer": None}

    missing = await client.get(f"/api/records/{format_id(bytes(16))}/chat", headers=BEARER)
    assert missing.status == 404
