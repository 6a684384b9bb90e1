"""What models answer is put together from whatever they answer with: documents, events, streams,
lines.
"""

import json
from typing import Any

import pytest

from tests.ui.chat.conftest import Ask, record_with

pytestmark = pytest.mark.asyncio(loop_scope="module")

OUTPUT: list[dict[str, Any]] = [
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
    {"type": "local_shell_call", "id": "ls_1", "call_id": "c2", "action": {"command": ["ls"]}},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Milk"}]},
]
PARTS = [
    ("thinking", "A file"),
    ("call", "cat(`a`)", "exec"),
    ("call", '{\n  "command": [\n    "ls"\n  ]\n}', "local_shell"),
    ("text", "Milk"),
]


def stream(*events: dict[str, Any]) -> dict[str, object]:
    """Make a record whose answer is a stream of events."""
    return record_with(None, "".join(f"data: {json.dumps(event)}\n\n" for event in events))


def parts(answer: dict[str, Any]) -> list[tuple[str, ...]]:
    """Write parts as (kind, text) or (kind, text, name) where there is a name."""
    return [
        (part["kind"], part["text"], *([part["name"]] if part.get("name") else []))
        for part in answer["parts"]
    ]


@pytest.mark.parametrize("kind", ["", "response.completed", "response.done", "response.incomplete"])
async def test_items_of_an_output(ask: Ask, kind: str) -> None:
    """Thinking, calls with raw text, text: as a document, or as the event that ends a call over a
    WebSocket.
    """
    whole: dict[str, Any] = {"id": "resp_1", "object": "response", "output": OUTPUT}
    answer = await ask(
        "answer.js",
        "answerOf",
        record_with(None, {"type": kind, "response": whole} if kind else whole),
    )
    assert parts(answer) == PARTS
    assert [part.get("id") for part in answer["parts"]][1:3] == ["c1", "c2"]


async def test_a_remote_tool_is_shown_with_what_it_gave(ask: Ask) -> None:
    """Its result stands in the item of its call, also where the answer is a stream."""
    call = {
        "type": "mcp_call",
        "id": "mcp_1",
        "name": "add",
        "arguments": "{}",
        "output": "2",
        "error": None,
    }
    told = [("call", "{}", "add"), ("result", "2", "add")]
    whole = {"id": "resp_1", "object": "response", "output": [call]}
    assert parts(await ask("answer.js", "answerOf", record_with(None, whole))) == told
    begun = call | {"arguments": "", "output": None}
    events = (
        {"type": "response.output_item.added", "output_index": 0, "item": begun},
        {"type": "response.mcp_call_arguments.delta", "output_index": 0, "delta": "{}"},
        {"type": "response.output_item.done", "output_index": 0, "item": call},
    )
    assert parts(await ask("answer.js", "answerOf", stream(*events))) == told


async def test_a_realtime_answer(ask: Ask) -> None:
    """What was said aloud is its transcript; what failed says why."""
    content = [{"type": "output_audio", "transcript": "Milk"}]
    done = {
        "type": "response.done",
        "response": {"output": [{"type": "message", "content": content}]},
    }
    assert parts(await ask("answer.js", "answerOf", record_with(None, done))) == [("text", "Milk")]
    details = {"type": "failed", "error": {"code": "x", "message": "no quota"}}
    failed = {
        "type": "response.done",
        "response": {"status": "failed", "status_details": details, "output": []},
    }
    assert await ask("answer.js", "answerOf", record_with(None, failed)) == {
        "parts": [],
        "error": "no quota",
    }
    failed = {
        "type": "response.failed",
        "response": {"error": {"message": "too long"}, "output": []},
    }
    assert await ask("answer.js", "answerOf", record_with(None, failed)) == {
        "parts": [],
        "error": "too long",
    }


