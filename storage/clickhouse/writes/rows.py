"""Encode a batch as the rows of one block: records with their payloads, tool calls and jobs. A
batch of positions alone is one row.

Strategy: all rows go to one table, distinguished by their kind, so that one insert has the whole
batch. A row that is not a record has the `seq` of the record it came with, and uses columns that
records have for other values (`CALL`, `WAITING`, `JOB`). Rows are encoded once, for all attempts;
the few columns that differ between attempts come first. The last row, with the last number, has
only positions, so it stays when the batch's records are erased. Pure.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from storage.clickhouse import codec, payloads
from storage.clickhouse.codec import stored_text
from storage.clickhouse.texts import words_of
from storage.clickhouse.wire.native import Column, Written, write_columns
from storage.record import Batch, Entry, Job, Position, ToolCall
from storage.relational.sql import KINDS
from storage.relational.tools.rows import REPEATED as CALL_TEXTS
from storage.relational.tools.rows import row_of
from storage.tools import awaited_calls, ended_calls

CALL, WAITING, JOB, POSITIONS, MARK = range(len(KINDS), len(KINDS) + 5)
"""Kinds of rows that are not records. Each slot ends with a row of one of the last two
(`writes.slots`); these have a writer.
"""
CALL_COLUMNS: Final = {
    "record_id": "id", "position": "request_bytes", "created_at_us": "response_bytes", "latency_us": "duration_us",
    "llm_request_id": "trace_id", "rpc_id": "span_id", "session": "request_id", "search": "response_body",
    "detail": "request_body", "tool_name": "name", "server_label": "service", "key_last4": "user_id",
}  # fmt: skip
"""Column of a tool call → the record's column that stores it, where the names differ."""
TYPES: Final = codec.TYPES | dict.fromkeys(payloads.COLUMNS, "String") | {"words": "Array(String)"}
"""Column of every row → its type in the wire format, without the columns of an attempt."""
ATTEMPT_TYPES: Final = {
    "seq": "Int64", "batch": "Int64", "place": "UInt32", "attempt": "UInt64", "writer": "String", "positions": "String",
}  # fmt: skip
_EMPTY: Final = {"FixedString(16)": bytes(16), "String": "", "Array(String)": ()}
_positions_encoder: Final = msgspec.msgpack.Encoder()
_positions_decoder: Final = msgspec.msgpack.Decoder(dict[bytes, Position])

Values = Mapping[str, Any]
"""Column → value, of a row that is not a record; other columns are empty."""


class Rows(NamedTuple):
    """The encoded rows of a batch, without the columns of an attempt."""

    records: int
    places: tuple[int, ...]
    """For each row after the records, the index of the record it came with."""
    written: Written

    @property
    def numbers(self) -> int:
        """Return how many row numbers the rows need; rows with only ring positions need one."""
        return max(1, self.records)

    def of_attempt(
        self, seqs: Sequence[int], slot: int, attempt: int, writer: str, positions: bytes
    ) -> Written:
        """Return the columns of an attempt. Only the last row has the writer and its positions."""
        rows = self.written.rows
        numbers = [*seqs, *(seqs[place] for place in self.places)]
        made = {
            "seq": numbers, "batch": [slot] * rows, "place": range(rows), "attempt": [attempt] * rows,
            "writer": [*[""] * (rows - 1), stored_text(writer)], "positions": [*[b""] * (rows - 1), positions],
        }  # fmt: skip
        return write_columns(
            [Column(name, type, made[name]) for name, type in ATTEMPT_TYPES.items()]
        )


def rows_of(batch: Batch) -> Rows:
    """Encode the rows of a batch.

    Raises:
        ValueError: A value cannot be stored.
        TypeError: The same.
        OverflowError: The same.
    """
    if not batch.entries:
        return _alone(POSITIONS)
    _check_ids(batch.entries)
    made: dict[str, list[Any]] = codec.columns_of([entry.record for entry in batch.entries])
    made |= payloads.columns_of([entry.payload for entry in batch.entries])
    made["words"] = list(map(words_of, batch.entries))
    further = [*_further(batch), (len(batch.entries) - 1, {"kind": POSITIONS})]
    rows = [row for _, row in further]
    return Rows(
        len(batch.entries),
        tuple(place for place, _ in further),
        _written(made, len(batch.entries), rows),
    )


def mark() -> Rows:
    """Return the row of a mark. A mark closes a slot without storing records."""
    return _alone(MARK)


def pack_positions(positions: Mapping[bytes, Position]) -> bytes:
    return _positions_encoder.encode(positions)


def unpack_positions(packed: str) -> dict[bytes, Position]:
    return _positions_decoder.decode(codec.to_bytes(packed))


def _alone(kind: int) -> Rows:
    return Rows(0, (), _written({}, 0, [{"kind": kind}]))


def _written(made: Mapping[str, list[Any]], records: int, further: Sequence[Values]) -> Written:
    columns = []
    for name, type in TYPES.items():
        if name == "seq":
            continue
        if type.startswith("Nullable"):
            empty = None
        else:
            empty = _EMPTY.get(type, 0)
        values = made.get(name, [empty] * records)
        columns.append(Column(name, type, [*values, *(row.get(name, empty) for row in further)]))

    return write_columns(columns)


def _further(batch: Batch) -> Sequence[tuple[int, Values]]:
    found: list[tuple[int, Values]] = []
    for place, entry in enumerate(batch.entries):
        instance = stored_text(entry.record.instance)
        if entry.tool_calls:
            found += ((place, {"instance": instance, **_call(call)}) for call in ended_calls(entry))
            found += (
                (place, {"instance": instance, **_waiting(call)}) for call in awaited_calls(entry)
            )

        found += ((place, {"instance": instance, **_job(job)}) for job in entry.jobs)

    return found


def _call(call: ToolCall) -> Values:
    values = row_of(call)._asdict() | {
        name: stored_text(getattr(call, name)) for name in CALL_TEXTS
    }
    return {"kind": CALL} | {CALL_COLUMNS.get(name, name): value for name, value in values.items()}


def _waiting(call: ToolCall) -> Values:
    return {
        "kind": WAITING,
        "id": call.record_id,
        "request_bytes": call.position,
        "started_at_us": call.started_at_us,
        "request_body": codec.encode(call),
    }


def _job(job: Job) -> Values:
    return {
        "kind": JOB,
        "id": job.id,
        "conversation": job.begun_by,
        "started_at_us": job.started_at_us,
        "data": job.counted_by,
    }


def _check_ids(entries: Sequence[Entry]) -> None:
    if len({entry.record.id for entry in entries}) < len(entries):
        raise ValueError("an id is in the batch twice")
    calls = [
        (call.record_id, call.position)
        for entry in entries
        if entry.tool_calls
        for call in ended_calls(entry)
    ]
    if len(set(calls)) < len(calls):
        raise ValueError("a tool call is in the batch twice")
