"""A body as one text: nothing is glued over a gap."""

import base64

from hypothesis import given
from hypothesis import strategies as st

from api.native.files.cut_bodies import describe_loss, joined_bytes, joined_text
from tests.api.samples import make_body


def test_a_cut_text_has_its_mark_between_the_ends() -> None:
    """On a line of its own, with the bytes kept of the bytes seen."""
    body = make_body(b"begin", tail=b"the end", size=100, truncated=True)
    assert joined_text(body) == (
        "utf-8",
        "begin\n[cut: the first 5 and the last 7 of 100 bytes were kept]\nthe end",
    )


def test_without_a_tail_the_mark_is_last_and_without_a_head_first() -> None:
    """No empty line is added where nothing is."""
    assert (
        joined_text(make_body(b"ab", size=9, truncated=True))[1]
        == "ab\n[cut: the first 2 of 9 bytes were kept]"
    )
    only_tail = make_body(b"", tail=b"yz", size=9, truncated=True)
    assert joined_text(only_tail)[1] == "[cut: the last 2 of 9 bytes were kept]\nyz"
    assert (
        joined_text(make_body(b"", size=9, truncated=True))[1] == "[cut: none of 9 bytes were kept]"
    )


def test_sizes_of_a_coded_body_are_not_confused() -> None:
    """What was kept was decoded, what was on the wire was not."""
    body = make_body(b"x" * 40, size=10, truncated=True, coding="gzip")
    assert (
        describe_loss(body)
        == "cut: the first 40 bytes (decoded; 10 bytes of gzip on the wire) were kept"
    )


def test_a_cut_binary_body_has_the_mark_among_its_bytes() -> None:
    """Base64 of two ends in one text would not be base64."""
    body = make_body(b"\xff\x00", tail=b"\xfe", size=70, truncated=True)
    encoding, text = joined_text(body)
    assert encoding == "base64"
    assert base64.b64decode(text, validate=True) == joined_bytes(body)
    assert (
        joined_bytes(body)
        == b"\xff\x00\n[cut: the first 2 and the last 1 of 70 bytes were kept]\n\xfe"
    )


@given(st.binary(max_size=200))
def test_a_whole_body_is_itself(content: bytes) -> None:
    """Nothing is added to what is complete."""
    body = make_body(content)
    encoding, text = joined_text(body)
    assert joined_bytes(body) == content
    assert (text.encode() if encoding == "utf-8" else base64.b64decode(text)) == content
    assert describe_loss(body) == ""


def test_a_body_that_was_not_kept_says_why() -> None:
    """The reason is the stored one."""
    assert (
        describe_loss(make_body(b"", size=9, truncated=True, omitted="level")) == "not kept: level"
    )
