"""Stores opened only to be read: what `storage.backends.open_storage` says about `is_read_only`."""

# ruff: noqa: ASYNC240 -- a test's loop has nothing else to do while it looks at files

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from storage.backends import open_storage
from storage.base import Storage
from storage.clickhouse import tables as clickhouse_tables
from storage.clickhouse.wire.link import Link
from storage.errors import SchemaTooOld, StorageError
from storage.postgres import schema as postgres_schema
from storage.query import Filter, RecordQuery, SummaryQuery
from storage.sqlite import schema as sqlite_schema
from tests.storage.samples import make_batch, make_record
from tests.support import clickhouse, postgres

STORES: Final = [
    *("sqlite", "postgres"),
    *(
        pytest.param(name, marks=pytest.mark.clickhouse)
        for name in ("clickhouse", "clickhouse-chdb")
    ),
]


@pytest.fixture(params=STORES)
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A durable store that was never used."""
    if request.param == "sqlite":
        return "sqlite:///records.db"
    if request.param == "postgres":
        return await postgres.database(tmp_path)
    return clickhouse.url("chdb" if request.param == "clickhouse-chdb" else "debian", tmp_path)


@pytest.fixture
async def reader(url: str, tmp_path: Path) -> AsyncIterator[Storage]:
    """A store of two records, closed by its writer and opened to be read."""
    async with await open_storage(url, tmp_path) as writer:
        await writer.commit(make_batch(make_record(path="/one"), make_record(path="/two")))
    async with await open_storage(url, tmp_path, is_read_only=True) as opened:
        yield opened


async def test_what_is_stored_can_be_read(reader: Storage) -> None:
    """Pages, single records and figures come as from any store."""
    page = await reader.read(RecordQuery(filter=Filter()))
    assert [record.path for record in page.records] == ["/two", "/one"]
    assert await reader.get(page.records[0].id) == page.records[0]
    assert (await reader.read(SummaryQuery(Filter()))).exchanges == 2


async def test_a_batch_is_refused_by_a_file(tmp_path: Path) -> None:
    """A SQLite file cannot be written through a store that was opened to be read."""
    async with await open_storage("sqlite:///records.db", tmp_path) as writer:
        await writer.commit(make_batch(make_record()))
    content = (tmp_path / "records.db").read_bytes()
    async with await open_storage("sqlite:///records.db", tmp_path, is_read_only=True) as reader:
        with pytest.raises(StorageError):
            await reader.commit(make_batch(make_record()))
        assert await reader.last_seq() == 1

    assert (tmp_path / "records.db").read_bytes() == content


async def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """There is nothing to read, and nothing is left behind."""
    for _ in range(2):
        with pytest.raises(StorageError):
            await open_storage("sqlite:///records.db", tmp_path, is_read_only=True)
    assert list(tmp_path.iterdir()) == []


async def test_a_batch_is_refused_by_a_server(reader: Storage, url: str, tmp_path: Path) -> None:
    """ClickHouse takes nothing through a store that was opened to be read, and it can be opened
    again.
    """
    if not url.startswith("clickhouse"):
        pytest.skip("Postgres says whether a transaction may write, one by one")
    with pytest.raises(StorageError):
        await reader.commit(make_batch(make_record()))
    async with await open_storage(url, tmp_path, is_read_only=True) as again:
        assert (await again.info()).rows == 2
        assert (await again.read(SummaryQuery(Filter()))).exchanges == 2


async def test_an_older_layout_is_named_and_left(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bringing a store up to date is a change: whoever only reads is told which layout it has."""
    async with await open_storage(url, tmp_path) as store:
        layout = (await store.info()).schema_version
    _have_one_more(url, monkeypatch)
    for _ in range(2):
        with pytest.raises(SchemaTooOld) as caught:
            await open_storage(url, tmp_path, is_read_only=True)
        assert (caught.value.layout, caught.value.newest) == (layout, layout + 1)


def _have_one_more(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the newest layout be one that a store does not have."""
    if url.startswith("clickhouse"):

        async def nothing(link: Link) -> None:
            pass

        monkeypatch.setattr(clickhouse_tables, "LAYOUT", clickhouse_tables.LAYOUT + 1)
        return

    schema = sqlite_schema if url.startswith("sqlite") else postgres_schema
    scripts = schema.migrations()
    monkeypatch.setattr(schema, "migrations", lambda: [*scripts, "SELECT 1;"])
