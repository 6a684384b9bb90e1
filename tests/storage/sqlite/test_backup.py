"""Copies of a database."""

import asyncio
from pathlib import Path

import pytest

from storage.errors import StorageDamaged
from storage.query import CountQuery, Filter
from storage.record import Batch, Entry
from storage.sqlite.backup import back_up
from storage.sqlite.store import SqliteStorage
from tests.storage.samples import make_payload, make_record


async def test_a_copy_made_beside_commits_is_of_one_moment(tmp_path: Path) -> None:
    """Writers go on meanwhile; each batch is there as a whole or not at all."""
    stop = asyncio.Event()
    async with await SqliteStorage.open(tmp_path / "sidelog.db") as store:

        async def write() -> None:
            for _ in range(5):
                await store.commit(
                    Batch("a", [Entry(make_record(), make_payload(1)) for _ in range(100)])
                )

            written.set()
            while not stop.is_set():
                await store.commit(
                    Batch("a", [Entry(make_record(), make_payload(1)) for _ in range(100)])
                )

        written = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(write(), name="write")
            await written.wait()
            for number in range(3):
                await asyncio.to_thread(
                    back_up, tmp_path / "sidelog.db", tmp_path / f"copy-{number}.db"
                )

            stop.set()

        newest = (await store.info()).rows

    rows = []
    for number in range(3):
        async with await SqliteStorage.open(
            tmp_path / f"copy-{number}.db", is_read_only=True
        ) as copy:
            rows.append((await copy.info()).rows)

    assert rows == sorted(rows)
    assert 500 <= rows[0] <= rows[-1] <= newest
    assert all(count % 100 == 0 for count in rows)


def test_a_copy_is_one_file_that_readers_leave_alone(tmp_path: Path) -> None:
    """Also with rows that the figures of the original lack, which the copy counts."""

    async def rows_of(path: Path, commits: int) -> int:
        async with await SqliteStorage.open(path, is_read_only=not commits) as store:
            for _ in range(commits):
                await store.commit(Batch("a", [Entry(make_record(), make_payload(1))]))
                await asyncio.to_thread(back_up, path, tmp_path / "copy.db")
            return (await store.read(CountQuery(Filter()))).exchanges

    assert asyncio.run(rows_of(tmp_path / "sidelog.db", 1)) == 1
    copied = (tmp_path / "copy.db").read_bytes()
    assert asyncio.run(rows_of(tmp_path / "copy.db", 0)) == 1
    assert (tmp_path / "copy.db").read_bytes() == copied
    assert sorted(path.name for path in tmp_path.glob("copy*")) == ["copy.db"]


def test_nothing_is_left_of_a_copy_that_fails(tmp_path: Path) -> None:
    """The error says why."""
    source = tmp_path / "damaged.db"
    source.write_bytes(b"no database" * 1000)

    with pytest.raises(StorageDamaged, match="not a database"):
        back_up(source, tmp_path / "copy.db")

    assert [path.name for path in tmp_path.iterdir()] == ["damaged.db"]
