"""The export of a store into which others write, too: it follows the end of the log, which is late."""

from proxy.otel.exporter import SETTLED_S
from tests.proxy.otel.test_exporter import NOW_S, World
from tests.storage.samples import make_record
from tests.support.memory_store import MemoryStorage


class LateStorage(MemoryStorage):
    """A store whose newest record may still get neighbours."""

    has_late_prefix = True
    end_seq = 0

    async def last_seq(self) -> int:
        return self.end_seq


async def test_what_is_above_the_end_of_the_log_is_not_missed() -> None:
    """It is stored already, and sent when the end has passed it; what is not there a minute later
    is missed.
    """
    store = LateStorage()
    now_s = NOW_S
    world = World(store)
    world.exporter.clock = lambda: now_s
    ids = await world.keep(make_record(), make_record())
    store.end_seq = 1
    await world.exporter.step()
    assert world.receiver.taken == ids[:1]
    store.end_seq = 2
    await world.exporter.step()
    assert world.receiver.taken == ids
    world.stored += 1
    await world.exporter.step()
    assert world.exporter.counters.missed_records == 0
    now_s += SETTLED_S
    await world.exporter.step()
    assert world.exporter.counters.missed_records == 1
