"""Our frames against those of the decoders of real clients, and against the standard read
literally.

To clients, every stream of the corpus is cut in two at every byte. Where a client is known to read
a stream otherwise than the standard says (WHATWG HTML §9.2.6), the streams it is not asked about
are named beside it: we follow the standard.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.formats.frames import split_events, split_lines
from tests.support.cases import each_of

Event = tuple[str, str]
"""Name, empty without one, and data."""
Pieces = list[bytes]

STREAMS: dict[str, bytes] = {
    "lf": b"data: a\n\ndata: b\n\n",
    "cr": b"data: a\r\rdata: b\r\r",
    "crlf": b"data: a\r\n\r\ndata: b\r\n\r\n",
    "mixed ends": b"data: a\r\n\ndata: b\r\r\ndata: c\n\rdata: d\n\r\ndata: e\r\n\r\n",
    "several lines": b"data: a\ndata: b\r\ndata: c\rdata: d\n\n",
    "names": b"event: message_start\ndata: {}\n\nevent: ping\ndata: 1\n\ndata: unnamed\n\n",
    "name after data": b"data: a\nevent: late\n\n",
    "name twice": b"event: one\nevent: two\ndata: a\n\n",
    "empty name": b"event:\ndata: a\n\n",
    "name alone": b"event: alone\n\ndata: a\n\n",
    "comments": b": PROCESSING\n\n:\ndata: a\n: within\ndata: b\n\n: keep-alive\n\n",
    "empty lines": b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n\n",
    "id and retry": b"id: 7\nretry: 1500\ndata: a\n\nid: 8\ndata: b\n\nretry: x\ndata: c\n\n",
    "id alone": b"id: 7\n\ndata: a\n\n",
    "unknown fields": b"foo: bar\ndata: a\ndataset: x\nDATA: y\n data: z\n\n",
    "colons": b"data: a: b: c\ndata::\n\n",
    "blanks": b"data:  two\ndata:none\ndata: one \n\n",
    "data alone": b"data\ndata: a\ndata\n\n",
    "utf-8": "data: grün — 日本 🎉\n\nevent: ü\ndata: \u2028\x85\x0b\x0c\x1c\n\n".encode(),
    "mark": b"\xef\xbb\xbfdata: a\n\ndata: b\n\n",
    "two marks": b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n",
    "mark later": b"data: a\n\n\xef\xbb\xbfdata: b\n\ndata: c\n\n",
    "terminator": b'data: {"choices": []}\n\ndata: [DONE]\n\n',
    "no final empty line": b"data: a\n\ndata: b\n",
    "no final end": b"data: a\n\ndata: b",
    "ends within a field": b"data: a\n\nevent: b\ndat",
    "empty": b"",
    "nothing but ends": b"\r\n\r\r\n\n",
}
JSON_LINES: dict[str, bytes] = {
    "lf": b'{"a":1}\n{"b":2}\n',
    "crlf": b'{"a":1}\r\n{"b":2}\r\n',
    "no final end": b'{"a":1}\n{"b":2}',
    "utf-8": '{"a":"grün 日本 🎉"}\n{"b":"\\u2028"}\n'.encode(),
    "blanks": b'{"a": 1} \n\t{"b": 2}\n',
    "empty": b"",
}


def ours(stream: bytes) -> list[Event]:
    """The events of a stream, without the one that it is cut in."""
    return [(frame.event.decode(), frame.data.decode()) for frame in split_events(stream)]


def standard(stream: bytes) -> list[Event]:
    """What the standard says, step by step, of a whole stream; ids and times of retry matter to
    nobody here.
    """
    text = stream.decode().removeprefix("\ufeff")
    *lines, _ = re.split("\r\n|\n|\r", text)
    events: list[Event] = []
    name = ""
    data = ""

    for line in lines:
        if not line:
            if data:
                events.append((name, data.removesuffix("\n")))
            name = ""
            data = ""
            continue

        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data += value + "\n"

    return events


def is_text(stream: bytes) -> bool:
    try:
        return stream.decode() is not None
    except UnicodeDecodeError:
        return False


def cuts(stream: bytes) -> Iterator[Pieces]:
    """The stream whole, byte by byte, and cut in two at every byte."""
    yield [stream]
    yield [stream[at : at + 1] for at in range(len(stream))]
    for at in range(1, len(stream)):
        yield [stream[:at], stream[at:]]


@each_of("stream", STREAMS.values())
def test_the_standard(stream: bytes) -> None:
    """A stream, and each beginning of it, has the events that the standard gives it."""
    for end in range(len(stream) + 1):
        if is_text(stream[:end]):
            assert ours(stream[:end]) == standard(stream[:end])


PARTS = (
    b"data", b"data:", b"data: a", b"data:\xc3\xbc",
    b"event: e", b"event:", b"id: 1", b"retry: 1", b": c", b":", b"x: y",
    b"\xef\xbb\xbf", b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n",
)  # fmt: skip


@given(st.lists(st.sampled_from(PARTS), max_size=24))
def test_the_standard_on_anything(parts: list[bytes]) -> None:
    """Fields, ends and marks in any order."""
    stream = b"".join(parts)
    assert ours(stream) == standard(stream)


def openai_events(pieces: Pieces) -> list[Event]:
    """As `openai` reads events."""
    from openai._streaming import SSEDecoder

    return [(event.event or "", event.data) for event in SSEDecoder().iter_bytes(iter(pieces))]


def anthropic_events(pieces: Pieces) -> list[Event]:
    """As `anthropic` reads events."""
    from anthropic._streaming import SSEDecoder

    return [(event.event or "", event.data) for event in SSEDecoder().iter_bytes(iter(pieces))]


def mcp_events(pieces: Pieces) -> list[Event]:
    """As the transports of `mcp` read events; the standard's name for no name is `message`."""
    import httpx2

    response = httpx2.Response(
        200,
        headers={"content-type": "text/event-stream"},
        content=iter(pieces),
        request=httpx2.Request("POST", "http://upstream.test/mcp"),
    )
    return [
        ("" if event.event == "message" else event.event, event.data)
        for event in httpx2.EventSource(response)
    ]


