"""A full queue: the spool takes what comes, and a store that gives no answer is not waited for
longer than it can.
"""

import asyncio
import time

from storage.writer.attempts import CommitTimeout
from tests.storage.writer.spool_rig import SPOOL_BYTES, FickleStore, Rig


async def test_the_spool_takes_all_that_comes_while_the_store_is_left_alone(
    store: FickleStore, rig: Rig
) -> None:
    """A queue that gets full in the midst of a group is relieved at once, and not when the store is
    asked again.
    """
    async with rig.running() as writer:
        store.is_away = True
        rig.push(5)
        await rig.until(lambda: writer.counters.batches["retried"] > 0)
        writer.availability.retry_at_s = time.monotonic() + 1000

        for _ in range(100):  # one by one: it has looked before the next comes
            rig.push(1)
            rig.drain()
            await asyncio.sleep(0.001)

        await rig.until(lambda: writer.spooled_records >= 80)

    assert await store.stored_ids() == []


async def test_what_fills_the_queue_while_the_spool_is_synced_is_seen(
    store: FickleStore, rig: Rig
) -> None:
    """The writer looks again before it leaves the store alone."""
    async with rig.running() as writer:
        store.is_away = True
        rig.push(5)
        await rig.until(lambda: writer.counters.batches["retried"] > 0)
        writer.availability.retry_at_s = time.monotonic() + 1000

        async def fill(every_s: float) -> None:
            if not writer.spooled_records:
                rig.push(100)
                rig.drain()

        assert writer._spool is not None
        writer._spool.synchronize = fill  # type: ignore[method-assign]
        await rig.until(lambda: writer.spooled_records >= 80, 20.0)


async def test_a_store_that_hangs_is_given_up(store: FickleStore, rig: Rig) -> None:
    """A commit that does not end is cancelled after its time, and the spool takes over."""
    rig.options["timeout"] = CommitTimeout(0.02)
    async with rig.running() as writer:
        store.hangs = True
        rig.push(100)
        await rig.until(lambda: writer.spooled_records >= 70)
        store.hangs = False
        writer._timeout._timeout_s = 60.0  # one that answers again may be slow
        await rig.until(rig.is_settled)

    assert len(set(await store.stored_ids())) == 100


async def test_a_store_that_hangs_is_not_waited_for_when_there_is_no_room(
    store: FickleStore, rig: Rig
) -> None:
    """Whatever is being asked is given up when the queue is full, so the spool takes all that
    comes.
    """
    rig.options["timeout"] = CommitTimeout(timeout_s=600.0, full_timeout_s=0.01)
    async with rig.running() as writer:
        store.hangs = True
        rig.push(5)
        await asyncio.sleep(0.02)
        assert writer.spooled_records == 0  # there is room: it is waited for
        for pushed in range(100, 600, 100):
            rig.push(100)
            await rig.until(lambda: writer.spooled_records >= pushed - 50)  # noqa: B023 - called at once
        assert writer.is_storage_up  # for all that is known it is slow
        store.hangs = False
        await rig.until(rig.is_settled)

    assert len(set(await store.stored_ids())) == 505


async def test_a_store_that_hangs_is_waited_for_when_the_spool_has_no_room_either(
    store: FickleStore, rig: Rig
) -> None:
    """To give up an attempt wins nothing then, and a slow store would never get one to its end."""
    rig.options["timeout"] = CommitTimeout(timeout_s=600.0, full_timeout_s=0.01)
    rig.body_bytes = 50_000
    async with rig.running() as writer:
        store.hangs = True
        rig.push(300)
        await rig.until(lambda: rig.spool.size_bytes == SPOOL_BYTES and writer.is_full)

        def ends_s() -> float:
            running = writer._timeout._running
            return 0.0 if running is None else running.when() or 0.0

        await rig.until(lambda: ends_s() - asyncio.get_running_loop().time() > 60.0)
