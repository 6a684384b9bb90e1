"""Messages as each API writes them, in one form."""

from typing import Any

import msgspec

from api.native.chat.message import Message, Part, message_of, text_of
from tests.support.cases import each_of

CALL = Part("call", '{"a":1}', "add", "c1")
FAILED = Part("result", "no", "", "c1", has_failed=True)


@each_of(
    ("item", "role", "parts"),
    [
        ({"role": "user", "content": "hi"}, "user", [Part("text", "hi")]),
        ("hi", "user", [Part("text", "hi")]),
        ({"role": "developer", "content": [{"type": "input_text", "text": "be kind"}]}, "system",
         [Part("text", "be kind")]),
        ({"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "yes"},
            {"type": "tool_use", "id": "c1", "name": "add", "input": {"a": 1}}]}, "assistant",
         [Part("thinking", "hm"), Part("text", "yes"), CALL]),
        ({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "no"}],
             "is_error": True}]}, "tool", [FAILED]),
        ({"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}]}, "assistant",
         [Part("thinking", "hm"), CALL]),
        ({"role": "tool", "tool_call_id": "c1", "content": "3"}, "tool", [Part("result", "3", "", "c1")]),
        ({"type": "function_call", "call_id": "c1", "name": "add", "arguments": '{"a":1}'}, "assistant", [CALL]),
        ({"type": "function_call_output", "call_id": "c1", "output": "no", "status": "failed"}, "tool", [FAILED]),
        ({"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}, "assistant",
         [Part("thinking", "hm")]),
        ({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "yes"}]}, "assistant",
         [Part("text", "yes")]),
        ({"role": "model", "parts": [{"text": "hm", "thought": True}, {"functionCall": {"name": "add",
                                                                                         "args": {"a": 1}}}]},
         "assistant", [Part("thinking", "hm"), msgspec.structs.replace(CALL, id="")]),
        ({"role": "user", "parts": [{"functionResponse": {"name": "add", "response": {"error": "no"}}}]}, "tool",
         [Part("result", '{"error":"no"}', "add", "", has_failed=True)]),
        ({"role": "assistant", "content": [{"toolUse": {"toolUseId": "c1", "name": "add", "input": {"a": 1}}}]},
         "assistant", [CALL]),
        ({"role": "user", "content": [{"toolResult": {"toolUseId": "c1", "content": [{"text": "no"}],
                                                      "status": "error"}}]}, "tool", [FAILED]),
        ({"role": "user", "content": [{"type": "image", "source": {}}]}, "user",
         [Part("other", "image, not shown here")]),
        ({"role": "user", "content": ""}, "user", []),
        ({"role": 7, "content": [None, 7, [], {"text": 7}]}, "user", [Part("other", "part, not shown here")]),
        ({}, "user", []),
    ],
)  # fmt: skip
def test_messages_are_read_in_every_form(item: Any, role: str, parts: list[Part]) -> None:
    """Of Anthropic, OpenAI's chat and Responses, Gemini and Bedrock; what has no form is named or
    left out.
    """
    assert message_of(item) == Message(role, tuple(parts))


def test_values_are_texts() -> None:
    """Also those that no JSON can hold."""
    deep: Any = None
    for _ in range(5000):
        deep = [deep]
    assert (text_of("a"), text_of(None), text_of({"a": [1]}), text_of(deep)) == (
        "a",
        "",
        '{"a":[1]}',
        "",
    )
