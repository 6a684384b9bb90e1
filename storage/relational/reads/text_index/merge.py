"""Merges consecutive cells into a segment, in short transactions.

Strategy: the parts of a segment are written some at a time. The segment itself is written last and
replaces its cells; until then no search reads its parts. Parts that a killed process left are
overwritten. A search reads parts of every segment, however little they hold, so a segment has more
cells where these have few hashes.
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
"""Fewest cells of a segment, unless another segment follows them."""
_ENOUGH_BYTES: Final = 3 << 19
"""Signatures of a segment that needs no further cells. It then covers some 50 000 rows, as one of
prose does with the fewest cells: that many rows an erasure drops from the index.
"""


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive cells that are to become a segment."""

    cells: tuple[Range, ...]
    newest_body_us: int
    erasures: int
    """The store's count of erasures when they were read."""

    @property
    def whole(self) -> Range:
        return Range(self.cells[0].first, self.cells[-1].last)


async def mergeable(session: Session) -> Run | None:
    """Find the cells of the next segment: enough of them, or two and more before a segment."""
    sql = (
        "SELECT first_seq, last_seq, newest_body_us, length(signature) "
        f"FROM {session.dialect.schema}text_cells ORDER BY first_seq"
    )
    cells: list[Range] = []
    newest_body_us = 0
    size_bytes = 0

    for first, last, newest_us, length in await session.fetch(sql):
        if cells and first != cells[-1].last + 1:
            if await _is_before_segment(session, cells):
                break
            cells = []
            newest_body_us = 0
            size_bytes = 0

        cells.append(Range(first, last))
        newest_body_us = max(newest_body_us, newest_us)
        size_bytes += length
        is_enough = len(cells) >= LEAST_CELLS and size_bytes >= _ENOUGH_BYTES
        if is_enough or len(cells) >= MAX_CELLS:
            break
    else:
        if not await _is_before_segment(session, cells):
            return None

    return Run(tuple(cells), newest_body_us, (await session.state()).erasures)


async def _is_before_segment(session: Session, cells: Sequence[Range]) -> bool:
    """Return True if there are at least two cells and a segment follows them."""
    if len(cells) < 2:
        return False
    dialect = session.dialect
    sql = f"SELECT 1 FROM {dialect.schema}text_segments WHERE first_seq = {dialect.placeholder(1)}"
    return bool(await session.fetch(sql, (cells[-1].last + 1,)))


async def read_run(session: Session, run: Run) -> list[bytes]:
    """Read the signatures of the cells of a run."""
    return [cell.signature for cell in await read_cells(session, run.whole)]


async def keep_parts(session: Session, run: Run, parts: Sequence[tuple[int, bytes]]) -> bool:
    """Write parts of the segment that replaces a run's cells; return False if the store no longer
    has the cells.
    """
    if not await _is_unchanged(session, run):
        return False
    await add_parts(session, run.whole.first, parts)
    return True


async def keep_segment(session: Session, run: Run, size_bytes: int) -> None:
    """Replace a run's cells by their segment after `keep_parts`, if the store still has the cells."""
    if await _is_unchanged(session, run):
        offsets = [rows.first - run.whole.first for rows in run.cells]
        await add_segment(session, Segment.of(run.whole, offsets), run.newest_body_us, size_bytes)


async def _is_unchanged(session: Session, run: Run) -> bool:
    """Return True if the store still has the cells of the run, and no erasure ran since they were
    read.
    """
    if await lock_erasures(session) != run.erasures:
        return False
    return await covered(session, run.whole) == list(run.cells)
