"""A file is read to its end or given up; a replaced one is whole, private, and the old one if it
cannot be written.
"""

import errno
import os
import threading
from pathlib import Path

import pytest

from proxy.process.files import read_file, replace_file


def test_the_new_content_is_private_whatever_stood_there(tmp_path: Path) -> None:
    """Mode 0600, also when the old file was open to everybody; nothing else is left in the
    directory.
    """
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o666)
    replace_file(path, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o600)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is reported and changes nothing."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_what_does_not_end_is_given_up(tmp_path: Path) -> None:
    """A pipe to which nothing writes ends within the time that it is given."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TimeoutError, match=r"not read to its end within 0\.05 s"):
        read_file(tmp_path / "pipe", within_s=0.05)
    os.close(os.open(tmp_path / "pipe", os.O_WRONLY))  # lets the thread end


def test_what_has_no_end_is_given_up() -> None:
    """A device that goes on costs no more memory than a large file may."""
    with pytest.raises(OSError, match="more than 1000 bytes") as refused:
        read_file(Path("/dev/zero"), 1000)
    assert refused.value.errno == errno.EFBIG


def test_a_pipe_that_is_written_is_read_to_its_end(tmp_path: Path) -> None:
    """As a shell's process substitution is."""
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"x" * 100_000,))
    writer.start()
    assert len(read_file(tmp_path / "pipe")) == 100_000
    writer.join()
