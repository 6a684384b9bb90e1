"""Token and state are there again after somebody removed them, unless the directory is another's by now."""

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.collector.watch.data_files import DataFiles
from proxy.process.data_dir import DataDirError, lock_data_dir, read_state, update_state


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data directory of a sidelog that runs."""
    os.close(lock_data_dir(tmp_path / "data").lock_fd)
    update_state(tmp_path / "data", admin_url="http://127.0.0.1:1")
    return tmp_path / "data"


@pytest.fixture
def files(data: Path) -> Iterator[DataFiles]:
    """What watches over it, and has looked once."""
    made = DataFiles(data)
    made.look()
    yield made
    made.close()


@pytest.mark.parametrize("is_moved", [False, True])
def test_they_are_written_anew(
    data: Path, files: DataFiles, caplog: pytest.LogCaptureFixture, *, is_moved: bool
) -> None:
    """With what they said last, for their owner only; said once; and nobody starts in the directory meanwhile."""
    token = (data / "admin-token").read_text()
    update_state(data, sessions="newer")
    files.look()
    if is_moved:
        data.rename(data.with_name("moved"))
    else:
        shutil.rmtree(data)
    for _ in range(3):
        files.look()
    assert (data / "admin-token").read_text() == token
    assert read_state(data)["sessions"] == "newer"
    assert [path.stat().st_mode & 0o777 for path in (data, data / "admin-token", data / "state.json")] == [
        0o700,
        0o600,
        0o600,
    ]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    with pytest.raises(DataDirError, match="in use"):
        lock_data_dir(data, wait_s=0)


def test_one_file_alone(data: Path, files: DataFiles) -> None:
    """In a directory that was not replaced the lock is its supervisor's."""
    held = os.open(data / "lock", os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    (data / "state.json").unlink()
    files.look()
    assert read_state(data)["admin_url"] == "http://127.0.0.1:1"
    os.close(held)


def test_another_sidelog_is_left_alone(data: Path, files: DataFiles) -> None:
    """It took the name of the directory, and has files of its own, or will have."""
    data.rename(data.with_name("moved"))
    other = lock_data_dir(data)
    (data / "admin-token").unlink()
    files.look()
    assert not (data / "admin-token").exists()
    os.close(other.lock_fd)


def test_where_nothing_can_be_written_it_is_said_once(
    data: Path, files: DataFiles, caplog: pytest.LogCaptureFixture
) -> None:
    """A file has taken the directory's place."""
    shutil.rmtree(data)
    data.write_text("")
    for _ in range(3):
        files.look()
    assert [record.getMessage() for record in caplog.records] == []
    data.unlink()
    data.symlink_to("nowhere/at/all")
    for _ in range(3):
        files.look()
    (record,) = caplog.records
    assert "cannot restore the removed files" in record.getMessage()
