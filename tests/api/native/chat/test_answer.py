"""What models answer is put together from whatever they answer with: documents, events, streams,
lines.
"""

import json
from typing import Any

from api.native.chat.answer import read_answer
from tests.api.native.chat.calls import answered, parts
from tests.support.cases import each_of

Json = dict[str, Any]

THOUGHT, MILK = ("thinking", "A file"), ("text", "Milk")
READ = ("call", '{"a":1}', "read")
SUMMARY = {"type": "summary_text", "text": "A file"}
EXEC = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c1", "name": "exec", "input": "cat(`a`)"}  # fmt: skip
SHELL = {"type": "local_shell_call", "id": "ls_1", "call_id": "c2", "action": {"command": ["ls"]}}
SAID = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Milk"}]}  # fmt: skip
OUTPUT: list[Json] = [
    {"type": "reasoning", "summary": [SUMMARY], "encrypted_content": "gAAA"}, EXEC, SHELL, SAID
]  # fmt: skip
PARTS = [THOUGHT, ("call", "cat(`a`)", "exec"), ("call", '{"command":["ls"]}', "local_shell"), MILK]
REMOTE = {"type": "mcp_call", "id": "m1", "name": "add", "arguments": "{}", "output": "2", "error": None}  # fmt: skip
STEPS: list[Json] = [
    {"type": "user_input", "content": [{"type": "text", "text": "Read"}]},
    {"type": "thought", "signature": "s", "summary": [{"type": "text", "text": "A file"}]},
    {"type": "function_call", "id": "f1", "name": "read", "arguments": {"a": 1}},
    {"type": "function_result", "call_id": "f1", "name": "read", "result": "milk"},
    {"type": "model_output", "content": [{"type": "text", "text": "Milk"}]},
]
FOUND = {"type": "web_search_result", "title": "Milk", "url": "https://milk.test"}
COMPACTED = {"type": "compaction", "content": "We spoke of milk"}
ITEM = {"type": "function_call", "name": "read", "arguments": '{"a":1}'}
FUNCTION = {"type": "function.call", "tool_call_id": "f1", "name": "read", "arguments": '{"a":1}'}


