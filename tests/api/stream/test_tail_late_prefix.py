"""A tail of a store into which others write, too: it moves with the stable prefix, not with its own
commits.
"""

import json

from api.dialects.entries import encode_entries
from api.stream.tail_ring import Interest
from storage.purge import RetentionState
from storage.query import Filter
from tests.api.stream.test_tail import ENTRY_KINDS, INTERESTS, World, drained, ids
from tests.support.memory_store import MemoryStorage


class LatePrefix(MemoryStorage):
    """The end of the prefix is where a test has it; the first numbers are those that others did not
    use.
    """

    has_late_prefix = True
    end_seq = 0
    purged_through_seq = 0

    def __init__(self, first_seq: int = 1) -> None:
        super().__init__()
        self._last_seq = first_seq - 1

    async def last_seq(self) -> int:
        return self.end_seq

    async def retention(self) -> RetentionState:
        state = await super().retention()
        return RetentionState(
            purge_floor_us=0, body_floor_us=0, purged_through_seq=self.purged_through_seq, oldest_us=state.oldest_us,
            used_bytes=0,
        )  # fmt: skip


def late_world(first_seq: int) -> tuple[World, LatePrefix]:
    """A tail of an empty store."""
    world = World(100)
    store = LatePrefix(first_seq)
    world.storage = store
    world.tail = world.make_tail(0)
    return world, store


async def test_a_record_is_shown_when_nothing_can_come_before_it() -> None:
    """What was committed here waits until the end of the prefix has passed it."""
    world, store = late_world(1)
    subscriber = world.tail.enter(INTERESTS[0], 0)
    await world.commit([(True, False, False)] * 3)
    assert world.tail.head_id == 0
    store.end_seq = 2
    await world.tail.check_begun()
    assert await ids(world.tail, subscriber) == [
        1,
        2,
        3,
        4,
    ]
    world.tail.close()


async def test_a_new_client_starts_at_the_end_of_the_prefix() -> None:
    """While nobody listened nothing was read of it."""
    world, store = late_world(1)
    await world.commit([(True, False, False)] * 3)
    store.end_seq = 3
    await world.tail.check_begun()
    assert world.tail.resume(None).after_id == 6
    world.tail.close()


async def test_numbers_that_no_record_has_are_no_gap() -> None:
    """Nothing was removed: a stream from the beginning has the first record first."""
    world, _ = late_world(5000)
    subscriber = world.tail.enter(INTERESTS[0], 0)
    await world.commit([(True, False, False)])
    world.tail.note_head(5000)
    assert await ids(world.tail, subscriber) == [
        9999,
        10000,
    ]
    world.tail.close()


async def test_a_gap_does_not_count_numbers() -> None:
    """Of records that retention removed it is not known how many there were."""
    world, store = late_world(5000)
    await world.commit([(True, False, False)])
    store.purged_through_seq = 4000
    world.tail.note_head(5000)
    subscriber = world.tail.enter(Interest(encode_entries, Filter(kind="all"), ENTRY_KINDS), 0)
    gap, *_ = await drained(world.tail, subscriber)
    assert (gap.name, json.loads(gap.data)["count"]) == ("gap", None)
    world.tail.close()