async def test_a_stream_of_responses(ask: Ask) -> None:
    """Summaries of thinking, input of custom tools, and calls that are only there as a whole."""
    answer = await ask(
        "answer.js",
        "answerOf",
        stream(
            {
                "type": "response.output_item.added",
                "output_index": 0,
                "item": {"type": "reasoning", "summary": []},
            },
            {
                "type": "response.reasoning_summary_part.added",
                "output_index": 0,
                "summary_index": 0,
            },
            {
                "type": "response.reasoning_summary_text.delta",
                "output_index": 0,
                "summary_index": 0,
                "delta": "A ",
            },
            {
                "type": "response.reasoning_summary_text.delta",
                "output_index": 0,
                "summary_index": 0,
                "delta": "file",
            },
            {
                "type": "response.reasoning_summary_part.added",
                "output_index": 0,
                "summary_index": 1,
            },
            {
                "type": "response.reasoning_summary_text.delta",
                "output_index": 0,
                "summary_index": 1,
                "delta": "Two",
            },
            {
                "type": "response.output_item.added",
                "output_index": 1,
                "item": {**OUTPUT[1], "input": ""},
            },
            {"type": "response.custom_tool_call_input.delta", "output_index": 1, "delta": "cat("},
            {"type": "response.custom_tool_call_input.delta", "output_index": 1, "delta": "`a`)"},
            {"type": "response.output_item.done", "output_index": 1, "item": OUTPUT[1]},
            {"type": "response.output_item.done", "output_index": 2, "item": OUTPUT[2]},
            {"type": "response.output_text.delta", "output_index": 3, "delta": "Milk"},
            {"type": "response.completed", "response": {"output": OUTPUT}},
        ),
    )
    assert parts(answer) == [("thinking", "A file\n\nTwo"), *PARTS[1:]]
    assert answer["parts"][1]["id"] == "c1"


async def test_a_stream_of_responses_that_says_all_at_its_end(ask: Ask) -> None:
    """Or fails there."""
    end = {"type": "response.completed", "response": {"output": OUTPUT}}
    assert (
        parts(await ask("answer.js", "answerOf", stream({"type": "response.created"}, end)))
        == PARTS
    )
    failed = {
        "type": "response.failed",
        "response": {"error": {"message": "too long"}, "output": []},
    }
    assert (await ask("answer.js", "answerOf", stream(failed)))["error"] == "too long"
    failed = {"type": "error", "code": "x", "message": "no quota"}
    assert (await ask("answer.js", "answerOf", stream(failed)))["error"] == "no quota"


