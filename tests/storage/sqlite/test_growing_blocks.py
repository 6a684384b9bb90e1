"""Blocks of conversations, in the file."""

from storage.purge import KEPT_ROWS
from storage.query import Filter
from storage.record import Batch, Entry
from storage.relational.blocks.payloads import GROWN
from storage.sqlite.store import SqliteStorage
from tests.contract.test_storage_repeated_bodies import bodies, entry, history
from tests.storage.samples import make_payload, make_record


async def test_a_conversation_whose_newest_call_was_erased_goes_with_its_last_row(
    store: SqliteStorage,
) -> None:
    """The cap on size takes its block with the newest call that is left."""
    for turn in range(4):
        await store.commit(Batch("sidecar-1", [entry(turn)]))
    others = [Entry(make_record(), make_payload(number)) for number in range(KEPT_ROWS + 10)]
    await store.commit(Batch("sidecar-1", others))
    await store.erase(Filter(seq_after=3, seq_until=4))
    assert await bodies(store, 2, 3) == [history(1), history(2)]
    assert len(await _grown(store)) == 1
    while not (await store.trim(3)).is_done:
        pass
    assert await _grown(store) == []


async def _grown(store: SqliteStorage) -> list[int]:
    return await store._writer.run(
        lambda connection: [
            row[0] for row in connection.execute("SELECT id FROM blocks WHERE kind = ?", (GROWN,))
        ]
    )
