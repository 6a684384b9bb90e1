"""What is packed reads back exactly, and takes little."""

from hypothesis import given
from hypothesis import strategies as st

from storage.record import Record, format_id
from storage.relational.weights import weight_code
from storage.relational.writes import packing
from storage.relational.writes.redactions import pack
from tests.storage.samples import make_record
from tests.support.cases import each_of

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
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        st.ip_addresses().map(str),
        st.ip_addresses().map(lambda address: address.exploded.upper()),
    )
)
def test_an_address_reads_back(text: str) -> None:
    """Also one that is no address, or is not written as they are written."""
    assert packing.unpack_address(packing.pack_address(text)) == text


@each_of(
    ("text", "size"),
    [
        ("10.1.2.3", 4), ("2001:db8::1", 16), ("::1", 16), ("010.1.2.3", 10), ("2001:DB8::1", 12), ("abc", 5),
        ("unix", 5),
    ],
)  # fmt: skip
def test_addresses_take_what_they_take_in_a_packet(text: str, size: int) -> None:
    """Other text takes a byte more than it has, or two where it would have the length of an
    address.
    """
    assert len(packing.pack_address(text)) == size


@given(st.binary(min_size=16, max_size=16), st.integers(0, 36))
def test_a_request_id_is_the_records_own_only_in_the_same_spelling(
    record_id: bytes, place: int
) -> None:
    """Not with another character, without hyphens, or with more of them."""
    text = format_id(record_id)
    assert packing.is_own(text, record_id)
    assert not packing.is_own(text.replace("-", ""), record_id)
    assert not packing.is_own(f"{text[:place]}-{text[place:]}", record_id)
    assert not packing.is_own(f"{text[:place]}x{text[place + 1 :]}", record_id)


def test_every_field_is_a_column_or_packed() -> None:
    """Each in one place only."""
    named = [column for column in packing.COLUMNS if column not in ("origin", "times")]
    assert sorted((*named, *packing.PACKED)) == sorted(Record.__struct_fields__)


def test_a_row_reads_back() -> None:
    """From the values of its columns, with what was packed at the end."""
    for redactions in (None, {"b": 1, "a": 1}, {"b": 3, "a": 1}):
        record = make_record(redactions=redactions, weight=2.5)
        values = [getattr(record, column) for column in packing.COLUMNS[:-2]]
        values[packing.COLUMNS.index("redactions")] = pack(redactions)
        values[packing.COLUMNS.index("weight")] = weight_code(record.weight)
        origin = packing.pack_origin([getattr(record, name) for name in packing.ORIGIN_FIELDS])
        assert packing.unpacked([*values, origin, packing.pack_times(record)]) == record


def test_redactions_of_one_place_each_take_nothing_beside_their_text() -> None:
    """As in most records; numbers stand behind the times, also where these do not fit in 64 bits."""
    plain = packing.pack_times(make_record())
    assert packing.pack_times(make_record(redactions={"a": 1, "b": 1})) == plain
    far = {"started_at_us": -(1 << 63), "ended_at_us": 1 << 62}
    packed = packing.pack_times(make_record(redactions={"a": 1, "b": 2}, **far))
    assert packing.unpack_times(packed, far["started_at_us"], 900)[0] == far["ended_at_us"]
    assert packing.unpack_redactions('\n"a"\n"b"\n', packed) == {"a": 1, "b": 2}
