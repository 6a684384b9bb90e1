"""How long the store is waited for."""

import asyncio

import pytest

from storage.errors import StorageUnavailable
from storage.writer.patience import Patience


async def hang(patience: Patience, *, is_pressed: bool = False) -> None:
    """Ask what is never answered."""
    async with patience.bounded(is_pressed=is_pressed):
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("patience", "is_pressed"), [(Patience(0.01, 600.0), False), (Patience(600.0, 0.01), True)], ids=["room", "none"]
)
async def test_an_answer_that_does_not_come_is_given_up(patience: Patience, is_pressed: bool) -> None:
    """After the one time or the other; a later question has its own."""
    for _ in range(2):
        with pytest.raises(StorageUnavailable, match="did not answer"):
            await hang(patience, is_pressed=is_pressed)
    async with patience.bounded(is_pressed=False):
        await asyncio.sleep(0)


async def test_pressure_shortens_what_is_being_waited_for() -> None:
    """It never lengthens it, and without a question it does nothing."""
    patience = Patience(600.0, 0.01)
    patience.press()
    asyncio.get_running_loop().call_later(0.01, patience.press)
    asyncio.get_running_loop().call_later(0.015, patience.press)
    with pytest.raises(StorageUnavailable):
        await hang(patience)


async def test_without_a_spool_it_is_endless() -> None:
    """There is nothing else to do than to wait."""
    patience = Patience(None, 0.0)
    has_answered = False
    async with patience.bounded(is_pressed=True):
        patience.press()
        await asyncio.sleep(0.02)
        has_answered = True
    assert has_answered
