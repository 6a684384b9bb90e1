"""The first words of a user, out of bodies as they are stored."""

import json
from typing import Any

import pytest

from api.native.first_text import MAX_CHARACTERS, first_text
from storage.record import Body


def body_of(document: Any, *, cut: bool = False) -> Body:
    """A stored body, whole or without its end."""
    head = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Body(head[:-5] if cut else head, b"", len(head), cut, None, None)


def user(content: Any) -> dict[str, Any]:
    """A message of the user's."""
    return {"role": "user", "content": content}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"messages": [{"role": "system", "content": "you are"}, user("do\n  it "), user("no")]}, "do it"),
        ({"messages": [user([{"type": "text", "text": "<reminder>"}, {"type": "text", "text": "do it"}])]}, "do it"),
        ({"messages": [user([{"type": "image"}]), user("then this")]}, "then this"),
        ({"input": "a question"}, "a question"),
        ({"input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "q"}]}]}, "q"),
        ({"contents": [{"parts": [{"text": "g"}]}]}, "g"),
        ({"request": {"contents": [{"role": "user", "parts": [{"text": "cli"}]}]}}, "cli"),
        ({"messages": [user("x" * 999)]}, "x" * MAX_CHARACTERS),
        ({"messages": [7, None, user(7), user([7]), {"role": ["user"]}]}, None),
        ({"messages": "text"}, "text"),
        ({"messages": 7}, None),
        ({"model": "m"}, None),
        ([1], None),
        (b"[" * 5000, None),
        (b"", None),
        (b"\xff", None),
    ],
)
def test_what_the_user_said_first(document: Any, expected: str | None) -> None:
    """In every API; what is none is nothing."""
    assert first_text(body_of(document)) == expected


def test_a_cut_body_still_has_its_beginning() -> None:
    """The message is found where its end is not."""
    for content in ("do it", [{"type": "text", "text": "do it"}]):
        messages = [{"role": "system", "content": "s"}, user(content), {"role": "assistant", "content": "long"}]
        assert first_text(body_of({"messages": messages}, cut=True)) == "do it"
    assert first_text(body_of(b'{"messages":[{"role":"user","content":"do i     ', cut=True)) is None


def test_nothing_stored_says_nothing() -> None:
    """Without a body there is no title."""
    assert first_text(None) is None
