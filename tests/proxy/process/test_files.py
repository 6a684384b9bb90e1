"""A replaced file is whole, private, and the old one when it cannot be written."""

import os
from pathlib import Path

import pytest

from proxy.process.files import replace_file


def test_the_new_content_is_private_whatever_stood_there(tmp_path: Path) -> None:
    """Mode 0600, also when the old file was open to everybody; nothing else is left in the directory."""
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
