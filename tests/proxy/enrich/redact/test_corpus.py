"""Properties of redaction, each of the whole corpus."""

import json
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, urlencode

from proxy.enrich.redact.trial import try_body
from tests.proxy.enrich.redact.corpus import MARK, SECRET, Row, rows_of
from tests.support.cases import each_of

ROWS: Final = rows_of()
BODIES: Final = [row for row in ROWS if row.is_body]
SHORT: Final = [row for row in BODIES if row.text and len(row.text) < 5000]
PLANTED: Final = [row for row in SHORT if SECRET in row.text]
DOCUMENTS: Final = [row for row in SHORT if row.is_json]
OTHERS: Final = ("hunter2", "kX9vQ2mN7pL4", "abcdefghijklmnopqrstuvwxyzabcdefghijklmnop")
PIECES: Final = [SECRET[at : at + 6] for at in range(len(SECRET) - 5)]
JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"


@each_of("row", ROWS)
def test_what_is_marked_goes_and_all_else_stays(row: Row) -> None:
    """Byte for byte, and twice changes nothing; what went is counted."""
    row.redactor.take_hits()
    assert row.redact(row.text) == row.expected
    hits = row.redactor.take_hits()
    assert hits is None or row.has_secret
    assert hits is not None or not row.has_secret or row.is_of_heads
    assert row.redact(row.expected) == row.expected
    assert row.redactor.take_hits() is None


@each_of("row", [row for row in ROWS if row.kind == "formats"])
def test_a_first_look_misses_nothing(row: Row) -> None:
    """Of most bodies it tells that there is nothing in them."""
    raw = row.text.encode()
    assert row.redactor.redact_value(raw).decode() == row.expected
    if row.has_secret:
        assert row.redactor.may_hold_secret(raw)
        assert not row.redactor.are_clean([raw])


@each_of("row", PLANTED)
def test_any_secret_goes(row: Row) -> None:
    """Whatever it looks like: a word, a key, a run."""
    for other in OTHERS:
        assert row.redact(row.text.replace(SECRET, other)) == row.expected


@each_of("row", SHORT)
def test_windows_that_meet_are_one_body(row: Row) -> None:
    raw = row.text.encode()
    cut = len(raw) // 2
    windows = row.redactor.redact_body(raw[:cut], raw[cut:], row.kind.encode(), False)
    assert windows == (row.expected.encode(), b"")


@each_of("row", SHORT)
def test_other_charsets_are_read(row: Row) -> None:
    """A body of UTF-16 is stored as the same text in UTF-8 is."""
    trial = try_body(row.redactor, row.text.encode("utf-16"), row.kind.encode())
    assert trial.redacted.decode() == row.expected


@each_of(
    "row",
    [row for row in SHORT if row.kind and "whole" not in row.options and not row.has_exceptions],
)
def test_parts_and_messages_are_read_as_bodies_are(row: Row) -> None:
    part = f"--outer\r\nContent-Type: {row.kind}\r\n\r\n@\r\n--outer--\r\n"
    message = f"POST / HTTP/1.1\r\nContent-Type: {row.kind}\r\n\r\n@"
    for outer, kind in ((part, "multipart/mixed; boundary=outer"), (message, "application/http")):
        shown = row.redact_body(outer.replace("@", row.text), kind)
        assert shown == outer.replace("@", row.expected)


@each_of("row", DOCUMENTS)
def test_json_is_read_however_it_is_written(row: Row) -> None:
    """With and without blanks and escapes."""
    document, expected = json.loads(row.text), json.loads(row.expected)
    for is_ascii in (True, False):
        for indent in (None, 1):
            text = json.dumps(document, ensure_ascii=is_ascii, indent=indent)
            assert json.loads(row.redact(text)) == expected


@each_of("row", [row for row in DOCUMENTS if "outermost" not in row.options])
def test_json_is_read_in_strings(row: Row) -> None:
    document, expected = json.loads(row.text), json.loads(row.expected)
    for is_ascii in (True, False):
        text = json.dumps(document, ensure_ascii=is_ascii)
        outer = json.dumps({"a": text}, ensure_ascii=is_ascii)
        assert json.loads(json.loads(row.redact(outer))["a"]) == expected


