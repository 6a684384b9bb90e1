"""Splitting of event streams, lines and arrays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.formats.frames import Frame, Split, split_array, split_events, split_lines
from tests.support.cases import each_of


def shown(data: bytes) -> list[tuple[bytes, bytes]]:
    """Name and data of the events of a whole stream that ends with an empty line."""
    return [(frame.event, frame.data) for frame in split_events(data)]


@each_of(
    ("stream", "expected"),
    [
        (b"data: a\n\ndata: b\n\n", [(b"", b"a"), (b"", b"b")]),
        (b"event: add\ndata: 73857293\n\n", [(b"add", b"73857293")]),
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [(b"", b"YHOO\n+2\n10")]),
        (
            b": comment\n\ndata: x\nid: 1\n\ndata:y\nid\n\ndata:  z\n\n",
            [(b"", b"x"), (b"", b"y"), (b"", b" z")],
        ),
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
    """Fields, comments, line ends, the mark at the start and data of several lines are read as
    WHATWG says.
    """
    assert shown(stream) == expected


STREAM = b'\xef\xbb\xbfevent: a\r\ndata: 1\r\ndata: 2\r\n\r\n: c\n\ndata: {"x": 1}\n\ndata:\rdata: z\r\revent: e\ndata: \xc3\xb6\n\ndata: last\n'  # noqa: E501
LINES = b'{"a": 1}\r\n\n  {"b": "\xc3\xb6"}\n{"c": 3}'


@pytest.mark.parametrize(("split", "data"), [(split_events, STREAM), (split_lines, LINES)])
def test_a_window_has_the_frames_that_begin_and_end_in_it(split: Split, data: bytes) -> None:
    """Cut in two at every byte: those before the cut, and behind it all but the one that it is
    within.
    """
    whole = split(data, is_ended=True)
    assert whole
    for cut in range(1, len(data) + 1):
        before = split(data[:cut])
        behind = split(data[cut:], start=cut, is_inside=True, is_ended=True)
        assert before == whole[: len(before)]
        assert behind == whole[len(whole) - len(behind) :]
        assert len(whole) - 2 <= len(before) + len(behind) <= len(whole)


FRAGMENTS = st.sampled_from(
    [b"data: x", b"data:", b"event: e", b"\n", b"\r", b"\r\n", b":", b"\xef\xbb\xbf", b"y"]
)


@given(st.lists(FRAGMENTS, max_size=20))
def test_an_end_adds_at_most_one_frame(fragments: list[bytes]) -> None:
    """Whatever the stream: what stands behind the last end of a frame, where the stream ends there."""
    data = b"".join(fragments)
    for split in (split_events, split_lines):
        open_ = split(data)
        ended = split(data, is_ended=True)
        assert ended[: len(open_)] == open_
        assert len(ended) - len(open_) <= 1


def test_ends_are_offsets_of_the_stream() -> None:
    """The end of an event is where its last line ends, also when the stream is entered in the
    middle.
    """
    assert [frame.end for frame in split_events(b"data: a\n\nevent: e\ndata: b\n\n")] == [7, 25]
    assert [frame.end for frame in split_events(b"data: a\r\n\r\ndata: b\r\n\r\n")] == [7, 18]
    inside = split_events(b"rest\ndata: old\n\ndata: b\n\n", start=1000, is_inside=True)
    assert inside == [Frame(b"", b"b", 1000 + 23)]
    assert split_lines(b'x"}\n{}\n', start=10, is_inside=True) == [Frame(b"", b"{}", 16)]


def test_array_gives_its_objects() -> None:
    """Objects of an array, whatever they hold; a cut one is left out; a tail begins at the next
    object.
    """
    document = b'[{"a": "}]{"}\n,\r\n{"b": [1, {"c": "\\"}"}]},{"d'
    frames = split_array(document)
    assert [frame.data for frame in frames] == [b'{"a": "}]{"}', b'{"b": [1, {"c": "\\"}"}]}']
    assert [document[: frame.end].endswith(frame.data) for frame in frames] == [True, True]
    assert [
        frame.data for frame in split_array(b'"x"}}\n,\n{"e": 1}\n]', start=5, is_inside=True)
    ] == [b'{"e": 1}']
    assert split_array(b"no element", is_inside=True) == []
    assert split_array(b"{}") == []


def test_array_of_escaped_quotes_is_linear() -> None:
    """A string that never ends is passed over once, however many quotes are escaped in it."""
    assert split_array(b'[{"' + b'\\"' * 100_000) == []