async def test_a_stream_of_anthropic(ask: Ask) -> None:
    """Thinking, a tool of the provider with what it found, a call, text."""
    found = {"type": "web_search_result", "title": "Milk", "url": "https://milk.test"}
    blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
        (
            {"type": "thinking", "thinking": ""},
            [{"thinking": "Where"}, {"type": "signature_delta", "signature": "s"}],
        ),
        ({"type": "redacted_thinking", "data": "AAAA"}, []),
        (
            {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}},
            [{"partial_json": '{"query":'}, {"partial_json": '"milk"}'}],
        ),
        ({"type": "web_search_tool_result", "tool_use_id": "s1", "content": [found]}, []),
        ({"type": "tool_use", "id": "t1", "name": "read", "input": {}}, []),
        ({"type": "thinking", "thinking": ""}, [{"type": "signature_delta", "signature": "s"}]),
        ({"type": "text", "text": ""}, [{"text": "Mi"}, {"text": "lk"}]),
    ]
    events: list[dict[str, Any]] = []

    for index, (block, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [
            {"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas
        ]

    assert parts(await ask("answer.js", "answerOf", stream(*events))) == [
        ("thinking", "Where"),
        ("other", "thinking, encrypted by the provider"),
        ("call", '{"query":"milk"}', "web_search"),
        ("result", "Milk\nhttps://milk.test"),
        ("call", "", "read"),
        ("text", "Milk"),
    ]


async def test_the_answers_of_gemini(ask: Ask) -> None:
    """Thoughts, and calls of one function apart from each other; a stream is one as events and as a
    list.
    """

    def piece(*content: dict[str, Any]) -> dict[str, Any]:
        return {"candidates": [{"content": {"role": "model", "parts": list(content)}}]}

    pieces = [
        piece({"text": "A ", "thought": True}),
        piece({"text": "file", "thought": True}),
        piece(
            {
                "functionCall": {"id": "r1", "name": "read", "args": {"a": 1}},
                "thoughtSignature": "s",
            }
        ),
        piece(
            {"functionCall": {"id": "r2", "name": "read", "args": {"a": 2}}},
            {"text": "", "thoughtSignature": "s"},
        ),
        piece({"text": "Mi"}),
        piece({"text": "lk"}),
    ]
    expected = [
        ("thinking", "A file"),
        ("call", '{\n  "a": 1\n}', "read"),
        ("call", '{\n  "a": 2\n}', "read"),
        ("text", "Milk"),
    ]
    assert parts(await ask("answer.js", "answerOf", stream(*pieces))) == expected
    assert parts(await ask("answer.js", "answerOf", record_with(None, pieces))) == expected
    live = {"serverContent": {"modelTurn": {"parts": [{"text": "Milk"}]}, "turnComplete": True}}
    assert parts(await ask("answer.js", "answerOf", record_with(None, live))) == [("text", "Milk")]
    assert (
        await ask(
            "answer.js", "answerOf", record_with(None, {"serverContent": {"turnComplete": True}})
        )
        is None
    )


async def test_answers_with_thinking_beside_the_text(ask: Ask) -> None:
    """Of servers that speak like OpenAI, and of Ollama, whose lines may have whole calls."""
    message = {"content": "Milk", "reasoning_content": "A file"}
    expected = [("thinking", "A file"), ("text", "Milk")]
    assert (
        parts(
            await ask(
                "answer.js", "answerOf", record_with(None, {"choices": [{"message": message}]})
            )
        )
        == expected
    )
    deltas = [{"reasoning": "A "}, {"reasoning": "file"}, {"content": "Milk"}]
    answer = await ask(
        "answer.js", "answerOf", stream(*({"choices": [{"delta": delta}]} for delta in deltas))
    )
    assert parts(answer) == expected
    calls = [{"function": {"name": "read", "arguments": {"a": number}}} for number in (1, 2)]
    lines: list[dict[str, Any]] = [
        {"thinking": "A "},
        {"thinking": "file"},
        {"content": "Mi"},
        {"content": "lk"},
        {"tool_calls": calls},
    ]
    text = "".join(
        json.dumps({"message": {"role": "assistant", "content": "", **line}}) + "\n"
        for line in lines
    )
    assert parts(await ask("answer.js", "answerOf", record_with(None, text))) == [
        *expected,
        ("call", '{\n  "a": 1\n}', "read"),
        ("call", '{\n  "a": 2\n}', "read"),
    ]


async def test_a_document_that_was_cut(ask: Ask) -> None:
    """As far as it goes; the lines of a stream stay lines."""
    text = json.dumps({"id": "resp_1", "output": OUTPUT})
    record = record_with(text, keep=text.index("lk"))
    answer = await ask("answer.js", "answerOf", {"response": record["request"]})
    assert parts(answer) == [*PARTS[:-1], ("text", "Mi")]
    text = "".join(
        json.dumps({"message": {"content": word}}) + "\n" for word in ("Mi", "lk", "man")
    )
    record = record_with(text, keep=text.index("man"))
    assert parts(await ask("answer.js", "answerOf", {"response": record["request"]})) == [
        ("text", "Milk")
    ]


@pytest.mark.parametrize(
    "event",
    [
        {"choices": 1}, {"choices": [None]}, {"choices": [{"delta": {"tool_calls": 1, "content": {"a": 1}}}]},
        {"candidates": [None]}, {"candidates": [{"content": {"parts": [None, {"functionCall": 1}]}}]},
        {"type": "content_block_start"}, {"type": "content_block_delta"}, {"type": "content_block_delta", "delta": 1},
        {"type": "response.output_item.added"}, {"type": "response.output_text.delta", "delta": {"a": 1}},
        {"type": "response.output_item.done", "item": {"type": {}}}, {"type": "response.completed", "response": 1},
        {"output": [None, 1]}, {"output": {}}, {"content": [None]}, {"message": 1}, {"message": {"content": 1}},
        {"error": {"message": {"a": 1}}}, {"error": None}, {"serverContent": 1}, {"toolCall": {"functionCalls": 1}},
        {"response": {"output": [{"type": "message", "content": 1}]}, "type": "response.done"}, [1], [[]], "x", 1,
    ],
)  # fmt: skip
async def test_an_answer_of_no_form_breaks_nothing(ask: Ask, event: Any) -> None:
    """Neither as a document nor in a stream; what is found is text."""
    for record in (record_with(None, event), stream(event, event)):
        answer = await ask("answer.js", "answerOf", record)
        for part in [] if answer is None else answer["parts"]:
            assert all(isinstance(part.get(name, ""), str) for name in ("text", "name", "id"))
        assert answer is None or isinstance(answer["error"], str | None)


STEPS = [
    {"type": "user_input", "content": [{"type": "text", "text": "Read"}]},
    {"type": "thought", "signature": "s", "summary": [{"type": "text", "text": "A file"}]},
    {"type": "function_call", "id": "f1", "name": "read", "arguments": {"a": 1}},
    {"type": "function_result", "call_id": "f1", "name": "read", "result": "milk"},
    {"type": "model_output", "content": [{"type": "text", "text": "Milk"}]},
]


async def test_an_interaction_of_gemini(ask: Ask) -> None:
    """Steps, whole and in pieces; what was asked is no answer."""
    whole = record_with(
        {"input": "Read"}, {"object": "interaction", "status": "completed", "steps": STEPS}
    )
    assert parts(await ask("answer.js", "answerOf", whole)) == [
        ("thinking", "A file"), ("call", '{\n  "a": 1\n}', "read"), ("result", "milk", "read"), ("text", "Milk"),
    ]  # fmt: skip
    pieces: list[dict[str, Any]] = [
        {"event_type": "interaction.created", "interaction": {"status": "in_progress"}},
        {"event_type": "step.start", "index": 0, "step": {"type": "thought"}},
        {
            "event_type": "step.delta",
            "index": 0,
            "delta": {"type": "thought_summary", "content": {"text": "A file"}},
        },
        {
            "event_type": "step.start",
            "index": 1,
            "step": {"type": "function_call", "id": "f", "name": "read"},
        },
        {
            "event_type": "step.delta",
            "index": 1,
            "delta": {"type": "arguments_delta", "arguments": '{"a":1}'},
        },
        {"event_type": "step.start", "index": 2, "step": {"type": "model_output"}},
        {"event_type": "step.delta", "index": 2, "delta": {"type": "text", "text": "Mi"}},
        {"event_type": "step.delta", "index": 2, "delta": {"type": "text", "text": "lk"}},
        {"event_type": "interaction.completed", "interaction": {"status": "completed"}},
    ]
    streamed = await ask("answer.js", "answerOf", stream(*pieces))
    assert parts(streamed) == [
        ("thinking", "A file"),
        ("call", '{"a":1}', "read"),
        ("text", "Milk"),
    ]


async def test_what_a_compaction_made_of_the_messages_before(ask: Ask) -> None:
    """Its summary is shown, whole and in pieces."""
    content = [
        {"type": "compaction", "content": "We spoke of milk"},
        {"type": "text", "text": "Bread"},
    ]
    expected = [("block", "We spoke of milk", "compaction"), ("text", "Bread")]
    assert (
        parts(await ask("answer.js", "answerOf", record_with(None, {"content": content})))
        == expected
    )
    pieces: list[dict[str, Any]] = [
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "compaction", "content": None},
        },
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "compaction_delta", "content": "We spoke of milk"},
        },
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {
            "type": "content_block_delta",
            "index": 1,
            "delta": {"type": "text_delta", "text": "Bread"},
        },
    ]
    assert parts(await ask("answer.js", "answerOf", stream(*pieces))) == expected


