"""What is packed reads back exactly, and takes little."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.postgres import packing
from tests.storage.samples import make_record

numbers = st.integers(-(1 << 63), (1 << 63) - 1)
words = st.one_of(st.none(), st.text())


@given(numbers, numbers, numbers, st.lists(st.one_of(st.none(), numbers), min_size=4, max_size=4))
def test_times_read_back(started: int, duration: int, ended: int, others: list[int | None]) -> None:
    """Whatever fits in a column, near or far from the start, given or not."""
    fields = dict(zip(packing.TIME_FIELDS, (ended, *others), strict=True))
    record = make_record(started_at_us=started, duration_us=duration, **fields)
    assert packing.unpack_times(packing.pack_times(record), started, duration) == (ended, *others)


def test_times_of_an_ordinary_exchange_take_nine_bytes() -> None:
    """Five columns of eight would take forty."""
    assert len(packing.pack_times(make_record())) <= 9


@given(st.lists(words, min_size=5, max_size=5), st.sampled_from(["none", "tail", "bodies"]))
def test_an_origin_reads_back(values: list[str | None], shed: str) -> None:
    """With any text that can be stored."""
    assert packing.unpack_origin(packing.pack_origin([*values, shed])) == (*values, shed)


@given(
    st.one_of(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
        st.ip_addresses().map(str),
        st.ip_addresses().map(lambda address: address.exploded.upper()),
    )
)
def test_an_address_reads_back(text: str) -> None:
    """Also one that is no address, or is not written as they are written."""
    assert packing.unpack_address(packing.pack_address(text)) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("10.1.2.3", 4),
        ("2001:db8::1", 16),
        ("::1", 16),
        ("010.1.2.3", 10),
        ("2001:DB8::1", 12),
        ("abc", 5),
        ("unix", 5),
    ],
)
def test_addresses_take_what_they_take_in_a_packet(text: str, size: int) -> None:
    """Other text takes a byte more than it has, or two where it would have the length of an address."""
    assert len(packing.pack_address(text)) == size
