"""The directory of the rings is private, per data directory, and refused when somebody else made it."""

import os
from pathlib import Path

import pytest

from proxy.process.shared_memory import SharedMemoryError, ring_directory


def test_the_default_is_private_and_stable_per_data_directory(tmp_path: Path) -> None:
    """The same data directory, also through a link, has the same ring directory, mode 0700; another has another."""
    shared = tmp_path / "shm"
    shared.mkdir()
    data, other = tmp_path / "data", tmp_path / "other"
    data.mkdir()
    link = tmp_path / "link"
    link.symlink_to(data)
    first = ring_directory("", data, 1, shared_memory=shared)
    assert first is not None
    assert first.parent == shared / f"sidelog-{os.getuid()}"
    assert len(first.name) == 16
    assert [path.stat().st_mode & 0o777 for path in (first, first.parent)] == [0o700, 0o700]
    assert ring_directory("", link, 1, shared_memory=shared) == first
    assert ring_directory("", other, 1, shared_memory=shared) != first


def test_shared_memory_that_cannot_hold_the_rings_means_anonymous_files(tmp_path: Path) -> None:
    """Missing or too small shared memory is no error: the answer is None."""
    assert ring_directory("", tmp_path, 1, shared_memory=tmp_path / "absent") is None
    assert ring_directory("", tmp_path, 1 << 60, shared_memory=tmp_path) is None


def test_a_directory_with_a_wide_mode_is_narrowed(tmp_path: Path) -> None:
    """A directory of our own that others could read is made private."""
    own = tmp_path / f"sidelog-{os.getuid()}"
    own.mkdir(mode=0o755)
    own.chmod(0o777)
    ring_directory("", tmp_path, 1, shared_memory=tmp_path)
    assert own.stat().st_mode & 0o777 == 0o700


def test_a_link_and_a_file_in_its_place_are_refused(tmp_path: Path) -> None:
    """What is no directory of its own is never followed."""
    own = tmp_path / f"sidelog-{os.getuid()}"
    (tmp_path / "elsewhere").mkdir()
    own.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SharedMemoryError, match="is a link or no directory"):
        ring_directory("", tmp_path, 1, shared_memory=tmp_path)
    own.unlink()
    own.write_text("")
    with pytest.raises(SharedMemoryError, match="is a link or no directory"):
        ring_directory("", tmp_path, 1, shared_memory=tmp_path)


def test_a_directory_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that another user owns is an error that names both users."""
    uid = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: uid + 1)
    (tmp_path / f"sidelog-{uid + 1}").mkdir()
    with pytest.raises(SharedMemoryError, match=f"belongs to user {uid}, not {uid + 1}"):
        ring_directory("", tmp_path, 1, shared_memory=tmp_path)


def test_a_configured_directory_is_made_and_must_suffice(tmp_path: Path) -> None:
    """A configured directory is used whatever /dev/shm offers; one that cannot serve is an error, not a fallback."""
    configured = tmp_path / "a" / "rings"
    found = ring_directory(str(configured), tmp_path, 1, shared_memory=tmp_path / "absent")
    assert found is not None
    assert found.parent == configured
    assert found.stat().st_mode & 0o777 == 0o700
    with pytest.raises(SharedMemoryError, match="bytes free, the rings need 1152921504606846976"):
        ring_directory(str(configured), tmp_path, 1 << 60)
    (tmp_path / "file").write_text("")
    with pytest.raises(SharedMemoryError, match="cannot use the ring directory"):
        ring_directory(str(tmp_path / "file"), tmp_path, 1)
