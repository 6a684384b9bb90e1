"""The time budget of a read, and errors of the driver."""

import time

import asyncpg
import pytest

from storage.errors import StorageRejected
from storage.postgres.connection import Budget, translated

SLOW = "SELECT pg_sleep(20)"


def leave(budget: Budget, rest_s: float) -> None:
    """Spend a budget but for a rest, however busy the machine was until now."""
    budget._deadline = time.monotonic() + rest_s


async def test_a_budget_ends_every_query_but_the_first(
    other: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """Also one that is only a part of what follows; the transaction goes on."""
    budget = Budget(600.0)
    async with other.transaction():
        assert await budget.fetch(other, "SELECT pg_sleep(0.01)", (), is_part=True) is not None
        assert await budget.fetch(other, "SELECT 1", ()) is not None
        assert await budget.fetch(other, "SELECT 1", ()) is not None
        leave(budget, 0.3)
        assert await budget.fetch(other, SLOW, (), is_part=True) is None
        assert await budget.fetch(other, "SELECT 1", ()) is None
        assert await other.fetchval("SELECT 7") == 7


async def test_parts_of_the_first_query_are_not_limited(
    other: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """However little time there is, the first slice of a read is searched."""
    budget = Budget(0.0)
    async with other.transaction():
        for _ in range(3):
            assert await budget.fetch(other, "SELECT pg_sleep(0.01)", (), is_part=True) is not None
        assert await budget.fetch(other, "SELECT pg_sleep(0.01)", ()) is not None
        assert await budget.fetch(other, "SELECT 1", (), is_part=True) is None


async def test_limits_are_set_now_and_then(other: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Not with each query, and anew where another budget may have set one, or the server has ended
    a query.
    """

    async def limit(budget: Budget) -> str:
        rows = await budget.fetch(other, "SELECT current_setting('statement_timeout')", ())
        assert rows is not None
        return str(rows[0][0])

    async def is_set_anew(budget: Budget) -> bool:
        await other.execute("SET LOCAL statement_timeout = 7777777")
        return await limit(budget) != "7777777ms"

    async with other.transaction():
        budget = Budget(600.0)
        assert await limit(budget) == "0"  # of the first query there is none
        assert [await is_set_anew(budget) for _ in range(3)] == [True, False, False]
        inner = budget.another(60.0)
        await limit(inner)
        assert [await is_set_anew(inner) for _ in range(2)] == [True, False]
        assert [await is_set_anew(budget) for _ in range(2)] == [True, False]
        await other.execute("SET LOCAL statement_timeout = 30")
        assert await budget.fetch(other, SLOW, ()) is None
        assert [await is_set_anew(budget) for _ in range(2)] == [True, False]


async def test_what_no_budget_ends_outlasts_its_limit(
    other: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """Of several limits, one after the other, none is left: what is fetched then takes as long as
    it takes.
    """
    budget = Budget(600.0)
    async with other.transaction():
        for rest_s in (600.0, 60.0, 1.0):
            leave(budget, rest_s)
            assert await budget.fetch(other, "SELECT 1", ()) is not None
        [seven] = await budget.fetch_whole(other, "SELECT 7 FROM pg_sleep(1.1)", ())
        assert seven[0] == 7
        assert await other.fetchval("SELECT current_setting('statement_timeout')") == "0"
        assert await budget.another(0.0).fetch(other, "SELECT 8", ()) is not None


async def test_an_error_names_the_rule_and_no_row(
    other: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """In one line: logs outlive what is erased, and the server's detail has the row."""
    await other.execute("CREATE TEMPORARY TABLE rows_ (path text, kind int NOT NULL)")
    with pytest.raises(StorageRejected) as raised, translated():
        await other.execute("INSERT INTO rows_ VALUES ('/patients/ann', NULL)")
    assert '"kind"' in str(raised.value)
    assert "/patients/ann" not in str(raised.value)
    assert "\n" not in str(raised.value)
