"""A store's URL is checked before it is opened."""

# ruff: noqa: ASYNC240 -- a test's loop has nothing else to do while it looks at files

from pathlib import Path

import pytest

from storage.backends import check_url, is_shared, open_storage
from tests.support.cases import each_of

POSTGRES = (
    "postgresql:///db",
    "postgres://me:tiger@db.example.com:5433/sidelog?sslmode=require&statement_cache_size=0",
    "postgresql://me@one,two:5433/sidelog",
    "postgresql://me@one:5432,[::1]:65535,[::2]/sidelog",
    "postgresql://host/db?user=me@tenant",
    "postgresql:///db?host=/run/postgresql",
)


@each_of(
    "url",
    [
        "memory:",
        "sqlite:///records.db",
        "sqlite:////var/lib/x.db",
        "sqlite:///a%20b/c.db",
        *POSTGRES,
    ],
)
def test_known_stores_are_accepted(url: str) -> None:
    """A complete URL of a known scheme passes."""
    check_url(url)


@each_of(
    ("url", "message"),
    [
        ("", "memory, sqlite"),
        ("records.db", "memory, sqlite"),
        ("oracle://scott:tiger@host/db", "unknown store 'oracle'"),
        ("memory:x", "no address"),
        ("sqlite:", "needs the path"),
        ("sqlite:///", "needs the path"),
        ("sqlite:///directory/", "needs the path"),
        ("sqlite://host/records.db", "no host"),
        ("sqlite:///records.db?mode=ro", "no options"),
        ("sqlite:///a%00b", "NUL"),
        ("postgresql://scott:tiger@host", "name of a database"),
        ("postgresql://scott:tiger@host/a/b", "name of a database"),
        ("postgres://scott:ti#ger@host/db", "written %23"),
        ("postgres://scott:ti?ger@host/db", "written %3F"),
        ("postgresql://scott:tiger@host:99999/db", "a port is a number from 1 to 65535"),
        ("postgresql://scott:tiger@one:5432,two:five/db", "a port is a number"),
        ("postgresql://scott:tiger@[::1]:0/db", "a port is a number"),
        ("postgresql://scott:tiger@host/db#x", "no fragment"),
        ("postgresql://scott:tiger/@host", "written %2F"),
        ("postgresql://scott:1/tiger@host/db", "written %2F"),
        ("clickhouse://scott:tiger/@host/db", "written %2F"),
        ("clickhouses://scott:1/tiger@host", "written %2F"),
        ("clickhouse://scott:ti#ger@host/db", "no fragment"),
        ("postgresql://host/db?password=tiger", "before the @"),
        ("postgresql://host/db?statement_cache_size=all", "is a number"),
    ],
)
async def test_others_are_refused(url: str, message: str, tmp_path: Path) -> None:
    """The message names what is wrong, never the password, and nothing is opened."""
    with pytest.raises(ValueError, match=message) as refusal:
        check_url(url)
    assert "tiger" not in str(refusal.value)
    with pytest.raises(ValueError, match=message):
        await open_storage(url, tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_a_path_is_relative_to_the_data_directory(tmp_path: Path) -> None:
    """Three slashes start in the data directory, four at the root."""
    async with await open_storage("sqlite:///some%20where/records.db", tmp_path, durability="fast"):
        assert (tmp_path / "some where" / "records.db").exists()
    absolute = tmp_path / "absolute.db"
    async with await open_storage(f"sqlite:///{absolute}", tmp_path / "unused") as store:
        assert (await store.info()).location == str(absolute)
    assert absolute.exists()
    assert not (tmp_path / "unused").exists()


def test_stores_that_others_write_are_known() -> None:
    """Streams over them look for what others have committed."""
    shared = ("postgresql://h/d", "postgres://h/d", "clickhouse://h/d", "clickhouses://h/d")
    assert [is_shared(url) for url in (*shared, "sqlite:///a.db", "memory:")] == [True] * 4 + [
        False
    ] * 2


async def test_memory_needs_no_place(tmp_path: Path) -> None:
    """The store in memory writes nothing."""
    async with await open_storage("memory:", tmp_path) as store:
        assert (await store.info()).backend == "memory"
    assert list(tmp_path.iterdir()) == []
