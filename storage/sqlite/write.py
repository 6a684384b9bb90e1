"""Store one batch in one transaction: rows, payloads and positions become visible together or not
at all. Rollups follow later (`counting.py`).

It runs in the write connection's thread from BEGIN to COMMIT. Numbers (`seq`, block ids) come from
counter rows read in the transaction, so a failed batch leaves no gap.
"""

import sqlite3
from typing import Final

from storage.record import Batch, Entry, Position, Record, now_us
from storage.relational.blocks.growing import GrowingBlocks, GrowingPacker
from storage.relational.blocks.payloads import NOWHERE, Place
from storage.relational.by_id import id_ms
from storage.relational.reads.text_index.batch_cells import cells_in
from storage.relational.reads.text_index.tables import cell_row
from storage.relational.rollups import Rollups, ValueLimits
from storage.relational.session import run_sync
from storage.relational.time_ranges import DAY_US, fold_before
from storage.relational.tools.writes import Calls
from storage.relational.usage import UsageSums, is_call, limits
from storage.relational.writes.dictionary import Combination
from storage.relational.writes.jobs import jobs_of, merge_jobs
from storage.relational.writes.positions import POSITION_COLUMNS, position_row, positions_of
from storage.sqlite.codec import (
    FEW,
    FULL,
    PLAIN,
    Values,
    few_columns,
    has_few,
    is_plain,
    plain_rows,
    rare_columns,
)
from storage.sqlite.connection import ID_AMONG, counter, number_list, transaction
from storage.sqlite.dictionary import Dictionary
from storage.sqlite.rollups import ROLLUPS
from storage.sqlite.session import SqliteStatements

SPAN_RECORDS: Final = 5000
"""Fewest records that a row of `spans` covers, so that 10 million records need 2 000 rows."""

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


class Uncounted:
    """The sums of committed rows that the rollups do not count yet."""

    def __init__(self, after_seq: int) -> None:
        """Begin without rows, after the row `after_seq`."""
        self.after_seq = after_seq
        self.through_seq = after_seq
        self.sums = Rollups()
        self.usage = UsageSums()

    @property
    def rows(self) -> int:
        return self.through_seq - self.after_seq

    def add(
        self, records: list[Record], combinations: list[Combination], dictionary: Dictionary
    ) -> None:
        """Add the records of the next rows, with their ids."""
        self.through_seq += len(records)
        for record, combination in zip(records, combinations, strict=True):
            self.sums.add(record, combination.rollup, combination.error_type)
            if is_call(record):
                self.usage.add(record, dictionary.usage(record, combination))


class BatchStore:
    """Stores batches over one connection, one at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._statements = SqliteStatements(connection)
        self._dictionary = Dictionary(connection)
        self._growing = GrowingBlocks()
        self.limits = ValueLimits()
        """Values that the rollups count separately, as far as known."""
        self.usage_limits = limits()
        self.uncounted: Uncounted | None = None
        """The rows stored since rows were last counted; None if only the store can tell."""
        self._folded_until = 0

    def store(self, batch: Batch) -> int:
        """Commit one batch; return the newest seq of the store. After an exception nothing of the
        batch is stored.
        """
        connection = self._connection
        combinations: list[Combination] = []
        try:
            self._fold(batch.entries)
            with transaction(connection):
                last_seq = counter(connection, "last_seq")
                if batch.entries:
                    combinations = self._insert(batch.entries, last_seq)
                    connection.executemany(
                        _INSERT_CELL, [cell_row(cell, last_seq + 1) for cell in cells_in(batch)]
                    )

                _write_positions(connection, batch)
        except BaseException:
            self.forget()
            raise

        records = [entry.record for entry in batch.entries]
        if self.uncounted is not None and self.uncounted.through_seq == last_seq:
            self.uncounted.add(records, combinations, self._dictionary)
        else:
            self.uncounted = None

        for record in records:
            last_seq += 1
            record.seq = last_seq
        return last_seq

    def forget(self) -> None:
        """Forget everything cached from the store, after a failed transaction or a deletion of
        rows.
        """
        self._dictionary.forget()
        self._growing.forget()
        self.limits.forget()
        self.usage_limits.forget()
        self.uncounted = None
        self._folded_until = 0

    def forget_texts(self) -> None:
        """Forget the ids of repeated texts, because some are deleted."""
        self._dictionary.forget()

    def _fold(self, entries: list[Entry]) -> None:
        """Fold finished hours into their days."""
        if not entries:
            return
        until = fold_before(max([entry.record.started_at_us for entry in entries]), now_us())
        if until > self._folded_until:
            with transaction(self._connection):
                self._folded_until = run_sync(ROLLUPS.fold(self._statements, until))

    def _insert(self, entries: list[Entry], last_seq: int) -> list[Combination]:
        """Store rows and payloads, each step over all entries: 14 instead of 16 us a record.

        Returns the ids of each record's texts.
        """
        connection = self._connection
        _check_blocks(connection, self._growing, entries)
        records = [entry.record for entry in entries]
        self._dictionary.begin(
            max(now_us(), max([record.started_at_us for record in records])) // DAY_US
        )
        packer = GrowingPacker(counter(connection, "last_block"), self._growing)
        places = [
            (NOWHERE, NOWHERE)
            if entry.payload is None
            else packer.add(
                entry.payload, seq, entry.record.started_at_us, entry.record.conversation
            )
            for seq, entry in enumerate(entries, last_seq + 1)
        ]
        combinations = [self._dictionary.combination(record) for record in records]
        self._insert_rows(records, combinations, places, last_seq + 1)
        instance = self._dictionary.ids["instance"][records[0].instance] or 0
        calls = Calls(entries, self._dictionary.ids, instance)
        run_sync(calls.merge(self._statements))
        run_sync(calls.insert(self._statements, last_seq + 1))
        run_sync(merge_jobs(self._statements, jobs_of(entries)))
        packer.finish()
        _write_blocks(connection, packer)
        _write_span(connection, records, last_seq + 1)
        connection.executemany(
            "UPDATE meta SET value = ? WHERE name = ?",
            [(last_seq + len(entries), "last_seq"), (packer.last_block, "last_block")],
        )
        return combinations

    def _insert_rows(
        self,
        records: list[Record],
        combinations: list[Combination],
        places: list[tuple[Place, Place]],
        first_seq: int,
    ) -> None:
        """Store rows by their shape."""
        dictionary = self._dictionary
        made = plain_rows(dictionary, records, first_seq, combinations, places)
        plain: list[Values] = []
        few: list[Values] = []
        full: list[Values] = []

        for record, row in zip(records, made, strict=True):
            if not is_plain(record):
                full.append([*row, *rare_columns(dictionary, record)])
            elif has_few(record):
                few.append([*row, *few_columns(dictionary, record)])
            else:
                plain.append(row)

        PLAIN.insert(self._connection, plain)
        FEW.insert(self._connection, few)
        FULL.insert(self._connection, full)


def read_positions(connection: sqlite3.Connection, instance: str) -> dict[bytes, Position]:
    """Return the positions of one sidecar. Call it on the write connection, where an abandoned
    commit ends first.
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
