"""Documents in base64 within the binary events of invoke streams."""

import base64
import json
import re
from typing import Any

import pytest

from proxy.enrich.redact.redactor import Redactor
from tests.proxy.enrich.llm.test_bedrock import KIND, event, invoked
from tests.proxy.enrich.redact.secrets import make_secrets

SECRET = make_secrets(1)["openai"]
TYPE = KIND.encode()


def delta(piece: str, name: str = "text", index: int = 0) -> dict[str, Any]:
    """A part of what Claude says."""
    return {
        "type": "content_block_delta",
        "index": index,
        "delta": {"type": f"{name}_delta", name: piece},
    }


def documents_in(stored: bytes) -> list[bytes]:
    """What a reader finds in the events."""
    return [base64.b64decode(value) for value in re.findall(rb'"bytes": ?"([^"]*)', stored)]


def said_in(stored: bytes, name: str = "text") -> str:
    return "".join(json.loads(text)["delta"].get(name, "") for text in documents_in(stored))


def shown(*windows: bytes, redactor: Redactor | None = None) -> bytes:
    """The windows as they are stored: one of a whole stream, or two with a gap between them."""
    head, tail = (*windows, b"")[:2]
    redactor = redactor or Redactor()
    stored = redactor.redact_body(head, tail, TYPE, len(windows) > 1)
    if len(windows) == 1:
        assert redactor.redact_body(stored[0], b"", TYPE, False) == stored
    return b"".join(stored)


@pytest.mark.parametrize("size", [3, 20, 200])
def test_a_secret_in_one_event_and_in_several(size: int) -> None:
    """The mark stands where it began; other events stay as they are."""
    text = f"your key is {SECRET} ok"
    pieces = [text[place : place + size] for place in range(0, len(text), size)]
    first, *events = invoked({"type": "message_start", "delta": {}}, *map(delta, pieces))
    stored = shown(first + b"".join(events))
    assert stored.startswith(first)
    assert said_in(stored) == "your key is [REDACTED] ok"
    assert len(documents_in(stored)) == len(pieces) + 1


@pytest.mark.parametrize("size", [4, 200])
def test_arguments_of_a_tool(size: int) -> None:
    """By the name of a key, also without patterns, and where blocks take turns."""
    text = '{"password":"hunter2-hunter2","a":1}'
    pieces = [text[place : place + size] for place in range(0, len(text), size)]
    turns = (
        part
        for piece in pieces
        for part in (delta(piece, "partial_json"), delta("word ", "partial_json", 1))
    )
    stored = shown(b"".join(invoked(*turns)), redactor=Redactor(patterns=False))
    own = [text for text in documents_in(stored) if b'"index":0' in text]
    assert (
        "".join(json.loads(text)["delta"]["partial_json"] for text in own)
        == '{"password":"[REDACTED]","a":1}'
    )
    assert said_in(stored, "partial_json").count("word ") == len(pieces)


def test_halves_at_the_edges_of_windows() -> None:
    """A secret whose middle was not captured leaves nothing, nor does an event that is cut
    anywhere.
    """
    pieces = [
        "hello ",
        SECRET[:14],
        SECRET[14:24],
        SECRET[24:34],
        SECRET[34:44],
        SECRET[44:],
        " bye ",
    ]
    events = invoked(*map(delta, pieces))
    raw = b"".join(events)

    for cut in range(len(events[0]), sum(map(len, events[:4])), 7):
        stored = shown(raw[:cut], raw[cut + 1 :])
        said = b"".join(documents_in(stored)).decode("latin-1")
        assert "bye" in said
        assert not any(piece in said for piece in pieces[1:4]), (cut, said)

    stored = shown(b"".join(events[:3]), b"".join(events[4:]))
    assert said_in(stored) == "hello [REDACTED][REDACTED] bye "


def test_a_value_of_a_secret_key_between_windows() -> None:
    """Only the head has the key."""
    pieces = ['{"password":"hun', "ter2 is ", "a phrase", '","more":1}']
    events = invoked(*(delta(piece, "partial_json") for piece in pieces))
    said = said_in(shown(events[0] + events[1], events[2] + events[3]), "partial_json")
    assert not any(word in said for word in ("hun", "ter2", "phrase"))
    assert "more" in said


def test_an_event_that_is_cut_goes() -> None:
    """What it holds cannot be told from half a secret; whether its end was lost on the way or not
    captured.
    """
    events = invoked(delta(" hello"), delta(f"{SECRET} ok"))
    raw = b"".join(events)
    for windows in ((raw[:-30],), (raw[:-30], b""), (raw[:-30] + b"\\",)):
        stored = shown(*windows)
        assert stored.startswith(events[0])
        assert stored.endswith(b'"bytes": "[REDACTED]')

    rest = shown(events[0] + events[1][:180], events[1][180:] + events[0])
    assert [rest.count(part) for part in (b"[REDACTED]", b'"bytes"')] == [1, 3]
    assert json.loads(documents_in(rest)[-1]) == delta(" hello")


def test_escaped_base64() -> None:
    """Some writers of JSON escape a slash, or an equals sign."""
    text = json.dumps(delta(f"???{SECRET}?")).encode() + b" "
    encoded = base64.b64encode(text)
    raw = event("chunk", {"bytes": encoded.decode()})
    assert b"/" in encoded
    assert b"=" in encoded
    for old, new in ((b"/", b"\\/"), (b"=", b"\\u003d")):
        stored = shown(raw.replace(encoded, encoded.replace(old, new)))
        assert json.loads(documents_in(stored)[0]) == delta("???[REDACTED]?")


def test_what_is_no_document_stays() -> None:
    """Text in lines, which an agent says, is searched too; what is not base64 is nothing but text."""
    encoded = base64.b64encode(f"one\ntwo {SECRET}".encode()).decode()
    stored = shown(event("chunk", {"bytes": encoded}) + event("chunk", {"bytes": "a"}))
    assert documents_in(stored.replace(b'"a"', b'""')) == [b"one\rtwo [REDACTED]", b""]
    assert b'"bytes": "a"' in stored
    for value in (b"\\x", b"\\ud800", b"\xff\\/", b"\xff"):
        raw = event("chunk", {"bytes": "other"}).replace(b"other", value)
        assert Redactor().redact_body(raw, b"", TYPE, False)[0] is raw


def test_streams_without_secrets_are_the_same_object() -> None:
    """Nothing is copied for nothing."""
    for body in (
        b"".join(invoked(delta("hello "), delta("world"))),
        event("messageStop", {"stopReason": "end_turn"}),
    ):
        assert Redactor().redact_body(body, b"", TYPE, False)[0] is body


def test_other_types_are_left_alone() -> None:
    """Elsewhere such a member may be a picture."""
    body = b"".join(invoked(delta(SECRET)))
    assert Redactor().redact_body(body, b"", b"application/octet-stream", False)[0] is body


def test_more_secrets_than_are_taken_out_one_by_one() -> None:
    """All that follows goes with the last of them; each event keeps a document."""
    events = invoked(*[delta(SECRET)] * 700)
    documents = documents_in(shown(b"".join(events)))
    assert len(documents) == 700
    assert not any(SECRET[:20].encode() in text for text in documents)
