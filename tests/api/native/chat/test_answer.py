"""What a model answered: documents and streams of each API."""

import json
from typing import Any

from api.native.chat.answer import parts_answered
from api.native.chat.message import Part
from storage.record import Body
from tests.api.samples import make_body
from tests.support.cases import each_of

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
OUTPUT = {
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
        ({"output": [OUTPUT, ITEM]}, [YES, CALL]),
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
             {"type": "response.output_item.done", "item": OUTPUT}, {"type": "response.output_item.done", "item": ITEM},
             {"type": "response.completed", "response": {"output": [OUTPUT, ITEM]}}), [YES, CALL]),
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
