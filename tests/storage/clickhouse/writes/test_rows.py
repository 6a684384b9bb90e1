"""Batches as rows of one block."""

import pytest

from storage.clickhouse.codec import RECORD_COLUMNS, decode, stored_text, text_of
from storage.clickhouse.payloads import COLUMNS, HEADS, payload_of
from storage.clickhouse.wire.native import Written, block_of, read_blocks
from storage.clickhouse.writes.rows import CALL, JOB, POSITIONS, WAITING, rows_of, unpack_positions
from storage.record import Batch, Entry, Job, Position
from tests.storage.samples import (
    SOURCE,
    make_empty_record,
    make_full_record,
    make_payload,
    make_record,
)
from tests.support.cases import each_of
from tests.support.otlp import tool_call


def read(*written: Written) -> list[dict[str, object]]:
    """Read a block as the server would."""
    names, rows = read_blocks(block_of(*written))
    return [dict(zip(names, row, strict=True)) for row in rows]


def test_a_record_and_its_payload_are_read_back() -> None:
    """Whatever is null, and text that is empty or begins with NUL."""
    odd = make_full_record(project="", service="\0x", path="", query=None)
    records = [make_full_record(), make_empty_record(), odd]
    payload = make_payload()
    rows = rows_of(
        Batch("a", [Entry(record, payload if record is odd else None) for record in records])
    )
    found = read(rows.of_attempt([10, 20, 30], 5, 77, "a", b"p"), rows.written)
    for seq, record, row in zip((10, 20, 30), records, found, strict=False):
        record.seq = seq
        assert decode([row[name] for name in RECORD_COLUMNS]) == record
    kept = [
        payload_of([row[name] for name in HEADS], [row[name] for name in COLUMNS[len(HEADS) :]])
        for row in found
    ]
    assert kept == [None, None, payload, None]


def test_what_comes_with_a_record_has_its_number() -> None:
    """Calls, those that are awaited, and jobs are rows behind all records, and last the positions."""
    ended = tool_call()
    awaited = tool_call(status="processing")
    job = Job(bytes(16), bytes(16), 5)
    batch = Batch("a", [Entry(make_record()), Entry(make_record(), None, [ended, awaited], [job])])
    rows = rows_of(batch)
    found = read(rows.of_attempt([10, 20], 5, 1, "a", b"p"), rows.written)
    kinds = [0, 0, CALL, WAITING, JOB, POSITIONS]
    assert [(row["kind"], row["seq"]) for row in found] == list(
        zip(kinds, [10, *[20] * 5], strict=True)
    )
    assert [(row["batch"], row["place"], row["writer"], row["positions"]) for row in found] == [
        *((5, place, "", "") for place in range(5)), (5, 5, "a", "p"),
    ]  # fmt: skip


def test_positions_alone_are_a_row() -> None:
    """They take one number."""
    rows = rows_of(Batch("a", [], {SOURCE: Position(offset=3)}))
    assert (rows.records, rows.numbers) == (0, 1)
    [row] = read(rows.of_attempt([10], 1, 1, "a", b"\x80"), rows.written)
    assert row["kind"] == POSITIONS
    assert unpack_positions(str(row["positions"])) == {}


def test_an_id_twice_is_refused() -> None:
    """The server would take it."""
    record = make_record()
    with pytest.raises(ValueError, match="twice"):
        rows_of(Batch("a", [Entry(record), Entry(record)]))


@each_of("text", [None, "", "\0", "\0a", "a", "0"])
def test_repeated_text_is_told_from_none(text: str | None) -> None:
    """Empty is none."""
    assert text_of(stored_text(text)) == text
    assert bool(stored_text(text)) == (text is not None)
