"""Fields of protobuf on the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.grpc.wire import (
    FIXED32,
    FIXED64,
    LENGTH,
    VARINT,
    Cut,
    NotWire,
    read_field,
    read_varint,
)
from tests.support.cases import each_of


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b"\x08\x96\x01", (1, VARINT, 150, 3)), (b"\x0a\x02ab", (1, LENGTH, b"ab", 4)),
        (b"\x15abcd", (2, FIXED32, b"abcd", 5)), (b"\x11abcdefgh", (2, FIXED64, b"abcdefgh", 9)),
    ],
)  # fmt: skip
def test_a_field_has_number_type_value_and_end(data: bytes, field: object) -> None:
    """What follows it is left alone."""
    assert read_field(data + b"more", 0) == field


@each_of(
    "data",
    [b"\x00", b"\x07", b"\x0b", b"\xff" * 11, b"\xff" * 9 + b"\x7f", b"\x80\x80\x80\x80\x10\x00"],
)
def test_what_is_no_field_is_known(data: bytes) -> None:
    """Field 0, groups, unknown types, numbers of more than 64 bits, and of fields beyond 29."""
    with pytest.raises(NotWire):
        read_field(data, 0)


@given(st.integers(0, (1 << 64) - 1), st.integers(0, 9))
def test_a_number_is_cut_or_read(value: int, cut: int) -> None:
    """Whole, it is what was written; half of it is no error of its own."""
    data = b""
    left = value
    while left > 0x7F:
        data += bytes((left & 0x7F | 0x80,))
        left >>= 7
    data += bytes((left,))
    assert read_varint(data, 0) == (value, len(data))
    if cut < len(data):
        with pytest.raises(Cut):
            read_varint(data[:cut], 0)
