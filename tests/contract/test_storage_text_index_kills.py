"""The index of words when the process that makes it is killed: it goes on where its tables end, and
hides nothing.
"""

import asyncio
import random
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from storage.backends import open_storage
from storage.record import Entry
from tests.contract.test_storage_text_index import check_words, fill, index, small_index

__all__ = ["small_index"]

INDEXER: Final = """
import asyncio, sys
from pathlib import Path
from storage.backends import open_storage
from storage.relational.reads.text_index import build, merge
build.CELL_ROWS, build.LEAST_CELLS, merge.MAX_CELLS = 7, 4, 4
async def index():
    async with await open_storage("sqlite:///killed.db", Path(sys.argv[1])) as store:
        while True:
            print((await store.index_text()).is_done, flush=True)
asyncio.run(index())
"""
"""Indexes as `indexed` does, for ever, and tells of each step."""


def kill_indexer(directory: Path, steps: int) -> None:
    """Have a process index some steps, and kill it while it makes the next."""
    with subprocess.Popen(
        [sys.executable, "-c", INDEXER, str(directory)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        try:
            for _ in range(steps):
                assert process.stdout.readline() in {b"True\n", b"False\n"}
        finally:
            process.kill()


@pytest.mark.parametrize("kills", [4, pytest.param(40, marks=pytest.mark.long)])
async def test_kills_of_the_indexer_hide_nothing(tmp_path: Path, kills: int) -> None:
    """Wherever it is killed, everything is found before somebody goes on and after."""
    chosen = random.Random(kills)
    entries: dict[int, Entry] = {}
    for number in range(kills):
        first = len(entries) + 1
        async with await open_storage("sqlite:///killed.db", tmp_path) as store:
            entries |= await fill(store, first, first + 320 // kills - 1)
        await asyncio.to_thread(kill_indexer, tmp_path, chosen.randrange(1, 12))
        async with await open_storage("sqlite:///killed.db", tmp_path) as store:
            await check_words(store, entries)
            if number % 4 == 3:
                await index(store)
                await check_words(store, entries)
                assert (await store.text_index()).waiting < 7
