"""The cells of a batch are made in a thread, for which the batch waits a limited time."""

import asyncio
import logging
import threading
from collections.abc import Iterator

import pytest

from storage.relational.reads.text_index.cells import Cell
from storage.relational.reads.text_index.making import CellMaking
from storage.relational.slices import Range

CELLS = [Cell(Range(first, first + 6), b"", 0) for first in range(0, 35, 7)]


class Slow:
    """Cells of which the third is ready when `go_on` is set."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.begun = 0
        self.is_begun = asyncio.Event()

    def cells(self, loop: asyncio.AbstractEventLoop) -> Iterator[Cell]:
        """Yield them."""
        self.begun += 1
        yield from CELLS[:2]
        loop.call_soon_threadsafe(self.is_begun.set)
        assert self.go_on.wait(60)
        yield from CELLS[2:]


async def test_all_cells_are_made_where_there_is_time() -> None:
    """They come in order, each time."""
    making = CellMaking(60.0)
    for _ in range(2):
        assert await making.make(iter(CELLS)) == CELLS
    assert await making.make(iter(())) == []


async def test_cells_that_are_ready_in_time_are_taken(caplog: pytest.LogCaptureFixture) -> None:
    """The thread ends after its current cell. Until then no other begins; one warning says so."""
    making = CellMaking(0.1)
    slow = Slow()
    loop = asyncio.get_running_loop()
    with caplog.at_level(logging.WARNING):
        assert await making.make(slow.cells(loop)) in ([], CELLS[:1], CELLS[:2])
        assert await making.make(slow.cells(loop)) == []
    assert slow.begun == 1
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "the index of words takes longer than a batch waits for it"
    ]
    slow.go_on.set()
    assert making._running is not None
    await making._running
    assert await making.make(iter(CELLS)) == CELLS


async def test_a_cancelled_batch_stops_the_thread() -> None:
    """The thread does not make the cells behind its current one."""
    making = CellMaking(60.0)
    slow = Slow()
    loop = asyncio.get_running_loop()
    drawn: list[Cell] = []

    def cells() -> Iterator[Cell]:
        for cell in slow.cells(loop):
            drawn.append(cell)
            yield cell

    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(making.make(cells()), name="waiting")
        await slow.is_begun.wait()
        waiting.cancel()

    slow.go_on.set()
    assert making._running is not None
    await making._running
    assert drawn == CELLS[:3]


async def test_an_error_in_making_cells_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Cells made before it are taken, and the log has the traceback."""

    def failing() -> Iterator[Cell]:
        yield CELLS[0]
        raise ValueError("a bug for the test")

    assert await CellMaking(60.0).make(failing()) == CELLS[:1]
    assert "a bug for the test" in caplog.text
