"""Rings that few records still come to: memory for what they hold, and never a page that is not
there.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.ring.lean_room import STEP_BYTES, LeanRoom
from proxy.ring.ring import RingReader, RingWriter
from proxy.ring.segment import Segment
from tests.proxy.ring.ringing import idle, numbers, push

MIB = 1 << 20


@pytest.fixture(params=["file", "anonymous"])
def segment(request: pytest.FixtureRequest) -> Iterator[Segment]:
    """A ring of 4 MiB in shared memory, as a worker has one."""
    directory = Path("/dev/shm") / f"sidelog-test-{os.getpid()}"
    directory.mkdir(mode=0o700)
    try:
        made = Segment.create(
            directory if request.param == "file" else None,
            b"",
            ring_bytes=4 * MIB,
            counter_cells=1,
            inflight_slots=1,
        )
        yield made
        made.unlink()
        made.close()
    finally:
        directory.rmdir()


def allocated(segment: Segment) -> int:
    return os.fstat(segment.fd).st_blocks * 512


def test_it_has_what_it_holds_and_a_step(segment: Segment) -> None:
    """Over many laps every record arrives, and what was read is given back."""
    writer = RingWriter(segment, idle)
    reader = RingReader(segment)
    segment.hold()
    assert all(push(writer, number, 1000) for number in range(1000))
    whole = allocated(segment)
    writer.be_lean(LeanRoom(segment))
    assert allocated(segment) <= whole - 4 * MIB + 1000 * 1100
    assert numbers(reader) == list(range(1000))
    reader.release(reader.cursor)

    for start in range(1000, 20_000, 100):
        assert all(push(writer, number, 1000) for number in range(start, start + 100))
        assert numbers(reader) == list(range(start, start + 100))
        reader.release(reader.cursor)
        assert allocated(segment) <= whole - 4 * MIB + 2 * STEP_BYTES


def test_it_may_be_filled_again(segment: Segment) -> None:
    """To the last byte, as ever."""
    writer = RingWriter(segment, idle)
    reader = RingReader(segment)
    writer.be_lean(LeanRoom(segment))
    count = 0
    while push(writer, count, 5000):
        count += 1
    assert count >= 4 * MIB // 5100
    assert reader.refused == 1
    assert numbers(reader) == list(range(count))


def test_without_room_a_record_is_refused_and_counted(
    segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than written to a page that is not there, which kills the process; later ones find
    room again.
    """
    writer = RingWriter(segment, idle)
    reader = RingReader(segment)
    writer.be_lean(LeanRoom(segment))
    has_room = False

    def allocate(fd: int, at: int, size: int) -> None:
        if not has_room:
            raise OSError(errno.ENOSPC, "no room")

    with monkeypatch.context() as full:
        full.setattr(os, "posix_fallocate", allocate)
        assert not push(writer, 1, 5000)
        assert not push(writer, 2, 5000)

    assert push(writer, 3, 5000)
    assert reader.refused == 2
    assert numbers(reader) == [3]


def test_where_room_cannot_be_asked_for_all_of_it_is_kept(
    segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a sandbox that refuses the call."""

    def refuse(fd: int, at: int, size: int) -> None:
        raise OSError(errno.EPERM, "refused")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    whole = allocated(segment)
    with contextlib.suppress(OSError):
        LeanRoom(segment)
    assert allocated(segment) == whole


def test_one_that_is_made_lean_begins_without_pages() -> None:
    """Nor are they taken when its producer holds it."""
    made = Segment.create(
        None, b"", ring_bytes=4 * MIB, counter_cells=1, inflight_slots=1, is_lean=True
    )
    made.hold()
    assert allocated(made) < MIB
    writer = RingWriter(made, idle)
    reader = RingReader(made)
    writer.be_lean(LeanRoom(made))
    assert push(writer, 1, 1000)
    assert numbers(reader) == [1]
    assert allocated(made) <= MIB
    made.close()


def test_one_that_cannot_be_lean_is_made_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is not there must never be written to."""

    def refuse(fd: int, at: int, size: int) -> None:
        raise OSError(errno.EPERM, "refused")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    made = Segment.create(
        None, b"", ring_bytes=4 * MIB, counter_cells=1, inflight_slots=1, is_lean=True
    )
    assert allocated(made) >= 4 * MIB
    made.close()
