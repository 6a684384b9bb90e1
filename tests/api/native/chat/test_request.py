"""What was sent to a model, whole and cut."""

import json
from typing import Any

import pytest

from api.native.chat.message import Message, Part
from api.native.chat.request import last_items, messages_sent
from storage.record import Body
from tests.api.samples import make_body
from tests.support.cases import each_of


def said(role: str, text: str) -> Message:
    return Message(role, (Part("text", text),))


@each_of(
    ("document", "messages"),
    [
        ({"system": "be kind", "messages": [{"role": "user", "content": "hi"}]},
         [said("system", "be kind"), said("user", "hi")]),
        ({"instructions": "be kind", "input": "hi"}, [said("system", "be kind"), said("user", "hi")]),
        ({"systemInstruction": {"parts": [{"text": "be kind"}]}, "contents": [{"parts": [{"text": "hi"}]}]},
         [said("system", "be kind"), said("user", "hi")]),
        ({"request": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}}, [said("user", "hi")]),
        ({"type": "response.create", "response": {"input": [{"role": "user", "content": "hi"}]}}, [said("user", "hi")]),
        ({"prompt": "hi"}, [said("user", "hi")]),
        ([1], []),
        ({"messages": 7}, []),
    ],
)  # fmt: skip
def test_messages_of_a_request_are_read(document: Any, messages: list[Message]) -> None:
    """Instructions first, whatever their API calls them."""
    assert messages_sent(make_body(json.dumps(document).encode())) == messages


def test_what_is_no_request_says_nothing() -> None:
    """No body, none that was kept, no JSON, and JSON that is too deep."""
    for body in (None, make_body(b""), make_body(b"a=1"), make_body(b"[" * 9000)):
        assert messages_sent(body) == []


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
        found = messages_sent(Body(raw[: len(raw) // 4], raw[cut:], len(raw), True, None, None))
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