def stream(*events: Json) -> str:
    """Write an answer that is a stream of events."""
    return "".join(f"event: x\ndata: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]"


def lines(*documents: Json) -> str:
    return "".join(json.dumps(document) + "\n" for document in documents)


def response(kind: str, index: int = 0, /, **members: Any) -> Json:
    """An event of the Responses API."""
    return {"type": f"response.{kind}", "output_index": index, **members}


def block(index: int, begun: Json, *deltas: Json) -> list[Json]:
    """A block of Anthropic's, in pieces."""
    return [
        {"type": "content_block_start", "index": index, "content_block": begun},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
    ]


def step(index: int, begun: Json, *deltas: Json) -> list[Json]:
    """A step of an interaction of Gemini's, in pieces."""
    return [
        {"event_type": "step.start", "index": index, "step": begun},
        *({"event_type": "step.delta", "index": index, "delta": delta} for delta in deltas),
    ]


def chunk(**delta: Any) -> Json:
    """A chunk of a chat stream."""
    return {"choices": [{"index": 0, "delta": delta}]}


def called(index: int, **function: str) -> Json:
    """A piece of a tool call in a chat."""
    return {"index": index, **({"id": f"c{index}"} if "name" in function else {}), "function": function}  # fmt: skip


def gemini(*content: Json) -> Json:
    return {"candidates": [{"content": {"role": "model", "parts": list(content)}}]}


def message(**members: Any) -> Json:
    return {"message": {"role": "assistant", "content": "", **members}}


GEMINI = [
    gemini({"text": "A ", "thought": True}), gemini({"text": "file", "thought": True}),
    gemini({"functionCall": {"id": "r1", "name": "read", "args": {"a": 1}}, "thoughtSignature": "s"}),
    gemini({"functionCall": {"id": "r2", "name": "read", "args": {"a": 2}}}, {"text": "", "thoughtSignature": "s"}),
    gemini({"text": "Mi"}), gemini({"text": "lk"}),
]  # fmt: skip
SHORTER = ("block", "We spoke of milk", "compaction")
GEMINI_PARTS = [THOUGHT, READ, ("call", '{"a":2}', "read"), MILK]


@each_of(
    ("content", "expected"),
    [
        # Responses: a document, the event that ends a call over a WebSocket, the end of a stream.
        ({"id": "resp_1", "output": OUTPUT}, PARTS),
        *((response(kind, response={"output": OUTPUT}), PARTS) for kind in ("completed", "done", "incomplete")),
        (stream(response("created"), response("completed", response={"output": OUTPUT})), PARTS),
        (response("done", response={"output": [{"type": "message", "content": [{"type": "output_audio",
                                                                                "transcript": "Milk"}]}]}), [MILK]),
        # Summaries of thinking, input of custom tools, and calls that are only there as a whole.
        (stream(
            response("output_item.added", item={"type": "reasoning", "summary": []}),
            response("reasoning_summary_part.added"), response("reasoning_summary_text.delta", delta="A "),
            response("reasoning_summary_text.delta", delta="file"), response("reasoning_summary_part.added"),
            response("reasoning_summary_text.delta", delta="Two"),
            response("output_item.added", 1, item={**EXEC, "input": ""}),
            response("custom_tool_call_input.delta", 1, delta="cat("),
            response("custom_tool_call_input.delta", 1, delta="`a`)"),
            response("output_item.done", 1, item=EXEC), response("output_item.done", 2, item=SHELL),
            response("output_text.delta", 3, delta="Milk"), response("audio.delta", 3, delta="AAAA"),
            response("completed", response={"output": OUTPUT}),
        ), [("thinking", "A file\n\nTwo"), *PARTS[1:]]),
        (stream(response("reasoning_text.delta", delta="A file"), response("refusal.delta", 1, delta="Mi"),
                response("output_audio_transcript.delta", 1, delta="lk")), [THOUGHT, MILK]),
        # A piece was not kept; the item is whole, and stays where it began.
        (stream(response("output_text.delta", delta="M"), response("function_call_arguments.delta", 1, delta="{"),
                response("output_item.done", item=SAID),
                response("output_item.done", 1, item=ITEM)), [MILK, READ]),
        # The result of a remote tool stands in the item of its call.
        ({"output": [REMOTE]}, [("call", "{}", "add"), ("result", "2", "add")]),
        (stream(response("output_item.added", item=REMOTE | {"arguments": "", "output": None}),
                response("mcp_call_arguments.delta", delta="{}"), response("output_item.done", item=REMOTE)),
         [("call", "{}", "add"), ("result", "2", "add")]),
        # Anthropic: thinking, a tool of the provider with what it found, calls, text, a compaction.
        ({"content": [{"type": "text", "text": "Milk"}, {"type": "tool_use", "id": "t", "name": "read",
                                                         "input": {"a": 1}}]}, [MILK, READ]),
        (stream({"type": "message_start", "message": {"content": []}}, *(
            *block(0, {"type": "thinking", "thinking": ""}, {"thinking": "A file"},
                   {"type": "signature_delta", "signature": "s"}),
            *block(1, {"type": "redacted_thinking", "data": "AAAA"}),
            *block(2, {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}},
                   {"partial_json": '{"query":'}, {"partial_json": '"milk"}'}),
            *block(3, {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [FOUND]}),
            *block(4, {"type": "tool_use", "id": "t1", "name": "read", "input": {}}),
            *block(5, {"type": "thinking", "thinking": ""}, {"type": "signature_delta", "signature": "s"}),
            *block(6, {"type": "text", "text": ""}, {"text": "Mi"}, {"text": "lk"}),
        ), {"type": "message_delta", "delta": {"stop_reason": "tool_use"}}), [
            THOUGHT, ("other", "thinking, encrypted by the provider"), ("call", '{"query":"milk"}', "web_search"),
            ("result", "Milk\nhttps://milk.test", "web_search"), ("call", "", "read"), MILK]),
        ({"content": [COMPACTED, {"type": "text", "text": "Milk"}]}, [SHORTER, MILK]),
        (stream(*block(0, COMPACTED | {"content": None}, {"type": "compaction_delta", "content": "We spoke of milk"}),
                *block(1, {"type": "text", "text": ""}, {"text": "Milk"})),
         [SHORTER, MILK]),
        # Gemini: thoughts, and calls of one function apart; a stream is one as events and as a list.
        (stream(*GEMINI), GEMINI_PARTS), (GEMINI, GEMINI_PARTS), ({"response": gemini({"text": "Milk"})}, [MILK]),
        ({"serverContent": {"modelTurn": {"parts": [{"text": "Milk"}]}, "turnComplete": True}}, [MILK]),
        ({"toolCall": {"functionCalls": [{"name": "read", "args": {"a": 1}}]}}, [READ]),
        # Its interactions; what was asked is not an answer.
        ({"object": "interaction", "steps": STEPS}, [THOUGHT, READ, ("result", "milk", "read"), MILK]),
        ({"object": "interaction", "outputs": [{"type": "text", "text": "Milk"}]}, [MILK]),
        (stream({"event_type": "interaction.created", "interaction": {"status": "in_progress"}},
                *step(0, {"type": "thought"}, {"type": "thought_summary", "content": SUMMARY},
                      {"type": "thought_signature", "signature": "s"}),
                *step(1, {"type": "function_call", "id": "f", "name": "read", "arguments": {}},
                      {"type": "arguments_delta", "arguments": '{"a":1}'}),
                *step(2, STEPS[0]), *step(3, {"type": "model_output"}, {"type": "text", "text": "Mi"},
                                          {"type": "text", "text": "lk"})), [THOUGHT, READ, MILK]),
        (stream(*step(0, STEPS[2])), [READ]),
        # Servers that speak like OpenAI, completions, and Ollama, whose lines may have whole calls.
        ({"choices": [message(content="Milk", reasoning_content="A file")]}, [THOUGHT, MILK]),
        ({"choices": [message(content="Milk", tool_calls=[called(0, name="read", arguments='{"a":1}')])]},
         [MILK, READ]),
        ({"choices": [{"text": "Milk"}]}, [MILK]), (stream({"choices": [{"text": "Milk"}]}), [MILK]),
        (stream(chunk(role="assistant", content=""), chunk(reasoning="A "), chunk(reasoning="file"),
                chunk(content="Mi"), chunk(content="lk"), chunk(tool_calls=[called(0, name="read", arguments='{"a"')]),
                chunk(tool_calls=[called(1, name="add", arguments="")]),
                chunk(tool_calls=[called(0, arguments=":1}")])), [THOUGHT, MILK, READ, ("call", "", "add")]),
        (stream(chunk(tool_calls=[called(0, arguments='{"a"')]),
                chunk(tool_calls=[called(0, name="read", arguments=":1}")])), [READ]),
        (message(content="Milk"), [MILK]), ({"response": "Milk"}, [MILK]),
        (lines(message(thinking="A "), message(thinking="file"), message(content="Mi"), message(content="lk"), message(
            tool_calls=[{"function": {"name": "read", "arguments": {"a": number}}} for number in (1, 2)])),
         [THOUGHT, MILK, READ, ("call", '{"a":2}', "read")]),
        # Bedrock, and a conversation of Mistral's.
        ({"output": message(content=[{"text": "Milk"}])}, [MILK]),
        ({"outputs": [{"type": "message.output", "role": "assistant", "content": "Milk"}, FUNCTION]}, [MILK, READ]),
        (stream({"type": "conversation.response.started", "conversation_id": "c"},
                {"type": "message.output.delta", "output_index": 0, "content": "Mi"},
                {"type": "message.output.delta", "output_index": 0, "content": {"type": "text", "text": "lk"}},
                FUNCTION | {"type": "function.call.delta", "output_index": 1},
                {"type": "conversation.response.done", "usage": {}}), [MILK, READ]),
    ],
)  # fmt: skip
def test_answers_are_read_in_every_form(content: Any, expected: list[tuple[str, ...]]) -> None:
    """Pieces put together, in the order in which parts began."""
    assert parts(answered(content)) == expected


