"""What follows the records of a batch, as rows."""

import pytest

from storage.clickhouse.native import Column, block_of, read_blocks
from storage.clickhouse.writes import jobs
from storage.clickhouse.writes.calls import ended_of
from storage.clickhouse.writes.group import Turn
from storage.clickhouse.writes.rows import Rows
from storage.record import Entry, Job, ToolCall
from tests.storage.samples import START_US, make_record


def test_an_attempt_gives_the_numbers() -> None:
    """The same rows are written for one attempt after the other."""
    rows = Rows.write("texts", [0, 2, 2], [Column("text", "String", ["a", "b", "c"])])
    for turn in (Turn(7, 10, 0), Turn(8, 30, 0)):
        names, found = read_blocks(block_of(*rows.block(turn)))
        assert names == ["seq", "attempt", "text"]
        first = turn.first_seq
        assert found == [(first, turn.attempt, "a"), (first + 2, turn.attempt, "b"), (first + 2, turn.attempt, "c")]


def test_more_calls_than_ids_are_refused() -> None:
    """A record has no more calls than there are ids for."""
    call = ToolCall(
        record_id=bytes(16), started_at_us=START_US, created_at_us=1, tool_name="add", server_label="s",
        status="success",
    )  # fmt: skip
    with pytest.raises(ValueError, match="a record has 1048577 tool calls"):
        ended_of([Entry(make_record(), None, [call] * ((1 << 20) + 1))], {})


def test_a_table_without_rows_gets_none() -> None:
    """Of a batch without calls or jobs."""
    assert ended_of([Entry(make_record())], {}) is None
    assert jobs.jobs_of([Entry(make_record())]) is None
    assert jobs.jobs_of([Entry(make_record(), None, [], [Job(bytes(16), bytes(16), 1)])]) is not None
