"""Secrets that a stream splits over its frames."""

import json
import re
from collections.abc import Callable

import pytest

from proxy.enrich.redact.redactor import Redactor
from tests.proxy.enrich.redact.secrets import make_secrets
from tests.support.cases import each_of

SECRETS = make_secrets(2)
REDACTOR = Redactor()


def chat(*pieces: str) -> bytes:
    """A chat stream with these pieces."""
    chunks = ({"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces)
    return b"".join(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks)


@each_of("kind", SECRETS)
@each_of("size", [1, 3, 10])
def test_split_secret_is_taken_out(kind: str, size: int) -> None:
    """The mark stands where the secret began; the frames stay JSON, and the words around it stay."""
    secret = SECRETS[kind]
    pieces = [
        "key: ",
        *(secret[place : place + size] for place in range(0, len(secret), size)),
        " end",
    ]
    body, _ = Redactor().redact_body(chat(*pieces), b"", b"text/event-stream", False)
    frames = [json.loads(line[6:]) for line in body.splitlines() if line]
    joined = "".join(frame["choices"][0]["delta"]["content"] for frame in frames)
    assert joined == "key: [REDACTED] end"
    assert len(frames) == len(pieces)


def test_lines_and_other_members() -> None:
    """Lines of JSON and the arguments of tools are joined by themselves."""
    secret = SECRETS["github"]
    lines = [{"response": secret[:9]}, {"partial_json": "x"}, {"response": secret[9:]}]
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    redacted, _ = Redactor().redact_body(body, b"", b"application/x-ndjson", False)
    assert [json.loads(line) for line in redacted.splitlines()] == [
        {"response": "[REDACTED]"}, {"partial_json": "x"}, {"response": ""},
    ]  # fmt: skip


def turns(kind: str, index: int, piece: str) -> dict[str, object]:
    """A frame of one of several choices, candidates, or calls of tools."""
    if kind == "candidates":
        return {"candidates": [{"content": {"parts": [{"text": piece}]}, "index": index}]}
    if kind == "tools":
        called = {"index": index, "function": {"arguments": piece}}
        return {"choices": [{"index": 0, "delta": {"tool_calls": [called]}}]}
    if kind == "choices, late":
        return {"choices": [{"delta": {"content": piece}, "index": index}]}
    if kind == "blocks":
        return {"type": "content_block_delta", "index": index, "delta": {"text": piece}}
    if kind == "responses":
        return {
            "type": "response.output_text.delta",
            "output_index": index,
            "content_index": 0,
            "delta": piece,
        }

    return {"choices": [{"index": index, "delta": {"content": piece}}]}


@each_of("kind", ["choices", "choices, late", "candidates", "tools", "blocks", "responses"])
@each_of("separators", [(",", ":"), (", ", ": ")])
def test_choices_that_take_turns(kind: str, separators: tuple[str, str]) -> None:
    """Each is a text of its own, by format and by name; the words of the others stay."""
    for secret, shown in (
        (SECRETS["openai"], "[REDACTED]"),
        ('{"password":"hunter2-Zq7X"}', '{"password":"[REDACTED]"}'),
    ):
        pieces = [secret[place : place + 7] for place in range(0, len(secret), 7)]
        frames = [
            frame for piece in pieces for frame in (turns(kind, 0, piece), turns(kind, 1, "word "))
        ]
        body = b"".join(
            f"data: {json.dumps(frame, separators=separators)}\n\n".encode() for frame in frames
        )
        redacted, _ = Redactor().redact_body(body, b"", b"text/event-stream", False)
        assert redacted.count(b"word ") == len(pieces)
        assert (
            "".join(text_in(json.loads(line[6:])) for line in redacted.splitlines()[::4]) == shown
        )


def text_in(frame: object) -> str:
    """The text of a frame with one piece."""
    if isinstance(frame, dict):
        members = (value for name, value in frame.items() if name not in ("type", "index"))
        return "".join(text_in(value) for value in members)
    if isinstance(frame, list):
        return "".join(map(text_in, frame))
    return frame if isinstance(frame, str) else ""


def test_candidates_in_one_frame() -> None:
    """Of the first one the index may be left out."""
    secret = SECRETS["openai"]
    pieces = [secret[place : place + 7] for place in range(0, len(secret), 7)]
    for index in ({"index": 0}, {}):
        frames = [
            {
                "candidates": [
                    {"content": {"parts": [{"text": piece}]}} | index,
                    {"content": {"parts": [{"text": "word "}]}, "index": 1},
                ]
            }
            for piece in pieces
        ]
        body = b"".join(f"data: {json.dumps(frame)}\n\n".encode() for frame in frames)
        redacted, _ = Redactor().redact_body(body, b"", b"text/event-stream", False)
        texts = [
            json.loads(line[6:])["candidates"][0]["content"]["parts"][0]["text"]
            for line in redacted.split(b"\n\n")
            if line
        ]
        assert "".join(texts) == "[REDACTED]"
        assert redacted.count(b"word ") == len(pieces)


PLACES: dict[str, Callable[[str], object]] = {
    **{
        name: lambda piece, name=name: {name: piece}  # type: ignore[misc]
        for name in (
            "message",
            "data",
            "output",
            "chunk",
            "t",
            "msg",
            "body",
            "id",
            "event",
            "type",
        )
    },
    "beside what stays": lambda piece: {"id": "evt_1", "model": "gpt-x1", "v": piece, "n": 1},
    "deep": lambda piece: {"a": {"b": [{"c": piece}]}},
    "beside one of its name": lambda piece: {"b": {"x": "word "}, "a": {"x": piece}},
    "in a list": lambda piece: {"parts": [piece]},
    "second of a list": lambda piece: ["delta", piece],
    "by itself": lambda piece: piece,
}
FRAMES: dict[str, tuple[str, bytes]] = {
    "events": ("data: {}\n\n", b"text/event-stream"),
    "events, with names": ("event: x\nid: 1\ndata: {}\n\n", b"text/event-stream"),
    "events of Windows": ("data:{}\r\n\r\n", b"text/event-stream"),
    "lines": ("{}\n", b"application/x-ndjson"),
    "numbered": ("0:{}\n", b"text/event-stream"),
}


def strings_in(frame: object) -> list[str]:
    """All strings of a frame, in order."""
    if isinstance(frame, dict):
        return [text for value in frame.values() for text in strings_in(value)]
    if isinstance(frame, list):
        return [text for value in frame for text in strings_in(value)]
    return [frame] if isinstance(frame, str) else []


@each_of("place", PLACES)
@each_of("frames", FRAMES)
@each_of("size", [2, 19])
def test_what_has_one_place_is_joined(place: str, frames: str, size: int) -> None:
    """Whatever it is called, and where it has no name; what stands beside it stays."""
    frame, kind = FRAMES[frames]
    for secret in (SECRETS["github"], "4111111111111111"):
        text = f"see {secret} in the end"
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        separators = (",", ":") if size == 2 else (", ", ": ")
        sent = [json.dumps(PLACES[place](piece), separators=separators) for piece in pieces]
        body = "".join(frame.format(each) for each in sent).encode()
        shown, _ = REDACTOR.redact_body(body, b"", kind, False)
        texts = [strings_in(json.loads(each)) for each in _documents(shown)]
        others = [strings_in(PLACES[place]("")) for _ in texts]
        assert len(texts) == len(pieces)
        at = others[0].index("")
        assert "".join(each[at] for each in texts) == "see [REDACTED] in the end"
        assert all(each[:at] == other[:at] for each, other in zip(texts, others, strict=True))
        assert REDACTOR.redact_body(shown, b"", kind, False)[0] == shown


def _documents(shown: bytes) -> list[str]:
    lines = (line for line in shown.decode().splitlines() if line)
    return [
        re.sub(r"^(?:data: ?|0:)", "", line) for line in lines if not re.match("event:|id:", line)
    ]


@each_of("size", [3, 11])
def test_lines_of_plain_text_are_joined(size: int) -> None:
    """Of events without JSON."""
    for secret, expected in (
        (SECRETS["github"], "[REDACTED]"),
        ('password="hunter2-Zq7X"', 'password="[REDACTED]"'),
    ):
        pieces = [secret[at : at + size] for at in range(0, len(secret), size)]
        body = "".join(f"data: {piece}\n\n" for piece in ("see:", *pieces, ";end", "[DONE]"))
        shown, _ = Redactor().redact_body(body.encode(), b"", b"text/event-stream", False)
        joined = shown.decode().replace("\n\n", "").replace("data: ", "")
        assert joined == f"see:{expected};end[DONE]"


def test_what_changes_beside_the_text_stays_in_a_tail() -> None:
    """Half a secret may be at the beginning of text, and not of a type or a time."""
    frames = "".join(
        f'data: {{"type":"event{number}x","at":"2026-01-0{number}","q":"word "}}\n\n'
        for number in range(9)
    ).encode()
    shown = Redactor().redact_body(frames, b"data: cut\n\n" + frames, b"text/event-stream", True)
    assert shown[1].lstrip() == frames


def test_halves_at_the_edges_of_windows() -> None:
    """A key that begins in the last frames of the head, or goes on in the tail, leaves nothing."""
    secret = SECRETS["openai"]
    head = chat("key ", secret[:6], secret[6:14])
    tail = chat("x", secret[30:40], secret[40:50], " end")
    first, second = Redactor().redact_body(
        head, b"data: cut\n\n" + tail, b"text/event-stream", True
    )
    assert secret[:8].encode() not in first
    assert secret[6:14].encode() not in first
    assert secret[30:40].encode() not in second
    assert secret[40:50].encode() not in second
    assert b" end" in second


def test_streams_without_secrets_are_the_same_object() -> None:
    """Nothing is copied for nothing."""
    body = chat("hello ", "world")
    assert Redactor().redact_body(body, b"", b"text/event-stream", False)[0] is body


ARGUMENTS = (
    '{"user": "bob", "password": "hunter2-Zq7X", "token": 12345678, "session": {"id": '
    '"hunter2-Zq7X"}, "a": [1]}'
)
SHOWN = {
    "user": "bob",
    "password": "[REDACTED]",
    "token": 12345678,
    "session": {"id": "[REDACTED]"},
    "a": [1],
}


def calls(name: str, pieces: list[str]) -> bytes:
    """A stream of the arguments of a tool."""
    return b"".join(
        f"data: {json.dumps({'i': 0, name: piece, 'o': 'x'})}\n\n".encode() for piece in pieces
    )


def arguments_in(name: str, body: bytes) -> str:
    return "".join(json.loads(line[6:])[name] for line in body.splitlines() if line)


@each_of("name", ["arguments", "partial_json", "delta", "input"])
@each_of("size", [1, 2, 5, 11, 30, 200])
def test_keys_that_a_stream_splits_are_found(name: str, size: int) -> None:
    """Arguments of tools come in pieces that know nothing of JSON; what is left is JSON, with the
    same frames.
    """
    pieces = [ARGUMENTS[place : place + size] for place in range(0, len(ARGUMENTS), size)]
    for redactor in (Redactor(), Redactor(patterns=False)):
        body, _ = redactor.redact_body(calls(name, pieces), b"", b"text/event-stream", False)
        assert json.loads(arguments_in(name, body)) == SHOWN
        assert body.count(b"\n\n") == len(pieces)
        assert redactor.redact_body(body, b"", b"text/event-stream", False)[0] == body


@pytest.mark.parametrize("size", [1, 3, 8])
def test_no_half_value_survives_between_windows(size: int) -> None:
    """Of a value that begins in the head and ends in the tail, whose key only the head has."""
    text = '{"user": "bob", "password": "hunter2 is a phrase, with blanks", "more": "words"}'
    pieces = [text[place : place + size] for place in range(0, len(text), size)]
    begin = text.index("hunter2")

    end = text.index('", "more')
    for head_pieces in range(-(-begin // size), end // size, 3):
        for tail_pieces in range(head_pieces + 1, end // size + 1, 2):
            head = calls("arguments", pieces[:head_pieces])
            tail = b"cut\n\n" + calls("arguments", pieces[tail_pieces:])
            first, second = Redactor().redact_body(head, tail, b"text/event-stream", True)
            shown = (
                arguments_in("arguments", first)
                + "|"
                + arguments_in("arguments", second.removeprefix(b"cut"))
            )
            assert not any(word in shown for word in ("hunt", "phra", "blan")), shown
            assert "more" in shown


def test_a_stream_full_of_secrets_is_linear() -> None:
    """Where the pieces of each stand is looked up."""
    frame = b'data: {"content":"%b"}\n\n'
    body = frame % SECRETS["github"].encode() * 400 + frame % b"a" * 12_000
    shown, _ = Redactor().redact_body(body, b"", b"text/event-stream", False)
    assert shown.count(b"[REDACTED]") == 400


def test_choices_full_of_secrets_are_linear() -> None:
    """Which of several a piece belongs to is looked up once for each frame; without line ends they
    are one frame.
    """
    for end in (b"\n\n", b""):
        frames = (
            b'data: {"index":%d,"content":"%b"}%b' % (n % 3, SECRETS["github"].encode(), end)
            for n in range(400)
        )
        body = b"".join(frames) + b'data: {"index":1,"content":"a"}%b' % end * 12_000
        shown, _ = Redactor().redact_body(body, b"", b"text/event-stream", False)
        assert shown.count(b"[REDACTED]") == 400
