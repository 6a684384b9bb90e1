"""Making the index of words: some thousand rows at a time are read, and of enough a segment is made.

Strategy: behind the commits, by whichever sidecar finds rows that nobody has begun; to say so decides nothing, and
saves work. One does it alone while it can, and more where rows wait. Texts are read in chunks, whose size the server
tells before, and cut into cells; their signatures wait here, 32 MB at most, until they make a segment. So that few of
the newest rows have none, which searches have to look into, a segment may be small, and some small ones are made one
later. Of what this sidecar has stored itself there are cells already (`ready_cells`); where much is missing before them
their segment is made first.

Invariant: see `storage.clickhouse.upkeep.segments`. What was read before an erasure is not kept after it.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from storage.clickhouse.reads.session import ClickhouseSession
from storage.clickhouse.upkeep.grids import Grid, read_grids
from storage.clickhouse.upkeep.ready_cells import ReadyCells
from storage.clickhouse.upkeep.segments import (
    BEGUN_S,
    Noted,
    counting,
    delete_voided,
    joinable,
    keep_parts,
    note,
    read_noted,
    read_offsets,
    read_parts,
    read_voided,
)
from storage.clickhouse.upkeep.texts import read_sizes, read_texts
from storage.purge import TextStep
from storage.record import Entry
from storage.relational.reads.text_index.tables import row_ids
from storage.relational.search.holders import Cell
from storage.relational.slices import Range
from storage.search.index.segment import PARTS, joined, merged

CELL_BYTES: Final = 512 * 1024
"""Text of a cell, about; the server looks through it in a millisecond."""
CELL_ROWS: Final = 1024
SEGMENT_ROWS: Final = 4096
"""Fewer of the newest rows are looked into by searches, unless they have much text."""
MAX_CELLS: Final = 256
"""Of a segment."""
_SEGMENT_BYTES: Final = 16 << 20
_MOST_ROWS: Final = 65_536
"""Of a segment: others go on behind them."""
_MOST_BYTES: Final = 32 << 20
"""Of its signatures, where each word is another."""
_CHUNK_ROWS: Final = 4096
_CHUNK_BYTES: Final = 8 << 20
_STEP_ROWS: Final = 16
"""Cells begin at every so manieth row of a chunk."""
LOOK_S: Final = 60.0
"""How often it is looked whether there are rows for a segment, if this sidecar has not stored enough itself: of some
hundred sidecars one looks every second."""
_NOTE_AGAIN_S: Final = BEGUN_S / 4


@dataclass(slots=True)
class _Work:
    """A segment that is being made."""

    gap: Range
    made: int
    erasures: int
    noted_s: float
    cells: list[Cell] = field(default_factory=list)

    @property
    def next_seq(self) -> int:
        return self.cells[-1].rows.last + 1 if self.cells else self.gap.first

    @property
    def is_whole(self) -> bool:
        if len(self.cells) >= MAX_CELLS or self.next_seq > self.gap.last:
            return True
        return sum(len(cell.signature) for cell in self.cells) >= _MOST_BYTES

    def noted(self, what: str) -> Noted:
        newest_us = max((cell.newest_body_us for cell in self.cells), default=0)
        rows = Range(self.gap.first, self.next_seq - 1 if what == "done" else self.gap.last)
        return Noted(rows.first, rows.last, self.made, self.erasures, what, newest_us)


class Indexing:
    """Makes the segments of one store, one at a time."""

    def __init__(
        self,
        *,
        segment_rows: int = SEGMENT_ROWS,
        cell_rows: int = CELL_ROWS,
        look_s: float = LOOK_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._segment_rows = segment_rows
        self._cell_rows = cell_rows
        self._max_cells = MAX_CELLS
        self._look_s = look_s
        self._clock = clock
        self._next_look = 0.0
        self._stored_rows = 0
        """Rows that were stored here since the last look."""
        self._ready: ReadyCells | None = None
        """None before the first step: who makes no index keeps nothing."""
        self._work: _Work | None = None
        self._own: set[int] = set()
        """Numbers of segments that were noted here."""

    @property
    def is_due(self) -> bool:
        """Whether there is something to go on with, or to look for."""
        # Of the last rows there is no cell yet.
        enough = self._segment_rows + self._cell_rows
        return self._work is not None or self._stored_rows >= enough or self._clock() >= self._next_look

    def add_stored(self, entries: Sequence[Entry]) -> None:
        """Count what this sidecar has stored, and make cells of it by and by."""
        self._stored_rows += len(entries)
        if self._ready is not None:
            self._ready.offer(entries)

    def forget_stored(self) -> None:
        """Keep nothing of what is stored: no index is made for now."""
        self._ready = None

    def rest(self) -> None:
        """Look again in a while."""
        self._stored_rows = 0
        self._next_look = self._clock() + self._look_s

    async def prepare(self) -> bool:
        """Make cells of what was stored here, without the server; False when there is not enough of it."""
        self._ready = self._ready or ReadyCells()
        return await self._ready.make(CELL_BYTES, self._cell_rows)

    async def step(self, session: ClickhouseSession) -> TextStep:
        """Read some rows, or make a segment; see `storage.base.Storage.index_text`."""
        work = self._work
        if work is None:
            return await self._look(session)
        if session.upkeep.erasures != work.erasures:
            self._work = None
            return TextStep(0, is_done=False, is_lost=True)
        if work.is_whole:
            self._work = None
            return await self._finish(session, work)
        if self._clock() - work.noted_s > _NOTE_AGAIN_S:
            work.noted_s = self._clock()
            await note(session.link, work.noted("begun"))
        work.cells += await self._cells(session, work)
        return TextStep(0, is_done=False)

    async def _look(self, session: ClickhouseSession) -> TextStep:
        """Begin with something that is to be done and that nobody else has begun."""
        noted, grids = await read_noted(session.link), await read_grids(session.link)
        self._own &= {one.made for one in noted}
        others = [one for one in noted if one.made not in self._own and one.age_s < BEGUN_S]
        counted = counting(noted, grids, session.upkeep)
        # Who sees another erasure gives up.
        begun = [one for one in others if one.what == "begun" and one.erasures == session.upkeep.erasures]
        self._work = await self._begun(session, [*counted, *begun], grids)
        if self._work is None:
            if not others and await self._join(session, joinable(counted, self._max_cells)):
                return TextStep(0, is_done=False)
            self.rest()
        return TextStep(0, is_done=self._work is None)

    async def _begun(self, session: ClickhouseSession, taken: Sequence[Noted], grids: Sequence[Grid]) -> _Work | None:
        """Choose the first rows that have no segment and are in nobody's hands, when they are enough."""
        upkeep = session.upkeep
        known = [one.rows for one in taken]
        # An erasure that came to nothing has a number that no state has: its rows wait for the next one.
        known += [grid.rows for grid in grids if grid.what == "void" and grid.erasures > upkeep.erasures]
        gap, is_last = self._next_gap(await session.seq_ends(), known)
        gap = Range(gap.first, min(gap.last, gap.first + _MOST_ROWS - 1))
        if gap.is_empty or (is_last and not await self._is_enough(session, gap)):
            return None
        work = _Work(gap, self._number(), upkeep.erasures, self._clock())
        await note(session.link, work.noted("begun"))
        return work

    def _next_gap(self, whole: Range, known: Sequence[Range]) -> tuple[Range, bool]:
        """Find the rows that come next, and whether they go on to the newest."""
        gap, is_last = _first_gap(whole, known)
        if self._ready is None:
            return gap, is_last
        self._ready.drop(known)
        ready = self._ready.newest_rows
        if ready.size < self._segment_rows or ready.last > whole.last:
            return gap, is_last
        is_next = gap.first <= ready.first < gap.first + self._segment_rows and ready.last <= gap.last
        return Range(gap.first if is_next else ready.first, ready.last), is_last

    def _number(self) -> int:
        number = secrets.randbits(63)
        self._own.add(number)
        return number

    async def _join(self, session: ClickhouseSession, run: Sequence[Noted]) -> bool:
        """Make one segment of some that follow each other; False for none, and where a replica lacks parts of them."""
        if not run:
            return False
        link, made = session.link, [one.made for one in run]
        whole = Noted(
            run[0].first_seq, run[-1].last_seq, self._number(), min(one.erasures for one in run), "begun",
            max(one.newest_body_us for one in run),
        )  # fmt: skip
        await note(link, whole)
        offsets, parts = await read_offsets(link, made), await read_parts(link, made)
        if len(offsets) < len(run) or len(parts) < len(run) * PARTS:
            return False
        counts = [len(offsets[number]) for number in made]

        def join() -> list[bytes]:
            return [joined([parts[number, part] for number in made], counts) for part in range(PARTS)]

        together = await asyncio.to_thread(join)
        starts = [one.first_seq - whole.first_seq + offset for one in run for offset in offsets[one.made]]
        return await self._keep(session, whole, together, starts)

    async def _keep(
        self, session: ClickhouseSession, noted: Noted, parts: Sequence[bytes], offsets: Sequence[int]
    ) -> bool:
        """Insert a segment and let it count; False when an erasure was quicker, and all of it goes again."""
        await keep_parts(session.link, noted, parts)
        await note(session.link, noted._replace(what="done", size_bytes=sum(map(len, parts))), offsets)
        if noted.made in await read_voided(session.link):
            await delete_voided(session.link)
            return False
        return True

    async def _is_enough(self, session: ClickhouseSession, gap: Range) -> bool:
        """Whether rows that others may follow make a segment already."""
        if gap.size >= self._segment_rows:
            return True
        return (
            gap.size * 8 >= self._segment_rows
            and sum((await read_sizes(session, gap, _STEP_ROWS)).values()) >= _SEGMENT_BYTES
        )

    async def _finish(self, session: ClickhouseSession, work: _Work) -> TextStep:
        signatures = [cell.signature for cell in work.cells]
        parts = await asyncio.to_thread(lambda: list(merged(signatures)))
        noted = work.noted("done")
        offsets = [cell.rows.first - noted.first_seq for cell in work.cells]
        is_kept = await self._keep(session, noted, parts, offsets)
        return TextStep(noted.rows.size if is_kept else 0, is_done=False, is_lost=not is_kept)

    async def _cells(self, session: ClickhouseSession, work: _Work) -> list[Cell]:
        """Make the next cells, at least one."""
        first = work.next_seq
        chunk = Range(first, min(first + _CHUNK_ROWS - 1, work.gap.last))
        if ready := await self._ready_cells(session, chunk):
            return ready[: MAX_CELLS - len(work.cells)]
        if self._ready is not None and (next_ready := self._ready.first_within(chunk)) is not None:
            chunk = Range(first, next_ready - 1)
        ranges = self._cut(chunk, await read_sizes(session, chunk, _STEP_ROWS))[: MAX_CELLS - len(work.cells)]
        texts = await read_texts(session, Range(first, ranges[-1].last))
        return await asyncio.to_thread(lambda: [texts.cell(rows) for rows in ranges])

    async def _ready_cells(self, session: ClickhouseSession, chunk: Range) -> list[Cell]:
        """List cells of the first rows of a chunk that were made when these were stored, if they are those still."""
        ready = () if self._ready is None else self._ready.within(chunk)
        if self._ready is None or not ready:
            return []
        rows = Range(ready[0].rows.first, ready[-1].rows.last)
        if b"".join(await row_ids(session, rows)) == b"".join([each.ids for each in ready]):
            return [each.cell for each in ready]
        self._ready.drop([rows])
        return []

    def _cut(self, chunk: Range, sizes: dict[int, int]) -> list[Range]:
        """Cut the first rows of a chunk, as many as may be read at once, into cells of about the size they should have.

        Args:
            chunk: Of which rows.
            sizes: Bytes of text of each `_STEP_ROWS` of it.
        """
        cells: list[Range] = []
        first, size_bytes, read_bytes = chunk.first, 0, 0
        for step, start in enumerate(range(chunk.first, chunk.last + 1, _STEP_ROWS)):
            size = sizes.get(step, 0)
            if start > first and (size_bytes + size > CELL_BYTES or start - first + _STEP_ROWS > self._cell_rows):
                cells.append(Range(first, start - 1))
                first, size_bytes = start, 0
                if read_bytes + size > _CHUNK_BYTES:
                    return cells
            size_bytes, read_bytes = size_bytes + size, read_bytes + size
        return [*cells, Range(first, chunk.last)]


def _first_gap(whole: Range, known: Sequence[Range]) -> tuple[Range, bool]:
    """Find the first rows that nothing covers, and whether they go on to the newest."""
    first = whole.first
    for rows in sorted(known, key=lambda rows: rows.first):
        if rows.first > min(first, whole.last):
            return Range(first, min(rows.first - 1, whole.last)), rows.first > whole.last
        first = max(first, rows.last + 1)
    return Range(first, whole.last), True
