"""Blocks of conversations, in the file."""

from pathlib import Path

from storage.relational.blocks.payloads import GROWN
from storage.sqlite.store import SqliteStorage
from tests.contract.test_storage_repeated_bodies import run


async def test_a_conversation_is_stored_once(tmp_path: Path) -> None:
    """One block for each, beside those of batches; after a restart new ones begin."""
    async with await SqliteStorage.open(tmp_path / "s.db") as store:
        await run(store, 30)
        first = await _grown(store)
    async with await SqliteStorage.open(tmp_path / "s.db") as store:
        await run(store, 3)
        assert (len(first), len(await _grown(store))) == (2, 4)


async def _grown(store: SqliteStorage) -> list[int]:
    return await store._writer.run(
        lambda connection: [row[0] for row in connection.execute("SELECT id FROM blocks WHERE kind = ?", (GROWN,))]
    )
