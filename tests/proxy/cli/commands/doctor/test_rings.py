"""The doctor on rings: room for them, whose place it is, and what was left in it."""

import json
import os
from pathlib import Path

import msgspec
import pytest

from proxy.cli.commands.doctor.finding import Finding
from proxy.cli.commands.doctor.rings import check_ring_space, check_rings
from proxy.process.ring_home import claim_ring_home, ring_parent
from proxy.settings.model import Settings
from tests.support.rings import RingWorker


def states(findings: object) -> list[str]:
    """Only the verdicts."""
    assert hasattr(findings, "__iter__")
    return [finding.state for finding in findings]


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """What stands for /dev/shm."""
    made = tmp_path / "shm"
    made.mkdir()
    return made


def test_ring_space(settings: Settings, tmp_path: Path) -> None:
    """Too little in the default place is a warning, in a configured one a failure."""
    huge = msgspec.structs.replace(settings.ring, bytes=1 << 60)
    assert states(check_ring_space(msgspec.structs.replace(settings, ring=huge))) == ["warn"]
    configured = msgspec.structs.replace(huge, directory=str(tmp_path))
    assert states(check_ring_space(msgspec.structs.replace(settings, ring=configured))) == ["fail"]
    small = msgspec.structs.replace(configured, bytes=1 << 20)
    assert states(check_ring_space(msgspec.structs.replace(settings, ring=small))) == ["ok"]
    missing = msgspec.structs.replace(small, directory=str(tmp_path / "none"))
    assert states(check_ring_space(msgspec.structs.replace(settings, ring=missing))) == ["fail"]


@pytest.mark.parametrize("kind", ["link", "file", "foreign"])
def test_a_place_that_is_not_ours_is_told(
    settings: Settings, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """In shared memory everybody can write: what somebody else made under our name is not used."""
    place = ring_parent("", shared)
    assert states(check_ring_space(settings, shared_memory=shared)) == ["ok"]
    if kind == "link":
        place.symlink_to(tmp_path)
    elif kind == "file":
        place.touch()
    else:
        place.mkdir()
        monkeypatch.setattr(os, "getuid", lambda: 4242)
        place.rename(ring_parent("", shared))
    (finding,) = check_ring_space(settings, shared_memory=shared)
    assert finding.state == "warn"
    assert ("belongs to user" if kind == "foreign" else "is a link or no directory") in finding.text
    assert "set ring.directory" in finding.fix


def killed(settings: Settings, shared: Path, records: int) -> Path:
    """What a sidelog leaves when all its processes are killed at once: a ring with records."""
    home = claim_ring_home("", Path(settings.data_dir), shared_memory=shared)
    assert home.path is not None
    worker = RingWorker(home.path)
    worker.record(records)
    worker.die()
    os.close(home.lock_fd)
    return home.path


def the_one(settings: Settings, shared: Path) -> Finding:
    """What is said of rings."""
    (finding,) = check_rings(settings, shared_memory=shared)
    return finding


def test_rings_that_are_held_are_in_order(settings: Settings, shared: Path) -> None:
    """Nothing is there, or somebody reads it: then nothing is waiting for a start."""
    assert the_one(settings, shared).state == "ok"
    home = claim_ring_home("", Path(settings.data_dir), shared_memory=shared)
    assert home.path is not None
    worker = RingWorker(home.path)
    worker.record(1)
    assert the_one(settings, shared).state == "ok"
    worker.die()
    home.release()


def test_rings_of_the_last_run_wait_for_a_start(settings: Settings, shared: Path) -> None:
    """How many records at least, where, and that a start stores them."""
    path = killed(settings, shared, 3)
    finding = the_one(settings, shared)
    assert (finding.state, finding.fix) == ("warn", "start sidelog, which stores them")
    assert f"{path}: at least 3 records" in finding.text


def test_rings_without_records_are_in_order(settings: Settings, shared: Path) -> None:
    """A kill in a quiet moment: nothing waits for a start."""
    path = killed(settings, shared, 0)
    assert the_one(settings, shared) == Finding("ok", "rings", f"no record waits in the rings that were left in {path}")


def test_many_rings_without_records_are_one_line(settings: Settings, shared: Path, tmp_path: Path) -> None:
    """Kills of a year do not hide what else was found; those with records still have a line each."""
    for number in range(3):
        data = tmp_path / str(number)
        data.mkdir()
        killed(msgspec.structs.replace(settings, data_dir=str(data)), shared, 0)
    assert the_one(settings, shared).text.endswith(" and 2 other directories")
    killed(settings, shared, 1)
    assert states(check_rings(settings, shared_memory=shared)) == ["ok", "warn"]


def test_rings_of_another_directory_are_named_with_it(settings: Settings, shared: Path, tmp_path: Path) -> None:
    """Who is to come back for them is the sidelog of that data directory."""
    (tmp_path / "other").mkdir()
    other = msgspec.structs.replace(settings, data_dir=str(tmp_path / "other"))
    path = killed(other, shared, 1)
    assert f"--data-dir {tmp_path}/other, which stores them, or remove {path}" in the_one(settings, shared).fix
    (path / "owner").write_text("damaged")
    assert "1 records of ?" in the_one(settings, shared).text


def test_rings_in_the_place_of_other_settings_are_found(settings: Settings, shared: Path, tmp_path: Path) -> None:
    """A start with another `ring.directory` would not read them."""
    path = killed(settings, shared, 2)
    moved = msgspec.structs.replace(
        settings, ring=msgspec.structs.replace(settings.ring, directory=str(tmp_path / "r"))
    )
    finding = the_one(moved, shared)
    assert finding.fix == f"set ring.directory back to {path.parent} and start sidelog"
    assert json.loads((Path(settings.data_dir) / "state.json").read_text())["rings"] == str(path)
