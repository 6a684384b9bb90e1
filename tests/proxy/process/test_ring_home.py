"""Whose rings are whose: found again after a kill, never another's, and swept when nobody comes
back for them.
"""

import contextlib
import errno
import json
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.process import ring_home
from proxy.process.data_dir import lock_data_dir, read_state
from proxy.process.ring_home import (
    ABANDONED_S,
    HEAD_AT,
    PUSHED_AT,
    RELEASED_AT,
    RingHome,
    claim_ring_home,
    waiting_in,
)
from proxy.process.shared_memory import SharedMemoryError, private_directory
from proxy.ring.segment_layout import HEAD, PUSHED, RELEASED
from tests.support.rings import RingWorker


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """What stands for /dev/shm."""
    made = tmp_path / "shm"
    made.mkdir()
    return made


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory."""
    return data_dir(tmp_path / "data")


def data_dir(path: Path) -> Path:
    """Make one."""
    path.mkdir(parents=True)
    return path


def killed(shared: Path, data: Path, *rings: str) -> Path:
    """The ring directory of a sidecar that was killed, with these rings in it."""
    home = claim_ring_home("", data, shared_memory=shared)
    assert home.path is not None
    for name in rings:
        (home.path / name).write_text("unredacted")
    os.close(home.lock_fd)
    return home.path


@contextlib.contextmanager
def claimed(shared: Path, data: Path) -> Iterator[Path]:
    """The ring directory of a sidecar that starts, and stops again."""
    home = claim_ring_home("", data, shared_memory=shared)
    assert home.path is not None
    yield home.path
    home.release()


def seen_from_elsewhere(path: Path, **owner: object) -> None:
    """Let a directory's owner be one whose files are not to be seen from here."""
    known = json.loads((path / "owner").read_text())
    (path / "owner").write_text(json.dumps({**known, "view": "mnt:[1]", "inode": 1, **owner}))


def test_a_clean_stop_leaves_nothing(shared: Path, data: Path) -> None:
    """Neither the directory nor its parent; while it runs, both are private and its state names it."""
    with claimed(shared, data) as path:
        assert [p.stat().st_mode & 0o777 for p in (path, path.parent)] == [0o700, 0o700]
        assert path.parent == shared / f"sidelog-{os.getuid()}"
        assert read_state(data)["rings"] == str(path)
    assert list(shared.iterdir()) == []


def test_names_are_random(shared: Path, data: Path) -> None:
    """Nothing of it follows from the data directory's path: each new one has another."""
    with claimed(shared, data) as first:
        pass
    with claimed(shared, data) as second:
        assert second.name != first.name


def test_a_stop_with_rings_leaves_them_to_the_next_start(shared: Path, data: Path) -> None:
    """What is not drained is found again, also after the data directory was moved."""
    with claimed(shared, data) as path:
        (path / "a.ring").write_text("")
    data = data.rename(data.with_name("moved"))
    with claimed(shared, data) as again:
        assert again == path
        assert (path / "a.ring").exists()


def test_a_kill_with_workers_that_live_on_is_the_same_sidecar(shared: Path, data: Path) -> None:
    """A worker that still drains holds the directory: its successor shares it instead of making a
    new one.
    """
    old = claim_ring_home("", data, shared_memory=shared)
    with claimed(shared, data) as again:
        assert again == old.path
    os.close(old.lock_fd)


def test_two_of_one_path_never_share_rings(shared: Path, tmp_path: Path) -> None:
    """Containers with the same paths and one shared memory: each has its own, and sweeps nothing of
    the other's.
    """
    data = data_dir(tmp_path / "data")
    with claimed(shared, data) as first:
        (first / "a.ring").write_text("")
        data.rename(tmp_path / "the other container's")
        with claimed(shared, data_dir(tmp_path / "data")) as second:
            assert second != first
        assert (first / "a.ring").exists()


def test_a_copied_data_directory_does_not_take_the_originals_rings(
    shared: Path, data: Path
) -> None:
    """Not while the original runs, and not after it was killed: it will be back."""
    copy = data.with_name("copy")
    with claimed(shared, data) as first:
        shutil.copytree(data, copy)
        with claimed(shared, copy) as second:
            assert second != first

    path = killed(shared, data, "a.ring")
    shutil.copytree(data, copy, dirs_exist_ok=True)
    with claimed(shared, copy) as second:
        assert second != path
    with claimed(shared, data) as again:
        assert again == path
        assert (again / "a.ring").exists()


