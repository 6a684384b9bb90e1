"""When a store that was away is asked again, and how long it is waited for."""

import asyncio
import gc
import weakref

import pytest

from storage.errors import StorageSlow, StorageUnavailable
from storage.writer.attempts import FIRST_PAUSE_S, MAX_PAUSE_S, Availability, CommitTimeout


@pytest.mark.parametrize(("chance", "share"), [(0.0, 0.5), (1.0, 1.0)])
def test_pauses_double_up_to_a_bound_and_begin_anew(chance: float, share: float) -> None:
    """Each pause is shortened by chance to half of it at most; an answer forgets them."""
    availability = Availability(lambda: 100.0, lambda: chance, is_up=True)
    pauses = []
    for _ in range(10):
        availability.note_down(OSError("refused"))
        pauses.append(availability.retry_at_s - 100.0)
    assert (availability.is_up, availability.reason) == (False, "refused")
    assert pauses[:3] == pytest.approx(
        [FIRST_PAUSE_S * share, 2 * FIRST_PAUSE_S * share, 4 * FIRST_PAUSE_S * share]
    )
    assert pauses[-1] == MAX_PAUSE_S * share
    availability.note_up()
    assert (availability.is_up, availability.reason, availability.retry_at_s) == (True, "", 0.0)
    availability.note_down(OSError("refused"))
    assert availability.retry_at_s - 100.0 == pytest.approx(pauses[0])


class Tried:
    """Stands for the batch of an attempt."""


def attempt(tried: list["weakref.ref[Tried]"]) -> None:
    """Fail as a driver does: a frame holds the batch, and what keeps the error that went through
    it.
    """
    batch = Tried()
    tried.append(weakref.ref(batch))

    kept = [ConnectionError("no answer")]
    try:
        raise kept[0]
    except ConnectionError as error:
        raise StorageUnavailable("away") from error


def test_what_an_error_went_through_is_let_go_of() -> None:
    """No batch of a failed attempt waits for a collection of cycles to be freed."""
    availability = Availability(lambda: 100.0, lambda: 0.0, is_up=True)
    tried: list[weakref.ref[Tried]] = []
    gc.disable()

    try:
        try:
            attempt(tried)
        except StorageUnavailable as error:
            availability.note_down(error)
        assert [batch() for batch in tried] == [None]
    finally:
        gc.enable()


async def hang(limit: CommitTimeout, *, is_urgent: bool = False) -> None:
    """Ask what is never answered."""
    async with limit.bounded(is_urgent=is_urgent):
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("limit", "is_urgent"),
    [(CommitTimeout(0.01, 600.0), False), (CommitTimeout(600.0, 0.01), True)],
    ids=["room", "none"],
)
async def test_an_answer_that_does_not_come_is_given_up(
    limit: CommitTimeout, is_urgent: bool
) -> None:
    """After the one time or the other; a later question has its own."""
    for _ in range(2):
        with pytest.raises(StorageUnavailable, match="did not answer"):
            await hang(limit, is_urgent=is_urgent)
    async with limit.bounded(is_urgent=False):
        await asyncio.sleep(0)


async def test_a_full_queue_shortens_what_is_being_waited_for() -> None:
    """It never lengthens it, and without a question it does nothing."""
    timeout = CommitTimeout(600.0, 0.01)
    timeout.shorten()
    asyncio.get_running_loop().call_later(0.01, timeout.shorten)
    asyncio.get_running_loop().call_later(0.015, timeout.shorten)
    with pytest.raises(StorageUnavailable):
        await hang(timeout)


async def test_a_store_is_slow_before_it_counts_as_away() -> None:
    """Short attempts say little of it, until they are as long as one with room in the queue; an
    answer forgets them.
    """
    timeout = CommitTimeout(0.05, 0.02)
    for _ in range(2):
        kinds = []
        while StorageUnavailable not in kinds:
            with pytest.raises(StorageUnavailable) as caught:
                await hang(timeout, is_urgent=True)
            kinds.append(caught.type)

        assert kinds == [StorageSlow, StorageSlow, StorageUnavailable]
        async with timeout.bounded(is_urgent=False):
            pass


async def test_commits_that_take_long_are_waited_for() -> None:
    """Four times as long as they took, when the queue is full; small ones between them change
    little.
    """
    timeout = CommitTimeout(600.0, 1.0)
    loop = asyncio.get_running_loop()
    for took_s, limit_s in [
        (0.1, 1.0),
        (3.0, 12.0),
        (0.1, 6.0),
        (0.1, 3.0),
        (0.1, 1.5),
        (0.1, 1.0),
        (500.0, 600.0),
    ]:
        timeout.note_commit(took_s)
        began_s = loop.time()
        async with timeout.bounded(is_urgent=True):
            assert timeout._running is not None
            ends_s = timeout._running.when()
            assert ends_s is not None
            assert began_s <= ends_s - limit_s <= loop.time()


def test_a_store_that_is_slow_is_there() -> None:
    """It is left alone for a while, in which the spool makes room, and not told to be away."""
    availability = Availability(lambda: 100.0, lambda: 1.0, is_up=True)
    availability.note_down(StorageSlow("within a second"))
    assert (availability.is_up, availability.reason) == (True, "")
    assert availability.retry_at_s == pytest.approx(100.0 + FIRST_PAUSE_S)
    availability.note_down(StorageUnavailable("in time"))
    availability.note_down(StorageSlow("within a second"))
    assert (availability.is_up, availability.reason) == (False, "within a second")


async def test_a_limit_holds_for_what_runs_and_what_follows() -> None:
    """As when the writer closes; it never lengthens anything."""
    timeout = CommitTimeout(600.0, 600.0)
    asyncio.get_running_loop().call_later(0.01, timeout.limit, 0.01)
    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            await hang(timeout)
    timeout.limit(600.0)
    with pytest.raises(StorageUnavailable):
        await hang(timeout)


async def test_without_a_spool_it_is_endless() -> None:
    """There is nothing else to do than to wait."""
    timeout = CommitTimeout(None, 0.0)
    has_answered = False
    async with timeout.bounded(is_urgent=True):
        timeout.shorten()
        timeout.limit(0.0)
        await asyncio.sleep(0.02)
        has_answered = True

    assert has_answered
