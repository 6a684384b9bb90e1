"""What agents send is shown as what was said: their items, the tools on offer, and as much as was
kept of it.
"""

import json
from typing import Any

import pytest

from tests.ui.chat.conftest import Ask, record_with

pytestmark = pytest.mark.asyncio(loop_scope="module")

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


def said(sent: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Write messages as (role, kind, text) or (role, kind, text, name) where there is a name."""
    return [
        (message["role"], part["kind"], part["text"], *([part["name"]] if part.get("name") else []))
        for message in [*sent["messages"], *sent["later"]]
        for part in message["parts"]
    ]


async def test_the_items_of_codex(ask: Ask) -> None:
    """Calls with raw text, results that are lists, reasoning as far as it can be read; tools are no
    message.
    """
    sent = await ask("sent.js", "sentIn", record_with(CODEX))
    assert said(sent) == [
        ("system", "text", "Be brief"),
        ("system", "text", "No network"),
        ("user", "text", "Read it"),
        ("assistant", "thinking", "A file"),
        ("assistant", "call", "cat(`a`)", "exec"),
        ("tool", "result", "Done\nmilk"),
        ("assistant", "call", '{"s":1}', "wait"),
        ("tool", "result", "waited"),
        (
            "assistant",
            "call",
            '{\n  "type": "exec",\n  "command": [\n    "ls"\n  ]\n}',
            "local_shell",
        ),
        ("tool", "result", "a.txt"),
    ]
    assert [part["id"] for message in sent["messages"][4:] for part in message["parts"]] == [
        *("c1", "c1", "c2", "c2", "c3", "c3")
    ]
    assert sent["tools"] == ["exec", "sleep"]
    assert not sent["isCut"]


async def test_what_the_provider_keeps_was_said_by_the_model(ask: Ask) -> None:
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
    assert said(await ask("sent.js", "sentIn", record_with({"model": "m", "input": items}))) == [
        ("user", "text", "Add"),
        ("assistant", "other", "item_reference, not shown here"),
        ("assistant", "other", "mcp_list_tools, not shown here"),
        ("assistant", "call", "{}", "add"),
        ("assistant", "result", "2", "add"),
        ("assistant", "call", "{}", "add"),
        ("assistant", "result", "too large", "add"),
    ]


async def test_a_request_over_a_web_socket(ask: Ask) -> None:
    """As it is posted, or inside `response`; what it goes on from is named."""
    posted = {
        "type": "response.create",
        "previous_response_id": "resp_1",
        "input": [{"role": "user", "content": "And?"}],
    }
    sent = await ask("sent.js", "sentIn", record_with(posted))
    assert (said(sent), sent["follows"]) == ([("user", "text", "And?")], "resp_1")
    realtime = {
        "type": "response.create",
        "response": {"instructions": "Be kind", "tools": [{"type": "function", "name": "look"}]},
    }
    sent = await ask("sent.js", "sentIn", record_with(realtime))
    assert (said(sent), sent["tools"]) == ([("system", "text", "Be kind")], ["look"])
    assert await ask("sent.js", "sentIn", record_with({"type": "response.create"})) is None


async def test_tools_are_counted_where_they_are_declared(ask: Ask) -> None:
    """In namespaces and in lists of declarations, each by its name; those of a provider by what
    they are.
    """
    declared = {"functionDeclarations": [{"name": "read"}, {"name": "write"}]}
    body = {"contents": [], "tools": [declared, {"googleSearch": {}}]}
    assert (await ask("sent.js", "sentIn", record_with(body)))["tools"] == [
        "read",
        "write",
        "googleSearch",
    ]
    tools = [
        *NAMESPACES,
        {"type": "function", "function": {"name": "a"}},
        {"name": "b"},
        {"type": "web_search"},
    ]
    body = {"messages": [], "tools": tools}
    assert (await ask("sent.js", "sentIn", record_with(body)))["tools"] == [
        "exec",
        "sleep",
        "a",
        "b",
        "web_search",
    ]


async def test_the_parts_of_gemini(ask: Ask) -> None:
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
    sent = await ask("sent.js", "sentIn", record_with({"contents": contents}))
    assert said(sent) == [
        ("user", "text", "Read"),
        ("user", "other", "image/png, not shown here"),
        ("assistant", "thinking", "A file"),
        ("assistant", "call", '{\n  "a": 1\n}', "read"),
        ("assistant", "call", "1 + 1", "code"),
        ("assistant", "result", "2"),
        ("tool", "result", "milk", "read"),
        ("tool", "result", '{\n  "error": "no file"\n}', "read"),
    ]
    assert [message["parts"][-1]["id"] for message in sent["messages"][1:]] == ["", "r1", ""]


async def test_the_parts_of_anthropic(ask: Ask) -> None:
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
    sent = await ask("sent.js", "sentIn", record_with({"messages": messages}))
    assert said(sent) == [
        ("user", "other", "image, not shown here"),
        ("user", "text", "Search"),
        ("assistant", "other", "thinking, encrypted by the provider"),
        ("assistant", "call", '{\n  "query": "milk"\n}', "web_search"),
        ("assistant", "result", "Milk\nhttps://milk.test"),
        ("assistant", "call", "{}", "read"),
        ("tool", "result", "milk\nimage, not shown here"),
    ]


async def test_blocks_of_a_program_are_apart_from_what_a_person_said(ask: Ask) -> None:
    """Whole elements at the beginning of a line, by their names; what was said, and markup in it,
    is prose.
    """
    reminder = (
        "<system-reminder>\nIt is Monday: use <b>no</b> </a> <system-reminder>\n</system-reminder>"
    )
    context = "<environment_context>\n  <cwd>/w</cwd>\n</environment_context>"
    text = f"{reminder}\n\nWhat do <notes_x> say?\n<div>a</div>\n{context}"
    sent = await ask(
        "sent.js", "sentIn", record_with({"messages": [{"role": "user", "content": text}]})
    )
    assert said(sent) == [
        ("user", "block", "It is Monday: use <b>no</b> </a> <system-reminder>", "system-reminder"),
        ("user", "text", "What do <notes_x> say?\n<div>a</div>"),
        ("user", "block", "<cwd>/w</cwd>", "environment_context"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "<user_query>What do my notes say?</user_query>",
        "<command-name>/init</command-name>\n<command-args>all</command-args>",
        "<system-reminder> is a tag that never ends",
        "Why does <my-part>this</my-part> not show?",
        "<p>one</p>\n<p>two</p>",
        "a </system-reminder> b",
    ],
)
async def test_what_a_person_said_is_not_folded(ask: Ask, text: str) -> None:
    """Also where a program has put it between tags, or a tag stands in a sentence."""
    sent = await ask(
        "sent.js", "sentIn", record_with({"messages": [{"role": "user", "content": text}]})
    )
    assert said(sent) == [("user", "text", text)]


async def test_a_cut_request_is_shown_as_far_as_it_goes(ask: Ask) -> None:
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
    whole = record_with(body)["request"]
    assert isinstance(whole, dict)
    text = str(whole["body"]["head"])
    sent = await ask("sent.js", "sentIn", record_with(text, keep=text.index(" long text")))
    assert said(sent) == [("user", "text", "Read"), ("assistant", "text", "It is a")]
    assert [message["parts"][-1].get("isCut", False) for message in sent["messages"]] == [
        False,
        True,
    ]
    assert (sent["isCut"], sent["isOpen"]) == (True, True)
    sent = await ask("sent.js", "sentIn", record_with(text, keep=text.index("kind")))
    assert said(sent)[0] == ("system", "text", "Be ")
    assert [message["parts"][-1].get("isCut", False) for message in sent["messages"]] == [
        True,
        False,
        False,
    ]
    assert (sent["isCut"], sent["isOpen"]) == (True, False)
    sent = await ask("sent.js", "sentIn", record_with(text, keep=text.index("write"), tail=10))
    assert (len(sent["messages"]), sent["tools"][0], sent["isCut"], sent["isOpen"]) == (
        3,
        "read",
        True,
        False,
    )
    assert not any(part.get("isCut") for message in sent["messages"] for part in message["parts"])
    for keep in range(2, len(text)):
        sent = await ask("sent.js", "sentIn", record_with(text, keep=keep))
        assert sent is None or sent["isCut"], text[:keep]


@pytest.mark.parametrize(
    ("until", "is_cut"),
    [
        ('ey", "cache', True), ('", "cache', True), ("hemeral", False), (', {"type": "tool', False),
        ('"id": "t1"', False), ('1", "name": "read"', False), ("le.txt", True), ("milk", True), ("t1b", False),
    ],
)  # fmt: skip
async def test_a_cut_beside_a_text_does_not_cut_it(ask: Ask, until: str, is_cut: bool) -> None:
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
    sent = await ask("sent.js", "sentIn", record_with(text, keep=text.index(until)))
    cuts = [part.get("isCut", False) for message in sent["messages"] for part in message["parts"]]
    assert (cuts[-1], any(cuts[:-1])) == (is_cut, False)


async def test_a_block_that_was_cut_is_still_a_block(ask: Ask) -> None:
    """A program's text of 60 KB is not what the person said."""
    text = "<system-reminder>\nOnce upon a time"
    body = {"messages": [{"role": "user", "content": [{"type": "text", "text": text}]}]}
    sent = await ask("sent.js", "sentIn", record_with(body, keep=97))
    assert said(sent) == [("user", "block", "Once upon", "system-reminder")]
    assert sent["messages"][0]["parts"][0]["isCut"]


async def test_the_last_messages_are_shown_where_the_end_has_them(ask: Ask) -> None:
    """Behind the gap; items of another list are none, whatever they look like."""
    items: list[dict[str, Any]] = [
        {"role": "user", "content": f"message {number}"} for number in range(9)
    ]
    items.append({"type": "custom_tool_call", "call_id": "c", "name": "exec", "input": "ls"})
    body = {"input": items, "store": False}
    sent = await ask("sent.js", "sentIn", record_with(body, keep=100, tail=150))
    assert [text for _, _, text, *_ in said(sent)] == ["message 0", "message 1", "message 8", "ls"]
    assert [len(sent[part]) for part in ("messages", "later")] == [2, 2]
    body = {
        "input": items,
        "tools": [{"type": "function", "name": f"tool_{number}"} for number in range(9)],
    }
    sent = await ask("sent.js", "sentIn", record_with(body, keep=100, tail=150))
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
async def test_a_request_of_no_form_breaks_nothing(ask: Ask, body: dict[str, Any]) -> None:
    """Every text is one, whatever was sent in its place."""
    sent = await ask("sent.js", "sentIn", record_with(body))
    for message in sent["messages"]:
        assert isinstance(message["role"], str)
        assert all(
            isinstance(part.get(name, ""), str)
            for part in message["parts"]
            for name in ("text", "name", "id")
        )

    assert all(isinstance(name, str) for name in sent["tools"])


async def test_what_is_nested_too_deeply_breaks_nothing(ask: Ask) -> None:
    """Neither whole nor cut."""
    text = (
        '{"messages":[{"content":[{"type":"tool_use","input":'
        + "[" * 30_000
        + "]" * 30_000
        + "}]}]}"
    )
    for keep in (None, 25_000):
        sent = await ask("sent.js", "sentIn", record_with(text, keep=keep))
        assert said(sent) == [("user", "call", "nested too deeply to be shown", "tool_use")]


async def test_the_steps_of_an_interaction(ask: Ask) -> None:
    """Who said each of them, and what it goes on from."""
    steps = [
        {"type": "user_input", "content": [{"type": "text", "text": "Read"}]},
        {"type": "function_call", "id": "f1", "name": "read", "arguments": {"a": 1}},
        {"type": "function_result", "call_id": "f1", "name": "read", "result": "milk"},
        {"type": "model_output", "content": [{"type": "text", "text": "Milk"}]},
        {"type": "text", "text": "And bread?"},
    ]
    body = {"input": steps, "system_instruction": "Be short", "previous_interaction_id": "v1_1"}
    sent = await ask("sent.js", "sentIn", record_with(body))
    assert said(sent) == [
        ("system", "text", "Be short"), ("user", "text", "Read"), ("assistant", "call", '{\n  "a": 1\n}', "read"),
        ("tool", "result", "milk", "read"), ("assistant", "text", "Milk"), ("user", "text", "And bread?"),
    ]  # fmt: skip
    assert sent["follows"] == "v1_1"


async def test_the_inputs_of_a_conversation_of_mistral(ask: Ask) -> None:
    """A text, or entries."""
    assert said(await ask("sent.js", "sentIn", record_with({"inputs": "Read"}))) == [
        ("user", "text", "Read")
    ]
    entries = [
        {"type": "message.input", "role": "user", "content": "Read"},
        {"type": "function.call", "tool_call_id": "f1", "name": "read", "arguments": '{"a":1}'},
        {"type": "function.result", "tool_call_id": "f1", "result": "milk"},
    ]
    assert said(await ask("sent.js", "sentIn", record_with({"inputs": entries}))) == [
        ("user", "text", "Read"), ("assistant", "call", '{"a":1}', "read"), ("tool", "result", "milk"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("message", "is_failed"),
    [
        (
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t", "content": "a", "is_error": True}
                ],
            },
            True,
        ),
        (
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t", "content": "a", "is_error": False}
                ],
            },
            False,
        ),
        ({"role": "tool", "tool_call_id": "c", "content": "a", "status": "error"}, True),
        ({"role": "tool", "tool_call_id": "c", "content": "error"}, False),
        (
            {"type": "mcp_call", "id": "m", "name": "add", "output": None, "error": "too large"},
            True,
        ),
        ({"type": "mcp_call", "id": "m", "name": "add", "output": "2", "error": None}, False),
        (
            {
                "role": "user",
                "parts": [{"functionResponse": {"name": "read", "response": {"error": "no file"}}}],
            },
            True,
        ),
        (
            {
                "role": "user",
                "parts": [{"functionResponse": {"name": "read", "response": {"output": "milk"}}}],
            },
            False,
        ),
        (
            {
                "role": "user",
                "parts": [{"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": "E"}}],
            },
            True,
        ),
        (
            {
                "type": "web_search_tool_result",
                "tool_use_id": "s",
                "content": {
                    "type": "web_search_tool_result_error",
                    "error_code": "max_uses_exceeded",
                },
            },
            True,
        ),
    ],
)
async def test_a_tool_that_failed_is_said_to_have(
    ask: Ask, message: dict[str, Any], is_failed: bool
) -> None:
    """Wherever the API says so, and nowhere else: not by what the result looks like."""
    key = "contents" if "parts" in message else "input" if "type" in message else "messages"
    sent = await ask("sent.js", "sentIn", record_with({key: [message]}))
    assert sent["messages"][0]["parts"][-1].get("isFailed", False) is is_failed
