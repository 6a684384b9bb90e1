"""The layout is brought up to date in steps, each whole or not at all."""

import sqlite3

import pytest

from storage.sqlite import schema


def tables(connection: sqlite3.Connection) -> set[str]:
    """Name the tables there are."""
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_only_missing_steps_are_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of an older layout gets what is missing, once."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    monkeypatch.setattr(schema, "migrations", lambda: ["CREATE TABLE a (x);"])
    assert schema.prepare_writer(connection, "fast") == 1
    monkeypatch.setattr(schema, "migrations", lambda: ["CREATE TABLE a (x);", "-- more\nCREATE TABLE b (x);\n"])
    assert schema.prepare_writer(connection, "fast") == 2
    assert schema.prepare_writer(connection, "fast") == 2
    assert tables(connection) == {"a", "b"}
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


def test_the_migrations_are_found() -> None:
    """They are packaged with the program, in order."""
    assert len(schema.migrations()) >= 1
    assert "CREATE TABLE records" in schema.migrations()[0]