@each_of(
    ("content", "names"),
    [
        ({"output": OUTPUT}, ["c1", "c2"]),
        (stream(*(response("output_item.done", at, item=item) for at, item in enumerate(OUTPUT))), ["c1", "c2"]),
        (stream(chunk(tool_calls=[called(0, name="read", arguments="")]),
                chunk(tool_calls=[called(0, arguments="{}")])), ["c0"]),
        (stream(*block(0, {"type": "tool_use", "id": "t1", "name": "read", "input": {}}, {"partial_json": "{}"})),
         ["t1"]),
        (stream(FUNCTION | {"type": "function.call.delta"}), ["f1"]),
    ],
)  # fmt: skip
def test_calls_have_the_ids_that_their_results_repeat(content: Any, names: list[str]) -> None:
    """Whole or in pieces, of which the first has it."""
    answer = answered(content)
    assert [part["id"] for part in answer["parts"] if part["kind"] == "call"] == names


@each_of(
    ("content", "error"),
    [
        (response("done", response={"output": [], "status_details": {"error": {"message": "no quota"}}}),
         "no quota"),
        (response("failed", response={"error": {"message": "too long"}, "output": []}), "too long"),
        (stream(response("failed", response={"error": {"message": "too long"}, "output": []})), "too long"),
        (stream({"type": "error", "code": "x", "message": "no quota"}), "no quota"),
        ({"error": {"message": "no"}}, "no"), ({"error": {"code": 7}}, '{"code":7}'), ({"error": "no"}, "no"),
    ],
)  # fmt: skip
def test_what_failed_says_why(content: Any, error: str) -> None:
    """In the answer, in its last event, or in place of both."""
    assert answered(content) == {"parts": [], "error": error}


