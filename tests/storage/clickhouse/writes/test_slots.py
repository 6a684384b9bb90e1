"""Slots: each batch is stored once, whatever becomes of its insert, and whoever else writes under
the name.
"""

import asyncio
import itertools
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from storage.clickhouse.engine.server import Server
from storage.clickhouse.numbers import LANES
from storage.clickhouse.register.register import Register
from storage.clickhouse.wire.link import Link
from storage.clickhouse.wire.native import Written
from storage.clickhouse.writes.batches import BatchStore
from storage.clickhouse.writes.lanes import Lanes
from storage.clickhouse.writes.rows import MARK
from storage.clickhouse.writes.slots import Slots
from storage.errors import StorageUnavailable
from storage.record import Batch
from tests.storage.clickhouse.conftest import DELAY_MS
from tests.storage.samples import SOURCE, make_batch, make_record

Wrong = Callable[[Link, str, tuple[Written, ...], dict[str, Any]], Any]


class WaywardLink(Link):
    """A link whose next inserts of records go wrong, one after the other."""

    def __init__(self, link: Link) -> None:
        super().__init__(link.address)
        self.wrong: list[Wrong] = []
        self.held = asyncio.Event()
        """An insert is stored, and not answered."""

    async def send(self, table: str, *parts: Written, **options: Any) -> None:
        """See `Link.send`."""
        if table == "records" and self.wrong:
            await self.wrong.pop(0)(self, table, parts, options)
        else:
            await super().send(table, *parts, **options)


async def lost_before(
    link: Link, table: str, parts: tuple[Written, ...], options: dict[str, Any]
) -> None:
    """It never comes."""
    raise StorageUnavailable("no connection")


async def lost_answer(
    link: Link, table: str, parts: tuple[Written, ...], options: dict[str, Any]
) -> None:
    """It is stored, and the answer does not come."""
    await Link.send(link, table, *parts, **options)
    raise StorageUnavailable("no answer")


async def held_answer(
    link: Link, table: str, parts: tuple[Written, ...], options: dict[str, Any]
) -> None:
    """It is stored, and the answer takes longer than its writer waits."""
    await Link.send(link, table, *parts, **options)
    assert isinstance(link, WaywardLink)
    link.held.set()
    await asyncio.sleep(60)


async def silent(
    link: Link, table: str, parts: tuple[Written, ...], options: dict[str, Any]
) -> None:
    """It is not stored, and answered as if it were."""


async def slow(link: Link, table: str, parts: tuple[Written, ...], options: dict[str, Any]) -> None:
    """It comes when it is too late."""
    await asyncio.sleep(DELAY_MS / 1000 + 2.5)
    await Link.send(link, table, *parts, **options)


def make_store(link: Link, features: Server, holder: int = 0) -> BatchStore:
    """A writer of its own."""
    lanes = Lanes(link, features, Register(link, features))
    return BatchStore(lambda instance: Slots([link], features, lanes, DELAY_MS, instance, holder))


async def store_at_last(store: BatchStore, batch: Batch, limit_s: float = 60.0) -> int:
    """Store a batch by as many attempts as it takes, each cut off by a limit; returns how many
    there were.

    A server without tokens refuses until nothing is on its way.
    """
    for attempts in itertools.count(1):
        with suppress(StorageUnavailable, TimeoutError):
            async with asyncio.timeout(limit_s):
                await store.store(batch)
            return attempts
        await asyncio.sleep(0.05)

    raise AssertionError


async def stored(link: Link) -> list[str]:
    """The paths of all records in the order of their numbers."""
    return [
        path for (path,) in await link.fetch("SELECT path FROM records WHERE kind = 0 ORDER BY seq")
    ]


@pytest.mark.parametrize("wrong", [lost_before, lost_answer, silent, slow])
async def test_a_batch_is_stored_once_whatever_goes_wrong(
    link: Link, features: Server, wrong: Wrong
) -> None:
    """The first attempt fails in some way; who comes with the same again stores each once, and
    numbers rise.
    """
    wayward = WaywardLink(link)
    store = make_store(wayward, features)
    await store.store(make_batch(make_record(path="/0"), offset=1))
    wayward.wrong.append(wrong)
    batch = make_batch(make_record(path="/1"), make_record(path="/2"), offset=3)
    await store_at_last(store, batch)
    await store.store(make_batch(make_record(path="/3"), offset=4))
    assert await stored(link) == ["/0", "/1", "/2", "/3"]
    rows = await link.fetch("SELECT seq FROM records WHERE kind = 0 ORDER BY seq")
    assert [entry.record.seq for entry in batch.entries] == [seq for (seq,) in rows][1:3]
    assert (await store.positions("sidecar-1"))[SOURCE].offset == 4
    await wayward.close()


async def test_a_part_of_a_batch_that_was_stored_is_not_stored_again(
    link: Link, features: Server
) -> None:
    """Its answer was lost, and its records come again with another one."""
    wayward = WaywardLink(link)
    store = make_store(wayward, features)
    wayward.wrong = [lost_answer, lost_before]
    records = [make_record(path="/0"), make_record(path="/1")]
    with suppress(StorageUnavailable):
        await store.store(make_batch(*records[:1], offset=1))
    await store_at_last(store, make_batch(*records, offset=2))
    assert await stored(link) == ["/0", "/1"]
    await wayward.close()


