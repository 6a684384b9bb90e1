"""A data disk that is read-only when sidelog starts costs no request: it serves, says so, and
recovers.
"""

import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.support.disks import small_disk
from tests.support.long import long
from tests.support.sidelog import Sidelog, eventually


def remount(path: Path, how: str) -> None:
    """Make a disk read-only, or writable again."""
    subprocess.run(["mount", "-o", f"remount,{how}", str(path)], check=True)


def ask(sidelog: Sidelog, count: int) -> set[str]:
    """Make requests; return the ids of their records."""
    ids = set()
    for _ in range(count):
        with urllib.request.urlopen(f"{sidelog.url}/x", timeout=60) as response:
            response.read()
            ids.add(response.headers["X-Sidelog-Id"])
    return ids


@pytest.mark.parametrize("workers", ["1", long("0")])
@pytest.mark.parametrize("is_fresh", [False, long(True)])
def test_a_read_only_disk_at_the_start(
    tmp_path: Path, upstream: str, *, is_fresh: bool, workers: str
) -> None:
    """Of a sidelog that has run before, and of one that has not: requests are answered, and all are
    stored late.
    """
    disk = tmp_path / "disk"
    with small_disk(disk, "200m"):
        sidelog = Sidelog(disk / "data", upstream, "--workers", workers)
        sidelog.log_path = tmp_path / "log"
        asked: set[str] = set()

        if not is_fresh:
            with sidelog:
                asked |= ask(sidelog, 3)
                sidelog.settled_ledger()

        remount(disk, "ro")
        with sidelog:
            answer = eventually(
                lambda: shown if (shown := sidelog.ready_answer())["degraded"] else None
            )
            assert (answer["ready"], answer["away"]) == (True, ["store"])
            asked |= ask(sidelog, 20)
            assert "the data directory cannot be written, records wait in memory" in sidelog.log
            remount(disk, "rw")
            eventually(lambda: not sidelog.ready_answer()["degraded"])
            eventually((disk / "data" / "admin-token").exists)
            ledger = sidelog.settled_ledger()
            assert (ledger["stored"], ledger["dropped"]) == (len(asked), {})
            assert {record["id"] for record in sidelog.records()} == asked