@each_of("content", ["<html>", "", {"serverContent": {"turnComplete": True}}, {"id": "x"}, [], [1]])
def test_what_is_no_answer_says_nothing(content: Any) -> None:
    """It is shown raw."""
    assert answered(content) is None
    assert read_answer(None) is None


def test_of_a_cut_answer_there_is_what_was_kept() -> None:
    """The pieces at both ends of a stream, the beginning of a document, whole lines."""
    whole = stream(*(chunk(content=f"{number} ") for number in range(30)))
    [(_, text)] = parts(answered(whole, 300, 200))
    assert text.startswith("0 1 ")
    assert text.endswith("28 29 ")
    document = json.dumps({"id": "resp_1", "output": OUTPUT})
    assert parts(answered(document, document.index("lk"))) == [*PARTS[:-1], ("text", "Mi")]
    words = lines(*({"message": {"content": word}} for word in ("Mi", "lk", "man")))
    assert parts(answered(words, words.index("man"))) == [MILK]


@each_of(
    "event",
    [
        {"choices": 1}, {"choices": [None]}, {"choices": [{"delta": {"tool_calls": 1, "content": {"a": 1}}}]},
        {"choices": [{"delta": {"tool_calls": [7, {"function": 7}]}}]}, {"choices": [7]},
        {"candidates": [None]}, {"candidates": [{"content": {"parts": [None, {"functionCall": 1}]}}]},
        {"type": "content_block_start"}, {"type": "content_block_delta"}, {"type": "content_block_delta", "delta": 1},
        {"type": "content_block_delta", "index": [], "delta": 7}, {"type": "content_block_start", "content_block": 1},
        {"type": "response.output_item.added"}, {"type": "response.output_text.delta", "delta": {"a": 1}},
        {"type": "response.output_item.done", "item": {"type": {}}}, {"type": "response.completed", "response": 1},
        {"output": [None, 1]}, {"output": {}}, {"content": [None]}, {"message": 1}, {"message": {"content": 1}},
        {"error": {"message": {"a": 1}}}, {"error": None}, {"serverContent": 1}, {"toolCall": {"functionCalls": 1}},
        {"response": {"output": [{"type": "message", "content": 1}]}, "type": "response.done"}, [1], [[]], "x", 1,
        {"type": {}, "event_type": []}, {"event_type": "step.delta", "delta": {"content": {}, "text": {}}},
    ],
)  # fmt: skip
def test_an_answer_of_no_form_breaks_nothing(event: Any) -> None:
    """Neither as a document nor in a stream; what is found is text."""
    for content in (event, stream(event, event)):
        answer = answered(content)
        for part in [] if answer is None else answer["parts"]:
            assert all(isinstance(part.get(name, ""), str) for name in ("text", "name", "id"))
        assert answer is None or isinstance(answer["error"], str | None)
