"""One batch: rows of all tables, made visible by one commit of the journal.

Strategy: records, heads, bodies, tool calls and jobs are inserted at the same time, while those still to come are
written as columns on a thread; then the journal commits. That an id is stored already is asked of the server when the
records are there: among the rows of commits whose ids lie in the same milliseconds. A batch whose commit is in doubt is
settled before the next one: records that turn out to be stored are not stored again.

Invariant: after an exception nothing of the batch is known stored; who comes with its records again stores each once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from storage.clickhouse.cluster.replicas import ClusterLink
from storage.clickhouse.cluster.terms import Terms
from storage.clickhouse.codec import columns_of
from storage.clickhouse.dictionary import Dictionary, Values
from storage.clickhouse.features import Features
from storage.clickhouse.link import LIMIT_S, Block, Link, refusing
from storage.clickhouse.writes.calls import awaited_of, ended_of
from storage.clickhouse.writes.epochs import Epochs
from storage.clickhouse.writes.group import NO_SPAN, Base, Group, HandedIn, Span
from storage.clickhouse.writes.jobs import jobs_of
from storage.clickhouse.writes.journal import Journal, Work
from storage.clickhouse.writes.payloads import bodies_of, heads_of
from storage.clickhouse.writes.rows import Rows, blocks_of
from storage.errors import StorageRejected
from storage.record import Batch, Entry, Position
from storage.relational.by_id import id_ms
from storage.relational.writes.doubts import Doubts
from storage.tools import ended_calls

WRITE_LIMIT_S: Final = 15.0
"""Of an insert of records: a commit as a whole may take longer (`storage.backends.commit_limit_s`)."""
_LOOP_ENTRIES: Final = 100
"""A batch with more is written as columns on a thread."""
_STORED: Final = (  # noqa: S608 -- identifiers come from here
    "SELECT count() FROM records WHERE seq >= (SELECT min(first_seq) FROM commits WHERE {near}) "
    "AND seq <= (SELECT max(last_seq) FROM commits WHERE {near}) "
    "AND attempt IN (SELECT attempt FROM commits WHERE {near}) "
    "AND id IN (SELECT id FROM records WHERE seq >= $3 AND attempt BETWEEN $4 AND $5)"
).format(near="max_id_ms >= $1 AND min_id_ms <= $2 AND first_seq <= last_seq")
_CALLED: Final = (  # noqa: S608 -- identifiers come from here
    "SELECT count() FROM tool_calls WHERE record_seq < $2 "
    "AND record_seq >= (SELECT min(first_seq) FROM commits WHERE {since}) "
    "AND attempt IN (SELECT attempt FROM commits WHERE {since}) "
    "AND (record_id, position) IN "
    "(SELECT record_id, position FROM tool_calls WHERE record_seq >= $2 AND attempt BETWEEN $3 AND $4)"
).format(since="max_id_ms >= $1 AND first_seq <= last_seq")

Make = Callable[[Sequence[Entry]], Rows | None]
Check = Callable[[Group, "_Made"], Awaitable[None]]


class BatchStore:
    """Stores batches, one at a time."""

    def __init__(self, link: Link, features: Features) -> None:
        """Make one that has not seen the store yet; the link stays the caller's."""
        self._link = link
        self._settings = features.insert_settings
        turns = Terms(link) if isinstance(link, ClusterLink) else Epochs(link)
        self.journal = Journal(link, turns, lambda group: self._insert(group, _Made(())))
        self._dictionary = Dictionary(link)
        self._checks: dict[str, Check] = {"records": self._check_records, "tool_calls": self._check_calls}
        """Table → what looks whether rows that were inserted are stored already; others need no look."""
        self._doubts = Doubts()

    async def store(self, batch: Batch) -> int:
        """Commit a batch and set `record.seq`; returns the newest `seq` of the store. See `Storage.commit`."""
        if self._doubts.entries:
            await self._resolve()
        entries = self._doubts.unsettled(batch.entries)
        if batch.entries and not entries:
            last_seq = await self.journal.last_seq()
            self._doubts.forget(batch.entries)
            return last_seq
        _check_ids(entries)
        made = _Made(entries)
        await self._dictionary.learn(await made.values())
        # From here on only the journal tells.
        self._doubts.note(entries)
        retired = set(batch.retired)
        moved = {source: position for source, position in batch.positions.items() if source not in retired}
        work = Work(
            batch.instance, len(entries), _span(entries), moved, batch.retired,
            lambda group: self._insert(group, made), write=made.handed,
        )  # fmt: skip
        try:
            turn = await self.journal.commit(work)
        except StorageRejected:
            self._doubts.clear()
            raise
        self._doubts.clear()
        self._doubts.forget(batch.entries)
        for seq, entry in enumerate(entries, turn.first_seq):
            entry.record.seq = seq
        return turn.first_seq + len(entries) - 1

    async def positions(self, instance: str) -> dict[bytes, Position]:
        """Read the positions of one sidecar, when no commit can change them that was sent before."""
        return await self.journal.positions(instance)

    async def close(self) -> None:
        """Let others write at once."""
        await self.journal.close()

    async def _insert(self, group: Group, made: "_Made") -> None:
        taken = blocks_of(group.followers)
        number = 0
        try:
            async with asyncio.TaskGroup() as sending:
                while (rows := await made.table(number)) is not None:
                    blocks = [rows.block(group.turn), *taken.pop(rows.form, ())]
                    sending.create_task(self._send(rows.table, blocks, group, made), name=f"insert {rows.table}")
                    number += 1
                for (table, *_), blocks in taken.items():
                    sending.create_task(self._send(table, blocks, group, made), name=f"insert {table}")
        except BaseExceptionGroup as group_of_errors:
            raise _first_of(group_of_errors) from None

    async def _send(self, table: str, blocks: list[Block], group: Group, made: "_Made") -> None:
        await self._link.send(table, blocks, limit_s=WRITE_LIMIT_S, settings=self._settings)
        if (check := self._checks.get(table)) is not None:
            await check(group, made)

    async def _check_records(self, group: Group, made: "_Made") -> None:
        span = group.span(_span(made.entries))
        parameters = (span.min_id_ms, span.max_id_ms, group.turn.first_seq, *group.attempts)
        [(stored,)] = await self._link.fetch(_STORED, parameters, limit_s=LIMIT_S)
        if stored:
            raise StorageRejected(f"{stored} of {len(made.entries)} ids are stored already")

    async def _check_calls(self, group: Group, made: "_Made") -> None:
        asked_ms = min(filter(None, (made.asked_ms, *(batch.asked_ms for _, batch in group.followers))))
        parameters = (asked_ms, group.turn.first_seq, *group.attempts)
        [(stored,)] = await self._link.fetch(_CALLED, parameters, limit_s=LIMIT_S)
        if stored:
            raise StorageRejected(f"{stored} tool calls are stored already")

    async def _resolve(self) -> None:
        first = await self.journal.settle()
        stored = [] if first is None else enumerate(self._doubts.entries, first)
        self._doubts.settle({entry.record.id: seq for seq, entry in stored})


