"""Whether a generation of rings may be made beside those that are there."""

import logging
import os
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from proxy.process.ring_home import RingHome
from proxy.supervisor.children import Shared
from proxy.supervisor.ring_room import RingRoom

MIB = 1 << 20


def shared(directory: Path) -> Shared:
    """What is started with one worker whose ring takes a mebibyte."""
    settings = {"storage": {"queue_max_bytes": 0}}
    return cast(
        Shared, SimpleNamespace(rings=RingHome(directory), rings_bytes=MIB, settings=settings)
    )


def leave(directory: Path, name: str) -> Path:
    """Leave a ring of a mebibyte."""
    path = directory / f"{name}.ring"
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, MIB)
    return path


def test_there_is_room_beside_one_generation(tmp_path: Path) -> None:
    """One of before may stay; a second one is waited for until it is gone."""
    room = RingRoom(lambda: [])
    leave(tmp_path, "a")
    assert room.look(shared(tmp_path), "it waits") == "free"
    second = leave(tmp_path, "b")
    assert room.look(shared(tmp_path), "it waits") == "taken"
    assert room.is_waiting
    assert not room.is_free(shared(tmp_path))
    second.unlink()
    assert room.look(shared(tmp_path), "it waits") == "free"
    assert not room.is_waiting
    assert room.is_free(shared(tmp_path))


def test_patience_ends_where_nothing_is_given_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It lasts from the newest progress on; its end is said once, and another wait may begin."""
    now = [0.0]
    room = RingRoom(lambda: [], clock=lambda: now[0])
    rings = [leave(tmp_path, name) for name in "abcd"]
    looks = []

    with caplog.at_level(logging.WARNING):
        for now[0] in (0.0, 9.0, 18.0, 20.0):
            if now[0] == 9.0:
                rings.pop().unlink()
            looks.append(room.look(shared(tmp_path), "it waits", 10.0))

    assert looks == ["taken", "taken", "taken", "hopeless"]
    assert "old rings do not drain" in caplog.text
    assert room.look(shared(tmp_path), "it waits", 10.0) == "taken"
