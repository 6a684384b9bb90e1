"""The collector's own records: counted by their position, and deferred while it is not known."""

import json
from pathlib import Path

from proxy.collector.internal_events import MAX_DEFERRED, InternalEvents
from proxy.enrich.records import RecordBuilder
from storage.ledger import SOURCE_INTERNAL
from storage.record import Position
from storage.writer.writer import Writer
from tests.support.memory_store import MemoryStorage
from tests.support.rings import INSTANCE, SETTINGS, rows


async def test_events_count_on_and_those_that_waited_come_first(tmp_path: Path) -> None:
    """Each is stored once with the position behind it; of too many that wait the newest are kept."""
    store = MemoryStorage()
    writer = Writer(store, instance=INSTANCE, quarantine_directory=tmp_path)
    events = InternalEvents(RecordBuilder(INSTANCE, SETTINGS), writer, {})
    events.defer()
    events.add_event("first", {})
    for number in range(MAX_DEFERRED):
        events.add_gap("corrupt", number, 5, 6)
    assert writer.waiting_records == 0
    events.restart({SOURCE_INTERNAL: Position(0, 7, 7, 7, {}, True)})
    events.add_gap("poison", 3)
    writer._is_closing = True
    await writer.run()
    stored = await rows(store)
    gaps = [json.loads(record.data or b"") for record in stored]
    assert gaps[0] == {"count": 0, "reason": "corrupt", "fromMs": 5, "toMs": 6}
    assert gaps[-1] | {"count": 3, "reason": "poison"} == gaps[-1]
    assert gaps[-1]["fromMs"] == gaps[-1]["toMs"] > 0
    assert {record.level for record in stored} == {"error"}
    count = 7 + MAX_DEFERRED + 1
    assert (await store.positions(INSTANCE))[SOURCE_INTERNAL] == Position(
        0, count, count, count, {}, True
    )
