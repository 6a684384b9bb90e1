"""What models answer is put together from whatever they answer with: documents, events, streams,
lines.
"""

import json
from typing import Any

import pytest

from api.native.chat.answer import parts_answered
from api.native.chat.message import Part
from storage.record import Body
from tests.api.native.chat.calls import answered
from tests.api.samples import make_body
from tests.support.cases import each_of

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
    ("call", '{"command":["ls"]}', "local_shell"),
    ("text", "Milk"),
]


def stream(*events: dict[str, Any]) -> str:
    """Write an answer that is a stream of events."""
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events)


def parts(answer: dict[str, Any]) -> list[tuple[str, ...]]:
    """Write parts as (kind, text) or (kind, text, name) where there is a name."""
    return [
        (part["kind"], part["text"], *([part["name"]] if part.get("name") else []))
        for part in answer["parts"]
    ]


@pytest.mark.parametrize("kind", ["", "response.completed", "response.done", "response.incomplete"])
def test_items_of_an_output(kind: str) -> None:
    """Thinking, calls with raw text, text: as a document, or as the event that ends a call over a
    WebSocket.
    """
    whole: dict[str, Any] = {"id": "resp_1", "object": "response", "output": OUTPUT}
    answer = answered(
        {"type": kind, "response": whole} if kind else whole,
    )
    assert parts(answer) == PARTS
    assert [part.get("id") for part in answer["parts"]][1:3] == ["c1", "c2"]


def test_a_remote_tool_is_shown_with_what_it_gave() -> None:
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
    assert parts(answered(whole)) == told
    begun = call | {"arguments": "", "output": None}
    events = (
        {"type": "response.output_item.added", "output_index": 0, "item": begun},
        {"type": "response.mcp_call_arguments.delta", "output_index": 0, "delta": "{}"},
        {"type": "response.output_item.done", "output_index": 0, "item": call},
    )
    assert parts(answered(stream(*events))) == told


def test_a_realtime_answer() -> None:
    """What was said aloud is its transcript; what failed says why."""
    content = [{"type": "output_audio", "transcript": "Milk"}]
    done = {
        "type": "response.done",
        "response": {"output": [{"type": "message", "content": content}]},
    }
    assert parts(answered(done)) == [("text", "Milk")]
    details = {"type": "failed", "error": {"code": "x", "message": "no quota"}}
    failed = {
        "type": "response.done",
        "response": {"status": "failed", "status_details": details, "output": []},
    }
    assert answered(failed) == {
        "parts": [],
        "error": "no quota",
    }
    failed = {
        "type": "response.failed",
        "response": {"error": {"message": "too long"}, "output": []},
    }
    assert answered(failed) == {
        "parts": [],
        "error": "too long",
    }


def test_a_stream_of_responses() -> None:
    """Summaries of thinking, input of custom tools, and calls that are only there as a whole."""
    answer = answered(
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


def test_a_stream_of_responses_that_says_all_at_its_end() -> None:
    """Or fails there."""
    end = {"type": "response.completed", "response": {"output": OUTPUT}}
    assert parts(answered(stream({"type": "response.created"}, end))) == PARTS
    failed = {
        "type": "response.failed",
        "response": {"error": {"message": "too long"}, "output": []},
    }
    assert (answered(stream(failed)))["error"] == "too long"
    failed = {"type": "error", "code": "x", "message": "no quota"}
    assert (answered(stream(failed)))["error"] == "no quota"


def test_a_stream_of_anthropic() -> None:
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

    assert parts(answered(stream(*events))) == [
        ("thinking", "Where"),
        ("other", "thinking, encrypted by the provider"),
        ("call", '{"query":"milk"}', "web_search"),
        ("result", "Milk\nhttps://milk.test", "web_search"),
        ("call", "", "read"),
        ("text", "Milk"),
    ]


def test_the_answers_of_gemini() -> None:
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
        ("call", '{"a":1}', "read"),
        ("call", '{"a":2}', "read"),
        ("text", "Milk"),
    ]
    assert parts(answered(stream(*pieces))) == expected
    assert parts(answered(pieces)) == expected
    live = {"serverContent": {"modelTurn": {"parts": [{"text": "Milk"}]}, "turnComplete": True}}
    assert parts(answered(live)) == [("text", "Milk")]
    assert answered({"serverContent": {"turnComplete": True}}) is None


