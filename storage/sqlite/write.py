"""One batch, one transaction: rows, payloads, rollups and positions become visible together or not
at all.

Runs on the write connection's thread from BEGIN to COMMIT. Numbers (`seq`, block ids) come from
counter rows read in the transaction, so a failed batch leaves no hole.
"""

import sqlite3
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from storage.record import Batch, Entry, Position, Record, ToolCall, now_us
from storage.relational.blocks.growing import GrowingBlocks, GrowingPacker
from storage.relational.blocks.payloads import NOWHERE, Place
from storage.relational.by_id import id_ms
from storage.relational.reads.text_index.batch_cells import cells_in
from storage.relational.reads.text_index.tables import cell_row
from storage.relational.rollups import LIMITED, Rollups, ValueLimits
from storage.relational.session import run_sync
from storage.relational.time_ranges import DAY_US, fold_before
from storage.relational.tools.rows import COLUMNS as CALL_COLUMNS
from storage.relational.tools.rows import REPEATED, row_of
from storage.relational.usage import DIMENSIONS as USAGE_DIMENSIONS
from storage.relational.usage import UsageSums, is_call, limits
from storage.relational.writes.positions import POSITION_COLUMNS, position_row, positions_of
from storage.sqlite.codec import (
    FEW,
    FULL,
    PLAIN,
    Combination,
    RowEncoder,
    Values,
    has_few,
    is_plain,
)
from storage.sqlite.connection import ID_AMONG, counter, number_list, transaction
from storage.sqlite.dictionary import Dictionary
from storage.sqlite.rollups import ROLLUPS
from storage.sqlite.session import SqliteStatements
from storage.tools import awaited_calls, ended_calls

_MERGE_JOBS: Final = (
    "INSERT INTO jobs (id, begun_by, started_at_us, counted_by) "
    "VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
    "begun_by = CASE WHEN excluded.started_at_us < started_at_us THEN excluded.begun_by ELSE "
    "begun_by END, "
    "started_at_us = min(started_at_us, excluded.started_at_us), "
    "counted_by = coalesce(counted_by, excluded.counted_by)"
)

_INSERT_CALL: Final = (
    f"INSERT INTO tool_calls ({', '.join(CALL_COLUMNS)}) "
    f"VALUES ({', '.join('?' * len(CALL_COLUMNS))})"
)
_FORGET_CALL: Final = "DELETE FROM waiting_calls WHERE record_id = ? AND position = ?"
_AWAIT_CALL: Final = (
    "INSERT OR REPLACE INTO waiting_calls SELECT ?, ?, ?, ?, ? "
    # The batch with the answer may have overtaken this one, when it was in the spool.
    "WHERE NOT EXISTS (SELECT 1 FROM tool_calls WHERE record_id = ? AND position = ?)"
)

SPAN_RECORDS: Final = 5000
"""Rows one row of `spans` covers at least, so that 10 million records make 2 000 of them."""

_INSERT_BLOCK: Final = (
    "INSERT INTO blocks (id, kind, first_seq, last_seq, newest_started_at_us, raw_bytes, data) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_GROW: Final = (
    "UPDATE blocks SET last_seq = ?, newest_started_at_us = ?, raw_bytes = ?, data = ? WHERE id = ?"
)
_INSERT_CELL: Final = "INSERT INTO text_cells VALUES (?, ?, ?, ?)"
_UPSERT_POSITION: Final = (
    f"INSERT OR REPLACE INTO ingest_position (instance, {POSITION_COLUMNS}) VALUES (?, ?, ?, ?, "
    "?, ?, ?, ?)"
)