def gemini_events(pieces: Pieces) -> list[Event]:
    """As `google-genai` reads chunks: the data alone."""
    import httpx
    from google.genai._api_client import HttpResponse

    response = HttpResponse({}, httpx.Response(200, content=iter(pieces)))
    return [("", data) for data in response._iter_response_stream()]


MARKS = {"mark", "two marks"}
ENDS = {"no final empty line", "no final end", "ends within a field"}
READERS: dict[str, tuple[Callable[[Pieces], list[Event]], set[str]]] = {
    # These take a byte order mark for a part of the first field's name.
    "openai": (openai_events, MARKS),
    "anthropic": (anthropic_events, MARKS),
    "mcp": (mcp_events, MARKS),
    # Knows `data: ` with its blank and nothing else: what is not that is JSON to it.
    "gemini": (gemini_events, set(STREAMS) - {
        "lf", "cr", "crlf", "mixed ends", "several lines", "empty lines", "terminator", "empty", "nothing but ends",
    }),
}  # fmt: skip


@each_of("reader", READERS)
def test_clients_read_events_alike(reader: str) -> None:
    """What a client gets out of a stream, we get, cut at every byte; it gives names without data
    too, we do not.
    """
    read, left_out = READERS[reader]
    for name in STREAMS.keys() - left_out - ENDS:
        for pieces in cuts(STREAMS[name]):
            theirs = [event for event in read(pieces) if event[1]]
            assert theirs == [event for event in ours(STREAMS[name]) if event[1]], (name, pieces)


@each_of("reader", READERS)
def test_clients_read_the_end_alike(reader: str) -> None:
    """Of an event without the empty line behind it clients give less than we keep, never more."""
    read, _ = READERS[reader]
    for name in ("no final empty line", "no final end"):
        for pieces in cuts(STREAMS[name]):
            assert [frame.data for frame in split_events(STREAMS[name], is_ended=True)] == [
                b"a",
                b"b",
            ]
            assert read(pieces) in ([("", "a")], [("", "a"), ("", "b")])


@pytest.mark.parametrize("stream", JSON_LINES.values(), ids=JSON_LINES)
def test_ollama_reads_lines_alike(stream: bytes) -> None:
    """The lines of `ollama`, cut at every byte, are ours."""
    import httpx

    frames = split_lines(stream, is_ended=True)
    for pieces in cuts(stream):
        theirs: list[Any] = [
            json.loads(line) for line in httpx.Response(200, content=iter(pieces)).iter_lines()
        ]
        assert [json.loads(frame.data) for frame in frames] == theirs
