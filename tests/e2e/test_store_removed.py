"""What becomes of records when somebody removes or moves what they are kept in; each loss has its
number.
"""

import os
import shutil
import signal
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support.sidelog import Sidelog, await_pids, eventually


def ask(sidelog: Sidelog, count: int) -> set[str]:
    """Make requests; return the ids of their records."""
    ids = set()
    for _ in range(count):
        with urllib.request.urlopen(f"{sidelog.url}/bytes/1", timeout=60) as response:
            response.read()  # whoever has all of it finds its record in the ring, and nobody else
            ids.add(response.headers["X-Sidelog-Id"])
    return ids


def stored(sidelog: Sidelog) -> set[str]:
    """The ids of all exchanges in the store."""
    return {record["id"] for record in sidelog.records()}


def gaps(sidelog: Sidelog) -> list[dict[str, Any]]:
    """What the gap events say."""
    return [event["data"] for event in sidelog.records("kind=event") if event["name"] == "gap"]


def test_a_store_removed_under_a_running_sidelog_is_away(tmp_path: Path, upstream: str) -> None:
    """Log, status and readiness say so, records wait in the spool, and nothing takes its place; the
    next start goes on with an empty store, and counts what the old one had.
    """
    with Sidelog(tmp_path / "data", upstream) as sidelog:
        lost = ask(sidelog, 20)
        sidelog.settled_ledger()
        for path in sidelog.data_dir.glob("sidelog.db*"):
            path.unlink()
        sidelog.await_log("the store was removed, emptied or replaced while sidelog runs")
        kept = ask(sidelog, 5)
        eventually(lambda: sidelog.ready_answer()["degraded"])
        assert "restart sidelog" in sidelog.api("/api/status")["storage"]["reason"]
        assert not list(sidelog.data_dir.glob("sidelog.db*"))

    with sidelog:
        eventually(lambda: kept <= stored(sidelog))
        assert not lost & stored(sidelog)
        assert sidelog.settled_ledger()["dropped"] == {"other_store": len(lost)}
        # The collector stores the event behind the record of this start.
        [gap] = eventually(lambda: gaps(sidelog))
        assert (gap["reason"], gap["count"]) == ("other_store", len(lost))


def crash_with_full_rings(sidelog: Sidelog) -> set[str]:
    """Kill all processes while the collector has stood still for a while; return what the rings
    hold.
    """
    (collector,) = await_pids(sidelog, "proxy.collector")
    sidelog.settled_ledger()
    os.kill(collector, signal.SIGSTOP)
    eventually(lambda: states(collector) == {"T"})  # it is only asked to stand still
    asked = ask(sidelog, 20)
    pids = [collector, *sidelog.pids("proxy.worker")]
    sidelog.kill_all()
    # Until then it is a sidelog that may live on elsewhere.
    eventually(lambda: not any(map(open_files, pids)))
    return asked


def states(pid: int) -> set[str]:
    """The states of a process's threads, as /proc/PID/stat has them (proc(5))."""
    return {
        path.read_text().rpartition(")")[2].split()[0]
        for path in Path(f"/proc/{pid}/task").glob("*/stat")
    }


def rings_apart(directory: Path) -> dict[str, str]:
    """The environment of a sidelog whose rings no other one sees: any that starts sweeps what has
    no owner.
    """
    (directory / "rings").mkdir(exist_ok=True)
    return {"SIDELOG_RING__DIRECTORY": str(directory / "rings")}


def open_files(pid: int) -> list[str]:
    """What a process has open; one that has ended has nothing."""
    try:
        return os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return []


@pytest.mark.long
def test_a_data_directory_moved_after_a_crash_finds_its_rings(
    tmp_path: Path, upstream: str
) -> None:
    """They are named by the directory, not by where it was."""
    sidelog = Sidelog(tmp_path / "data", upstream, "--workers", "2", environ=rings_apart(tmp_path))
    with sidelog:
        asked = ask(sidelog, 5)
        asked |= crash_with_full_rings(sidelog)
        moved = Sidelog(tmp_path / "moved", upstream, environ=rings_apart(tmp_path))
        sidelog.data_dir.rename(moved.data_dir)
        with moved:
            eventually(lambda: asked <= stored(moved))
            assert moved.settled_ledger()["dropped"] == {}
        sidelog.data_dir.mkdir()
        sidelog.start()


def test_a_data_directory_deleted_after_a_crash_leaves_a_count(
    tmp_path: Path, upstream: str
) -> None:
    """Its rings are nobody's: they are taken away, and the next start says how many records were in
    them.
    """
    with Sidelog(
        tmp_path / "data", upstream, "--workers", "2", environ=rings_apart(tmp_path)
    ) as sidelog:
        asked = crash_with_full_rings(sidelog)
        shutil.rmtree(sidelog.data_dir)
        sidelog.start()
        sidelog.await_log(f"removed abandoned rings with at least {len(asked)} records in them")
        assert sidelog.settled_ledger()["received"] == 0
