"""The native cursor."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.cursor import (
    decode_cursor,
    decode_received_cursor,
    encode_cursor,
    encode_received_cursor,
    to_text,
)
from api.http.errors import BadParameter
from storage.query import Order
from tests.support.cases import each_of


def decode_or_none(text: str) -> tuple[Order, int] | None:
    """Read a cursor; None when it is refused."""
    try:
        return decode_cursor(text)
    except BadParameter:
        return None


@given(st.sampled_from(["asc", "desc"]), st.integers(min_value=0, max_value=2**63 - 1))
def test_a_cursor_reads_back(order: Order, seq: int) -> None:
    """What was written is read, and it needs no escaping in a URL."""
    text = encode_cursor(order, seq)
    assert decode_cursor(text) == (order, seq)
    assert text.replace("-", "a").replace("_", "a").isalnum()


@given(
    st.text(max_size=40)
    | st.binary(max_size=16).map(lambda raw: base64.urlsafe_b64encode(raw).decode())
)
def test_any_other_text_is_a_bad_parameter(text: str) -> None:
    """Nothing but a cursor of ours is taken, and nothing raises another error."""
    assert decode_or_none(text) is None or encode_cursor(*decode_cursor(text)) == text


@each_of("place", range(14))
def test_a_cursor_with_a_changed_character_is_another_cursor_or_none(place: int) -> None:
    """Tampering moves the place or is refused; two texts never mean the same."""
    text = encode_cursor("desc", 1234567)
    changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
    assert decode_or_none(changed) != ("desc", 1234567)


def test_padding_and_other_versions_are_refused() -> None:
    """There is one spelling of a cursor; other versions, orders and larger numbers are none."""
    text = encode_cursor("asc", 5)
    for other in (
        text + "==",
        text + "=",
        text[:-1],
        "",
        to_text(b"\x02\x00" + bytes(8)),
        to_text(b"\x01\x02" + bytes(8)),
        to_text(b"\x01\x00\x80" + bytes(7)),
    ):
        with pytest.raises(BadParameter):
            decode_cursor(other)


@given(st.integers(min_value=0, max_value=2**128 - 1))
def test_a_cursor_by_id_reads_back_and_is_none_by_seq(record_id: int) -> None:
    """The two kinds are never taken for each other, and neither has a second spelling."""
    text = encode_received_cursor(record_id)
    assert decode_received_cursor(text) == record_id
    for other in (text + "=", text[:-1], encode_cursor("desc", record_id & 0xFFFF)):
        with pytest.raises(BadParameter):
            decode_received_cursor(other)
    with pytest.raises(BadParameter):
        decode_cursor(text)
