"""Paths that are removed under a running sidelog are reported once."""

import gc
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.collector.rings.sources import Sources
from proxy.collector.watch.watched_paths import DATA_DIR, RING, RING_DIR, STATE, WatchedPaths
from tests.support.rings import RingWorker


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[RingWorker]:
    """The ring of a worker that lives, in a file."""
    (tmp_path / "rings").mkdir()
    made = RingWorker(tmp_path / "rings")
    yield made
    made.die()


def test_what_is_there_is_not_missed(tmp_path: Path, ring: RingWorker) -> None:
    """Neither a directory of rings that is not used, nor an anonymous ring is missed."""
    anonymous = RingWorker(None)
    sources = Sources(tmp_path / "rings", {})
    sources.find()
    sources.attach_fd(anonymous.segment.fd)
    places = WatchedPaths({DATA_DIR: tmp_path, RING_DIR: None}, sources.attached)
    places.look()
    assert (places.gone, set(places.removed.values())) == ([], {0})
    places.close()
    anonymous.die()
    sources.close()


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_directory_that_is_gone_or_another_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, is_replaced: bool
) -> None:
    """It stays gone, as the next start will not find what the old one has."""
    (tmp_path / "data").mkdir()
    places = WatchedPaths({DATA_DIR: tmp_path / "data", RING_DIR: tmp_path}, {})
    (tmp_path / "data").rename(tmp_path / "moved")
    if is_replaced:
        (tmp_path / "data").mkdir()
    for _ in range(3):
        places.look()
    assert (places.gone, places.removed[DATA_DIR], places.removed[RING_DIR]) == ([DATA_DIR], 1, 0)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith(
        "the data directory was removed or replaced while sidelog runs: the next start will not "
        "find its data"
    )
    places.close()


def test_a_directory_that_was_made_anew_is_another(tmp_path: Path) -> None:
    """Even where the file system gives it the inode number of the removed one, as ext4 does."""
    made = tmp_path / "data"
    made.mkdir()
    places = WatchedPaths({DATA_DIR: made}, {})
    made.rmdir()
    made.mkdir()
    places.look()
    assert places.gone == [DATA_DIR]
    places.close()


def test_what_was_watched_can_be_let_go(tmp_path: Path) -> None:
    """Nothing stays open, and nothing is checked any more."""
    gc.collect()  # what tests before left keeps the number of its descriptor until then
    before = set(os.listdir("/proc/self/fd"))
    places = WatchedPaths({DATA_DIR: tmp_path, RING_DIR: tmp_path / "none"}, {})
    assert len(set(os.listdir("/proc/self/fd")) - before) == 1
    places.close()
    places.close()
    places.look()
    assert set(os.listdir("/proc/self/fd")) <= before
    assert places.gone == []


def test_a_ring_without_its_name_is_missed_until_it_is_empty(
    tmp_path: Path, ring: RingWorker
) -> None:
    """Whether it was found by name or received as a descriptor."""
    assert ring.segment.path is not None
    sources = Sources(tmp_path / "rings", {})
    sources.find()
    places = WatchedPaths({}, sources.attached)
    ring.segment.path.unlink()
    for _ in range(2):
        places.look()
    assert (places.gone, places.removed[RING]) == ([RING], 1)
    sources.close()
    places.look()
    assert places.gone == []
    sources.attach_fd(ring.segment.fd)
    places.look()
    assert places.gone == [RING]
    sources.close()


@pytest.mark.parametrize("name", ["admin-token", "state.json"])
def test_a_file_that_commands_need_is_missed_until_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """Replacing a file is no removal. One that was not there at the start is not missed."""
    (tmp_path / name).write_text("x")
    places = WatchedPaths({DATA_DIR: tmp_path}, {})
    (tmp_path / "new").write_text("y")
    (tmp_path / "new").replace(tmp_path / name)
    places.look()
    assert places.gone == []
    (tmp_path / name).unlink()
    for _ in range(2):
        places.look()
    assert (places.gone, places.removed[STATE]) == ([STATE], 1)
    (record,) = caplog.records
    assert "commands do not find this sidelog" in record.getMessage()
    (tmp_path / name).write_text("x")
    places.look()
    assert places.gone == []
    places.close()
