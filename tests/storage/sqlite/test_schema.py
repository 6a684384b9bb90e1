"""The layout is brought up to date in steps, each whole or not at all."""

import sqlite3
from contextlib import nullcontext

import pytest

from storage.errors import StorageDamaged
from storage.sqlite import schema


def tables(connection: sqlite3.Connection) -> set[str]:
    """Name the tables there are."""
    return {
        row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    }


def test_only_missing_steps_are_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of an older layout gets what is missing, once."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    monkeypatch.setattr(schema, "migrations", lambda: ["CREATE TABLE a (x);"])
    assert schema.prepare_writer(connection, "fast") == 1
    monkeypatch.setattr(
        schema, "migrations", lambda: ["CREATE TABLE a (x);", "-- more\nCREATE TABLE b (x);\n"]
    )
    assert schema.prepare_writer(connection, "fast") == 2
    assert schema.prepare_writer(connection, "fast") == 2
    assert tables(connection) == {"a", "b"}
    connection.close()


def test_comments_are_no_part_of_the_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose comments are others, or are in it, is whole; one whose columns are others is
    not.
    """
    connection = sqlite3.connect(":memory:", isolation_level=None)
    monkeypatch.setattr(
        schema, "migrations", lambda: ["CREATE TABLE a (\n  x, -- one\n  -- two\n  y\n);"]
    )
    assert schema.prepare_writer(connection, "fast") == 1
    assert "--" not in connection.execute("SELECT sql FROM sqlite_master").fetchone()[0]

    for columns, is_whole in (
        ("x,\n  -- other\n  y", True),
        ("x,  -- one\n\n  y -- z", True),
        ("x,\n  -- a comment\n  -- of three\n  -- lines\n  y", True),
        ("x,\n\n  z", False),
    ):
        older = sqlite3.connect(":memory:", isolation_level=None)
        older.execute(f"CREATE TABLE a (\n  {columns}\n)")
        older.execute("PRAGMA user_version = 1")

        with nullcontext() if is_whole else pytest.raises(StorageDamaged, match="not whole at a"):
            schema.prepare_writer(older, "fast")

        older.close()

    connection.close()


def test_a_table_that_is_gone_is_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file of this number was made with it."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    monkeypatch.setattr(schema, "migrations", lambda: ["CREATE TABLE a (x);\nCREATE TABLE b (x);"])
    assert schema.prepare_writer(connection, "fast") == 1
    connection.execute("DROP TABLE a")
    with pytest.raises(StorageDamaged, match="its schema is not whole at a"):
        schema.prepare_writer(connection, "fast")
    connection.close()


def test_a_step_that_fails_leaves_the_file_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a broken migration stays."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    monkeypatch.setattr(schema, "migrations", lambda: ["CREATE TABLE a (x);\nCREATE TABLE a (x);"])
    with pytest.raises(sqlite3.OperationalError):
        schema.prepare_writer(connection, "fast")
    assert tables(connection) == set()
    assert not connection.in_transaction
    connection.close()
