"""Store one batch in one transaction: rows, payloads, rollups and positions become visible together
or not at all.

Strategy: rows and blocks are made before the transaction. The transaction first writes rows that no
other sidecar waits for: positions, blocks, rollups. Then it locks the counter row, takes numbers
from it, copies the rows and commits: other sidecars wait for three round trips.

Growing blocks of conversations are locked before the counter row, in the order of their ids. If one
of them was changed by another sidecar, the batch is encoded again and continues no block.

After a commit without an answer, the next batch first looks up its rows, with the counter row
locked, since a commit that is still running holds that lock. Rows that are found are not stored
again.

Invariant: `seq` is dense and in commit order, because it is given under a lock that is held until
the commit.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final

import asyncpg

from storage.errors import StorageUnavailable
from storage.postgres import partitions
from storage.postgres.codec import ROW_COLUMNS, Row, learn, make_row
from storage.postgres.connection import Connection, abandon, transaction
from storage.postgres.dictionary import Dictionary
from storage.postgres.growing_blocks import BlocksChanged, grow
from storage.postgres.rollups import ROLLUPS
from storage.postgres.session import PostgresStatements
from storage.record import Batch, Entry, Job, Position, now_us
from storage.relational.blocks.growing import GrowingBlocks, GrowingPacker
from storage.relational.blocks.payloads import NOWHERE, Packer
from storage.relational.by_id import id_ms
from storage.relational.reads.text_index.batch_cells import cells_in
from storage.relational.reads.text_index.tables import cell_row
from storage.relational.rollups import Rollups, ValueLimits
from storage.relational.time_ranges import DAY_US, fold_before
from storage.relational.tools.writes import Calls, texts_of
from storage.relational.usage import UsageSums, is_call, limits
from storage.relational.writes.dictionary import Combination
from storage.relational.writes.doubts import Doubts
from storage.relational.writes.jobs import jobs_of, merge_jobs
from storage.relational.writes.positions import POSITION_COLUMNS, position_row, positions_of

logger = logging.getLogger(__name__)

_BLOCK_COLUMNS: Final = ("id", "kind", "newest_started_at_us", "raw_bytes", "data")
BlockRow = tuple[int, int, int, int, bytearray]

_RESERVED_BITS: Final = 20
_RESERVED: Final = 1 << _RESERVED_BITS
"""Block ids in one reservation."""
_PREPARE_AGAIN_US: Final = 60_000_000
Made = tuple[list[Row], Rollups, UsageSums, GrowingPacker]
_LOOP_ENTRIES: Final = 100
_LOOP_BYTES: Final = 128 * 1024
"""A batch with more of either is encoded in a thread: 8 MiB of bodies take 55 ms."""
SPAN_RECORDS: Final = 5000
"""Fewest records that a row of `spans` covers, so that 10 million records need 2 000 rows."""

_COUNT: Final = (
    "WITH counted AS (UPDATE sidelog.counter "
    "SET last_seq = last_seq + $1, block_bytes = block_bytes + $7, span_first_seq = "
    "CASE WHEN last_seq - span_first_seq + 1 >= $2 THEN last_seq + 1 ELSE span_first_seq END "
    "RETURNING last_seq, span_first_seq) "
    "INSERT INTO sidelog.spans AS span "
    "(first_seq, last_seq, min_started_at_us, max_started_at_us, min_id_ms, max_id_ms) "
    "SELECT span_first_seq, last_seq, $3, $4, $5, $6 FROM counted "
    "ON CONFLICT (first_seq) DO UPDATE SET last_seq = excluded.last_seq, "
    "min_started_at_us = least(span.min_started_at_us, excluded.min_started_at_us), "
    "max_started_at_us = greatest(span.max_started_at_us, excluded.max_started_at_us), "
    "min_id_ms = least(span.min_id_ms, excluded.min_id_ms), "
    "max_id_ms = greatest(span.max_id_ms, excluded.max_id_ms) RETURNING last_seq"
)
_LOCKED_COUNTER: Final = "SELECT last_seq FROM sidelog.counter FOR UPDATE"
_PUT_POSITIONS: Final = (
    f"INSERT INTO sidelog.ingest_position (instance, {POSITION_COLUMNS}) SELECT $1, * FROM "
    "unnest($2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], "
    "$8::boolean[]) "
    "ON CONFLICT (instance, source) DO UPDATE "
    "SET end_offset = excluded.end_offset, taken = excluded.taken, "
    "stored = excluded.stored, received = excluded.received, dropped = excluded.dropped, closed = "
    "excluded.closed "
    "RETURNING pg_postmaster_start_time(), EXISTS (SELECT FROM sidelog.leases WHERE instance = $1)"
)
_ADD_CELL: Final = "INSERT INTO sidelog.text_cells VALUES ($1, $2, $3, $4)"
_RETIRE: Final = (
    "DELETE FROM sidelog.ingest_position WHERE instance = $1 AND source = ANY($2::bytea[])"
)


class _ServerReplaced(Exception):
    """The server is not the one that cached data came from; a pooler hides that its connections
    broke.
    """


class _BlockIds:
    """Block ids reserved for one store.

    Strategy: a sequence reserves ids by the million, before the transaction that uses them; their
    upper bits are the day, and blocks are partitioned by it. Ids rise within a store and are never
    given twice; unused ones are skipped.
    """

    def __init__(self) -> None:
        self._day = 0
        self._last = 0
        self._end = 0

    def forget(self) -> None:
        """Drop the reserved ids, because the server may not know of the reservation."""
        self._last = 0
        self._end = 0

    async def last(self, connection: Connection, entries: int, day: int) -> int:
        """Return the id before the first free one, with enough free ids for the entries. `day`
        counts from the epoch.
        """
        # An entry needs at most two blocks: one for heads, one for bodies.
        assert 2 * entries < _RESERVED, (
            "bug: a batch of more entries than a reservation has ids for"
        )
        if self._day != day or self._end - self._last < 2 * entries:
            number = await connection.fetchval("SELECT nextval('sidelog.block_reservation')")
            self._day = day
            self._last = (day << partitions.BLOCK_DAY_BITS) | (int(number) << _RESERVED_BITS)
            self._end = self._last + _RESERVED - 1

        return self._last

    def used(self, packer: Packer) -> None:
        self._last = packer.last_block

    def is_day(self, day: int) -> bool:
        """Return True if the newest reserved ids belong to this day."""
        return self._day == day


class BatchStore:
    """Stores batches over one connection, one at a time."""

    def __init__(self, begin: str, *, is_leased: bool = False) -> None:
        """Make a store of batches with nothing cached.

        `begin` is the statement that begins a transaction. `is_leased`: this sidecar holds a lease,
        so a database without it was emptied.
        """
        self._begin = begin
        self._is_leased = is_leased
        self._newest_seq = 0
        self._dictionary = Dictionary()
        self._blocks = _BlockIds()
        self._growing = GrowingBlocks()
        self._limits = ValueLimits()
        self._usage_limits = limits()
        self._folded_until = 0
        self._prepared_day: int | None = None
        self._prepare_after_us = 0
        self._server_since: datetime | None = None
        """Start time of the server that cached data came from; a replica in its place may lack the
        newest commits.
        """
        self._doubts = Doubts()

    def forget(self) -> None:
        """Forget everything cached from the store: it may have been replaced or lost rows. Doubts
        stay.
        """
        self._dictionary.forget()
        self._blocks.forget()
        self._forget_batches()
        self._prepared_day = None
        self._server_since = None

    async def store(self, connection: Connection, batch: Batch) -> int:
        """Commit one batch; return the newest seq of the store. After an exception it may or may
        not be stored.
        """
        await self._prepare_day(connection)
        if self._doubts.entries:
            await self._resolve(connection)
        entries = self._doubts.unsettled(batch.entries)
        if batch.entries and not entries:
            last_seq = await self._last_seq(connection)
            self._doubts.forget(batch.entries)
            return last_seq

        await self._fold(connection, entries)
        try:
            last_seq = await self._store(connection, batch, entries)
        except (BlocksChanged, _ServerReplaced):
            last_seq = await self._store(connection, batch, entries)

        self._doubts.forget(batch.entries)
        for seq, entry in enumerate(entries, last_seq - len(entries) + 1):
            entry.record.seq = seq
        return last_seq

    async def _fold(self, connection: Connection, entries: list[Entry]) -> None:
        """Add the hourly rollups of finished hours to the rollups of their days."""
        if not entries:
            return
        until = fold_before(max([entry.record.started_at_us for entry in entries]), now_us())
        if until > self._folded_until:
            async with transaction(connection, self._begin):
                self._folded_until = await ROLLUPS.fold(PostgresStatements(connection), until)

    def _forget_batches(self) -> None:
        self._folded_until = 0
        self._growing.forget()
        self._limits.forget()
        self._usage_limits.forget()

    async def _store(self, connection: Connection, batch: Batch, entries: list[Entry]) -> int:
        try:
            return await self._commit(connection, batch, entries)
        except (_ServerReplaced, asyncpg.UniqueViolationError):
            self.forget()
            raise
        except BaseException:
            self._forget_batches()
            raise

    async def _commit(self, connection: Connection, batch: Batch, entries: list[Entry]) -> int:
        # Do as much as possible before the transaction, as others wait for the counter that it
        # locks.
        made = await self._make(connection, entries)
        calls = Calls(entries, self._dictionary.ids, self._instance_of(batch))
        jobs = jobs_of(entries)
        await connection.execute(self._begin)
        try:
            last_seq = await self._put(connection, batch, entries, made, calls, jobs)
        except BaseException:
            await abandon(connection)
            raise

        # From here on only the server's answer tells whether the batch is stored.
        self._doubts.note(entries)
        try:
            await connection.execute("COMMIT")
        except BaseException:
            await abandon(connection)
            raise

        self._doubts.clear()
        self._newest_seq = last_seq
        return last_seq

    async def _put(
        self,
        connection: Connection,
        batch: Batch,
        entries: list[Entry],
        made: Made,
        calls: Calls,
        jobs: list[Job],
    ) -> int:
        """Write all of a batch within a transaction; return the last `seq`."""
        rows, counts, used, packer = made
        # Cells cover all entries of the batch; if some were already stored, the indexer makes cells
        # for the rest.
        if len(entries) == len(batch.entries):
            cells = cells_in(batch)
        else:
            cells = ()

        await self._put_positions(connection, batch)
        if packer.blocks:
            await connection.copy_records_to_table(
                "blocks",
                schema_name="sidelog",
                columns=_BLOCK_COLUMNS,
                records=_block_rows(packer),
            )

        statements = PostgresStatements(connection)
        await ROLLUPS.merge(statements, counts, self._limits)
        if used:
            await ROLLUPS.merge_usage(
                statements, used, self._usage_limits, self._instance_of(batch)
            )
        await calls.merge(statements)
        if packer.growths:
            await grow(connection, packer.growths)
        last_seq = await self._insert(connection, entries, rows, packer.stored_bytes)
        if last_seq - len(entries) < self._newest_seq:
            raise StorageUnavailable(
                f"postgres: the database lacks committed records, up to number {self._newest_seq}"
            )

        first_seq = last_seq - len(entries) + 1
        if cells:
            await connection.executemany(_ADD_CELL, [cell_row(cell, first_seq) for cell in cells])

        await calls.insert(statements, first_seq)
        await merge_jobs(statements, jobs)
        return last_seq

    def _instance_of(self, batch: Batch) -> int:
        """Return the id of a batch's sidecar; 0 before its first record."""
        return self._dictionary.ids["instance"].get(batch.instance) or 0

    async def _make(self, connection: Connection, entries: list[Entry]) -> Made:
        records = [entry.record for entry in entries]
        self._dictionary.begin(_newest_day(entries))
        combinations = await learn(self._dictionary, connection, records, texts_of(entries))
        day = partitions.day_of(now_us())
        if not self._blocks.is_day(day):
            self._growing.forget()  # a block is in the partition of one day
        packer = GrowingPacker(
            await self._blocks.last(connection, len(entries), day), self._growing
        )
        if _is_long(entries):
            with ThreadPoolExecutor(1) as threads:  # its thread ends with it
                loop = asyncio.get_running_loop()
                made = await loop.run_in_executor(
                    threads, self._encode, entries, combinations, packer
                )
        else:
            made = self._encode(entries, combinations, packer)

        self._blocks.used(packer)
        return made

    def _encode(
        self, entries: list[Entry], combinations: list[Combination], packer: GrowingPacker
    ) -> Made:
        counts = Rollups()
        used = UsageSums()
        rows = []

        for entry, combination in zip(entries, combinations, strict=True):
            record = entry.record
            heads = NOWHERE
            bodies = NOWHERE

            if entry.payload is not None:
                heads, bodies = packer.add(
                    entry.payload, 0, record.started_at_us, record.conversation
                )

            rows.append(make_row(self._dictionary, record, combination, heads, bodies))
            counts.add(record, combination.rollup, combination.error_type)
            if is_call(record):
                used.add(record, self._dictionary.usage(record, combination))

        packer.finish()
        return rows, counts, used, packer

    async def _insert(
        self, connection: Connection, entries: list[Entry], rows: list[Row], block_bytes: int
    ) -> int:
        if not rows:
            return int(await connection.fetchval(_LOCKED_COUNTER))
        started = [entry.record.started_at_us for entry in entries]
        ids_ms = [id_ms(entry.record.id) for entry in entries]
        last_seq = int(
            await connection.fetchval(
                _COUNT,
                len(rows),
                SPAN_RECORDS,
                min(started),
                max(started),
                min(ids_ms),
                max(ids_ms),
                block_bytes,
            )
        )
        for seq, row in enumerate(rows, last_seq - len(rows) + 1):
            row[0] = seq
        await connection.copy_records_to_table(
            "records", schema_name="sidelog", columns=ROW_COLUMNS, records=rows
        )
        return last_seq

    async def _put_positions(self, connection: Connection, batch: Batch) -> None:
        retired = set(batch.retired)

        kept = sorted(
            (source, position)
            for source, position in batch.positions.items()
            if source not in retired
        )
        if kept:
            columns = zip(
                *[position_row(source, position) for source, position in kept], strict=True
            )
            (since, has_lease), *_ = await connection.fetch(
                _PUT_POSITIONS, batch.instance, *map(list, columns)
            )
            if self._is_leased and not has_lease:
                raise StorageUnavailable(
                    "postgres: the database was emptied, and made anew by another sidelog"
                )
            if self._server_since not in (None, since):
                raise _ServerReplaced

            self._server_since = since

        if retired:
            await connection.execute(_RETIRE, batch.instance, list(retired))

    async def _prepare_day(self, connection: Connection) -> None:
        today = partitions.day_of(now := now_us())
        if self._prepared_day == today or now < self._prepare_after_us:
            return
        try:
            await partitions.prepare(connection, today)
        except asyncpg.PostgresError as error:
            if connection.is_closed():
                raise
            self._prepare_after_us = now + _PREPARE_AGAIN_US
            logger.warning("cannot make a partition, its rows go to the default one: %s", error)
        else:
            self._prepared_day = today

    async def _resolve(self, connection: Connection) -> None:
        ids = [entry.record.id for entry in self._doubts.entries]
        async with transaction(connection, self._begin):
            await connection.fetchval(_LOCKED_COUNTER)
            rows = await connection.fetch(
                "SELECT id, seq FROM sidelog.records WHERE id = ANY($1::uuid[])", ids
            )
        self._doubts.settle(dict(map(tuple, rows)))

    async def _last_seq(self, connection: Connection) -> int:
        async with transaction(connection, self._begin):
            return int(await connection.fetchval(_LOCKED_COUNTER))


