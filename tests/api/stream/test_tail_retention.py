"""What retention removes before a reader has it is told as a gap, never left out without a word."""

import json

import pytest

from api.dialects.entries import encode_entries
from api.stream.tail_ring import Interest
from storage.query import EVERYTHING, Filter, Page, RecordQuery, Scope
from tests.api.stream.test_tail import ENTRY_KINDS, INTERESTS, OFFSET, World, drained
from tests.support.memory_store import MemoryStorage


class PurgedStorage(MemoryStorage):
    """Hides what retention has removed."""

    floor_seq = 0

    async def select(self, query: RecordQuery) -> Page:
        page = await super().select(query)
        return Page(
            [record for record in page.records if record.seq > self.floor_seq],
            True,
            page.next_after,
        )


class OldestGone(PurgedStorage):
    """The same, for the question what the oldest record is."""

    async def select(self, query: RecordQuery) -> Page:
        if query.limit == 1:
            kept = [record for record in self._records if record.seq > self.floor_seq]
            return Page(kept[:1], True, None)
        return await super().select(query)


@pytest.mark.parametrize(("scope", "count"), [(EVERYTHING, 6), (Scope(projects=("proj_a",)), None)])
async def test_what_retention_removed_is_told_as_a_gap(scope: Scope, count: int | None) -> None:
    """The gap has its count and range, and an id behind which the stream goes on; readers learn no
    foreign count.
    """
    world = World(2)
    storage = OldestGone()
    world.storage = storage
    world.tail = world.make_tail(0)
    await world.commit([(True, False, False)] * 10)
    storage.floor_seq = 6
    interest = Interest(encode_entries, Filter(kind="all", scope=scope), ENTRY_KINDS)
    subscriber = world.tail.enter(interest, world.tail.resume(0).after_id)
    gap, *events = await drained(world.tail, subscriber)
    assert (gap.name, int(gap.id)) == ("gap", OFFSET + 12)
    assert json.loads(gap.data) == {
        "count": count,
        "reason": "retention",
        "fromId": OFFSET + 1,
        "toId": OFFSET + 12,
    }
    assert [int(event.id) - OFFSET for event in events] == list(range(13, 21))
    world.tail.close()


class PurgedMeanwhile(OldestGone):
    """The same, removed behind the first answer."""

    async def select(self, query: RecordQuery) -> Page:
        page = await super().select(query)
        self.floor_seq = 6
        return page


@pytest.mark.parametrize("interest", [INTERESTS[0], INTERESTS[-1]], ids=["records", "payloads"])
async def test_what_is_removed_while_it_is_read_is_told_as_a_gap(interest: Interest) -> None:
    """Nothing is missing without a word, whichever of the questions to the store retention comes
    between.
    """
    world = World(2)
    world.storage = PurgedMeanwhile()
    world.tail = world.make_tail(0)
    await world.commit([(True, False, False)] * 10)
    world.restart()
    subscriber = world.tail.enter(interest, 0)
    told: list[int] = []

    for event in await drained(world.tail, subscriber):
        content = json.loads(event.data)
        told += (
            range(content["fromId"], content["toId"] + 1)
            if event.name == "gap"
            else [int(event.id)]
        )

    seqs = {(number - OFFSET + 1) // 2 for number in told}
    assert seqs == {*range(1, 11)}
    assert told == sorted({*told})
    world.tail.close()