class _Made:
    """The rows of a batch: each table's are written when they are asked for first, and kept for another attempt."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries
        self._tables: list[Rows] = []
        self._rest = list(_REST) if entries else []

    async def values(self) -> Values:
        """Write records and calls; returns the repeated text in them."""
        values: Values = {}
        if self.entries:
            await self._write(lambda entries: _records_of(entries, values))
            await self._write(lambda entries: ended_of(entries, values))
        return values

    async def table(self, number: int) -> Rows | None:
        """Return the rows of one table that gets some, records first; None behind the last."""
        while number >= len(self._tables) and self._rest:
            await self._write(self._rest[0])
            del self._rest[0]
        return self._tables[number] if number < len(self._tables) else None

    @property
    def asked_ms(self) -> int | None:
        """When the oldest tool call was asked for that has ended; None without any."""
        return min((id_ms(call.record_id) for entry in self.entries for call in ended_calls(entry)), default=None)

    async def handed(self, base: Base) -> HandedIn:
        """Write all of it as it is handed in."""
        number = 0
        tables = []
        while (rows := await self.table(number)) is not None:
            tables.append(rows.handed())
            number += 1
        return HandedIn(base, len(self.entries), _span(self.entries), self.asked_ms, tables)

    async def _write(self, make: Make) -> None:
        with refusing():
            is_long = len(self.entries) > _LOOP_ENTRIES
            rows = await asyncio.to_thread(make, self.entries) if is_long else make(self.entries)
        if rows is not None:
            self._tables.append(rows)


def _records_of(entries: Sequence[Entry], values: Values) -> Rows:
    return Rows.write("records", range(len(entries)), columns_of([entry.record for entry in entries], values))


_REST: Final[tuple[Make, ...]] = (heads_of, bodies_of, awaited_of, jobs_of)
"""What follows records and calls: no repeated text is in it."""


def _check_ids(entries: Sequence[Entry]) -> None:
    if len({entry.record.id for entry in entries}) < len(entries):
        raise StorageRejected("an id is in the batch twice")
    calls = [(call.record_id, call.position) for entry in entries if entry.tool_calls for call in ended_calls(entry)]
    if len(set(calls)) < len(calls):
        raise StorageRejected("a tool call is in the batch twice")


def _span(entries: Sequence[Entry]) -> Span:
    if not entries:
        return NO_SPAN
    started_us = [entry.record.started_at_us for entry in entries]
    ids_ms = [id_ms(entry.record.id) for entry in entries]
    return Span(min(started_us), max(started_us), min(ids_ms), max(ids_ms))


def _first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Choose the error of a batch: that no attempt can mend it says most."""
    rejected, _ = group.split(StorageRejected)
    chosen: BaseException = rejected or group
    while isinstance(chosen, BaseExceptionGroup):
        chosen = chosen.exceptions[0]
    return chosen