class BatchStore:
    """Stores batches over one connection, one at a time."""

    def __init__(self) -> None:
        self._rows = RowEncoder(Dictionary())
        self._growing = GrowingBlocks()
        self.limits = ValueLimits()
        """What the rollups count apart, as far as it is known."""
        self.usage_limits = limits()
        self._folded_until = 0

    def store(self, connection: sqlite3.Connection, batch: Batch) -> int:
        """Commit one batch; returns the newest seq of the store. After any exception nothing of it
        is stored.
        """
        try:
            self._fold(connection, batch.entries)
            with transaction(connection):
                last_seq = counter(connection, "last_seq")
                if batch.entries:
                    self._insert(connection, batch.entries, last_seq)
                    connection.executemany(
                        _INSERT_CELL, [cell_row(cell, last_seq + 1) for cell in cells_in(batch)]
                    )

                _write_positions(connection, batch)
        except BaseException:
            self.forget()
            raise

        for entry in batch.entries:
            last_seq += 1
            entry.record.seq = last_seq
        return last_seq

    def forget(self) -> None:
        """Remember nothing of the store: a transaction failed, or rows went."""
        self._rows.forget()
        self._growing.forget()
        self.limits.forget()
        self.usage_limits.forget()
        self._folded_until = 0

    def forget_texts(self) -> None:
        """Remember no repeated text: some is deleted."""
        self._rows.forget()

    def _fold(self, connection: sqlite3.Connection, entries: list[Entry]) -> None:
        """Fold hours that are over into their days."""
        if not entries:
            return
        until = fold_before(max([entry.record.started_at_us for entry in entries]), now_us())
        if until > self._folded_until:
            with transaction(connection):
                self._folded_until = run_sync(ROLLUPS.fold(SqliteStatements(connection), until))

    def _insert(self, connection: sqlite3.Connection, entries: list[Entry], last_seq: int) -> None:
        """Store rows, payloads and counts, each step over all entries: 14 instead of 16 us a
        record.
        """
        _check_blocks(connection, self._growing, entries)
        records = [entry.record for entry in entries]
        rows = self._rows
        rows.begin(max(now_us(), max([record.started_at_us for record in records])) // DAY_US)
        packer = GrowingPacker(counter(connection, "last_block"), self._growing)
        places = [
            (NOWHERE, NOWHERE)
            if entry.payload is None
            else packer.add(
                entry.payload, seq, entry.record.started_at_us, entry.record.conversation
            )
            for seq, entry in enumerate(entries, last_seq + 1)
        ]
        combinations = [rows.combination(connection, record) for record in records]
        self._insert_rows(connection, records, combinations, places, last_seq + 1)
        _insert_calls(connection, entries, last_seq + 1, rows)
        _merge_jobs(connection, entries)
        counts = Rollups()
        for record, combination in zip(records, combinations, strict=True):
            counts.add(record, combination.rollup, combination.error_type)
        run_sync(ROLLUPS.merge(SqliteStatements(connection), counts, self.limits))
        packer.finish()
        _write_blocks(connection, packer)
        _write_span(connection, records, last_seq + 1)
        connection.executemany(
            "UPDATE meta SET value = ? WHERE name = ?",
            [(last_seq + len(entries), "last_seq"), (packer.last_block, "last_block")],
        )

    def _insert_rows(
        self,
        connection: sqlite3.Connection,
        records: list[Record],
        combinations: list[Combination],
        places: list[tuple[Place, Place]],
        first_seq: int,
    ) -> None:
        """Store rows by their shape, and count LLM calls."""
        made = self._rows.plain(connection, records, first_seq, combinations, places)
        plain: list[Values] = []
        few: list[Values] = []
        full: list[tuple[Record, Values, Combination]] = []

        for record, row, combination in zip(records, made, combinations, strict=True):
            if not is_plain(record):
                full.append((record, row, combination))
            elif has_few(record):
                few.append([*row, *self._rows.few(connection, record)])
            else:
                plain.append(row)

        PLAIN.insert(connection, plain)
        FEW.insert(connection, few)
        if not full:
            return

        id_of = self._rows.id_of
        FULL.insert(
            connection, [[*row, *self._rows.rare(connection, record)] for record, row, _ in full]
        )
        used = UsageSums()

        for record, _, combination in full:
            if is_call(record):
                ids = (
                    id_of(connection, name, getattr(record, name))
                    for name in USAGE_DIMENSIONS[len(LIMITED) :]
                )
                used.add(record, (*combination.rollup[: len(LIMITED)], *ids))

        if used:
            run_sync(ROLLUPS.merge_usage(SqliteStatements(connection), used, self.usage_limits, 0))


def read_positions(connection: sqlite3.Connection, instance: str) -> dict[bytes, Position]:
    """Read the positions of one sidecar. On the write connection: a commit that was abandoned ends
    first.
    """
    sql = f"SELECT {POSITION_COLUMNS} FROM ingest_position WHERE instance = ?"
    return positions_of(connection.execute(sql, (instance,)))


def _check_blocks(
    connection: sqlite3.Connection, growing: GrowingBlocks, entries: list[Entry]
) -> None:
    numbers = growing.continued(entries)
    if numbers:
        sql = f"SELECT id, raw_bytes FROM blocks WHERE {ID_AMONG}"
        growing.check(numbers, dict(connection.execute(sql, (number_list(numbers),)).fetchall()))


def _write_blocks(connection: sqlite3.Connection, packer: GrowingPacker) -> None:
    connection.executemany(_INSERT_BLOCK, packer.blocks)
    connection.executemany(
        _GROW,
        [
            (block.last_seq, block.newest_us, block.raw_bytes, block.frames, block.id)
            for block in packer.growths
        ],
    )


def _write_positions(connection: sqlite3.Connection, batch: Batch) -> None:
    connection.executemany(
        _UPSERT_POSITION,
        [
            (batch.instance, *position_row(source, position))
            for source, position in batch.positions.items()
        ],
    )
    connection.executemany(
        "DELETE FROM ingest_position WHERE instance = ? AND source = ?",
        [(batch.instance, source) for source in batch.retired],
    )


def _write_span(connection: sqlite3.Connection, records: list[Record], first_seq: int) -> None:
    last_seq = first_seq + len(records) - 1
    started = [record.started_at_us for record in records]
    ids = [record.id for record in records]
    bounds = [min(started), max(started), id_ms(min(ids)), id_ms(max(ids))]

    newest = connection.execute("SELECT * FROM spans ORDER BY last_seq DESC LIMIT 1").fetchone()
    if newest is not None and newest[0] - newest[1] + 1 < SPAN_RECORDS:
        connection.execute("DELETE FROM spans WHERE last_seq = ?", (newest[0],))
        first_seq = newest[1]
        bounds = [
            fold(pair) for fold, *pair in zip((min, max, min, max), bounds, newest[2:], strict=True)
        ]

    connection.execute(
        "INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?)", (last_seq, first_seq, *bounds)
    )


def _insert_calls(
    connection: sqlite3.Connection, entries: Iterable[Entry], first_seq: int, rows: RowEncoder
) -> None:
    """Write tool calls: ended ones beside the records, where triggers keep the rollups, and those
    that wait for their answer.
    """
    called = [(seq, entry) for seq, entry in enumerate(entries, first_seq) if entry.tool_calls]
    if not called:
        return

    ended = [(seq, call) for seq, entry in called for call in ended_calls(entry)]
    ended_rows = [_call_row(connection, call, seq, rows) for seq, call in ended]
    connection.executemany(_INSERT_CALL, ended_rows)
    connection.executemany(_FORGET_CALL, [(call.record_id, call.position) for _, call in ended])
    waiting_rows = [
        _waiting_row(entry.record.instance, call)
        for _, entry in called
        for call in awaited_calls(entry)
    ]
    connection.executemany(_AWAIT_CALL, waiting_rows)


def _call_row(
    connection: sqlite3.Connection, call: ToolCall, seq: int, rows: RowEncoder
) -> tuple[Any, ...]:
    stored = (0 if value is None else value for value in row_of(call))
    ids = (rows.id_of(connection, column, getattr(call, column)) for column in REPEATED)
    return seq, *stored, *ids


def _waiting_row(instance: str, call: ToolCall) -> tuple[Any, ...]:
    key = (call.record_id, call.position)
    return (*key, instance, call.started_at_us, msgspec.msgpack.encode(call), *key)


def _merge_jobs(connection: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    """Write jobs; whichever batch comes first, what is known of the beginning and of the count is
    never forgotten.
    """
    jobs = [job for entry in entries if entry.jobs for job in entry.jobs]
    if jobs:
        rows = [(job.id, job.begun_by, job.started_at_us, job.counted_by) for job in jobs]
        connection.executemany(_MERGE_JOBS, rows)
