"""The time budget of a read, and errors of the driver."""

import time

import asyncpg
import pytest

from storage.errors import StorageRejected
from storage.postgres.connection import SAVEPOINT, Budget, translated

SLOW = "SELECT pg_sleep(20)"


def leave(budget: Budget, rest_s: float) -> None:
    """Spend a budget but for a rest, however busy the machine was until now."""
    budget._deadline = time.monotonic() + rest_s


async def test_a_budget_ends_every_query_but_the_first(other: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Also one that is only a part of what follows; the transaction goes on."""
    budget = Budget(600.0)
    async with other.transaction():
        await other.execute(SAVEPOINT)
        assert await budget.fetch(other, "SELECT pg_sleep(0.01)", (), is_part=True) is not None
        assert await budget.fetch(other, "SELECT 1", ()) is not None
        assert await budget.fetch(other, "SELECT 1", ()) is not None
        leave(budget, 0.3)
        assert await budget.fetch(other, SLOW, (), is_part=True) is None
        assert await budget.fetch(other, "SELECT 1", ()) is None
        assert await other.fetchval("SELECT 7") == 7


async def test_parts_of_the_first_query_are_not_limited(other: "asyncpg.Connection[asyncpg.Record]") -> None:
    """However little time there is, the first slice of a read is searched."""
    budget = Budget(0.0)
    async with other.transaction():
        for _ in range(3):
            assert await budget.fetch(other, "SELECT pg_sleep(0.01)", (), is_part=True) is not None
        assert await budget.fetch(other, "SELECT pg_sleep(0.01)", ()) is not None
        assert await budget.fetch(other, "SELECT 1", (), is_part=True) is None


async def test_an_error_names_the_rule_and_no_row(other: "asyncpg.Connection[asyncpg.Record]") -> None:
    """In one line: logs outlive what is erased, and the server's detail has the row."""
    await other.execute("CREATE TEMPORARY TABLE rows_ (path text, kind int NOT NULL)")
    with pytest.raises(StorageRejected) as raised, translated():
        await other.execute("INSERT INTO rows_ VALUES ('/patients/ann', NULL)")
    assert '"kind"' in str(raised.value)
    assert "/patients/ann" not in str(raised.value)
    assert "\n" not in str(raised.value)