def test_a_copy_whose_original_is_gone_takes_its_rings(shared: Path, data: Path) -> None:
    """As when a data directory was moved to another file system."""
    path = killed(shared, data, "a.ring")
    shutil.copytree(data, data.with_name("copy"))
    shutil.rmtree(data)
    with claimed(shared, data.with_name("copy")) as again:
        assert again == path


def test_what_nobody_comes_back_for_is_swept(shared: Path, data: Path, tmp_path: Path) -> None:
    """Rings whose data directory is gone, and empty directories; not those of one that may return."""
    names = ("gone", "forgetful", "returning", "empty")
    gone, forgetful, returning, empty = (data_dir(tmp_path / name) for name in names)
    lost = [killed(shared, gone, "a.ring", "b.new"), killed(shared, empty)]
    kept = [killed(shared, forgetful, "a.ring"), killed(shared, returning, "a.ring")]
    shutil.rmtree(gone)
    (forgetful / "state.json").unlink()
    with claimed(shared, data):
        assert [path.exists() for path in lost] == [False, False]
        assert [(path / "a.ring").exists() for path in kept] == [True, True]


@pytest.mark.parametrize("state", [None, '{"rings": "/nowhere/0123456789abcdef"}'])
def test_rings_are_found_without_the_state(
    shared: Path, data: Path, state: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """It was lost, or restored from a copy: whose rings they are is written beside them."""
    old = killed(shared, data, "a.ring", "b.ring")
    (data / "state.json").unlink()
    if state is not None:
        (data / "state.json").write_text(state)
    with claimed(shared, data) as home:
        assert sorted(path.name for path in home.glob("*.ring")) == ["a.ring", "b.ring"]
        assert not old.exists()
    assert f"rings of an earlier run were found in {old}" in caplog.text


def test_a_directory_made_in_the_place_of_another_has_no_part_in_its_rings(
    shared: Path, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where the file system gives it the number of the one that was deleted, as ext4 does."""
    os.close(lock_data_dir(data).lock_fd)
    old = killed(shared, data)
    worker = RingWorker(old)
    worker.record(3)
    worker.die()
    for file in data.iterdir():
        file.unlink()
    os.close(lock_data_dir(data).lock_fd)
    with claimed(shared, data) as home:
        assert list(home.glob("*.ring")) == []
        assert not old.exists()
    assert "at least 3 records in them" in caplog.text


@pytest.mark.parametrize("is_configured", [False, True])
def test_a_full_disk_of_the_data_is_no_reason_to_have_no_rings(
    shared: Path,
    data: Path,
    is_configured: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The state cannot name the directory then, and the next start finds it all the same."""

    def full(path: Path, **members: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path / "state.json"))

    configured = str(shared / "rings") if is_configured else ""
    with monkeypatch.context() as patch:
        patch.setattr(ring_home, "update_state", full)
        home = claim_ring_home(configured, data, shared_memory=shared)
    assert home.path is not None
    (home.path / "a.ring").write_text("unredacted")
    os.close(home.lock_fd)
    assert "No space left" in caplog.text
    again = claim_ring_home(configured, data, shared_memory=shared)
    assert again.path is not None
    assert (again.path / "a.ring").exists()
    (again.path / "a.ring").unlink()
    again.release()


def test_the_records_in_swept_rings_are_told(
    shared: Path, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """At least so many as were never taken; of a ring that was read in part, one; nothing of what
    is no ring.
    """
    assert (HEAD_AT, PUSHED_AT, RELEASED_AT) == (8 * HEAD, 8 * PUSHED, 8 * RELEASED)
    home = killed(shared, data_dir(tmp_path / "gone"), "a.ring", "b.ring")
    (home / "b.ring").write_bytes(b"x" * 4096)
    (home / "a.ring").unlink()
    workers = [RingWorker(home), RingWorker(home), RingWorker(home)]
    for worker in workers:
        worker.record(3)
    for worker, released in zip(workers, (0, 8, workers[2].segment.cells[HEAD] & ~7), strict=True):
        worker.segment.cells[RELEASED] = released
        assert worker.segment.path is not None
        assert waiting_in(worker.segment.path) == (3 if not released else int(released == 8))
        worker.die()

    shutil.rmtree(tmp_path / "gone")
    with claimed(shared, data):
        assert not home.exists()
    (record,) = caplog.records
    assert record.getMessage() == "removed abandoned rings with at least 4 records in them"


def test_rings_of_an_owner_out_of_sight_stay_for_a_day(
    shared: Path, data: Path, tmp_path: Path
) -> None:
    """Another container may start again and claim them; when it does not, they are removed."""
    other = data_dir(tmp_path / "other")
    path = killed(shared, other, "a.ring")
    seen_from_elsewhere(path)
    for _ in range(2):
        with claimed(shared, data):
            assert (path / "a.ring").exists()
    with claimed(shared, other) as again:
        assert again == path
        assert not (path / "unclaimed").exists()
    path = killed(shared, other, "a.ring")
    seen_from_elsewhere(path)
    with claimed(shared, data):
        since = (path / "unclaimed").stat().st_mtime
        os.utime(path / "unclaimed", (since, since - ABANDONED_S))
    with claimed(shared, data):
        assert not path.exists()


def test_what_is_not_ours_to_judge_stays(shared: Path, data: Path) -> None:
    """Other names, other files, links."""
    own = shared / f"sidelog-{os.getuid()}"
    own.mkdir()
    (own / "mine").mkdir()
    (own / "0123456789abcdef").symlink_to(shared)
    (own / "fedcba9876543210").mkdir()
    (own / "fedcba9876543210" / "note").write_text("")
    with claimed(shared, data):
        pass
    assert {path.name for path in own.iterdir()} == {"mine", "0123456789abcdef", "fedcba9876543210"}


@pytest.mark.parametrize("squat", ["file", "link", "other user"])
def test_a_squatted_name_means_anonymous_memory(
    shared: Path,
    data: Path,
    squat: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whoever made it first does not keep sidelog from starting; it is said once."""
    own = shared / f"sidelog-{os.getuid()}"
    if squat == "file":
        own.write_text("")
    elif squat == "link":
        own.symlink_to(shared)
    else:
        uid = os.getuid()
        monkeypatch.setattr(os, "getuid", lambda: uid + 1)
        (shared / f"sidelog-{uid + 1}").mkdir()

    with caplog.at_level(logging.WARNING):
        home = claim_ring_home("", data, shared_memory=shared)
    assert home == RingHome()
    home.release()
    (line,) = caplog.messages
    assert line.startswith("rings are in anonymous memory")
    assert str(shared) in line


def test_a_full_memory_is_named(
    data: Path, shared: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error of writing has no name of its own; what helps is said, too."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", refuse)
    assert claim_ring_home("", data, shared_memory=shared) == RingHome()
    (line,) = caplog.messages
    assert f"{shared}/sidelog-{os.getuid()}: No space left on device; make room there" in line


def test_without_shared_memory_rings_are_anonymous(data: Path, tmp_path: Path) -> None:
    """There may be none, or it may be full to the last byte."""
    assert claim_ring_home("", data, shared_memory=tmp_path / "absent").path is None


def test_a_full_file_system_still_gives_its_rings_back(
    shared: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be written anew is not needed to read them; a new directory that cannot be
    described is none.
    """
    path = killed(shared, data, "a.ring")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with claimed(shared, data) as again:
            assert again == path
        (path / "a.ring").unlink()
        shutil.rmtree(path)
        assert claim_ring_home("", data, shared_memory=shared).path is None

    assert list((shared / f"sidelog-{os.getuid()}").iterdir()) == []


def test_a_configured_directory_is_made_or_an_error(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is used whatever /dev/shm offers, stays at a stop, and one that cannot be used ends the
    start.
    """
    home = claim_ring_home(str(tmp_path / "a" / "rings"), data)
    assert home.path is not None
    assert home.path.parent == tmp_path / "a" / "rings"
    (home.path / "a.ring").write_text("")
    home.release()
    (tmp_path / "file").write_text("")
    with pytest.raises(SharedMemoryError, match="cannot use the ring directory"):
        claim_ring_home(str(tmp_path / "file"), data)
    claim_ring_home(str(tmp_path / "b"), data).release()
    assert f"rings of the last run are in {home.path}" in caplog.text
    assert list((tmp_path / "b").iterdir()) == []


def test_a_directory_swept_while_it_was_made_is_made_anew(
    shared: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its making and its lock another start may take it for empty and removed."""
    removed: list[Path] = []

    def make_and_lose(path: Path) -> int:
        fd = private_directory(path)
        if path.parent != shared and len(removed) < 3:
            removed.append(path)
            path.rmdir()
            path.parent.rmdir()
        return fd

    monkeypatch.setattr(ring_home, "private_directory", make_and_lose)
    with claimed(shared, data) as path:
        assert len(removed) == 3
        assert path.exists()
