"""Values that their declared type does not fit; those that it does are judged in
test_descriptors.py.
"""

import pytest

from proxy.enrich.grpc.scalars import NotOfType, packed, scalar, shown_float, shown_int
from proxy.enrich.grpc.wire import LENGTH, VARINT


@pytest.mark.parametrize(
    ("type_", "wire_type", "raw"), [(9, VARINT, 1), (3, LENGTH, b"a"), (9, LENGTH, b"\xff")]
)
def test_a_value_of_another_type_is_known(type_: int, wire_type: int, raw: int | bytes) -> None:
    """A number for a text, a text for a number, and a text that is none."""
    with pytest.raises(NotOfType):
        scalar(type_, wire_type, raw)


@pytest.mark.parametrize(
    ("type_", "raw"), [(3, b"\x80"), (1, b"1234567"), (9, b"ab"), (3, b"\xff" * 11)]
)
def test_packed_numbers_that_are_none_are_known(type_: int, raw: bytes) -> None:
    """Cut ones, texts, and numbers of more than 64 bits."""
    with pytest.raises(NotOfType):
        packed(type_, raw)


def test_numbers_are_written_so_that_json_reads_them() -> None:
    """Large ones as text, and what JSON has no number for."""
    assert (shown_int(1 << 53), shown_int((1 << 53) + 1)) == (1 << 53, str((1 << 53) + 1))
    assert (shown_float(float("inf"), is_single=False), shown_float(0.1, is_single=False)) == (
        "Infinity",
        0.1,
    )
