"""A backup of a running sidelog, and going back to it."""

import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.support.programs import PROGRAM_S
from tests.support.sidelog import ROOT, Sidelog, eventually


def test_a_store_goes_back_to_its_backup(tmp_path: Path, upstream: str) -> None:
    """What was recorded until then is there, what comes after is added, and no loss is made up."""
    data_dir = tmp_path / "data"
    copy = tmp_path / "records.db"
    with Sidelog(data_dir, upstream) as sidelog:
        _record(sidelog, "/before")
        command = [
            sys.executable,
            "-m",
            "proxy",
            "db",
            "backup",
            str(copy),
            "--data-dir",
            str(data_dir),
        ]
        subprocess.run(command, cwd=ROOT, check=True, timeout=PROGRAM_S)
        _record(sidelog, "/between")
        sidelog.stop()
        for journal in ("-wal", "-shm"):
            (data_dir / f"sidelog.db{journal}").unlink(missing_ok=True)
        shutil.copy(copy, data_dir / "sidelog.db")
        sidelog.start()
        _record(sidelog, "/after")
        assert [record["path"] for record in sidelog.records("kind=exchange")] == [
            "/after",
            "/before",
        ]
        ledger = sidelog.settled_ledger()
        assert sum(ledger["dropped"].values()) == 0, ledger
        assert sidelog.ready_answer()["degraded"] is False


def _record(sidelog: Sidelog, path: str) -> None:
    urllib.request.urlopen(sidelog.url + path, timeout=60).read()
    eventually(lambda: sidelog.records(f"path={path}"))
