"""The time budget of a read."""

import asyncpg

from storage.postgres.connection import Budget

SLOW = "SELECT pg_sleep(20)"


async def test_a_budget_ends_every_query_but_the_first(other: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Also one that is only a part of what follows; the transaction goes on."""
    budget = Budget(0.3)
    async with other.transaction():
        assert await budget.fetch(other, "SELECT pg_sleep(0.01)", (), is_part=True) is not None
        assert await budget.fetch(other, "SELECT 1", ()) is not None
        assert await budget.fetch(other, "SELECT 1", ()) is not None
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
