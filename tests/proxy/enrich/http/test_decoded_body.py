"""Frames of a body of which the middle is missing."""

from proxy.enrich.formats.frames import split_lines
from proxy.enrich.http.exchange import DecodedBody


def test_frames_behind_a_gap_are_those_that_begin_there() -> None:
    """The one that the gap cuts is left out on both sides; places count in the whole text."""
    body = DecodedBody(
        b"data: 1\n\ndata: 2", b"\n\ndata: 8\n\ndata: 9\n\n", 100, True, None, 100, True
    )
    assert [frame.data for frame in body.frames()] == [b"1", b"8", b"9"]


def test_what_follows_the_last_line_end_counts_where_the_end_is_here() -> None:
    """Else the rest of it may be missing."""
    for has_end, lines in ((True, [b"1", b"2"]), (False, [b"1"])):
        body = DecodedBody(b"1\n2", b"", 3, not has_end, None, 3, has_end)
        assert [frame.data for frame in body.frames(split_lines)] == lines