def test_answers_with_thinking_beside_the_text() -> None:
    """Of servers that speak like OpenAI, and of Ollama, whose lines may have whole calls."""
    message = {"content": "Milk", "reasoning_content": "A file"}
    expected = [("thinking", "A file"), ("text", "Milk")]
    assert parts(answered({"choices": [{"message": message}]})) == expected
    deltas = [{"reasoning": "A "}, {"reasoning": "file"}, {"content": "Milk"}]
    answer = answered(stream(*({"choices": [{"delta": delta}]} for delta in deltas)))
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
    assert parts(answered(text)) == [
        *expected,
        ("call", '{"a":1}', "read"),
        ("call", '{"a":2}', "read"),
    ]


def test_a_document_that_was_cut() -> None:
    """As far as it goes; the lines of a stream stay lines."""
    text = json.dumps({"id": "resp_1", "output": OUTPUT})
    answer = answered(text, keep=text.index("lk"))
    assert parts(answer) == [*PARTS[:-1], ("text", "Mi")]
    text = "".join(
        json.dumps({"message": {"content": word}}) + "\n" for word in ("Mi", "lk", "man")
    )
    assert parts(answered(text, keep=text.index("man"))) == [("text", "Milk")]


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
def test_an_answer_of_no_form_breaks_nothing(event: Any) -> None:
    """Neither as a document nor in a stream; what is found is text."""
    for content in (event, stream(event, event)):
        answer = answered(content)
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


def test_an_interaction_of_gemini() -> None:
    """Steps, whole and in pieces; what was asked is no answer."""
    whole = {"object": "interaction", "status": "completed", "steps": STEPS}
    assert parts(answered(whole)) == [
        ("thinking", "A file"), ("call", '{"a":1}', "read"), ("result", "milk", "read"), ("text", "Milk"),
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
    streamed = answered(stream(*pieces))
    assert parts(streamed) == [
        ("thinking", "A file"),
        ("call", '{"a":1}', "read"),
        ("text", "Milk"),
    ]


def test_what_a_compaction_made_of_the_messages_before() -> None:
    """Its summary is shown, whole and in pieces."""
    content = [
        {"type": "compaction", "content": "We spoke of milk"},
        {"type": "text", "text": "Bread"},
    ]
    expected = [("block", "We spoke of milk", "compaction"), ("text", "Bread")]
    assert parts(answered({"content": content})) == expected
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
    assert parts(answered(stream(*pieces))) == expected


def test_a_conversation_of_mistral() -> None:
    """Outputs, whole and in pieces."""
    made = {"type": "function.call", "tool_call_id": "f1", "name": "read", "arguments": '{"a":1}'}
    outputs = [{"type": "message.output", "role": "assistant", "content": "Milk"}, made]
    expected = [("text", "Milk"), ("call", '{"a":1}', "read")]
    whole = {"object": "conversation.response", "outputs": outputs}
    assert parts(answered(whole)) == expected
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
    assert parts(answered(stream(*pieces))) == expected


YES, CALL = Part("text", "yes and no"), Part("call", '{"a": 1}', "add", "c1")
WHOLE = Part("call", '{"a":1}', "add", "c1")
USE = {"type": "tool_use", "id": "c1", "name": "add", "input": {"a": 1}}


def sse(*events: dict[str, Any]) -> bytes:
    """Write events as a stream."""
    return (
        b"".join(f"event: x\ndata: {json.dumps(event)}\n\n".encode() for event in events)
        + b"data: [DONE]\n\n"
    )


def chunk(**delta: Any) -> dict[str, Any]:
    """A chunk of a chat stream."""
    return {"choices": [{"index": 0, "delta": delta}]}


def delta(index: int, **piece: str) -> dict[str, Any]:
    """A piece of a part in a stream of Anthropic's."""
    return {"type": "content_block_delta", "index": index, "delta": piece}


def begun(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def gemini(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}}]}


