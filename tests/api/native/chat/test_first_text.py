"""The first words of a user, out of bodies as they are stored."""

import json
from typing import Any

import pytest

from api.native.chat.first_text import MAX_CHARACTERS, ConversationOpening, chosen, opening_of
from storage.record import Body
from tests.support.cases import each_of


def body_of(document: Any, *, cut: bool = False) -> Body:
    """A stored body, whole or without its end."""
    head = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Body(head[:-5] if cut else head, b"", len(head), cut, None, None)


def user(content: Any) -> dict[str, Any]:
    """A message of the user's."""
    return {"role": "user", "content": content}


@each_of(
    ("document", "expected"),
    [
        (
            {"messages": [{"role": "system", "content": "you are"}, user("do\n  it "), user("no")]},
            "do it",
        ),
        (
            {
                "messages": [
                    user(
                        [{"type": "text", "text": "<reminder>"}, {"type": "text", "text": "do it"}]
                    )
                ]
            },
            "do it",
        ),
        ({"messages": [user([{"type": "image"}]), user("then this")]}, "then this"),
        ({"messages": [user([{"type": "text", "text": "New task:\ncount sheep"}])]}, "count sheep"),
        ({"input": "a question"}, "a question"),
        (
            {
                "input": [
                    {
                        "type": "message",
                        "role": "user",
                        "content": [{"type": "input_text", "text": "q"}],
                    }
                ]
            },
            "q",
        ),
        ({"input": [{"type": "user_input", "content": [{"type": "text", "text": "q"}]}]}, "q"),
        (
            {"input": [{"type": "image", "data": "AAAA"}, {"type": "text", "text": "what is it"}]},
            "what is it",
        ),
        ({"contents": [{"parts": [{"text": "g"}]}]}, "g"),
        ({"request": {"contents": [{"role": "user", "parts": [{"text": "cli"}]}]}}, "cli"),
        ({"response": {"input": [user([{"type": "input_text", "text": "spoken"}])]}}, "spoken"),
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
    assert opening_of(body_of(document)).text == expected


@each_of(
    "messages",
    [
        [user("<context>\n<cwd>/</cwd>\n</context>\n\nMend it")],
        [user("<env>x</env>\n<user_query>\nMend it\n</user_query>")],
        [user("<a-b x='1'>one</a-b><c.d>two</c.d> Mend it")],
        [
            user(
                [
                    {"type": "text", "text": "Mend it"},
                    {"type": "text", "text": "<reminder>now</reminder>"},
                ]
            )
        ],
        [
            user("# Rules of this place\n\n<RULES>\nverse\n</RULES>"),
            user("<env>x</env>"),
            user("Mend it"),
        ],
        [user("<open>no end"), user("Mend it")][1:],
    ],
)
def test_what_a_program_put_before_it_is_left_out(messages: list[Any]) -> None:
    """As elements, under a heading or without, in a text, beside it, or in messages before it."""
    assert opening_of(body_of({"messages": messages})).text == "Mend it"


def test_where_nobody_speaks_the_element_is_shown() -> None:
    """Rather than nothing; so is one that has no end."""
    assert (
        opening_of(body_of({"input": [user("<env>x</env>"), user("<b>y</b>")]})).text
        == "<env>x</env>"
    )
    assert opening_of(body_of({"messages": [user("<open>no end")]})).text == "<open>no end"


@pytest.mark.parametrize(
    "offer",
    [
        {"tools": [{"name": "bash"}]},
        {"toolConfig": {"tools": [{"toolSpec": {"name": "bash"}}]}},
        {
            "input": [
                {"type": "additional_tools", "role": "developer", "tools": [{"name": "a"}]},
                user("q"),
            ]
        },
        {
            "request": {
                "contents": [user("q")],
                "tools": [{"functionDeclarations": [{"name": "a"}]}],
            }
        },
    ],
)
def test_a_call_that_offers_tools_is_no_aside(offer: dict[str, Any]) -> None:
    """In every API; an empty list offers none, and of a cut body nobody knows."""
    assert (
        opening_of(
            body_of(offer if "input" in offer else {"messages": [user("q")]} | offer)
        ).is_aside
        is False
    )
    assert opening_of(body_of({"messages": [user("q")], "tools": []})).is_aside is True
    assert (
        opening_of(body_of({"messages": [user("q")], "x": "long text"}, cut=True)).is_aside is False
    )


def test_the_first_call_at_work_says_what_it_is_about() -> None:
    """Else the first that says anything."""
    title = ConversationOpening("Write a title", True)
    work = ConversationOpening("Mend it", False)
    silent = ConversationOpening(None, False)
    assert chosen([title, silent, work, ConversationOpening("more", False)]) == "Mend it"
    assert chosen([silent, title]) == "Write a title"
    assert chosen([silent]) is None
    assert chosen([]) is None


def test_a_cut_body_still_has_its_beginning() -> None:
    """The message is found where its end is not, also where it is itself cut."""
    for content in (
        "do it",
        [{"type": "text", "text": "<a>b</a>"}, {"type": "text", "text": "do it"}],
    ):
        messages = [
            {"role": "system", "content": "s"},
            user(content),
            {"role": "assistant", "content": "long"},
        ]
        assert opening_of(body_of({"messages": messages}, cut=True)).text == "do it"

    assert (
        opening_of(body_of(b'{"messages":[{"role":"user","content":"do i     ', cut=True)).text
        == "do i"
    )
    assert opening_of(body_of(b'{"messages":[{"role":"us', cut=True)).text is None


@each_of("raw", [b"", b"]", b"{}}", b'"text', b"[" * 500, b"7", b'{"a" "b"'])
def test_what_is_no_document_is_not_closed(raw: bytes) -> None:
    """It says nothing, and costs nothing."""
    assert opening_of(body_of(raw + b"     ", cut=True)) == ConversationOpening(
        None, is_aside=False
    )


def test_nothing_stored_says_nothing() -> None:
    """Without a body there is no title."""
    assert opening_of(None) == ConversationOpening(None, is_aside=False)
