"""The search behind damage finds the first whole entry, or nothing, in any bytes."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.ring.entry import PREFIX, PREFIX_BYTES, Buffer, checksum

SALT = 0x1234_5678


def entry(start: int, header: bytes, size: int) -> bytes:
    """An entry at offset `start`."""
    length = (PREFIX_BYTES + len(header) + size + 7) // 8 * 8
    crc = checksum(header, SALT, start + length, 1)
    return (PREFIX.pack(length, crc, len(header), 1) + header).ljust(length, b"\xee")


@given(st.binary(max_size=160), st.integers(0, 5), st.binary(max_size=20), st.integers(0, 60))
def test_the_first_entry_behind_any_bytes_is_found(
    junk: bytes, lap: int, header: bytes, size: int
) -> None:
    """Random bytes are passed over, the entry behind them is found at its offset, in every lap."""
    junk = junk.ljust((len(junk) + 7) // 8 * 8, b"\0")
    start = lap * 512 + len(junk)
    whole = entry(start, header, size)
    buffer = Buffer(memoryview((junk + whole).ljust(512, b"\0")), SALT)
    assert buffer.find(lap * 512, start + len(whole)) == start
    assert buffer.is_entry(start, start + len(whole))
    assert not buffer.is_entry(start, start + len(whole) - 8)
    assert buffer.find(lap * 512, start) == start


@given(st.binary(min_size=64, max_size=64), st.integers(0, 7), st.integers(0, 8))
def test_nothing_is_found_in_random_bytes_and_nothing_is_read_outside(
    data: bytes, at: int, size: int
) -> None:
    """The search ends at head, across the end of the buffer, whatever lengths the bytes pretend."""
    start = at * 8
    assert Buffer(memoryview(data), SALT).find(start, start + size * 8) == start + size * 8


def test_an_entry_of_another_lap_or_ring_is_none() -> None:
    """The same bytes at another offset, or in a ring with another salt, are no entry."""
    data = memoryview(entry(0, b"header", 8).ljust(64, b"\0"))
    assert Buffer(data, SALT).is_entry(0, 64)
    assert not Buffer(data, SALT).is_entry(64, 128)
    assert not Buffer(data, SALT + 1).is_entry(0, 64)
