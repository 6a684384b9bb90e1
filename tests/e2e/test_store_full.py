"""No room: a spool that is full, a disk that is full. Requests go on, drops are exact, and it
recovers alone.
"""

import os
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.test_store_away import MIB, balanced, locked
from tests.support.disks import fill, small_disk
from tests.support.load import PAUSE_S, Load, await_more
from tests.support.sidelog import Sidelog, eventually

SPOOL_BYTES = 4 * MIB
ENVIRON = {
    "SIDELOG_STORAGE__QUEUE_MAX_BYTES": str(MIB),
    "SIDELOG_RING__BYTES": str(MIB),
}


def gaps(sidelog: Sidelog) -> Counter[str]:
    """Add up what gap records tell, by reason."""
    told: Counter[str] = Counter()
    for record in sidelog.records("kind=event"):
        if record.get("name") == "gap":
            told[record["data"]["reason"]] += record["data"]["count"]
    return told


def check_drops(sidelog: Sidelog, completed: list[str]) -> None:
    """What clients got and the store lacks is what the ledger counts as dropped, and what gap
    records tell.
    """
    eventually(lambda: gaps(sidelog) == balanced(sidelog)["dropped"])
    ledger = sidelog.settled_ledger()
    told = gaps(sidelog)
    records = sidelog.records("kind=all")
    counts = Counter(record["id"] for record in records)
    assert max(counts.values()) == 1
    assert ledger["stored"] == len(records)
    assert ledger["received"] == len(records) + told.total()
    assert len(set(completed) - counts.keys()) == told.total()


LONG_HEAD = {"X-Filler": "x" * 3000}
"""Of a request: what is kept of it where there is no room for bodies."""


def large() -> bytes:
    """Make a body of which 20 fill the ring."""
    return os.urandom(25_000).hex().encode()


@pytest.mark.long
def test_a_full_spool_drops_the_newest_and_says_how_many(tmp_path: Path, upstream: str) -> None:
    """Store away, spool at its budget, ring full: requests are answered, drops counted to the
    record, and told.
    """
    environ = {**ENVIRON, "SIDELOG_SPOOL__MAX_BYTES": str(SPOOL_BYTES)}
    spool = tmp_path / "data" / "spool"
    with Sidelog(tmp_path / "data", upstream, environ=environ) as sidelog:
        with Load(sidelog.port, pause_s=PAUSE_S, make_body=large) as load:
            load.headers = {**load.headers, **LONG_HEAD}
            await_more(load.completed, 20)
            with locked(tmp_path / "data" / "sidelog.db"):
                eventually(lambda: balanced(sidelog)["dropped"].get("ring_full", 0) > 50)
                eventually(lambda: "the spool is full" in sidelog.log)
                assert sum(file.stat().st_size for file in spool.glob("*.spool")) <= SPOOL_BYTES
                await_more(load.completed, 50)

            eventually(lambda: balanced(sidelog)["spooled"] == 0)
            await_more(load.completed, 20)

        assert load.errors == 0
        check_drops(sidelog, load.completed)


def test_a_full_disk_costs_records_and_no_request(tmp_path: Path, upstream: str) -> None:
    """Neither the store nor the spool finds room: rings fill, drops are told; with room again all
    goes on by itself.
    """
    with (
        small_disk(tmp_path / "disk", "48m"),
        Sidelog(tmp_path / "disk" / "data", upstream, environ=ENVIRON) as sidelog,
    ):
        with Load(sidelog.port, pause_s=PAUSE_S, make_body=large) as load:
            load.headers = {**load.headers, **LONG_HEAD}
            await_more(load.completed, 50)
            ballast = fill(tmp_path / "disk", 64 << 10)
            eventually(lambda: balanced(sidelog)["dropped"].get("ring_full", 0) > 50)
            assert sidelog.is_ready()
            assert sidelog.ready_answer()["degraded"]
            ballast.unlink()
            eventually(lambda: not sidelog.ready_answer()["degraded"])
            await_more(load.completed, 50)

        assert load.errors == 0
        check_drops(sidelog, load.completed)


def test_a_full_disk_is_read_after_a_restart(tmp_path: Path, upstream: str) -> None:
    """What is stored is shown, and with room again all goes on by itself."""
    disk = tmp_path / "disk"
    with (
        small_disk(disk, "48m"),
        Sidelog(disk / "data", upstream, environ=ENVIRON) as sidelog,
    ):
        with Load(sidelog.port, pause_s=PAUSE_S) as load:
            await_more(load.completed, 20)
        stored = sidelog.settled_ledger()["stored"]
        sidelog.stop()
        ballast = fill(disk, 0)
        sidelog.start()
        assert len(sidelog.records("kind=all")) == stored
        ballast.unlink()
        with Load(sidelog.port, pause_s=PAUSE_S) as more:
            await_more(more.completed, 20)
        eventually(lambda: not sidelog.ready_answer()["degraded"])
        check_drops(sidelog, load.completed + more.completed)
