"""The cap on size takes rows out with a few statements, however many rows there are."""

import re
from pathlib import Path

from storage.query import Filter
from storage.record import Batch, Entry
from storage.sqlite.store import SqliteStorage
from tests.storage.samples import make_payload, make_record

_NUMBERS = re.compile(r"\bIN \([0-9]+, ")


async def test_slices_of_any_length_take_the_same_statements(tmp_path: Path) -> None:
    """Each text is kept prepared, so none has its numbers written into it."""
    texts: list[str] = []
    async with await SqliteStorage.open(tmp_path / "records.db", durability="fast") as store:
        for _ in range(8):
            await store.commit(Batch("sidecar-1", [Entry(make_record(), make_payload(seq)) for seq in range(100)]))
        await store._writer.run(lambda connection: connection.set_trace_callback(texts.append))
        rows = bodies = 0
        for most in (170, 90) * 4:
            trimmed = await store.trim(most)
            rows, bodies = rows + trimmed.rows, bodies + trimmed.bodies
        assert rows > 90 < bodies
        assert (await store.count(Filter())).exchanges == 800 - rows
    assert any("json_each" in text for text in texts)
    assert not [text for text in texts if _NUMBERS.search(text)]
