"""Whole numbers, as they are written."""

from storage.varint import varint
from tests.support.cases import each_of


@each_of(
    ("number", "written"),
    [
        (0, b"\x00"),
        (0x7F, b"\x7f"),
        (0x80, b"\x80\x01"),
        (300, b"\xac\x02"),
        (0x3FFF, b"\xff\x7f"),
        ((1 << 64) - 1, b"\xff" * 9 + b"\x01"),
    ],
)
def test_the_lowest_bits_come_first(number: int, written: bytes) -> None:
    """As the specification of protocol buffers has it."""
    assert varint(number) == written
