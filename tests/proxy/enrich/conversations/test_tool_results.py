"""Tools that failed, as LLM calls tell it: on their records, once, by name."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from proxy.enrich.conversations.tool_results import failed_tools
from proxy.ring.message import IN
from storage.conversations import has_failed
from tests.proxy.enrich.calls import ANTHROPIC, named, record_of
from tests.proxy.enrich.live.test_calls import answered, asked
from tests.proxy.enrich.live.world import RESPONSES, World
from tests.support.cases import each_of

MESSAGE = {"type": "message", "model": "claude-sonnet-4-5", "stop_reason": "end_turn", "content": [],
           "usage": {"input_tokens": 5, "output_tokens": 2}}  # fmt: skip
GEMINI = {"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 5}}


def anthropic(*, is_error: bool, later: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Ask again with the result of a tool, and what came after that."""
    use = {"type": "tool_use", "id": "toolu_1", "name": "read_file", "input": {"is_error": True}}
    result = {
        "type": "tool_result",
        "tool_use_id": "toolu_1",
        "content": "no such file",
        "is_error": is_error,
    }
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [use]}]
    return ANTHROPIC | {
        "stream": False,
        "messages": [*messages, {"role": "user", "content": [result]}, *(later or [])],
    }


CALL = {"type": "function_call", "call_id": "c1", "name": "read_file", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "no", "status": "incomplete"}
FAILED: Final = Path(__file__).parents[3] / "fixtures" / "failed_tools.jsonl"
"""Calls that tell of a failure of `read_file`, in each API; and where they do."""


@each_of("case", map(json.loads, FAILED.read_text().splitlines()))
def test_a_call_that_tells_of_a_failure_has_it_on_its_record(case: dict[str, Any]) -> None:
    """By the tool's name, with a code and a level that failures are found, counted and grouped by.
    A tool that the provider ran has failed within the call.
    """
    record = record_of(case["path"], case["request"], case["answer"])
    assert record.stream is not None
    assert record.stream.failed_tools == ["read_file"]
    assert (record.error_type, record.level, record.outcome) == ("tool_error", "warn", "ok")
    assert has_failed(record)
    assert (record.message or "").partition(":")[0] == "read_file"
    is_told = b'"error_in":"request"' in (record.data or b"")
    assert is_told == (case["error_in"] == "request")


def test_a_stream_tells_of_the_tools_that_the_server_ran() -> None:
    """Of an MCP server and of its own, by the block that has the result."""
    use = {"type": "server_tool_use", "id": "s1", "name": "web_search"}
    error = {"type": "web_search_tool_result_error", "error_code": "unavailable"}
    result = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": error}
    answer = named(
        {"type": "message_start", "message": MESSAGE | {"stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": use},
        {"type": "content_block_start", "index": 1, "content_block": result},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": 3},
        },
        {"type": "message_stop"},
    )
    record = record_of("/v1/messages", ANTHROPIC, answer, content_type="text/event-stream")
    assert record.stream is not None
    assert (record.stream.failed_tools, record.error_type, record.stream.end) == (
        ["web_search"],
        "tool_error",
        "complete",
    )


def test_a_failure_is_told_once() -> None:
    """Clients send the history with every call: what the model has answered is no news; nor is what
    went well.
    """
    spoken = {"role": "assistant", "content": "let me see"}
    for body in (
        anthropic(is_error=False),
        anthropic(is_error=True, later=[spoken, {"role": "user", "content": "ok"}]),
    ):
        record = record_of("/v1/messages", body, MESSAGE)
        assert (record.error_type, record.level) == (None, "info")
        assert record.stream is not None
        assert record.stream.failed_tools is None

    refused = record_of(
        "/v1/messages",
        anthropic(is_error=True),
        {"error": {"type": "overloaded_error"}},
        status=529,
    )
    assert (refused.error_type, refused.level) == ("overloaded_error", "error")


def test_calls_over_a_web_socket_tell_of_failures() -> None:
    """A request has only what is new, so a tool may have no name there."""
    world = World(RESPONSES)
    for items, name in (([CALL, OUTPUT], "read_file"), ([OUTPUT], "unknown")):
        world.say(asked(input=items), IN)
        record = world.say(answered())
        assert record.stream is not None
        assert (record.stream.failed_tools, record.error_type, record.level) == (
            [name],
            "tool_error",
            "warn",
        )

    world.say(asked(input=[]), IN)
    assert world.say(answered()).error_type is None


def test_names_are_redacted_and_bounded() -> None:
    """Whatever a client calls its tools."""
    key = "sk-proj-" + "aB3dE5gH7jK9" * 4
    results = [{"functionResponse": {"name": key, "response": {"error": 1}}}] * 100
    record = record_of(
        "/v1beta/models/g:generateContent",
        {"contents": [{"role": "user", "parts": results}]},
        GEMINI,
    )
    assert record.stream is not None
    assert record.stream.failed_tools == ["[REDACTED]"] * 32


@pytest.mark.parametrize(
    "history", [b'"is_error": true', b'[1, null, {"is_error": true}]', b"[[]]", b'{"is_error":true']
)
def test_what_is_no_history_tells_nothing(history: bytes) -> None:
    """Hostile members cost nothing but themselves."""
    assert failed_tools({"messages": history, "input": history}, has_input=True) == []