async def test_a_conversation_of_mistral(ask: Ask) -> None:
    """Outputs, whole and in pieces."""
    made = {"type": "function.call", "tool_call_id": "f1", "name": "read", "arguments": '{"a":1}'}
    outputs = [{"type": "message.output", "role": "assistant", "content": "Milk"}, made]
    expected = [("text", "Milk"), ("call", '{"a":1}', "read")]
    whole = record_with(None, {"object": "conversation.response", "outputs": outputs})
    assert parts(await ask("answer.js", "answerOf", whole)) == expected
    pieces: list[dict[str, Any]] = [
        {"type": "conversation.response.started", "conversation_id": "c"},
        {"type": "message.output.delta", "output_index": 0, "content": "Mi"},
        {
            "type": "message.output.delta",
            "output_index": 0,
            "content": {"type": "text", "text": "lk"},
        },
        made | {"type": "function.call.delta", "output_index": 1},
        {"type": "conversation.response.done", "usage": {}},
    ]
    assert parts(await ask("answer.js", "answerOf", stream(*pieces))) == expected


async def test_json_with_numbers_that_are_not_finite(ask: Ask) -> None:
    """As Python and vLLM write it; the same letters within a text stay."""
    text = '{"a":NaN,"b":[-Infinity,1,"NaN -Infinity \\" NaN"],"c":"\\ud83d"}'
    read = await ask("body.js", "readJson", text)
    assert (read["a"], read["b"]) == (None, [None, 1, 'NaN -Infinity " NaN'])
    assert await ask("body.js", "readJson", '{"a":NaNa}') is None
