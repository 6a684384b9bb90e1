"""Make the fixture of the next version anew: `python -m tests.support.layouts`, or `make layouts`.

Strategy: the running program makes everything by itself: it records, loses its store, is stopped,
and is killed. What it then says of what it finds is what later versions have to say.
"""

import asyncio
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from tests.support import clickhouse, postgres
from tests.support.layouts.answers import answers
from tests.support.layouts.databases import dump_clickhouse, dump_postgres
from tests.support.layouts.fixture import FIXTURES, NEXT, STORE_FILE, Fixture
from tests.support.layouts.opening import KINDS, database, read_ledger, sidelog_over
from tests.support.layouts.promises import layouts, promises
from tests.support.layouts.traffic import (
    BEFORE_KILL,
    BEFORE_STOP,
    CONFIG,
    KNOWN,
    UNKNOWN,
    ask,
    ask_with,
    record_all,
)
from tests.support.providers.upstream import application
from tests.support.sidelog import Sidelog, eventually
from tests.support.upstream import running

SEED: Final = 20260101
PREFIX_S: Final = 8.0
"""So late is the end of the log of a fleet, and some more."""


def moment(offset_s: float) -> str:
    """Write a time before or behind now as the API takes it."""
    return (datetime.now(UTC) + timedelta(seconds=offset_s)).strftime("%Y-%m-%dT%H:%M:%SZ")


def record(sidelog: Sidelog) -> str:
    """Record everything there is; returns the secret of a key."""
    eventually(lambda: not sidelog.ready_answer()["degraded"])
    secret = asyncio.run(record_all(sidelog, random.Random(SEED)))
    eventually(lambda: ask_with(sidelog, secret) == KNOWN)
    assert ask_with(sidelog, "wrong") == UNKNOWN
    sidelog.settled_ledger()
    return secret


def leave_data_dir(fixture: Fixture, sidelog: Sidelog) -> str:
    """Leave a data directory with records in the store, in the spool and in a ring; returns the
    secret of its key.
    """
    with sidelog:
        secret = record(sidelog)
        with closing(
            sqlite3.connect(sidelog.data_dir / STORE_FILE, isolation_level=None, timeout=10)
        ) as other:
            other.execute("BEGIN IMMEDIATE")
            for path in BEFORE_STOP:
                ask(sidelog, path)
            sidelog.stop()
            sidelog.start()
            eventually(lambda: sidelog.api("/api/ledger")["spooled"] == len(BEFORE_STOP))
            (collector,) = sidelog.pids("proxy.collector")
            os.kill(collector, signal.SIGSTOP)
            for path in BEFORE_KILL:
                ask(sidelog, path)
            sidelog.kill_all()
            other.execute("ROLLBACK")

        fixture.keep_data_dir(sidelog.data_dir)

    return secret


def leave_database(fixture: Fixture, kind: str, directory: Path, upstream: str) -> str:
    """Leave a database; returns the secret of its key."""
    url = (
        asyncio.run(postgres.database(directory))
        if kind == "postgres"
        else clickhouse.url("debian", directory)
    )
    with sidelog_over(fixture, url, directory, upstream) as sidelog:
        secret = record(sidelog)
    if kind == "postgres":
        dump_postgres(url, fixture.path / "postgres.sql")
    else:
        dump_clickhouse(url, fixture.path / "clickhouse.jsonl")

    return secret


def leave(fixture: Fixture, kind: str, directory: Path, upstream: str) -> None:
    """Leave one kind of store, and keep what is said of it."""
    (directory / "left").mkdir(parents=True)
    since = moment(-60)
    if kind == "sqlite":
        config = directory / "left" / "config.toml"
        config.write_text(fixture.config.replace("{upstream}", upstream))
        arguments = ("--config", str(config))
        secret = leave_data_dir(fixture, Sidelog(directory / "left" / "data", upstream, *arguments))
    else:
        secret = leave_database(fixture, kind, directory / "left", upstream)

    # What the reader records itself is behind that, whenever it reads.
    until = moment(1)
    time.sleep(PREFIX_S if kind == "clickhouse" else 1)
    (directory / "read").mkdir()

    with (
        database(fixture, kind) as url,
        sidelog_over(fixture, url, directory / "read", upstream) as sidelog,
    ):
        read_ledger(sidelog, kind)
        found = answers(sidelog, since, until)
        if kind == "sqlite":
            fixture.write_json("promises", promises(sidelog))

    about = {"since": since, "until": until, "secret": secret}
    fixture.write_expected(kind, {"about": about, "answers": found})


def main() -> None:
    """Make all files anew."""
    fixture = Fixture(Path(sys.argv[1]) if len(sys.argv) > 1 else FIXTURES / NEXT)
    shutil.rmtree(fixture.path, ignore_errors=True)
    fixture.path.mkdir(parents=True)
    (fixture.path / "config.toml").write_text(CONFIG)
    fixture.write_json("layouts", layouts())
    with tempfile.TemporaryDirectory() as directory, running(application(0.0)) as upstream:
        for kind in KINDS:
            leave(fixture, kind, Path(directory) / kind, upstream)
    size = sum(file.stat().st_size for file in fixture.path.rglob("*") if file.is_file())
    sys.stdout.write(f"{fixture.path}: {size} bytes\n")


if __name__ == "__main__":
    main()