async def test_a_doubt_is_settled_though_each_attempt_is_cut_off(
    link: Link, features: Server
) -> None:
    """An attempt has no time for the whole wait of a server without tokens: the next one goes on
    with it.
    """
    wayward = WaywardLink(link)
    store = make_store(wayward, features)
    await store.store(make_batch(make_record(path="/0"), offset=1))
    wayward.wrong.append(lost_before)
    batch = make_batch(make_record(path="/1"), offset=2)
    attempts = await store_at_last(store, batch, limit_s=0.5)
    assert attempts > 1
    assert await stored(link) == ["/0", "/1"]
    await wayward.close()


async def test_a_question_for_positions_forgets_no_doubt(link: Link, features: Server) -> None:
    """It comes between an answer that was lost and the same batch sent again."""
    wayward = WaywardLink(link)
    store = make_store(wayward, features)
    wayward.wrong = [held_answer]
    batch = make_batch(make_record(path="/0"), offset=1)

    async with asyncio.TaskGroup() as tasks:
        storing = tasks.create_task(store.store(batch), name="store")
        await wayward.held.wait()
        storing.cancel()

    assert (await store.positions("sidecar-1"))[SOURCE].offset == 1
    await store.store(batch)
    assert await stored(link) == ["/0"]
    await wayward.close()


async def test_positions_tell_what_a_killed_process_had_stored(
    link: Link, features: Server
) -> None:
    """The next one goes on with them, behind what is closed."""
    first = make_store(link, features)
    await first.store(make_batch(make_record(), offset=5))
    second = make_store(link, features)
    assert (await second.positions("sidecar-1"))[SOURCE].offset == 5
    await second.store(Batch("sidecar-1", [], {}, [SOURCE]))
    assert await make_store(link, features).positions("sidecar-1") == {}


async def test_the_next_process_goes_on_behind_the_last_record(
    link: Link, features: Server
) -> None:
    """Though the numbers of a large batch are ahead of the server's clock."""
    first = make_batch(*(make_record() for _ in range(3000)), offset=1)
    last_seq = await make_store(link, features).store(first)
    second = make_batch(*(make_record() for _ in range(3)), offset=2)
    await make_store(link, features).store(second)
    assert all(entry.record.seq > last_seq for entry in second.entries)


class TestOfTokens:
    """What needs a server with tokens."""

    @pytest.fixture
    def engine(self, current: Any) -> Any:
        """The current one."""
        return current

    async def test_who_lost_its_name_stores_nothing_more(
        self, link: Link, features: Server
    ) -> None:
        """Another process has begun under it: the slot is closed."""
        first = make_store(link, features)
        await first.store(make_batch(make_record(path="/0"), offset=1))
        second = make_store(link, features)
        await second.positions("sidecar-1")
        for _ in range(2):
            with pytest.raises(StorageUnavailable, match="another sidelog writes to this database"):
                await first.store(make_batch(make_record(path="/1"), offset=2))
        assert await stored(link) == ["/0"]

    async def test_a_name_that_is_used_is_refused_to_another_holder(
        self, link: Link, features: Server
    ) -> None:
        """One that wrote lately keeps it; the same holder comes again at once."""
        first = make_store(link, features, holder=1)
        await first.store(make_batch(make_record(path="/0"), offset=1))
        with pytest.raises(StorageUnavailable, match="give each its own name"):
            await make_store(link, features, holder=2).positions("sidecar-1")
        await first.store(make_batch(make_record(path="/1"), offset=2))
        await make_store(link, features, holder=1).positions("sidecar-1")

    async def test_an_idle_sidecar_writes_its_positions_anew(
        self, link: Link, features: Server
    ) -> None:
        """Every day, so that they are not among what retention drops."""
        lanes = Lanes(link, features, Register(link, features))
        later_s = 0.0

        def make_slots(instance: str) -> Slots:
            return Slots(
                [link],
                features,
                lanes,
                DELAY_MS,
                instance,
                clock=lambda: time.monotonic() + later_s,
            )

        store = BatchStore(make_slots)
        await store.keep()
        assert store.newest_seq == 0
        last_seq = await store.store(make_batch(make_record(), offset=5))
        await store.keep()
        assert last_seq <= store.newest_seq < last_seq + LANES
        later_s = 86_401.0
        await store.keep()
        assert store.newest_seq > last_seq + LANES
        [(kind, seq)] = await link.fetch("SELECT kind, seq FROM records ORDER BY seq DESC LIMIT 1")
        assert (kind, seq <= store.newest_seq) == (MARK, True)
        assert (await make_store(link, features).positions("sidecar-1"))[SOURCE].offset == 5

    async def test_a_token_that_is_spent_for_nothing_is_passed_over(
        self, link: Link, features: Server
    ) -> None:
        """A server that died had it in its log, and not the rows."""
        store = make_store(link, features)
        await store.store(make_batch(make_record(path="/0"), offset=1))
        await make_store(link, features).positions("sidecar-1")
        await link.execute(
            f"ALTER TABLE records DELETE WHERE kind = {MARK}",
            settings={"mutations_sync": "2"},
        )
        heir = make_store(link, features)
        await heir.store(make_batch(make_record(path="/1"), offset=2))
        assert await stored(link) == ["/0", "/1"]
        assert (await make_store(link, features).positions("sidecar-1"))[SOURCE].offset == 2
