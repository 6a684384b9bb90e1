"""WebSocket messages of `sidelog get`."""

from typing import Any, cast

import pytest

from proxy.cli.commands.client import Client
from proxy.cli.commands.messages import print_messages, read_messages
from tests.support.cases import each_of

RECORD = {
    "id": "r-1",
    "started_at_us": 1_000_000,
    "status": 101,
    "has_messages": True,
    "grpc": None,
}


def message(**changes: Any) -> dict[str, Any]:
    fields = {
        "at_us": 1_250_000, "direction": "in", "opcode": "text", "size": 5, "inflated_size": None, "text": "hello",
        "count": 1, "base64": None, "code": None, "truncated": False, "kept": None, "omitted": None,
        "follows_gap": False,
    }  # fmt: skip
    return fields | changes


@each_of(
    ("shown", "line"),
    [
        (message(), "+    0.250 s  -> in   text                 5 B  hello"),
        (
            message(direction="out", text="a\x1b[2J\nb"),
            "<- out  text                 5 B  a\\x1b[2J\\x0ab",
        ),
        (message(inflated_size=1200), "text       5 B (1,200 B)  hello"),
        (message(truncated=True, kept=5, size=9000), "9,000 B  hello [cut: the first 5 bytes]"),
        (message(omitted="context", text=None), "[not kept: context]"),
        (message(opcode="binary", base64="/wAA", text=None), "[binary] ..."),
        (message(opcode="binary", base64="MAB0b3AKAA==", text=None), "[binary] 0.top.."),
        (message(opcode="binary", base64="YWFh" * 100, text=None), f"[binary] {'a' * 200}…"),
        (message(opcode="close", code=1000, text="bye"), "1000 bye"),
        (
            message(opcode="ping", size=0, count=4000, text=""),
            "0 B  [4,000 of these, one after the other]",
        ),
    ],
)
def test_a_message_is_a_line(
    shown: dict[str, Any], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """When, which way, what, how much, and the text, without anything a terminal would obey."""
    print_messages({"messages": [shown], "next_cursor": None}, RECORD)
    assert line in capsys.readouterr().out


def test_more_than_a_page_and_none_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    """With where to go on."""
    print_messages({"messages": [message()], "next_cursor": "abc"}, RECORD)
    assert "[more: /api/records/r-1/messages?cursor=abc]" in capsys.readouterr().out
    print_messages({"messages": [message(follows_gap=True)], "next_cursor": None}, RECORD)
    assert "[messages in were not recorded here]" in capsys.readouterr().out
    print_messages({"messages": [], "next_cursor": None}, RECORD)
    assert "none were kept" in capsys.readouterr().out


class Pages:
    """Answers with one page after the other, the cursor being its number."""

    def __init__(self, *pages: list[str]) -> None:
        self.pages = pages

    def get_json(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        """Answer as /api/records/{id}/messages does."""
        assert path == "/api/records/r-1/messages"
        number = int(query.get("cursor", "0"))
        following = str(number + 1) if number + 1 < len(self.pages) else None
        return {
            "messages": [message(text=text) for text in self.pages[number]],
            "next_cursor": following,
        }


@pytest.mark.parametrize(
    ("pages", "has_all", "texts", "cursor"),
    [
        ((["a"], ["b"], ["c"]), True, ["a", "b", "c"], None),
        ((["a"], ["b"]), False, ["a"], "1"),
        (([], [], ["a"], ["b"]), False, ["a"], "3"),
        (([], []), False, [], None),
    ],
)
def test_pages_are_read_until_there_is_something(
    pages: tuple[list[str], ...], has_all: bool, texts: list[str], cursor: str | None
) -> None:
    """All of them for a machine; for a person one, but an empty one is not the answer."""
    read = read_messages(cast(Client, Pages(*pages)), RECORD, has_all=has_all)
    assert read is not None
    assert [each["text"] for each in read["messages"]] == texts
    assert read["next_cursor"] == cursor
