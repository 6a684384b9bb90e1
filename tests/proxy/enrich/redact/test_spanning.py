"""A quick look whether a secret may span frames."""

import json
from collections.abc import Iterable

from proxy.enrich.redact.redactor import Redactor
from proxy.enrich.redact.spanning import spanning_text
from tests.support.cases import each_of

FRAMES: dict[str, list[object]] = {
    "one member": [{"v": "ab"}, {"v": "cd"}, {"v": "ef"}],
    "others between": [{"v": "ab"}, {"id": "1", "v": "cd"}, {"n": 1, "x": "y"}, {"v": "ef"}],
    "as many others": [{"v": "ab"}, {"w": "x"}, {"v": "cd"}, {"w": "x"}, {"v": "ef"}],
    "second of its name": [{"a": {"v": "x"}, "b": {"v": piece}} for piece in ("ab", "cd", "ef")],
    "now one, now two": [{"v": "ab"}, {"a": {"v": "cd"}, "b": {"v": "ef"}}],
    "lists": [["k", "ab"], ["k", "cd"], ["k", "ef"]],
    "lists that grow": [["ab"], ["cd", "ef"]],
    "numbers beside": [{"n": 1.5, "v": "ab"}, {"n": 22, "v": "cd"}, {"n": [3], "v": "ef"}],
    "turns": [
        {"index": index, "v": piece}
        for piece in ("ab", "cd", "ef")
        for index, piece in ((0, piece), (1, "word"))
    ],
    "no turns": [{"index": 0, "v": "ab"}, {"index": 0, "v": "cd"}, {"index": 1, "v": "ef"}],
    "types": [
        *({"type": "delta", "v": piece} for piece in ("ab", "cd", "ef")),
        *({"type": "delta", "w": "x"} for _ in range(40)),
    ],
    "deviants at many places": [
        {f"m{place}" if place == line else f"n{place}": "x" for place in range(9)} | {"v": piece}
        for line, piece in enumerate(("ab", "cd", "ef"))
    ],
}

MERGED: dict[str, tuple[str, str, str]] = {
    "lines of JSON": ("", '{"v":"@"}\n', ""),
    "events": ('data: {"id":"m"}\n\n', 'event: delta\ndata: {"d":{"t":"x","v":"@"}}\n\n', ""),
    "lines that end with CRLF": ("", 'data: {"v": "@"}\r\n\r\n', "data: [DONE]\r\n"),
    "names behind": ("", '{"v":"@","type":"delta","n":1}\n', '{"type":"end"}\n'),
    "escapes": ("", '{"w":"\\\\\\"","v":"@"}\n', ""),
    "the first of several": ('{"v":"","w":"x"}\n', '{"v":"@","w":"x"}\n', '{"w":"y"}\n'),
}
"""What comes before the frames of a stream, a frame with @ for its piece, and what follows them."""


def as_lines(frames: Iterable[object]) -> bytes:
    return b"".join(json.dumps(frame).encode() + b"\n" for frame in frames)


@each_of("case", FRAMES)
def test_what_frames_have_at_one_place_is_in_the_text(case: str) -> None:
    found = spanning_text(as_lines(FRAMES[case]))
    assert found is not None
    assert b"abcdef" in found


def test_what_never_changes_is_not_in_the_text() -> None:
    frames = [{"type": "delta", "model": "m-1", "v": f"w{number}"} for number in range(20)]
    found = spanning_text(as_lines(frames))
    assert found == b"".join(b"w%d" % number for number in range(20))


def test_repeats_beside_other_frames_are_few() -> None:
    frames = [{"type": "begin", "n": "x"}, *({"type": "delta"} for _ in range(500))]
    found = spanning_text(as_lines(frames))
    assert found is not None
    assert found.startswith(b"begindeltadelta")
    assert found.count(b"delta") < 10


@each_of("case", MERGED)
def test_frames_that_differ_in_one_string_are_joined(case: str) -> None:
    """Whatever else is in a stream, the text has all pieces of a string behind one another."""
    before, frame, after = MERGED[case]
    pieces = [f"p{number} " for number in range(30)]
    lines = [before, *(frame.replace("@", piece) for piece in pieces), after]
    found = spanning_text("".join(lines).encode())
    assert found is not None
    assert "".join(pieces).encode() in found


def test_equal_frames_are_merged_like_others() -> None:
    text = "hello, all of you" * 3
    found = spanning_text(as_lines({"v": letter} for letter in text))
    assert found is not None
    assert text.encode() in found


def test_frames_that_take_turns_are_not_merged() -> None:
    frames = [{"index": number % 2, "v": f"w{number} "} for number in range(30)]
    found = spanning_text(as_lines(frames))
    assert found is not None
    for odd in (0, 1):
        assert "".join(f"w{number} " for number in range(odd, 30, 2)).encode() in found


def test_escapes_are_kept() -> None:
    found = spanning_text(b'{"v":"a\\"b\\\\"}\n{"v":"c"}\n')
    assert found == b'a\\"b\\\\c'


def test_what_needs_the_exact_way_is_said() -> None:
    """Texts without JSON, and frames with several of a name and an index for each."""
    one = {"candidates": [{"text": "a", "index": 0}, {"text": "b", "index": 1}]}
    for text in (b"data: gh\n\ndata: p_\n\n", as_lines([{"v": "\0"}]) + b"\0", as_lines([one])):
        assert spanning_text(text) is None


def test_expressions_of_ends_are_asked_of_each_text() -> None:
    """Of an own pattern that says where a text ends."""
    body = as_lines([{"v": "key-", "w": "x"}, {"v": "1234", "w": "y"}])
    shown, _ = Redactor(patterns=[r"key-\d{4}$"]).redact_body(
        body, b"", b"application/x-ndjson", False
    )
    assert [json.loads(line)["v"] for line in shown.splitlines()] == ["[REDACTED]", ""]


def test_codes_of_grants_that_span_frames_go() -> None:
    text = '{"grant_type": "authorization_code", "code": "SplxlOBeZQQYbYS6WxSbIA"}'
    body = as_lines({"arguments": text[at : at + 9]} for at in range(0, len(text), 9))
    shown, _ = Redactor().redact_body(body, b"", b"application/x-ndjson", False)
    said = "".join(json.loads(line)["arguments"] for line in shown.splitlines())
    assert json.loads(said) == {"grant_type": "authorization_code", "code": "[REDACTED]"}
