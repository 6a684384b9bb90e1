"""What agents send is shown as what was said: their items, the tools on offer, and as much as was
kept of it.
"""

import json
from typing import Any

import pytest

from api.native.chat.message import message_of, text_of
from api.native.chat.request import last_items, read_request
from storage.record import Body
from tests.api.native.chat.calls import said, sent_in
from tests.api.samples import make_body
from tests.support.cases import each_of

NAMESPACES = [
    {"type": "namespace", "name": "functions", "tools": [{"type": "custom", "name": "exec"}]},
    {"type": "namespace", "name": "clock", "tools": [{"type": "function", "name": "sleep"}]},
]
CODEX = {
    "model": "m",
    "instructions": "Be brief",
    "input": [
        {"type": "additional_tools", "role": "developer", "tools": NAMESPACES},
        {
            "type": "message",
            "role": "developer",
            "content": [{"type": "input_text", "text": "No network"}],
        },
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Read it"}]},
        {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"},
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "A file"}],
            "encrypted_content": "gAAA",
        },
        {
            "type": "custom_tool_call",
            "id": "ctc_1",
            "call_id": "c1",
            "name": "exec",
            "input": "cat(`a`)",
        },
        {
            "type": "custom_tool_call_output",
            "call_id": "c1",
            "output": [
                {"type": "input_text", "text": "Done"},
                {"type": "input_text", "text": "milk"},
            ],
        },
        {"type": "function_call", "call_id": "c2", "name": "wait", "arguments": '{"s":1}'},
        {
            "type": "function_call_output",
            "call_id": "c2",
            "output": [{"type": "input_text", "text": "waited"}],
        },
        {
            "type": "local_shell_call",
            "call_id": "c3",
            "action": {"type": "exec", "command": ["ls"]},
        },
        {"type": "local_shell_call_output", "call_id": "c3", "output": "a.txt"},
    ],
}


def test_the_items_of_codex() -> None:
    """Calls with raw text, results that are lists, reasoning as far as it can be read; tools are no
    message.
    """
    sent = sent_in(CODEX)
    assert said(sent) == [
        ("system", "text", "Be brief"),
        ("system", "text", "No network"),
        ("user", "text", "Read it"),
        ("assistant", "thinking", "A file"),
        ("assistant", "call", "cat(`a`)", "exec"),
        ("tool", "result", "Done\nmilk", "exec"),
        ("assistant", "call", '{"s":1}', "wait"),
        ("tool", "result", "waited", "wait"),
        (
            "assistant",
            "call",
            '{"type":"exec","command":["ls"]}',
            "local_shell",
        ),
        ("tool", "result", "a.txt", "local_shell"),
    ]
    assert [part["id"] for message in sent["messages"][4:] for part in message["parts"]] == [
        *("c1", "c1", "c2", "c2", "c3", "c3")
    ]
    assert sent["tools"] == ["exec", "sleep"]
    assert not sent["is_cut"]


def test_what_the_provider_keeps_was_said_by_the_model() -> None:
    """The AI SDK refers to reasoning; remote tools are listed, and their calls have their results
    with them.
    """
    items = [
        {"role": "user", "content": "Add"},
        {"type": "item_reference", "id": "rs_1"},
        {"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "sums", "tools": []},
        {
            "type": "mcp_call",
            "id": "mcp_1",
            "name": "add",
            "arguments": "{}",
            "output": "2",
            "error": None,
        },
        {
            "type": "mcp_call",
            "id": "mcp_2",
            "name": "add",
            "arguments": "{}",
            "output": None,
            "error": "too large",
        },
    ]
    assert said(sent_in({"model": "m", "input": items})) == [
        ("user", "text", "Add"),
        ("assistant", "other", "item_reference, not shown here"),
        ("assistant", "other", "mcp_list_tools, not shown here"),
        ("assistant", "call", "{}", "add"),
        ("assistant", "result", "2", "add"),
        ("assistant", "call", "{}", "add"),
        ("assistant", "result", "too large", "add"),
    ]


def test_a_request_over_a_web_socket() -> None:
    """As it is posted, or inside `response`; what it goes on from is named."""
    posted = {
        "type": "response.create",
        "previous_response_id": "resp_1",
        "input": [{"role": "user", "content": "And?"}],
    }
    sent = sent_in(posted)
    assert (said(sent), sent["follows"]) == ([("user", "text", "And?")], "resp_1")
    realtime = {
        "type": "response.create",
        "response": {"instructions": "Be kind", "tools": [{"type": "function", "name": "look"}]},
    }
    sent = sent_in(realtime)
    assert (said(sent), sent["tools"]) == ([("system", "text", "Be kind")], ["look"])
    assert sent_in({"type": "response.create"}) is None


def test_tools_are_counted_where_they_are_declared() -> None:
    """In namespaces and in lists of declarations, each by its name; those of a provider by what
    they are.
    """
    declared = {"functionDeclarations": [{"name": "read"}, {"name": "write"}]}
    body = {"contents": [], "tools": [declared, {"googleSearch": {}}]}
    assert (sent_in(body))["tools"] == [
        "read",
        "write",
        "googleSearch",
    ]
    specs = [{"toolSpec": {"name": "read"}}, {"cachePoint": {"type": "default"}}]
    assert sent_in({"messages": [], "toolConfig": {"tools": specs}})["tools"] == ["read"]
    tools = [
        *NAMESPACES,
        {"type": "function", "function": {"name": "a"}},
        {"name": "b"},
        {"type": "web_search"},
    ]
    body = {"messages": [], "tools": tools}
    assert (sent_in(body))["tools"] == [
        "exec",
        "sleep",
        "a",
        "b",
        "web_search",
    ]


def test_the_parts_of_gemini() -> None:
    """Calls and their answers beside a signature, thoughts, code that was run; a signature alone is
    nothing.
    """
    contents = [
        {
            "role": "user",
            "parts": [{"text": "Read"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}],
        },
        {
            "role": "model",
            "parts": [
                {"text": "A file", "thought": True},
                {"text": "", "thoughtSignature": "s"},
                {
                    "functionCall": {"id": "r1", "name": "read", "args": {"a": 1}},
                    "thoughtSignature": "s",
                },
                {"executableCode": {"language": "PYTHON", "code": "1 + 1"}},
                {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "r1", "name": "read", "response": {"output": "milk"}}}
            ],
        },
        {
            "role": "user",
            "parts": [{"functionResponse": {"name": "read", "response": {"error": "no file"}}}],
        },
    ]
    sent = sent_in({"contents": contents})
    assert said(sent) == [
        ("user", "text", "Read"),
        ("user", "other", "image/png, not shown here"),
        ("assistant", "thinking", "A file"),
        ("assistant", "call", '{"a":1}', "read"),
        ("assistant", "call", "1 + 1", "code"),
        ("assistant", "result", "2"),
        ("tool", "result", "milk", "read"),
        ("tool", "result", '{"error":"no file"}', "read"),
    ]
    assert [message["parts"][-1].get("id", "") for message in sent["messages"][1:]] == [
        "",
        "r1",
        "",
    ]