FUNCTION = {"name": "add", "arguments": '{"a": 1}'}
ITEM = {"type": "function_call", "call_id": "c1", **FUNCTION}
SAID = {
    "type": "message",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "yes and no"}],
}


@each_of(
    ("body", "parts"),
    [
        ({"content": [{"type": "text", "text": "yes and no"}, USE]}, [YES, WHOLE]),
        ({"choices": [{"message": {"role": "assistant", "content": "yes and no",
                                   "tool_calls": [{"id": "c1", "function": FUNCTION}]}}]}, [YES, CALL]),
        ({"output": [SAID, ITEM]}, [YES, CALL]),
        ({"output": {"message": {"role": "assistant", "content": [{"text": "yes and no"}]}}}, [YES]),
        (gemini({"text": "yes and no"}), [YES]),
        ({"response": gemini({"text": "yes and no"})}, [YES]),
        ([gemini({"text": "yes "}), gemini({"text": "and no"})], [YES]),
        ({"message": {"role": "assistant", "content": "yes and no"}, "done": True}, [YES]),
        ({"response": "yes and no"}, [YES]),
        ({"error": {"message": "no"}}, []),
        (sse({"type": "message_start", "message": {"content": []}}, begun(0, type="text", text=""),
             delta(0, type="text_delta", text="yes "), delta(0, type="text_delta", text="and no"),
             begun(1, type="tool_use", id="c1", name="add", input={}), delta(1, partial_json='{"a"'),
             delta(1, partial_json=": 1}")), [YES, CALL]),
        (sse(begun(0, type="thinking", thinking=""), delta(0, thinking="hm")), [Part("thinking", "hm")]),
        (sse(chunk(role="assistant", content=""), chunk(content="yes "), chunk(content="and no"),
             chunk(tool_calls=[{"index": 0, "id": "c1", "function": {"name": "add", "arguments": '{"a"'}}]),
             chunk(tool_calls=[{"index": 0, "function": {"arguments": ": 1}"}}])), [YES, CALL]),
        (sse({"type": "response.output_text.delta", "delta": "yes"},
             {"type": "response.output_item.done", "item": SAID}, {"type": "response.output_item.done", "item": ITEM},
             {"type": "response.completed", "response": {"output": [SAID, ITEM]}}), [YES, CALL]),
        (sse(gemini({"text": "yes "}), gemini({"text": "and no"})), [YES]),
        (b'{"message": {"content": "yes "}}\n{"message": {"content": "and no"}, "done": true}\n', [YES]),
        (b"<html>", []),
        (b"", []),
        (sse({"type": "content_block_delta", "index": [], "delta": 7}, {"choices": [7]}, {"choices": 7},
             chunk(tool_calls=[7, {"function": 7}])), []),
    ],
)  # fmt: skip
def test_answers_are_read_in_every_form(body: Any, parts: list[Part]) -> None:
    """Pieces put together, in the order in which parts began."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert parts_answered(make_body(raw)) == parts


def test_of_a_cut_answer_there_is_what_was_kept() -> None:
    """The pieces at both ends of a stream, the beginning of a document."""
    whole = sse(*(chunk(content=f"{number} ") for number in range(30)))
    [part] = parts_answered(Body(whole[:300], whole[-200:], len(whole), True, None, None))
    assert part.text.startswith("0 1 ")
    assert part.text.endswith("28 29 ")
    document = json.dumps({"content": [{"type": "text", "text": "word " * 100}]}).encode()
    [part] = parts_answered(Body(document[:90], b"", len(document), True, None, None))
    assert part.text.startswith("word word")
    assert parts_answered(None) == []
