"""A file whose end was torn or flipped: the store opens, what was whole before is there, and
writing goes on.
"""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from storage.backends import open_storage
from storage.base import Storage
from storage.errors import StorageDamaged, StorageUnavailable
from storage.query import CountQuery, Filter, RecordQuery
from storage.record import Batch, Entry, Position
from storage.sqlite.store import SqliteStorage
from tests.contract.test_storage_keys import make_key
from tests.storage.samples import make_batch, make_payload, make_record

RING = b"r" * 16
BATCHES = 12
PAGE_BYTES = 8192
FRAME_BYTES = PAGE_BYTES + 24
ALL = Filter(kind="all")


def keep(path: Path, length: int) -> None:
    """Cut a file behind so many bytes."""
    path.write_bytes(path.read_bytes()[:length])


def cut(path: Path, size_bytes: int) -> None:
    """Cut so many bytes off a file's end."""
    keep(path, path.stat().st_size - size_bytes)


def flip(path: Path, place: int) -> None:
    """Flip the bits of one byte."""
    raw = bytearray(path.read_bytes())
    raw[place] ^= 0xFF
    path.write_bytes(raw)


def tear(path: Path, page: int) -> None:
    """Zero the second half of a page."""
    raw = bytearray(path.read_bytes())
    start = page % (len(raw) // PAGE_BYTES) * PAGE_BYTES + PAGE_BYTES // 2
    raw[start : start + PAGE_BYTES // 2] = bytes(PAGE_BYTES // 2)
    path.write_bytes(raw)


async def killed(path: Path) -> tuple[Path, list[bytes]]:
    """Make a file as a kill leaves it, its newest batches in the journal; answers a copy, and the
    ids in it.
    """
    store = await SqliteStorage.open(path / "live.db")
    ids = []
    for number in range(1, BATCHES + 1):
        entry = Entry(make_record(), make_payload())
        await store.commit(Batch("sidecar-1", [entry], {RING: Position(number, number, number)}))
        ids.append(entry.record.id)

    copy = path / "copy.db"
    for suffix in ("", "-wal"):
        shutil.copy(path / f"live.db{suffix}", f"{copy}{suffix}")
    await store.close()
    return copy, ids


async def opened_and_used(path: Path, ids: list[bytes]) -> int:
    """Open a damaged file: positions and rows agree, and one more can be stored; answers how many
    were left.
    """
    async with await SqliteStorage.open(path) as store:
        page = await store.read(RecordQuery(filter=ALL, order="asc", limit=100))
        left = len(page.records)
        assert [record.id for record in page.records] == ids[:left]
        position = (await store.positions("sidecar-1")).get(RING, Position())
        assert (position.taken, await store.last_seq()) == (left, left)
        entry = Entry(make_record(), make_payload())
        await store.commit(
            Batch("sidecar-1", [entry], {RING: Position(left + 1, left + 1, left + 1)})
        )
        assert entry.record.seq == left + 1

    return left


@pytest.mark.parametrize("cut_bytes", [1, FRAME_BYTES - 1, FRAME_BYTES, 3 * FRAME_BYTES + 100])
async def test_a_journal_that_was_cut_costs_its_last_batches(
    tmp_path: Path, cut_bytes: int
) -> None:
    """Whole batches from the end, never one from the middle, and never half a batch."""
    path, ids = await killed(tmp_path)
    cut(Path(f"{path}-wal"), cut_bytes)
    assert 0 < await opened_and_used(path, ids) < BATCHES


@pytest.mark.parametrize("frames_from_end", [1, 4, 12])
async def test_a_journal_with_a_flipped_byte_ends_before_it(
    tmp_path: Path, frames_from_end: int
) -> None:
    """Its checksums tell: what is behind the damage is not read, what is before it is whole."""
    path, ids = await killed(tmp_path)
    flip(Path(f"{path}-wal"), -frames_from_end * FRAME_BYTES + 1000)
    assert await opened_and_used(path, ids) < BATCHES


@pytest.mark.parametrize("length", [0, 20, 32])
async def test_a_journal_without_frames_is_no_journal(tmp_path: Path, length: int) -> None:
    """An empty one, half a head, or only a head: the file alone counts."""
    path, ids = await killed(tmp_path)
    keep(Path(f"{path}-wal"), length)
    async with await SqliteStorage.open(path) as store:
        page = await store.read(RecordQuery(filter=ALL, order="asc", limit=100))
        assert [record.id for record in page.records] == ids[: len(page.records)]
        await store.commit(make_batch(make_record()))


@pytest.mark.parametrize("page", [-1, -2, 1, 0])
async def test_a_torn_page_of_the_file_itself_is_an_outage(tmp_path: Path, page: int) -> None:
    """Reads that meet it say that the store cannot be used; nothing else is raised, and a sidecar
    spools meanwhile.
    """
    path = tmp_path / "sidelog.db"
    async with await SqliteStorage.open(path) as store:
        for _ in range(BATCHES):
            await store.commit(Batch("sidecar-1", [Entry(make_record(), make_payload())]))
    tear(path, page)
    is_told = False

    records = []
    try:
        async with await SqliteStorage.open(path) as store:
            records = (await store.read(RecordQuery(filter=ALL, order="asc", limit=100))).records
            await store.payloads([record.seq for record in records])
            await store.commit(Batch("sidecar-1", [Entry(make_record(), make_payload())]))
    except StorageUnavailable:
        is_told = True

    assert is_told or len(records) == BATCHES


async def kept_file(directory: Path) -> Path:
    """Make a store with a record, a position and a key, all of it in its file."""
    async with await open_storage("sqlite:///records.db", directory) as store:
        await store.commit(
            Batch("sidecar-1", [Entry(make_record(), make_payload())], {RING: Position(1, 1, 1)})
        )
        await store.create_key(make_key("key"))
    return directory / "records.db"


async def opened_anyway(directory: Path) -> tuple[list[str], Storage]:
    """Open a store as a collector does; returns what was set aside."""
    places: list[str] = []
    store = await open_storage(
        "sqlite:///records.db", directory, on_set_aside=lambda place, reason: places.append(place)
    )
    return places, store


def read(path: Path) -> bytes:
    """Read a file."""
    return path.read_bytes()


def names(directory: Path) -> list[str]:
    """List a directory."""
    return sorted(path.name for path in directory.iterdir())


def schema_places(path: Path) -> list[int]:
    """Find where the file has the text of its schema."""
    with closing(sqlite3.connect(path)) as connection:
        texts = [
            text.encode()
            for (text,) in connection.execute("SELECT sql FROM sqlite_master WHERE sql <> ''")
        ]

    raw = path.read_bytes()
    return [
        place
        for text in texts
        if (start := raw.find(text)) >= 0
        for place in range(start, start + len(text))
    ]


@pytest.mark.parametrize("part", range(8))
async def test_a_flip_in_the_schema_sets_the_file_aside(tmp_path: Path, part: int) -> None:
    """Wherever it is: a new store opens and has the keys and positions, and the damaged file keeps
    its bytes.
    """
    path = await kept_file(tmp_path)
    whole = path.read_bytes()

    places = schema_places(path)
    for number, place in enumerate(places[part * 131 :: len(places) // 5]):
        path.unlink()
        raw = bytearray(whole)
        raw[place] ^= 1 << number % 7
        path.write_bytes(raw)

        aside, store = await opened_anyway(tmp_path)
        async with store:
            assert len(aside) == 1, f"byte {place}"
            assert read(Path(aside[0]))[place] == raw[place]
            assert (await store.read(CountQuery(ALL))).exchanges == 0
            entry = Entry(make_record(), make_payload())
            await store.commit(Batch("sidecar-1", [entry], {RING: Position(2, 2, 2)}))
            assert entry.record.seq >= 1


async def test_what_can_be_saved_goes_on_in_the_new_file(tmp_path: Path) -> None:
    """With one word of one index flipped, everything small is still there."""
    path = await kept_file(tmp_path)
    flip(path, path.read_bytes().index(b"CREATE INDEX records_project "))

    aside, store = await opened_anyway(tmp_path)
    async with store:
        assert len(aside) == 1
        assert await store.positions("sidecar-1") == {RING: Position(1, 1, 1)}
        assert [key.id for key in await store.keys()] == ["key"]
        assert await store.last_seq() == 1


@pytest.mark.parametrize("place", [0, 18, 24, 56, 100, 105, 5000])
async def test_a_flip_in_the_first_page_never_ends_the_start(tmp_path: Path, place: int) -> None:
    """The store opens as it was, or another in its place."""
    path = await kept_file(tmp_path)
    flip(path, place)
    _, store = await opened_anyway(tmp_path)
    async with store:
        await store.commit(Batch("sidecar-1", [Entry(make_record())], {RING: Position(2, 2, 2)}))
        assert (await store.positions("sidecar-1"))[RING] == Position(2, 2, 2)


async def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """It is not renamed: its name may be a mistake in our settings."""
    path = tmp_path / "records.db"
    path.write_bytes(b"precious" * 1000)
    with pytest.raises(StorageDamaged):
        await opened_anyway(tmp_path)
    assert path.read_bytes() == b"precious" * 1000
    assert names(tmp_path) == ["records.db"]


async def test_reading_only_sets_nothing_aside(tmp_path: Path) -> None:
    """The command line reads, and leaves it to a running sidelog."""
    path = await kept_file(tmp_path)
    flip(path, path.read_bytes().index(b"CREATE TABLE records"))
    with pytest.raises(StorageUnavailable):
        await open_storage("sqlite:///records.db", tmp_path, is_read_only=True)
    assert not any(".damaged-" in name for name in names(tmp_path))
