"""Recording stalls for a while under load: traffic waits, and no record is dropped (P30)."""

import os
import signal
import socket
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from tests.e2e.test_kill import check_accounts
from tests.e2e.test_store_away import balanced, large, locked
from tests.support.load import Load, await_more
from tests.support.sidelog import Sidelog, await_pids, customized, eventually

WAIT_MS = 1000
"""Four clients that wait so long leave a ring room for minutes: a starved machine may take long to
start a process.
"""
RING_BYTES = 2 << 20
"""Half of it takes a hundred records of `large`; the queue would have room for all of it."""
_ENDLESS = """
import sys
if "proxy.worker" in sys.orig_argv:
    from proxy.worker import recording_pace
    recording_pace.STANDSTILL_NS = 1 << 60
"""


def stalling(tmp_path: Path, upstream: str) -> Sidelog:
    """Prepare one whose ring is small, and whose workers wait for a collector however long a busy
    machine needs.
    """
    environ = {
        "SIDELOG_RING__BYTES": str(RING_BYTES),
        "SIDELOG_CAPTURE__MAX_WAIT_MS": str(WAIT_MS),
        **customized(tmp_path, _ENDLESS),
    }
    return Sidelog(tmp_path / "data", upstream, environ=environ)


def accepts(sidelog: Sidelog) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", sidelog.port), 60):
        return True
    return False


def waits(sidelog: Sidelog) -> int:
    """How many requests waited for recording."""
    status: dict[str, Any] = sidelog.api("/api/status")
    return sum(ring["recording_waits"] for ring in status["rings"])


def longest_wait_ms(sidelog: Sidelog) -> int:
    """Of all requests, by their records."""
    sql = (
        "SELECT max(json_extract(CAST(data AS TEXT), '$.recording_wait_ms')) "
        "FROM records WHERE data IS NOT NULL"
    )
    with closing(sqlite3.connect(sidelog.data_dir / "sidelog.db")) as store:
        return int(store.execute(sql).fetchone()[0] or 0)


def check(sidelog: Sidelog, load: Load) -> None:
    """Requests have waited, all were answered, and each is stored once."""
    assert waits(sidelog) > 0
    assert longest_wait_ms(sidelog) > 0
    assert load.errors == 0
    assert sidelog.settled_ledger()["dropped"] == {}
    check_accounts(sidelog, load.completed)


def test_load_from_the_first_moment_waits_for_the_collector(tmp_path: Path, upstream: str) -> None:
    """It starts later than the data port accepts, and has its first records to store then."""
    sidelog = stalling(tmp_path, upstream)
    sidelog.start(is_awaited=False)
    eventually(lambda: accepts(sidelog))
    (collector,) = await_pids(sidelog, "proxy.collector")
    os.kill(collector, signal.SIGSTOP)

    try:
        with Load(sidelog.port, make_body=large) as load:
            await_more(load.completed, RING_BYTES // (2 * 8000) + 30)
            os.kill(collector, signal.SIGCONT)
            eventually(sidelog.is_ready)
            await_more(load.completed, 50)

        eventually(lambda: balanced(sidelog)["waiting"] == 0)
        check(sidelog, load)
    finally:
        sidelog.__exit__(None, None, None)


def test_a_killed_collector_is_waited_for(tmp_path: Path, upstream: str) -> None:
    """Its successor finds all of it in the ring."""
    with stalling(tmp_path, upstream) as sidelog:
        with Load(sidelog.port, make_body=large) as load:
            await_more(load.completed, 50)
            (collector,) = await_pids(sidelog, "proxy.collector")
            os.kill(collector, signal.SIGSTOP)  # until the ring is more than half full
            await_more(load.completed, RING_BYTES // (2 * 8000) + 30)
            os.kill(collector, signal.SIGKILL)
            eventually(lambda: sidelog.pids("proxy.collector") not in ([], [collector]))
            eventually(sidelog.is_ready)
            await_more(load.completed, 50)

        check(sidelog, load)


def test_a_locked_store_is_waited_for_until_the_spool_takes_over(
    tmp_path: Path, upstream: str
) -> None:
    """Also where the ring is smaller than what the queue may hold: it is not full before the spool
    is used.
    """
    with stalling(tmp_path, upstream) as sidelog:
        with Load(sidelog.port, make_body=large) as load:
            await_more(load.completed, 50)
            with locked(sidelog.data_dir / "sidelog.db"):
                eventually(lambda: balanced(sidelog)["spooled"] > 100)
                await_more(load.completed, 50)
            eventually(lambda: balanced(sidelog)["spooled"] == 0)

        assert load.errors == 0
        assert sidelog.settled_ledger()["dropped"] == {}
        check_accounts(sidelog, load.completed)
