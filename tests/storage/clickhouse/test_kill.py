"""Kills, of whoever writes and of the server, at any moment: every record is there once, as the position says."""

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from storage.clickhouse.dictionary import text_id
from tests.support.clickhouse import Server, own_server
from tests.support.sidelog import eventually

pytestmark = pytest.mark.clickhouse

ROOT = Path(__file__).parents[3]


@contextmanager
def writing(url: str, seed: int, name: str = "sidecar-1") -> Iterator[subprocess.Popen[bytes]]:
    """A writer that is killed at the end; it has begun."""
    command = ["setpriv", "--pdeathsig=KILL", "--", sys.executable, "-m", "tests.storage.clickhouse.endless_writer"]
    with subprocess.Popen([*command, url, str(seed), name], cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"begun\n"
            yield process
        finally:
            process.kill()


def last_seq(server: Server, database: str) -> int:
    """Ask the journal up to where rows are valid."""
    return int(server.ask(f"SELECT max(last_seq) FROM {database}.commits"))


def settled(server: Server, database: str) -> int:
    """Wait for what killed writers had sent, which is still done; returns up to where rows are valid."""
    last = -1
    while (seen := last_seq(server, database)) != last:
        last = seen
        time.sleep(0.5)
    return last


def check(server: Server, database: str) -> int:
    """Compare rows with the journal; returns how many there are."""
    last = settled(server, database)
    if not last:
        return 0
    live = f"attempt IN (SELECT attempt FROM {database}.commits)"
    for table, what in (("records", "path"), ("heads", "seq"), ("bodies", "seq")):
        counts = f"count(), uniqExact({what}), min(seq), max(seq)"
        found = server.ask(f"SELECT {counts} FROM {database}.{table} WHERE {live}")
        assert found.split() == [str(last), str(last), "1", str(last)], table
    newest = f"SELECT toUInt64(substring(path, 2)) FROM {database}.records WHERE seq = {last} AND {live}"
    assert int(server.ask(newest)) == last - 1
    return last


def test_writers_that_are_killed(engine: Server) -> None:
    """Each goes on where the store says, whatever the one before left behind."""
    database, chance = engine.database(), random.Random(11)
    rows = 0
    for seed in range(5):
        with writing(engine.url(database), seed):
            time.sleep(chance.uniform(0.02, 0.4))
        now = check(engine, database)
        assert now >= rows
        rows = now
    with writing(engine.url(database), 5):
        eventually(lambda: last_seq(engine, database) > rows)
    assert check(engine, database) > rows


def test_several_writers_that_are_killed(engine: Server) -> None:
    """They commit for each other; who comes in the place of a killed one goes on where the store says."""
    database, chance, names = engine.database(), random.Random(5), ("a", "b", "c")
    for seed in range(3):
        with ExitStack() as stack:
            for name in names:
                stack.enter_context(writing(engine.url(database), seed, name))
            time.sleep(chance.uniform(0.3, 1.5))
        last = settled(engine, database)
        live = f"attempt IN (SELECT attempt FROM {database}.commits)"
        for table in ("records", "heads", "bodies"):
            found = engine.ask(f"SELECT count(), uniqExact(seq), max(seq) FROM {database}.{table} WHERE {live}")
            assert found.split() == [str(last)] * 3, table
        for name in names:
            own = f"FROM {database}.records WHERE instance = {text_id('instance', name)} AND {live}"
            rows, paths, most = engine.ask(
                f"SELECT count(), uniqExact(path), max(toInt64(substring(path, 2))) + 1 {own}"
            ).split()
            assert rows == paths, name
            assert rows in (most, "0"), name


@pytest.mark.parametrize("rounds", [2, pytest.param(50, marks=[pytest.mark.long, pytest.mark.timeout(1200)])])
def test_servers_and_writers_that_are_killed(engine: Server, rounds: int) -> None:
    """In turns, under load."""
    with own_server(engine.engine) as own:
        database, chance = own.database(), random.Random(rounds)
        for seed in range(rounds):
            with writing(own.url(database), seed):
                for _ in range(2):
                    time.sleep(chance.uniform(0.05, 0.5))
                    own.kill()
                    time.sleep(chance.uniform(0.0, 0.2))
                    own.start()
                time.sleep(chance.uniform(0.1, 0.6))
            check(own, database)
        with writing(own.url(database), rounds):
            eventually(lambda: last_seq(own, database))
        assert check(own, database) > 0