def test_the_parts_of_anthropic() -> None:
    """Tools of the provider, thinking that cannot be read, images beside texts and in results."""
    image = {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"},
    }
    found = {
        "type": "web_search_result",
        "title": "Milk",
        "url": "https://milk.test",
        "encrypted_content": "E",
    }
    messages = [
        {"role": "user", "content": [image, {"type": "text", "text": "Search"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "", "signature": "s"},
                {"type": "redacted_thinking", "data": "AAAA"},
                {
                    "type": "server_tool_use",
                    "id": "s1",
                    "name": "web_search",
                    "input": {"query": "milk"},
                },
                {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [found]},
                {"type": "tool_use", "id": "t1", "name": "read", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "content": [{"type": "text", "text": "milk"}, image],
                }
            ],
        },
    ]
    sent = sent_in({"messages": messages})
    assert said(sent) == [
        ("user", "other", "image, not shown here"),
        ("user", "text", "Search"),
        ("assistant", "other", "thinking, encrypted by the provider"),
        ("assistant", "call", '{"query":"milk"}', "web_search"),
        ("assistant", "result", "Milk\nhttps://milk.test", "web_search"),
        ("assistant", "call", "{}", "read"),
        ("tool", "result", "milk\nimage, not shown here", "read"),
    ]


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


def test_the_steps_of_an_interaction() -> None:
    """Who said each of them, and what it goes on from."""
    steps = [
        {"type": "user_input", "content": [{"type": "text", "text": "Read"}]},
        {"type": "function_call", "id": "f1", "name": "read", "arguments": {"a": 1}},
        {"type": "function_result", "call_id": "f1", "name": "read", "result": "milk"},
        {"type": "model_output", "content": [{"type": "text", "text": "Milk"}]},
        {"type": "text", "text": "And bread?"},
    ]
    body = {"input": steps, "system_instruction": "Be short", "previous_interaction_id": "v1_1"}
    sent = sent_in(body)
    assert said(sent) == [
        ("system", "text", "Be short"), ("user", "text", "Read"), ("assistant", "call", '{"a":1}', "read"),
        ("tool", "result", "milk", "read"), ("assistant", "text", "Milk"), ("user", "text", "And bread?"),
    ]  # fmt: skip
    assert sent["follows"] == "v1_1"


def test_the_inputs_of_a_conversation_of_mistral() -> None:
    """A text, or entries."""
    assert said(sent_in({"inputs": "Read"})) == [("user", "text", "Read")]
    entries = [
        {"type": "message.input", "role": "user", "content": "Read"},
        {"type": "function.call", "tool_call_id": "f1", "name": "read", "arguments": '{"a":1}'},
        {"type": "function.result", "tool_call_id": "f1", "result": "milk"},
    ]
    assert said(sent_in({"inputs": entries})) == [
        ("user", "text", "Read"), ("assistant", "call", '{"a":1}', "read"), ("tool", "result", "milk", "read"),
    ]  # fmt: skip


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
    for body in (None, make_body(b""), make_body(b"a=1"), make_body(b"[" * 9000)):
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
