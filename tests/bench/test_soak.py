"""What a soak counts: records of answers that are looked for before they are removed, times by kind."""

import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from bench.http2_load import Http2Load
from bench.soak import Accounts, Sample, World, windows
from bench.steady_load import Load


def looked(store: Path, accounts: Accounts, rows: list[bytes], answers: list[bytes]) -> None:
    """Store rows in place of those before, as if the cap had removed them, and look."""
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS records (seq INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB)")
        connection.execute("DELETE FROM records")
        connection.executemany("INSERT INTO records (id) VALUES (?)", [(each,) for each in rows])
        connection.commit()
    world = SimpleNamespace(loads=(Load(1, 1.0, ids=answers), Http2Load(1, 1.0)))
    accounts.look(cast(World, world))


def test_an_answer_is_accounted_for_once_its_record_was_seen(tmp_path: Path) -> None:
    """Its record may be there before or after it; a lost one stays unseen, one stored twice is doubled."""
    accounts = Accounts(tmp_path / "store.db")
    looked(accounts.store, accounts, [b"early"], [b"late", b"lost"])
    looked(accounts.store, accounts, [b"late", b"twice"], [b"early", b"twice"])
    looked(accounts.store, accounts, [b"twice"], [])
    assert (accounts.answers, accounts.unseen, accounts.doubled) == (4, {b"lost"}, 1)


def test_times_are_shown_by_kind_and_part() -> None:
    """Percentiles of HTTP/1.1, HTTP/2 and gRPC apart, in each part of a run."""
    samples = [Sample(float(at), {"worker": 1.0}, {"worker": 9}, 2.0, 0.5) for at in (10, 60)]
    took = [(5.0, 0.010, "http1"), (6.0, 0.030, "unary"), (65.0, 0.020, "http1")]
    parts: list[dict[str, Any]] = windows(samples, took, 0.0, 70.0)
    assert [part["p99_ms"] for part in parts] == [{}, {"http1": 20.0}]
    assert [part["answers"] for part in windows(samples, took, -6.0, 70.0)] == [2, 0]
