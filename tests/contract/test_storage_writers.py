"""Who writes and who dies: concurrent writers, cancelled commits and crashes, over every backend."""

import asyncio
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

from storage.base import Storage
from storage.record import Batch, Entry, Position, Record
from tests.contract.backends import BACKENDS, Backend
from tests.contract.listing import assert_untouched, listed
from tests.storage.samples import (
    SOURCE,
    make_batch,
    make_full_record,
    make_payload,
    make_record,
)

durable = pytest.mark.parametrize(
    "backend",
    [backend for backend in BACKENDS if backend.is_durable],
    ids=lambda backend: backend.name,
)
"""For tests that open a store again: without those that are gone with their process."""


async def test_a_cancelled_commit_happened_or_did_not(store: Storage) -> None:
    """After a cancellation the positions tell what became of the batch, and rows, counts and seq
    agree with them.
    """
    expected = 0
    for delay_s in (0, 0, 0.0005, 0.002, 0.01):
        records = [make_record() for _ in range(300)]
        try:
            async with asyncio.timeout(delay_s):
                await store.commit(make_batch(*records, offset=expected + 300))
        except TimeoutError:
            pass

        position = (await store.positions("sidecar-1")).get(SOURCE, Position())
        assert position.offset in (expected, expected + 300)
        expected = position.offset
        await assert_untouched(store, expected)

    last = make_record()
    assert await store.commit(make_batch(last)) == last.seq
    await assert_untouched(store, expected + 1)


async def write(store: Storage, instance: str, batches: int) -> list[list[Record]]:
    """Commit batches one after the other; answers their records."""
    written = []
    for number in range(1, batches + 1):
        records = [
            make_record(instance=instance, host=f"{instance}-{number}", project="shared")
            for _ in range(7)
        ]
        position = Position(offset=7 * number, taken=7 * number, stored=7 * number)
        await store.commit(
            Batch(instance, [Entry(record) for record in records], {SOURCE: position})
        )
        written.append(records)

    return written


async def check_written(store: Storage, written: dict[str, list[list[Record]]]) -> None:
    """Check that all batches of all writers are there: whole, each writer's in their order; dense,
    not intermingled.
    """
    total = sum(len(records) for batches in written.values() for records in batches)
    await assert_untouched(store, total)
    found = {record.id: record for record in await listed(store)}

    for instance, batches in written.items():
        numbers = [[found[record.id].seq for record in records] for records in batches]
        assert [*chain(*numbers)] == sorted(chain(*numbers))
        assert store.has_late_prefix or all(seqs[-1] - seqs[0] == len(seqs) - 1 for seqs in numbers)
        assert (await store.positions(instance))[SOURCE].stored == 7 * len(batches)
        assert all(found[record.id] == record for records in batches for record in records)


async def test_concurrent_writers_of_one_store(store: Storage) -> None:
    """Batches handed in at the same time are stored one after the other, each whole, none lost and
    none double.
    """
    async with asyncio.TaskGroup() as tasks:
        writers = {
            name: tasks.create_task(write(store, name, 6), name=name)
            for name in ("a", "b", "c", "d")
        }
    await check_written(store, {name: writer.result() for name, writer in writers.items()})


@durable
async def test_concurrent_writers_that_opened_the_same_store(
    backend: Backend, tmp_path: Path
) -> None:
    """Stores that several processes opened at the same place share numbers, repeated text and
    counts.
    """
    async with (
        await backend.open(tmp_path) as first,
        await backend.open(tmp_path) as second,
        await backend.open(tmp_path) as third,
    ):
        stores = {"a": first, "b": second, "c": third}
        async with asyncio.TaskGroup() as tasks:
            writers = {
                name: tasks.create_task(write(store, name, 6), name=name)
                for name, store in stores.items()
            }

        written = {name: writer.result() for name, writer in writers.items()}
        for store in stores.values():
            await check_written(store, written)


CRASH = """
import asyncio, os, sys
from pathlib import Path
from storage.clickhouse.wire import link
from storage.postgres import connection
from tests.contract.backends import BACKENDS
from tests.storage.samples import make_batch, make_record

connection.CONNECT_S = link.CONNECT_S = 60.0

async def crash() -> None:
    backend = next(backend for backend in BACKENDS if backend.name == sys.argv[1])
    store = await backend.open(Path(sys.argv[2]))
    await store.commit(make_batch(*[make_record() for _ in range(50)], offset=50))
    os._exit(9)

asyncio.run(crash())
"""


@durable
async def test_a_crash_after_a_commit_keeps_it(backend: Backend, tmp_path: Path) -> None:
    """A process that dies between commit and acknowledgement left the whole batch, and its position
    says so.
    """
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", CRASH, backend.name, str(tmp_path)],
        check=False,
        cwd=Path.cwd(),
    )
    assert done.returncode == 9
    async with await backend.open(tmp_path) as store:
        assert (await store.positions("sidecar-1"))[SOURCE].offset == 50
        await assert_untouched(store, 50)


@durable
async def test_what_is_stored_is_there_after_opening_again(
    backend: Backend, tmp_path: Path
) -> None:
    """Rows, payloads and positions outlive the store that wrote them, and seq goes on."""
    first = make_full_record()
    second = make_full_record()
    async with await backend.open(tmp_path) as store:
        await store.commit(
            Batch("sidecar-1", [Entry(first, make_payload(1))], {SOURCE: Position(offset=7)})
        )

    async with await backend.open(tmp_path) as store:
        assert (
            await store.commit(Batch("sidecar-1", [Entry(second, make_payload(2))]))
            == second.seq
            > first.seq
        )
        assert await listed(store) == [first, second]
        found = await store.payloads([first.seq, second.seq])
        assert found == {first.seq: make_payload(1), second.seq: make_payload(2)}
        assert await store.positions("sidecar-1") == {SOURCE: Position(offset=7)}
