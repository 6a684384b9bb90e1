"""What agents send is shown as what was said: their items, the tools on offer, and as much as was
kept of it.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from api.native.chat.message import message_of, text_of
from api.native.chat.request import last_items, read_request
from storage.record import Body
from tests.api.native.chat.calls import said, sent_in
from tests.api.samples import make_body
from tests.support.cases import each_of

REQUESTS = Path(__file__).parents[3] / "fixtures" / "chat_requests.jsonl"


@each_of("line", [json.loads(line) for line in REQUESTS.read_text().splitlines()])
def test_requests_are_read_in_every_form(line: dict[str, Any]) -> None:
    """Each line of tests/fixtures/chat_requests.jsonl: who said what, and where it is given, the tools on
    offer, the ids of calls, and the response that it goes on from.
    """
    sent = sent_in(line["request"])
    ids = [part["id"] for message in sent["messages"] for part in message["parts"] if "id" in part]
    found = sent | {"ids": ids, "said": [[*each] for each in said(sent)]}
    expected = {name: value for name, value in line.items() if name not in ("says", "request")}
    assert {name: found[name] for name in expected} == expected
    assert not sent["is_cut"]


def test_a_cut_request_is_shown_as_far_as_it_goes() -> None:
    """The messages that are there, and which of them the cut has gone through."""
    body = {
        "model": "m",
        "messages": [
            {"role": "user", "content": "Read"},
            {"role": "assistant", "content": "It is a long text"},
        ],
        "system": [{"type": "text", "text": "Be kind"}],
        "tools": [{"name": "read"}, {"name": "write"}],
    }
    text = json.dumps(body)
    sent = sent_in(text, keep=text.index(" long text"))
    assert said(sent) == [("user", "text", "Read"), ("assistant", "text", "It is a")]
    assert [message["parts"][-1].get("is_cut", False) for message in sent["messages"]] == [
        False,
        True,
    ]
    assert (sent["is_cut"], sent["is_open"]) == (True, True)
    sent = sent_in(text, keep=text.index("kind"))
    assert said(sent)[0] == ("system", "text", "Be ")
    assert [message["parts"][-1].get("is_cut", False) for message in sent["messages"]] == [
        True,
        False,
        False,
    ]
    assert (sent["is_cut"], sent["is_open"]) == (True, False)
    sent = sent_in(text, keep=text.index("write"), tail=10)
    assert (len(sent["messages"]), sent["tools"][0], sent["is_cut"], sent["is_open"]) == (
        3,
        "read",
        True,
        False,
    )
    assert not any(part.get("is_cut") for message in sent["messages"] for part in message["parts"])
    for keep in range(2, len(text)):
        sent = sent_in(text, keep=keep)
        assert sent is None or sent["is_cut"], text[:keep]


@pytest.mark.parametrize(
    ("until", "is_cut"),
    [
        ('ey", "cache', True), ('", "cache', True), ("hemeral", False), (', {"type": "tool', False),
        ('"id": "t1"', False), ('1", "name": "read"', False), ("le.txt", True), ("milk", True), ("t1b", False),
    ],
)  # fmt: skip
def test_a_cut_beside_a_text_does_not_cut_it(until: str, is_cut: bool) -> None:
    """Only what it goes through is marked, not what stands before it."""
    content = [
        {"type": "text", "text": "Read they", "cache_control": {"type": "ephemeral"}},
        {"type": "tool_use", "id": "t1", "name": "read", "input": {"path": ["a", "file.txt"]}},
    ]
    result = {
        "type": "tool_result",
        "content": [{"type": "text", "text": "some milk"}],
        "tool_use_id": "t1b",
    }
    body = {
        "messages": [
            {"role": "assistant", "content": content},
            {"role": "user", "content": [result]},
        ]
    }
    text = json.dumps(body)
    sent = sent_in(text, keep=text.index(until))
    cuts = [part.get("is_cut", False) for message in sent["messages"] for part in message["parts"]]
    assert (cuts[-1], any(cuts[:-1])) == (is_cut, False)


def test_the_last_messages_are_shown_where_the_end_has_them() -> None:
    """Behind the gap; items of another list are none, whatever they look like."""
    items: list[dict[str, Any]] = [
        {"role": "user", "content": f"message {number}"} for number in range(9)
    ]
    items.append({"type": "custom_tool_call", "call_id": "c", "name": "exec", "input": "ls"})
    body = {"input": items, "store": False}
    sent = sent_in(body, keep=100, tail=150)
    assert [text for _, _, text, *_ in said(sent)] == ["message 0", "message 1", "message 8", "ls"]
    assert [len(sent[part]) for part in ("messages", "later")] == [2, 2]
    body = {
        "input": items,
        "tools": [{"type": "function", "name": f"tool_{number}"} for number in range(9)],
    }
    sent = sent_in(body, keep=100, tail=150)
    assert [text for _, _, text, *_ in said(sent)] == ["message 0", "message 1"]
    assert sent["later"] == []


@pytest.mark.parametrize(
    "body",
    [
        {
            "messages": [
                None,
                1,
                "a",
                [],
                {"tool_calls": "x"},
                {"content": {"text": {}}},
                {"role": {"toString": 1}},
            ]
        },
        {
            "messages": [{"role": "tool", "content": {"a": 1}, "name": {"toString": 1}}],
            "tools": "x",
        },
        {
            "messages": [
                {"role": "user", "content": [None, {"type": {}}, {"type": "tool_use", "name": {}}]}
            ]
        },
        {
            "messages": [{"tool_calls": [None, {"function": None}]}],
            "tools": [None, "x", {"functionDeclarations": 1}],
        },
        {
            "contents": [
                {"parts": [{"functionCall": 1}, {"functionResponse": "x"}, {"inlineData": 1}]}
            ],
            "system": 1,
        },
        {
            "input": [
                {"type": "reasoning", "summary": 1},
                {"type": "custom_tool_call_output"},
                {"type": "message"},
            ]
        },
        {"input": {"a": 1}, "tools": {"a": 1}},
        {"prompt": {"id": 1}, "instructions": {"parts": 1}},
    ],
)
def test_a_request_of_no_form_breaks_nothing(body: dict[str, Any]) -> None:
    """Every text is one, whatever was sent in its place."""
    sent = sent_in(body)
    for message in sent["messages"]:
        assert isinstance(message["role"], str)
        assert all(
            isinstance(part.get(name, ""), str)
            for part in message["parts"]
            for name in ("text", "name", "id")
        )

    assert all(isinstance(name, str) for name in sent["tools"])


def test_what_is_nested_too_deeply_breaks_nothing() -> None:
    """Neither whole nor cut: there is no chat, and the raw view is always there."""
    text = (
        '{"messages":[{"content":[{"type":"tool_use","input":'
        + "[" * 30_000
        + "]" * 30_000
        + "}]}]}"
    )
    for keep in (None, 25_000):
        assert sent_in(text, keep=keep) is None


FAILED = {"type": "tool_result", "tool_use_id": "t", "content": "a"}


def answer(response: dict[str, str]) -> dict[str, Any]:
    """A result as Gemini wants it."""
    return {"role": "user", "parts": [{"functionResponse": {"name": "read", "response": response}}]}


@each_of(
    ("message", "is_failed"),
    [
        ({"role": "user", "content": [FAILED | {"is_error": True}]}, True),
        ({"role": "user", "content": [FAILED | {"is_error": False}]}, False),
        ({"role": "tool", "tool_call_id": "c", "content": "a", "status": "error"}, True),
        ({"role": "tool", "tool_call_id": "c", "content": "error"}, False),
        ({"type": "function_call_output", "call_id": "c", "output": "no", "status": "failed"}, True),
        ({"role": "user", "content": [{"toolResult": {"toolUseId": "c", "content": [], "status": "error"}}]}, True),
        ({"role": "user", "content": [{"toolResult": {"toolUseId": "c", "content": [], "status": "success"}}]}, False),
        ({"type": "mcp_call", "id": "m", "name": "add", "output": None, "error": "too large"}, True),
        ({"type": "mcp_call", "id": "m", "name": "add", "output": "2", "error": None}, False),
        (answer({"error": "no file"}), True), (answer({"output": "milk"}), False),
        ({"role": "user", "parts": [{"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": "E"}}]}, True),
        ({"type": "web_search_tool_result", "tool_use_id": "s", "content": {
            "type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}}, True),
    ],
)  # fmt: skip
def test_a_tool_that_failed_is_said_to_have(message: dict[str, Any], is_failed: bool) -> None:
    """Wherever the API says so, and nowhere else: not by what the result looks like."""
    key = "contents" if "parts" in message else "input" if "type" in message else "messages"
    sent = sent_in({key: [message]})
    assert sent["messages"][0]["parts"][-1].get("has_failed", False) is is_failed


@each_of(
    ("item", "role", "expected"),
    [
        ("hi", "user", [("text", "hi", "")]), ({}, "user", []), ({"role": "user", "content": ""}, "user", []),
        ({"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}]}, "assistant",
         [("thinking", "hm", "")]),
        ({"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}]}, "assistant",
         [("thinking", "hm", ""), ("call", "{}", "c1")]),
        ({"role": "assistant", "content": [{"toolUse": {"toolUseId": "c1", "name": "add", "input": {"a": 1}}}]},
         "assistant", [("call", '{"a":1}', "c1")]),
        ({"role": "user", "content": [{"toolResult": {"toolUseId": "c1", "content": [{"text": "3"}]}}]}, "tool",
         [("result", "3", "c1")]),
        ({"role": 7, "content": [None, 7, [], {"text": 7}]}, "user", [("other", "part, not shown here", "")]),
    ],
)  # fmt: skip
def test_messages_of_other_forms(item: Any, role: str, expected: list[tuple[str, ...]]) -> None:
    """Of Bedrock, with thoughts beside the text, and of no form, which is named or left out."""
    message = message_of(item)
    assert message.role == role
    assert [(part.kind, part.text, part.id) for part in message.parts] == expected


def test_values_are_texts() -> None:
    """Also those that no JSON can hold."""
    deep: Any = None
    for _ in range(5000):
        deep = [deep]
    assert [text_of(each) for each in ("a", None, {"a": [1]}, deep)] == ["a", "", '{"a":[1]}', ""]


def test_what_is_no_request_says_nothing() -> None:
    """No body, none that was kept, no JSON, and JSON that is too deep."""
    for body in (
        None,
        make_body(b""),
        make_body(b"a=1"),
        make_body(b"[" * 9000),
        make_body(b'{"type": "response.create"}'),
    ):
        assert read_request(body) is None


@pytest.mark.parametrize(
    "ending", [{}, {"tools": [{"name": "add", "input_schema": {"type": "object"}}]}]
)
@pytest.mark.parametrize("text", ["plain", 'quotes " and \\" and { [ ] }', "end\\", '\\\\"'])
def test_a_cut_request_has_its_beginning_and_its_last_messages(
    ending: dict[str, Any], text: str
) -> None:
    """Wherever the cut is: what stands between is missing, and nothing is made up."""
    messages = [{"role": "user", "content": f"{number} {text}"} for number in range(12)]
    raw = json.dumps({"model": "m", "messages": messages, **ending}).encode()
    texts = [message["content"] for message in messages]

    for cut in range(len(raw) // 3, len(raw) // 3 + 80):
        sent = read_request(Body(raw[: len(raw) // 4], raw[cut:], len(raw), True, None, None))
        found = [] if sent is None else sent.all
        shown = [message.parts[0].text for message in found]
        beginning = next(
            place for place in range(12) if place >= len(shown) or shown[place] != texts[place]
        )
        later = shown[beginning:]
        # The one that the first cut went through.
        later = later[1:] if later and later[0] not in texts else later
        assert later == texts[len(texts) - len(later) :]
        assert len(later) >= 4


def test_the_end_of_what_is_no_list_of_messages_says_nothing() -> None:
    """Lists of other things, damaged JSON, and none."""
    for tail in (
        b"",
        b"}",
        b']}]}"',
        b'{"name": "add"}]}',
        b'{"a": "b}]}',
        b"}" * 5000,
        b'"' * 5000,
        b"\\" * 5000,
    ):
        assert last_items(tail) == []
