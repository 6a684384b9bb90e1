"""What programs put into a person's turn is apart from what the person said."""

import pytest

from tests.api.native.chat.calls import said, sent_in


def test_blocks_of_a_program_are_apart_from_what_a_person_said() -> None:
    """Whole elements at the beginning of a line, by their names; what was said, and markup in it,
    is prose.
    """
    reminder = (
        "<system-reminder>\nIt is Monday: use <b>no</b> </a> <system-reminder>\n</system-reminder>"
    )
    context = "<environment_context>\n  <cwd>/w</cwd>\n</environment_context>"
    text = f"{reminder}\n\nWhat do <notes_x> say?\n<div>a</div>\n{context}"
    sent = sent_in({"messages": [{"role": "user", "content": text}]})
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
def test_what_a_person_said_is_not_folded(text: str) -> None:
    """Also where a program has put it between tags, or a tag stands in a sentence."""
    sent = sent_in({"messages": [{"role": "user", "content": text}]})
    assert said(sent) == [("user", "text", text)]


def test_a_block_that_was_cut_is_still_a_block() -> None:
    """A program's text of 60 KB is not what the person said."""
    text = "<system-reminder>\nOnce upon a time"
    body = {"messages": [{"role": "user", "content": [{"type": "text", "text": text}]}]}
    sent = sent_in(body, keep=97)
    assert said(sent) == [("user", "block", "Once upon", "system-reminder")]
    assert sent["messages"][0]["parts"][0]["is_cut"]
