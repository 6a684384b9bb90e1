"""The task that makes the index of words: its pace, and what it does when the store is away."""

import pytest

from storage.errors import StorageUnavailable
from storage.purge import TextStep
from storage.writer.text_indexing import AWAY_S, IDLE_S, TextIndexing
from tests.support.memory_store import MemoryStorage


class Scripted(MemoryStorage):
    """A store whose steps are given."""

    def __init__(self, *steps: TextStep | Exception) -> None:
        super().__init__()
        self._steps = list(steps)

    async def index_text(self) -> TextStep:
        """Give the next step."""
        step = self._steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


async def test_it_rests_as_long_as_it_worked() -> None:
    """Where nothing is stored half of the time is for others; when nothing is left it looks now and
    then.
    """
    times = iter((10.0, 10.02, 20.0, 29.0))
    store = Scripted(
        TextStep(100, is_done=False), TextStep(7, is_done=False), TextStep(0, is_done=True)
    )
    indexing = TextIndexing(store, monotonic=lambda: next(times, 40.0))
    assert await indexing.step() == pytest.approx(0.02)
    assert await indexing.step() == 0.25
    assert await indexing.step() == IDLE_S
    assert indexing.records == 107


async def test_it_takes_a_fifth_beside_traffic() -> None:
    """Records that wait before a step, or come while it is made, make its pause four times as long."""
    times = iter((10.0, 10.02, 20.0, 20.05, 30.0, 30.04, 40.0, 49.0))
    waiting = iter((3, 0, 7, 0, 0, 5000))
    store = Scripted(*[TextStep(100, is_done=False)] * 4)
    indexing = TextIndexing(store, lambda: next(waiting), monotonic=lambda: next(times))
    assert await indexing.step() == pytest.approx(0.08)
    assert await indexing.step() == pytest.approx(0.2)
    assert await indexing.step() == pytest.approx(0.04)
    assert await indexing.step() == AWAY_S


async def test_it_leaves_the_index_to_a_quicker_one(caplog: pytest.LogCaptureFixture) -> None:
    """Another sidecar of the same database makes it then; a store that is away is asked again, and
    told of once.
    """
    store = Scripted(
        TextStep(0, is_done=False, is_lost=True), StorageUnavailable("gone"), StorageUnavailable("gone"),
        TextStep(0, is_done=True),
    )  # fmt: skip
    indexing = TextIndexing(store)
    assert [await indexing.step() for _ in range(4)] == [AWAY_S, AWAY_S, AWAY_S, IDLE_S]
    assert caplog.text.count("the index of words waits for the store: gone") == 1
    assert indexing.errors == 2
