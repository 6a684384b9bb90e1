"""Splitting of event streams, lines and arrays."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.enrich.formats.frames import Frame, LineSplitter, SseSplitter, split_array
from tests.support.cases import each_of

Splitter = SseSplitter | LineSplitter


def fed(splitter: Splitter, *pieces: bytes) -> list[Frame]:
    """Feed pieces and finish."""
    frames: list[Frame] = []
    for piece in pieces:
        frames += splitter.feed(piece)
    return frames + splitter.finish()


def shown(data: bytes) -> list[tuple[bytes, bytes]]:
    """Name and data of the events of a whole stream that ends with an empty line."""
    return [(frame.event, frame.data) for frame in SseSplitter().feed(data)]


@each_of(
    ("stream", "expected"),
    [
        (b"data: a\n\ndata: b\n\n", [(b"", b"a"), (b"", b"b")]),
        (b"event: add\ndata: 73857293\n\n", [(b"add", b"73857293")]),
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [(b"", b"YHOO\n+2\n10")]),
        (b": comment\n\ndata: x\nid: 1\n\ndata:y\nid\n\ndata:  z\n\n", [(b"", b"x"), (b"", b"y"), (b"", b" z")]),
        (b"data\n\ndata\ndata\n\ndata:", [(b"", b""), (b"", b"\n")]),
        (b"data:test\n\ndata: test\n\n", [(b"", b"test"), (b"", b"test")]),
        (b"\xef\xbb\xbfdata: bom\n\n\xef\xbb\xbfdata: not a field\n\n", [(b"", b"bom")]),
        (b"data: a\r\n\r\ndata: b\r\rdata: c\n\r\n", [(b"", b"a"), (b"", b"b"), (b"", b"c")]),
        (b"event: lost\n\ndata: x\n\n", [(b"", b"x")]),
        (b"retry: 10\nunknown: y\ndata: x\n\n", [(b"", b"x")]),
        (b": OPENROUTER PROCESSING\n\ndata: [DONE]\n\n", [(b"", b"[DONE]")]),
        (b"data: unfinished\n", []),
        (b"\n\n\n\ndata: x\n\n\n\ndata: y\n\n", [(b"", b"x"), (b"", b"y")]),
    ],
)
def test_events_follow_the_standard(stream: bytes, expected: list[tuple[bytes, bytes]]) -> None:
    """Fields, comments, line ends, the mark at the start and data of several lines are read as WHATWG says."""
    assert shown(stream) == expected


STREAM = b'\xef\xbb\xbfevent: a\r\ndata: 1\r\ndata: 2\r\n\r\n: c\n\ndata: {"x": 1}\n\ndata:\rdata: z\r\revent: e\ndata: \xc3\xb6\n\ndata: last\n'  # noqa: E501
LINES = b'{"a": 1}\r\n\n  {"b": "\xc3\xb6"}\n{"c": 3}'


@pytest.mark.parametrize(("kind", "data"), [(SseSplitter, STREAM), (LineSplitter, LINES)])
def test_pieces_do_not_matter(kind: type[Splitter], data: bytes) -> None:
    """Whole, cut in two at every byte, and byte by byte: the same frames at the same places."""
    whole = fed(kind(), data)
    assert whole
    for cut in range(len(data) + 1):
        assert fed(kind(), data[:cut], data[cut:]) == whole
    assert fed(kind(), *(data[place : place + 1] for place in range(len(data)))) == whole


FRAGMENTS = st.sampled_from(
    [b"data: x", b"data:", b"event: e", b"\n", b"\r", b"\r\n", b":", b"\xef\xbb\xbf", b"yyyyyyyyyy"]
)


@example([b"\xef\xbb\xbf", b"yyyyyyyyyy", b"data: x", b"\n"], [18], 6)
@given(st.lists(FRAGMENTS, max_size=20), st.lists(st.integers(0, 60), max_size=4), st.sampled_from([6, 1 << 20]))
def test_any_stream_splits_alike(fragments: list[bytes], cuts: list[int], limit: int) -> None:
    """Whatever the stream, the limit and the cuts: the same frames."""
    data = b"".join(fragments)
    for kind in (SseSplitter, LineSplitter):
        edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
        pieces = [data[begin:end] for begin, end in pairwise(edges)]
        assert fed(kind(max_frame_bytes=limit), *pieces) == fed(kind(max_frame_bytes=limit), data)


def test_ends_are_offsets_of_the_stream() -> None:
    """The end of an event is where its last line ends, also when the stream is entered in the middle."""
    assert [frame.end for frame in SseSplitter().feed(b"data: a\n\nevent: e\ndata: b\n\n")] == [7, 25]
    assert [frame.end for frame in SseSplitter().feed(b"data: a\r\n\r\ndata: b\r\n\r\n")] == [7, 18]
    inside = fed(SseSplitter(start=1000, is_inside=True), b"rest\ndata: old\n\ndata: b\n\n")
    assert inside == [Frame(b"", b"b", 1000 + 23)]
    assert fed(LineSplitter(start=10, is_inside=True), b'x"}\n{}\n') == [Frame(b"", b"{}", 16)]


def test_long_frames_come_out_empty() -> None:
    """A line, or an event of many lines, beyond the limit is counted and not kept; the next one is whole."""
    splitter = SseSplitter(max_frame_bytes=10)
    stream = [b"data: ", *([b"x" * 1000] * 100), b"\n\ndata: ok\n\n", b"data: 1234\n" * 9, b"\ndata: end\n\n"]
    assert [frame.data for frame in fed(splitter, *stream)] == [b"", b"ok", b"", b"end"]
    lines = LineSplitter(max_frame_bytes=10)
    assert [frame.data for frame in fed(lines, b"y" * 50, b"y" * 50, b"\n{}\n")] == [b"", b"{}"]


def test_held_bytes_are_bounded() -> None:
    """An endless line costs no more memory than one frame may have."""
    splitter = SseSplitter(max_frame_bytes=100)
    for _ in range(1000):
        splitter.feed(b"z" * 1000)
    assert len(splitter._rest) <= 101
    assert [frame.end for frame in splitter.finish()] == [1_000_000]


def test_array_gives_its_objects() -> None:
    """Objects of an array, whatever they hold; a cut one is left out; a tail begins at the next object."""
    document = b'[{"a": "}]{"}\n,\r\n{"b": [1, {"c": "\\"}"}]},{"d'
    frames = split_array(document)
    assert [frame.data for frame in frames] == [b'{"a": "}]{"}', b'{"b": [1, {"c": "\\"}"}]}']
    assert [document[: frame.end].endswith(frame.data) for frame in frames] == [True, True]
    assert [frame.data for frame in split_array(b'"x"}}\n,\n{"e": 1}\n]', start=5, is_inside=True)] == [b'{"e": 1}']
    assert split_array(b"no element", is_inside=True) == []
    assert split_array(b"{}") == []


def test_array_of_escaped_quotes_is_linear() -> None:
    """A string that never ends is passed over once, however many quotes are escaped in it."""
    assert split_array(b'[{"' + b'\\"' * 100_000) == []
