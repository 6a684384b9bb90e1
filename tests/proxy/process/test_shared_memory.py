"""A directory for rings is private, and refused when somebody else made it or it has no room."""

import os
from pathlib import Path

import pytest

from proxy.process.shared_memory import (
    SharedMemoryError,
    allocated_bytes,
    check_room,
    private_directory,
)


def made(path: Path) -> Path:
    """Make it, and close it again."""
    os.close(private_directory(path))
    return path


def test_a_directory_is_private(tmp_path: Path) -> None:
    """A new one is, and one of our own that others could read is narrowed."""
    assert made(tmp_path / "new").stat().st_mode & 0o777 == 0o700
    (tmp_path / "wide").mkdir()
    (tmp_path / "wide").chmod(0o777)
    assert made(tmp_path / "wide").stat().st_mode & 0o777 == 0o700


def test_a_link_and_a_file_in_its_place_are_refused(tmp_path: Path) -> None:
    """What is no directory of its own is never followed."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "file").write_text("")
    for name in ("link", "file"):
        with pytest.raises(SharedMemoryError, match="is a link or not a directory"):
            private_directory(tmp_path / name)


def test_a_directory_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that another user owns is an error that names both users."""
    uid = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: uid + 1)
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(SharedMemoryError, match=f"belongs to user {uid}, not {uid + 1}"):
        private_directory(tmp_path)
    assert set(os.listdir("/proc/self/fd")) <= before


def test_room_is_asked_for(tmp_path: Path) -> None:
    """Enough is no error; the message names both sizes; what is not there has none."""
    check_room(tmp_path, 1)
    with pytest.raises(SharedMemoryError, match="bytes free, the rings need 1152921504606846976"):
        check_room(tmp_path, 1 << 60)
    with pytest.raises(SharedMemoryError, match="cannot use the ring directory"):
        check_room(tmp_path / "absent", 1)


def test_what_is_allocated_counts_once(tmp_path: Path) -> None:
    """A file by its name and by its descriptor is one; a hole in a file takes nothing."""
    path = tmp_path / "a"
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 1 << 20)
        file.truncate(1 << 30)
        assert 1 << 20 <= allocated_bytes(tmp_path, [file.fileno()]) < 2 << 20
        path.unlink()
        assert 1 << 20 <= allocated_bytes(None, [file.fileno()]) < 2 << 20
