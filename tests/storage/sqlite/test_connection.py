"""The time budget of a read."""

import contextlib
import sqlite3

import pytest

from storage.sqlite.connection import Budget

ENDLESS = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers) SELECT count(*) FROM numbers"


def test_a_budget_ends_a_query_wherever_it_is() -> None:
    """Time that runs out within a query of a function that SQL calls ends the read like any other, without an error."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.create_function("endless", 0, lambda: connection.execute(ENDLESS).fetchone()[0])
        for sql in (ENDLESS, "SELECT endless()"):
            budget = Budget(0.02)
            assert budget.execute(connection, "SELECT 1", ()) == [(1,)]
            assert budget.execute(connection, sql, ()) is None


def test_a_function_that_fails_in_time_is_an_error() -> None:
    """Only the end of the budget is not one."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.create_function("broken", 0, lambda: 1 // 0)
        with pytest.raises(sqlite3.OperationalError, match="user-defined"):
            Budget(10.0).execute(connection, "SELECT broken()", ())
