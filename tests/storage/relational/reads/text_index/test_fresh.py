"""Records that were committed a moment ago: a run of neighbours, bounded, cut into cells."""

import msgspec
import pytest

from storage.record import Entry, Payload, ToolCall
from storage.relational.reads.text_index import fresh
from storage.relational.reads.text_index.fresh import FreshRecords
from storage.relational.slices import Range
from tests.storage.samples import START_US, make_record


def entries(first: int, last: int, size: int = 0) -> list[Entry]:
    """Make records with some `seq`s, and so many bytes of text each; without a payload where there are none."""
    payload = Payload(b"x" * size, b"", None, None) if size else None
    made = [Entry(make_record(path=None, user_agent=None), payload) for _ in range(first, last + 1)]
    for seq, entry in enumerate(made, first):
        entry.record.seq = seq
    return made


def seqs(records: FreshRecords, *, size_bytes: int = 100, max_records: int = 1000, max_bytes: int = 10**9) -> list[str]:
    """Tell which rows each portion has."""
    found = records.portions(size_bytes, max_records, max_bytes)
    return [f"{each.entries[0].record.seq}-{each.entries[-1].record.seq}" for each in found]


def test_batches_that_follow_each_other_are_one_run() -> None:
    """What does not follow it is left to the store: so is a batch of which a part had been stored before."""
    records = FreshRecords()
    records.offer([])
    partly = entries(1, 5)
    partly[2].record.seq = 0
    for batch in (entries(0, 0), [partly[0], *partly[2:]], partly[2:]):
        records.offer(batch)
    assert seqs(records, max_records=1) == []
    assert not records.is_ended
    records.offer(entries(4, 7, 10))
    records.offer(entries(8, 13, 10))
    assert not records.is_ended
    records.offer(entries(15, 16, 10))
    assert records.is_ended
    records.offer(entries(14, 14, 10))
    assert (records.first_seq, seqs(records)) == (4, ["4-13"])
    records.drop_before(10)
    assert records.first_seq == 10
    assert records.are_all_of(Range(10, 13))
    assert not any(records.are_all_of(rows) for rows in (Range(9, 13), Range(10, 14), Range(11, 13)))
    assert records.is_ended
    records.drop_before(99)
    assert (records.first_seq, records.is_ended) == (None, False)
    records.offer(entries(50, 60, 10))
    records.offer(entries(70, 80, 10))
    records.clear()
    assert (records.first_seq, records.is_ended) == (None, False)


def test_it_is_bounded_in_records_and_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a batch as much is taken as there is room for; what comes behind it is the store's, until that is in cells."""
    monkeypatch.setattr(fresh, "MAX_RECORDS", 20)
    monkeypatch.setattr(fresh, "MAX_BYTES", 1000)
    records = FreshRecords()
    records.offer(entries(1, 6, 80))
    assert not records.has_little_room
    records.offer(entries(7, 10, 80))
    assert records.has_little_room
    records.offer(entries(11, 13, 80))
    assert records.is_ended
    records.offer(entries(14, 14, 1))
    assert records.are_all_of(Range(1, 12))
    records.drop_before(12)
    records.offer(entries(15, 16))
    assert records.are_all_of(Range(12, 12))
    records.drop_before(13)
    records.offer(entries(15, 22))
    assert not records.has_little_room
    records.offer(entries(23, 30))
    assert records.has_little_room
    records.offer(entries(31, 40))
    records.offer(entries(41, 41))
    assert records.are_all_of(Range(15, 34))


def test_what_is_held_of_a_record_without_payload_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses and messages of any length are bounded like bodies; what tools were called with is not held."""
    monkeypatch.setattr(fresh, "MAX_BYTES", 1000)
    for changes in ({"path": "/" * 600}, {"query": "q" * 600}, {"user_agent": "a" * 600}, {"data": b"d" * 600}):
        records = FreshRecords()
        made = entries(1, 2)
        for entry in made:
            entry.record = msgspec.structs.replace(entry.record, **changes)
            entry.tool_calls = [
                ToolCall(
                    record_id=entry.record.id, started_at_us=START_US, created_at_us=1, tool_name="add",
                    server_label="s", status="success", arguments=b"x" * 10_000,
                )
            ]  # fmt: skip
        records.offer(made)
        assert records.are_all_of(Range(1, 1))
        [portion] = records.portions(1, 1, 1)
        assert [entry.tool_calls for entry in portion.entries] == [[]]


def test_cells_are_full_or_nearly() -> None:
    """The last one has three quarters of a cell, or it waits for more; a step makes so many at once."""
    records = FreshRecords()
    records.offer(entries(1, 11, 25))
    assert seqs(records) == ["1-4", "5-8", "9-11"]
    assert seqs(records, size_bytes=101) == ["1-5", "6-10"]
    assert seqs(records, max_bytes=150) == ["1-4", "5-8"]
    assert seqs(records, max_records=3) == ["1-3", "4-6", "7-9"]
    assert seqs(records, size_bytes=500) == []
    assert records.first_seq == 1
