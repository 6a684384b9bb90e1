"""Litestream, which copies a store on SQLite elsewhere while it changes: the recipe of
docs/operations/backup.md.
"""

import contextlib
import json
import shutil
import sqlite3
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.realworld.programs import client_environ, python_program, run
from tests.support.sidelog import Sidelog, eventually
from tests.support.upstream import running, service

pytestmark = [pytest.mark.realworld, pytest.mark.timeout(300)]

REQUESTS = 300


@contextlib.contextmanager
def replicating(store: Path, replica: Path, home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Copy a store to a directory until the end, which is sudden."""
    command = [python_program("litestream"), "replicate", str(store), replica.as_uri()]
    with (home / "litestream.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=home, env=client_environ(home), stdout=log, stderr=log
        )

    try:
        yield process
    finally:
        process.kill()
        process.wait()


def restore(replica: Path, store: Path) -> int:
    """Make a store of what has been copied; return how many records are in it."""
    store.parent.mkdir()
    run([python_program("litestream"), "restore", "-o", str(store), replica.as_uri()], store.parent)
    with contextlib.closing(sqlite3.connect(store)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        [[records]] = database.execute("SELECT count(*) FROM records")
    return int(records)


def test_a_store_comes_back_from_its_copy(tmp_path: Path) -> None:
    """Machine and all lost in the middle of traffic: what was copied is there, and sidelog goes on
    behind it.
    """
    data = tmp_path / "data"
    replica = tmp_path / "replica"
    home = tmp_path / "home"
    home.mkdir()
    is_over = threading.Event()

    def ask(sidelog: Sidelog) -> None:
        with contextlib.suppress(OSError):  # in the end it is killed
            while not is_over.is_set():
                urllib.request.urlopen(f"{sidelog.url}/busy", timeout=60).read()

    with running(service()) as upstream, Sidelog(data, upstream) as sidelog:
        with replicating(data / "sidelog.db", replica, home):
            for number in range(REQUESTS):
                urllib.request.urlopen(f"{sidelog.url}/{number}", timeout=60).read()
            busy = threading.Thread(target=ask, args=(sidelog,))
            busy.start()
            attempts = iter(range(1000))
            eventually(
                lambda: (
                    replica.exists()
                    and restore(replica, tmp_path / f"{next(attempts)}/a.db") > REQUESTS
                )
            )
            sidelog.kill_all()

        is_over.set()
        busy.join()
        shutil.rmtree(json.loads((data / "state.json").read_text())["rings"])
        copied = restore(replica, tmp_path / "restored/sidelog.db")
        for name in ("state.json", "admin-token"):
            shutil.copy(data / name, tmp_path / "restored" / name)
        shutil.rmtree(data)
        (tmp_path / "restored").rename(data)
        sidelog.start()
        urllib.request.urlopen(f"{sidelog.url}/after", timeout=60).read()
        eventually(lambda: sidelog.records("path=/after"))
        paths = [record["path"] for record in sidelog.records("kind=exchange")]
        assert {"/after", *(f"/{number}" for number in range(REQUESTS))} <= set(paths)
        assert len(paths) >= copied > REQUESTS
        assert sidelog.settled_ledger()["stored"] >= copied
        assert sidelog.ready_answer()["degraded"] is False
