"""Erasure leaves nothing in the files."""

import os
import sqlite3
from pathlib import Path

import pytest

from storage.errors import StorageUnavailable
from storage.purge import Slice
from storage.query import Filter
from storage.record import Batch, Entry
from storage.relational.upkeep import erase
from storage.search.expression import Substring
from storage.sqlite import store as sqlite_store
from storage.sqlite.store import SqliteStorage
from storage.sqlite.upkeep import SqliteUpkeep
from tests.storage.samples import make_batch, make_body, make_payload, make_record
from tests.support.filters import make_filter


async def test_no_byte_of_the_erased_is_left(tmp_path: Path) -> None:
    """What only the erased record had is in no file any more; its neighbour in the block is."""
    noise = bytes((place * place * 31 + place * 7) % 256 for place in range(9000))
    secret = make_payload(1)
    other = make_payload(2)
    secret.response_body = make_body(b"THE-SECRET" + noise)
    gone = Entry(make_record(project="a", path="/the-secret-path"), secret)

    async with await SqliteStorage.open(tmp_path / "records.db") as store:
        await store.commit(Batch("sidecar-1", [gone, Entry(make_record(project="b"), other)]))
        assert "/the-secret-path" in files_in(tmp_path)
        await store.erase(make_filter(projects=("a",)))
        assert await store.payloads([1, 2]) == {2: other}
        assert "/the-secret-path" not in files_in(tmp_path)
        assert "THE-SECRET" not in files_in(tmp_path)


async def test_no_byte_of_a_block_that_grew_is_left(store: SqliteStorage, tmp_path: Path) -> None:
    """Nor what was in pages that it gave up while it grew, or that went with older bodies, at any
    time of a process.
    """
    conversation = bytes(16)
    bodies = [os.urandom(2600) for _ in range(5)]
    await store.commit(make_batch(make_record()))
    await store.erase(Filter())
    for number, body in enumerate(bodies):
        payload = make_payload(number)
        payload.request_body = make_body(body)
        await store.commit(
            Batch("sidecar-1", [Entry(make_record(conversation=conversation), payload)])
        )

    while not (await store.trim(1)).is_done:
        pass
    assert pieces_in(tmp_path, bodies[-1])
    await store.erase(Filter())
    assert [pieces_in(tmp_path, body) for body in bodies] == [0] * 5


async def test_a_search_in_bodies_looks_at_few_rows_at_a_time(
    store: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each slice is a transaction, and batches wait for its end."""
    slices: list[Slice] = []

    async def erase_slice(
        session: SqliteUpkeep, filter: Filter, from_seq: int, max_rows: int
    ) -> Slice:
        assert max_rows == erase.SLICE_ROWS
        slices.append(await erase.erase_slice(session, filter, from_seq, 10))
        return slices[-1]

    monkeypatch.setattr(sqlite_store, "erase_slice", erase_slice)

    await store.commit(
        Batch("sidecar-1", [Entry(make_record(), make_payload(place)) for place in range(35)])
    )
    await store.erase(Filter(where=Substring("nowhere to be found")))
    assert [each.next_seq for each in slices] == [11, 21, 31, None]
    slices.clear()
    await store.erase(make_filter(projects=("nobody's",)))
    assert len(slices) == 1


async def test_an_erasure_without_room_is_tried_with_fewer_rows(
    store: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reserve of a full disk has room for few. Where not even one fits, that is the error."""
    tried: list[int] = []

    async def erase_slice(
        session: SqliteUpkeep, filter: Filter, from_seq: int, max_rows: int
    ) -> Slice:
        tried.append(max_rows)
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    monkeypatch.setattr(sqlite_store, "erase_slice", erase_slice)
    with pytest.raises(StorageUnavailable, match="full"):
        await store.erase(Filter(kind="all"))
    assert tried == [erase.SLICE_ROWS, 10, 1]


def files_in(directory: Path) -> str:
    """Read all files of a directory, byte by byte as text."""
    return b"".join(file.read_bytes() for file in directory.iterdir() if file.is_file()).decode(
        "latin-1"
    )


def pieces_in(directory: Path, body: bytes) -> int:
    """Count the pieces of some bytes that are in the files of a directory."""
    files = files_in(directory)
    return sum(
        body[start : start + 48].decode("latin-1") in files
        for start in range(0, len(body) - 47, 48)
    )
