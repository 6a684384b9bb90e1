"""Histories of requests: which are the same, and where the model first spoke."""

import json
from typing import Any

from proxy.enrich.conversations.history import (
    MAX_MESSAGES,
    History,
    is_spoken,
    messages_of,
    read_history,
)
from tests.support.cases import each_of

USER = {"role": "user", "content": "hi"}
MARK = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


def of(*messages: Any, seed: bytes = b"s") -> History:
    """The history of messages."""
    return read_history([json.dumps(message).encode() for message in messages], seed)


def text(words: str, **more: Any) -> dict[str, Any]:
    """A block of text."""
    return {"type": "text", "text": words} | more


TWO = {"role": "user", "content": [text("a"), text("b")]}


@each_of(
    ("one", "other"),
    [
        ({"role": "user", "content": "hi"}, {"role": "user", "content": [text("hi")]}),
        ({"role": "user", "content": "hi"}, {"role": "user", "content": [text("hi", **MARK)]}),
        ({"role": "user", "content": [text("a"), text("b", **MARK)]}, TWO),
        ({"role": "user", "content": [MARK | text("a"), text("b")]}, TWO),
        ({"role": "user", "content": [{"text": "a"}]},
         {"role": "user", "content": [{"text": "a"}, {"cachePoint": {"type": "default"}}]}),
    ],
)  # fmt: skip
def test_spelling_and_cache_marks_change_nothing(one: object, other: object) -> None:
    """A text as it is or as one block, with the provider's cache marked or not."""
    assert of(one).hashes == of(other).hashes


@each_of(
    "other",
    [
        {"role": "assistant", "content": "hi"},
        {"role": "user", "content": "hi "},
        {"role": "user", "content": [text("hi"), text("")]},
        {"role": "user", "content": 'hi", "cache_control": {}, "x": "'},
        {"role": "tool", "tool_call_id": "1", "content": "hi"},
        {"role": "user", "content": "hi", "tool_calls": [{"id": "1"}]},
        "hi",
    ],
)
def test_other_messages_have_other_hashes(other: object) -> None:
    """Role, text and whatever else a message has count."""
    assert of(USER).hashes != of(other).hashes


def test_what_a_tool_answered_counts() -> None:
    """Two answers of the same text to two calls are not the same message."""
    one, other = (
        {"role": "tool", "tool_call_id": number, "content": "ok"} for number in ("1", "2")
    )
    assert of(one).hashes != of(other).hashes


def test_a_history_begins_with_the_one_before() -> None:
    """Hashes are of all messages up to there, under a seed."""
    longer = of(USER, {"role": "assistant", "content": "yes"}, USER)
    assert of(USER).hashes == longer.hashes[:1]
    assert len(set(longer.hashes)) == 3
    assert of(USER, seed=b"t").hashes != of(USER).hashes


def test_the_model_has_spoken() -> None:
    """By role, or by the type of an item of the Responses API."""
    assert of(USER).spoken_at is None
    assert of(USER, {"role": "assistant", "content": ""}, USER).spoken_at == 1
    assert of(USER, USER, {"role": "model", "parts": []}).spoken_at == 2
    assert of(USER, {"type": "function_call", "call_id": "1"}).spoken_at == 1
    assert of(USER, {"type": "function_call_output", "call_id": "1"}).spoken_at is None
    assert is_spoken(None, "reasoning")
    assert is_spoken(None, "item_reference")
    assert is_spoken(None, "mcp_list_tools")
    assert not is_spoken(None, "function_call_output")
    assert not is_spoken(["assistant"], 7)


def test_messages_are_found_in_every_api() -> None:
    """Chat and Anthropic, Gemini, the wrapped form of Gemini CLI, Responses with a list or one
    text.
    """

    def messages(body: dict[str, Any], *, has_input: bool = False) -> list[bytes]:
        members = {name: json.dumps(value).encode() for name, value in body.items()}
        return messages_of(members, has_input=has_input)

    assert messages({"messages": [1, {"a": 2}]}) == [b"1", b'{"a": 2}']
    assert messages({"contents": [{"role": "user"}]}) == [b'{"role": "user"}']
    assert messages({"request": {"contents": [3]}}) == [b"3"]
    assert messages({"input": ["x"]}, has_input=True) == [b'"x"']
    assert messages({"input": "x"}, has_input=True) == [b'"x"']
    assert messages({"input": "x"}) == []
    assert messages({"request": "x"}) == []
    assert messages({"messages": {"a": 1}}) == [b'{"a": 1}']


def test_strange_messages_are_hashed_as_they_are() -> None:
    """Nothing in a message fails; what is beyond the limit is left out."""
    strange = [
        b"[1]",
        b'{"role": 7}',
        b'{"role": "user", "content": [[1]]}',
        b'{"content"',
        b'{"role":"\xff"}',
    ]
    assert len(set(read_history(strange, b"").hashes)) == len(strange)
    assert len(read_history([b"1"] * (MAX_MESSAGES + 5), b"").hashes) == MAX_MESSAGES
