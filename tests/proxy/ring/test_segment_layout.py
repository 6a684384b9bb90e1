"""The static header: what is laid out is read back, what would lie outside of the file is refused."""

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.ring.segment_layout import (
    HEADER_BYTES,
    PAGE,
    SegmentError,
    boot_id,
    checked_header,
    new_header,
)

SIZES = struct.Struct("<7Q")
SIZES_AT = HEADER_BYTES - 4 - SIZES.size


def with_sizes(*sizes: int, version: int = 1) -> bytes:
    """A header with a right checksum and these sizes."""
    raw = bytearray(new_header(bytes(16), 0, 1, 1, PAGE)[0])
    SIZES.pack_into(raw, SIZES_AT, *sizes)
    struct.pack_into("<I", raw, 8, version)
    struct.pack_into("<I", raw, HEADER_BYTES - 4, zlib.crc32(raw[: HEADER_BYTES - 4]))
    return bytes(raw)


@given(
    st.integers(0, 1 << 20), st.integers(0, 10_000), st.integers(0, 2000), st.integers(0, 1 << 40)
)
def test_a_layout_reads_back_and_its_areas_do_not_overlap(
    descriptor: int, cells: int, slots: int, ring: int
) -> None:
    """Every combination of sizes gives areas in order, on pages, that end with the file."""
    raw, total = new_header(b"s" * 16, descriptor, cells, slots, ring)
    areas = checked_header(raw, total, "ring")
    assert (areas.source, areas.boot_id) == (b"s" * 16, boot_id())
    assert (areas.descriptor_bytes, areas.counter_cells, areas.inflight_slots) == (
        descriptor,
        cells,
        slots,
    )
    assert PAGE + descriptor <= areas.counters_at
    assert areas.counters_at + 8 * cells <= areas.inflight_at
    assert areas.inflight_at + 4096 * slots <= areas.data_at
    assert areas.data_at + areas.capacity == total
    assert areas.capacity >= max(ring, PAGE)
    assert areas.capacity % PAGE == 0
    with pytest.raises(SegmentError, match="damaged header of ring"):
        checked_header(raw, total - 1, "ring")


@given(
    st.lists(
        st.integers(0, (1 << 64) - 1) | st.integers(0, 16).map(lambda n: n * PAGE),
        min_size=7,
        max_size=7,
    )
)
def test_sizes_with_a_right_checksum_are_still_checked(sizes: list[int]) -> None:
    """A forged header is either refused or describes areas inside of the file."""
    file_bytes = 8 * PAGE
    try:
        areas = checked_header(with_sizes(*sizes), file_bytes, "ring")
    except SegmentError:
        return

    assert PAGE + areas.descriptor_bytes <= areas.counters_at <= areas.inflight_at <= areas.data_at
    assert areas.data_at + areas.capacity <= file_bytes


def test_another_layout_is_named() -> None:
    """The ring of a newer sidelog says so instead of being called damaged."""
    with pytest.raises(SegmentError, match="has layout 2, this sidelog reads layout 1"):
        checked_header(
            with_sizes(0, PAGE, 1, 2 * PAGE, 1, 3 * PAGE, PAGE, version=2), 4 * PAGE, "ring"
        )


def test_a_ring_without_capacity_is_refused() -> None:
    """No ring has a capacity of zero."""
    with pytest.raises(SegmentError, match="damaged header"):
        checked_header(with_sizes(0, PAGE, 1, 2 * PAGE, 1, 3 * PAGE, 0), 4 * PAGE, "ring")


def test_the_boot_id_is_stable_and_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    """The id of this boot is 36 characters, the same each time, and empty where the kernel gives
    none.
    """
    assert boot_id() == boot_id()
    assert len(boot_id()) == 36

    def unreadable(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr("pathlib.Path.read_text", unreadable)
    assert boot_id() == ""
