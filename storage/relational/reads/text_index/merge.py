"""Joins cells to a segment, in short transactions.

Strategy: the parts of a segment are written some at a time, and no search reads them before the
segment itself, which is written last and replaces its cells. Parts that a killed process left are
overwritten. A search opens a part of each segment, however little it holds, so a segment has more
cells where records repeat their words and cells have few hashes. Cells that are in no segment yet
are read whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from storage.relational.reads.text_index.cells import Segment
from storage.relational.reads.text_index.tables import (
    add_parts,
    add_segment,
    covered,
    lock_erasures,
    read_cells,
)
from storage.relational.session import Session
from storage.relational.slices import Range
from storage.search.index.segment import MAX_CELLS

LEAST_CELLS: Final = 256
"""Fewest cells of a segment, unless a segment behind them keeps others from following."""
_ENOUGH_BYTES: Final = 3 << 19
"""Of signatures, of more cells than that: as many rows then as of prose, some 50 000, which an
erasure drops.
"""


@dataclass(frozen=True, slots=True)
class Run:
    """Cells that follow each other, and of which state of the store they are."""

    cells: tuple[Range, ...]
    newest_body_us: int
    erasures: int

    @property
    def whole(self) -> Range:
        return Range(self.cells[0].first, self.cells[-1].last)


async def mergeable(session: Session) -> Run | None:
    """Find cells enough for a segment, or fewer that no others can follow: a segment is behind
    them.
    """
    sql = (
        "SELECT first_seq, last_seq, newest_body_us, length(signature) "
        f"FROM {session.dialect.schema}text_cells ORDER BY first_seq"
    )
    run: list[tuple[Range, int]] = []
    size_bytes = 0

    for first, last, newest_us, length in await session.fetch(sql):
        if run and first != run[-1][0].last + 1:
            if len(run) > 1 and await _begins_segment(session, run[-1][0].last + 1):
                break
            run = []
            size_bytes = 0

        run.append((Range(first, last), newest_us))
        size_bytes += length
        if len(run) >= MAX_CELLS or (len(run) >= LEAST_CELLS and size_bytes >= _ENOUGH_BYTES):
            break
    else:
        if len(run) < 2 or not await _begins_segment(session, run[-1][0].last + 1):
            return None

    cells = tuple(rows for rows, _ in run)
    return Run(cells, max(newest_us for _, newest_us in run), (await session.state()).erasures)


async def read_run(session: Session, run: Run) -> list[bytes]:
    """Read the signatures of the cells of a run."""
    return [cell.signature for cell in await read_cells(session, run.whole)]


async def keep_parts(session: Session, run: Run, parts: Sequence[tuple[int, bytes]]) -> bool:
    """Write some parts of the segment of a run; False when that is no longer what the store has."""
    if not await _is_there(session, run):
        return False
    await add_parts(session, run.whole.first, parts)
    return True


async def keep_segment(session: Session, run: Run, size_bytes: int) -> None:
    """Put the segment, whose parts are written, in the place of its cells, if these are still what
    the store has.
    """
    if await _is_there(session, run):
        offsets = [rows.first - run.whole.first for rows in run.cells]
        await add_segment(session, Segment.of(run.whole, offsets), run.newest_body_us, size_bytes)


async def _is_there(session: Session, run: Run) -> bool:
    if await lock_erasures(session) != run.erasures:
        return False
    return await covered(session, run.whole) == list(run.cells)


async def _begins_segment(session: Session, seq: int) -> bool:
    dialect = session.dialect
    sql = f"SELECT 1 FROM {dialect.schema}text_segments WHERE first_seq = {dialect.placeholder(1)}"
    return bool(await session.fetch(sql, (seq,)))