@each_of("row", [row for row in DOCUMENTS if not row.has_exceptions])
def test_json_is_read_in_events(row: Row) -> None:
    document, expected = json.loads(row.text), json.loads(row.expected)
    text = json.dumps(document, separators=(",", ":"))
    shown = row.redact_body(f"event: x\ndata: {text}\n\n" * 2, "text/event-stream")
    for line in shown.splitlines()[1::3]:
        assert json.loads(line.removeprefix("data: ")) == expected


WRITERS: Final[dict[str, tuple[str, Callable[[str], str]]]] = {
    "json": (JSON, lambda text: json.dumps({"f": text})),
    "json in json": (JSON, lambda text: json.dumps({"f": json.dumps({"g": text})})),
    "json in json in json": (
        JSON,
        lambda text: json.dumps({"f": json.dumps({"g": json.dumps([text])})}),
    ),
    "escapes by number": (
        JSON,
        lambda text: (
            json.dumps({"f": text})
            .replace("\\n", "\\u000a")
            .replace("\\t", "\\u0009")
            .replace("\\r", "\\u000D")
        ),
    ),
    "tool": (JSON, lambda text: json.dumps({"messages": [{"role": "tool", "content": text}]})),
    "form": (FORM, lambda text: urlencode({"a": 1, "note": text})),
    "json in a form": (FORM, lambda text: urlencode({"p": json.dumps({"g": text})})),
    "json in json in a form": (
        FORM,
        lambda text: urlencode({"p": json.dumps({"g": json.dumps([text])}), "b": 2}),
    ),
    "percent in json": (JSON, lambda text: json.dumps({"f": quote(text, safe="[]")})),
}
IN_STRINGS: Final = [row for row in ROWS if "in strings" in row.options]


@each_of("writer", WRITERS)
@each_of("row", IN_STRINGS)
def test_it_is_found_in_every_encoding(row: Row, writer: str) -> None:
    """Only the secret goes: what is left is how the text would be written with a mark in its place."""
    kind, write = WRITERS[writer]
    once = row.redact_body(write(row.text), kind)
    assert _plain(once) == _plain(write(row.expected))
    assert row.redact_body(once, kind) == once


def _plain(text: str) -> str:
    return text.replace("%5BREDACTED%5D", MARK).replace(f'"{MARK}"', MARK)


@each_of("row", IN_STRINGS)
@each_of("size", [1, 3, 7])
def test_it_is_found_across_the_frames_of_a_stream(row: Row, size: int) -> None:
    """As content, and as arguments of a tool, which are JSON."""
    for member, whole, expected in (
        ("content", row.text, row.expected),
        ("partial_json", json.dumps({"c": row.text}), json.dumps({"c": row.expected})),
    ):
        pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
        frames = "".join(
            f"data: {json.dumps({'index': 0, 'delta': {member: piece}})}\n\n" for piece in pieces
        )
        shown = row.redact_body(frames, "text/event-stream")
        lines = [line for line in shown.splitlines() if line]
        assert expected == "".join(
            json.loads(line.removeprefix("data: "))["delta"][member] for line in lines
        )


@each_of("row", [row for row in PLANTED if "no edges" not in row.options])
def test_no_half_secret_survives_at_the_edges_of_windows(row: Row) -> None:
    """Wherever the head ends and the tail begins, no piece of six characters is kept."""
    body = row.text.encode()
    first = body.index(SECRET.encode()) - 4 if "edges after the name" in row.options else 1
    for end in range(first, len(body)):
        for start in range(end + 1, len(body), max(3, len(body) // 10)):
            head, tail = row.redactor.redact_body(body[:end], body[start:], row.kind.encode(), True)
            kept = head + b"|" + tail
            assert not [piece for piece in PIECES if piece.encode() in kept], (end, start, kept)