def _block_rows(packer: Packer) -> list[BlockRow]:
    """Return the rows of finished blocks, without `seq`: it is still unknown when they are sent."""
    return [
        (number, kind, newest_us, size, frame)
        for number, kind, _, _, newest_us, size, frame in packer.blocks
    ]


def _newest_day(entries: list[Entry]) -> int:
    started_us = [entry.record.started_at_us for entry in entries]
    started_us += [call.started_at_us for entry in entries for call in entry.tool_calls]
    return max([now_us(), *started_us]) // DAY_US


async def read_positions(connection: Connection, instance: str) -> dict[bytes, Position]:
    """Read the positions of one sidecar under the counter's lock, so that an abandoned commit has
    ended.
    """
    await connection.fetchval(_LOCKED_COUNTER)
    sql = f"SELECT {POSITION_COLUMNS} FROM sidelog.ingest_position WHERE instance = $1"
    return positions_of(await connection.fetch(sql, instance))


def _is_long(entries: list[Entry]) -> bool:
    if len(entries) > _LOOP_ENTRIES:
        return True
    payloads = [entry.payload for entry in entries if entry.payload is not None]
    bodies = [
        body for payload in payloads for body in (payload.request_body, payload.response_body)
    ]
    return sum(len(body.head) + len(body.tail) for body in bodies if body is not None) > _LOOP_BYTES
