"""Segments: made whole or not at all, read without trust, and alive exactly as long as their
producer.
"""

import contextlib
import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.ring.segment import Segment, remove_unfinished, segments_in
from proxy.ring.segment_layout import PAGE, SegmentError, boot_id


@pytest.fixture
def closing() -> Iterator[contextlib.ExitStack]:
    """A stack whose segments are closed, with no descriptor left."""
    before = set(os.listdir("/proc/self/fd"))
    with contextlib.ExitStack() as stack:
        yield stack
    assert set(os.listdir("/proc/self/fd")) <= before


def make(closing: contextlib.ExitStack, directory: Path | None) -> Segment:
    """Make a small segment that the stack closes."""
    made = Segment.create(
        directory, b'{"routes":[]}', ring_bytes=5000, counter_cells=10, inflight_slots=2
    )
    closing.callback(made.close)
    return made


def opened(closing: contextlib.ExitStack, segment: Segment) -> Segment:
    """Open a segment once more, as its consumer."""
    made = Segment.from_fd(segment.fd) if segment.path is None else Segment.attach(segment.path)
    closing.callback(made.close)
    return made


@pytest.mark.parametrize("is_anonymous", [False, True])
def test_both_sides_see_the_same_areas(
    closing: contextlib.ExitStack, tmp_path: Path, is_anonymous: bool
) -> None:
    """What one side writes into any area the other side reads, and both agree on identity and
    sizes.
    """
    producer = make(closing, None if is_anonymous else tmp_path)
    consumer = opened(closing, producer)
    assert (consumer.source, consumer.descriptor, consumer.boot_id) == (
        producer.source,
        b'{"routes":[]}',
        boot_id(),
    )
    assert len(producer.source) == 16
    assert consumer.capacity == len(consumer.data) == 2 * PAGE
    assert (len(consumer.counters), consumer.inflight_slots) == (10, 2)
    producer.counters[9] = 7
    producer.inflight[8191] = 8
    producer.data[0] = 9
    producer.data[8191] = 10
    producer.cells[64] = 1 << 63
    assert (consumer.counters[9], consumer.inflight[8191]) == (7, 8)
    assert (consumer.data[0], consumer.data[8191], consumer.cells[64]) == (9, 10, 1 << 63)


def test_the_file_is_private_allocated_and_named_by_its_source(
    closing: contextlib.ExitStack, tmp_path: Path
) -> None:
    """A ring file has mode 0600, no holes, and the name `<source>.ring`; nothing unfinished stays."""
    made = make(closing, tmp_path)
    path = tmp_path / f"{made.source.hex()}.ring"
    assert made.path == path
    assert segments_in(tmp_path) == [path] == list(tmp_path.iterdir())
    status = path.stat()
    assert status.st_mode & 0o777 == 0o600
    assert status.st_blocks * 512 >= status.st_size


@pytest.mark.parametrize("directory", [True, False])
def test_portable_fallbacks_make_the_same_segment(
    closing: contextlib.ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, directory: bool
) -> None:
    """Without posix_fallocate and memfd_create the file is still allocated, zero, private and
    shareable.
    """
    monkeypatch.delattr(os, "posix_fallocate")
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = make(closing, tmp_path if directory else None)
    assert os.fstat(made.fd).st_blocks * 512 >= os.fstat(made.fd).st_size
    assert bytes(made.data) == bytes(made.capacity)
    assert segments_in(tmp_path) == ([made.path] if directory else [])
    other = opened(closing, made)
    made.data[5] = 1
    assert other.data[5] == 1


def test_without_proc_a_descriptor_is_duplicated(
    closing: contextlib.ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where /proc/self/fd does not exist, a passed descriptor still gives the same memory."""
    made = make(closing, None)
    monkeypatch.setattr("os.path.exists", lambda _: False)
    other = opened(closing, made)
    made.data[5] = 3
    assert other.data[5] == 3


@pytest.mark.parametrize("is_anonymous", [False, True])
def test_no_space_is_an_error_that_names_the_bytes_and_leaves_nothing(
    closing: contextlib.ExitStack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_anonymous: bool,
) -> None:
    """A file system that is full refuses the segment before it exists, and the message says what
    was wanted.
    """

    def full(fd: int, offset: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(SegmentError, match=r"ring of \d+ bytes.*No space left"):
        make(closing, None if is_anonymous else tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_directory_is_named(closing: contextlib.ExitStack, tmp_path: Path) -> None:
    """A directory that does not exist is an error that names it."""
    with pytest.raises(SegmentError, match="absent: No such file"):
        make(closing, tmp_path / "absent")


def test_every_damaged_byte_of_the_static_header_is_found(
    closing: contextlib.ExitStack, tmp_path: Path
) -> None:
    """Whichever byte of the static header is changed, attaching says so; no size is believed."""
    made = make(closing, tmp_path)
    assert made.path is not None
    header = made.path.read_bytes()[:124]
    assert header[:8] == b"sidelogR"

    for position in range(124):
        damaged = bytearray(header)
        damaged[position] ^= 0x5A
        os.pwrite(made.fd, damaged, 0)
        with pytest.raises(SegmentError, match="damaged header"):
            Segment.attach(made.path)

    os.pwrite(made.fd, header, 0)
    opened(closing, made)


@pytest.mark.parametrize("size", [0, 1, 100, PAGE - 1])
def test_a_truncated_file_is_refused(
    closing: contextlib.ExitStack, tmp_path: Path, size: int
) -> None:
    """A file without the whole of its header page is damaged, not mapped."""
    made = make(closing, tmp_path)
    assert made.path is not None
    copy = tmp_path / "copy.ring"
    whole = made.path.read_bytes()
    copy.write_bytes(whole[:size])
    with pytest.raises(SegmentError, match="damaged header"):
        Segment.attach(copy)


def test_what_is_no_ring_is_refused(closing: contextlib.ExitStack, tmp_path: Path) -> None:
    """A link, a directory, a pipe, a missing file and a closed descriptor are errors and hang
    nobody.
    """
    made = make(closing, tmp_path)
    link = tmp_path / "link.ring"
    link.symlink_to(str(made.path))
    pipe = tmp_path / "pipe.ring"
    os.mkfifo(pipe)
    for path in (link, pipe, tmp_path, tmp_path / "absent.ring"):
        with pytest.raises(SegmentError):
            Segment.attach(path)
    with pytest.raises(SegmentError):
        Segment.from_fd(9999)


def test_a_named_segment_is_held_from_the_first_moment(
    closing: contextlib.ExitStack, tmp_path: Path
) -> None:
    """A consumer that finds the file sees its producer alive until that closes, and asking does not
    disturb it.
    """
    made = make(closing, tmp_path)
    consumer = opened(closing, made)
    assert made.producer_alive()
    assert consumer.producer_alive()
    assert consumer.producer_alive()
    made.hold()
    with pytest.raises(SegmentError, match="held by another producer"):
        consumer.hold()
    made.close()
    made.close()
    assert not consumer.producer_alive()


def test_letting_go_ends_the_producer_and_keeps_the_memory(
    closing: contextlib.ExitStack, tmp_path: Path
) -> None:
    """A worker that is done lets its consumer finish the ring before it closes it."""
    made = make(closing, tmp_path)
    consumer = opened(closing, made)
    made.let_go()
    made.let_go()
    assert not consumer.producer_alive()
    made.data[0] = 1
    assert consumer.data[0] == 1


def test_an_inherited_descriptor_does_not_keep_a_dead_producer_alive(
    closing: contextlib.ExitStack,
) -> None:
    """The child that holds an anonymous segment counts as dead after kill -9, though the parent has
    it open.
    """
    made = make(closing, None)
    assert not made.producer_alive()
    program = (
        "import sys, time; from proxy.ring.segment import Segment\n"
        "s = Segment.from_fd(int(sys.argv[1])); s.hold(); s.counters[0] = 1\n"
        "print('held', flush=True); time.sleep(60)"
    )

    child = subprocess.Popen(
        [sys.executable, "-c", program, str(made.fd)],
        pass_fds=[made.fd],
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        assert made.counters[0] == 1
        assert made.producer_alive()
        child.send_signal(signal.SIGKILL)
        child.wait(60)

    assert not made.producer_alive()


def test_unlink_removes_the_name_and_keeps_the_memory(
    closing: contextlib.ExitStack, tmp_path: Path
) -> None:
    """After unlink no name is left, both sides still share the bytes, and a second unlink is
    harmless.
    """
    made = make(closing, tmp_path)
    consumer = opened(closing, made)
    consumer.unlink()
    made.unlink()
    make(closing, None).unlink()
    assert segments_in(tmp_path) == []
    made.data[1] = 4
    assert consumer.data[1] == 4


def test_closing_under_a_view_leaves_the_view_usable(closing: contextlib.ExitStack) -> None:
    """Bytes that somebody still looks at stay mapped until the view goes."""
    made = make(closing, None)
    view = made.data[:4]
    made.data[0] = 5
    made.close()
    assert view[0] == 5
    view.release()
    del made


def test_segments_are_listed_sorted_and_nothing_else(tmp_path: Path) -> None:
    """Only finished rings are listed; a directory that is not there has none."""
    for name in ("b.ring", "a.ring", "c.new", "x"):
        (tmp_path / name).write_text("")
    assert [path.name for path in segments_in(tmp_path)] == ["a.ring", "b.ring"]
    assert segments_in(tmp_path / "absent") == []


def test_only_abandoned_unfinished_files_are_removed(tmp_path: Path) -> None:
    """A file whose creator still holds it stays; a link is not followed."""
    (tmp_path / "dead.new").write_text("")
    (tmp_path / "link.new").symlink_to(tmp_path / "dead.new")
    with (tmp_path / "busy.new").open("w") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)
        assert remove_unfinished(tmp_path) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["busy.new", "link.new"]


@pytest.mark.parametrize(
    ("released", "head"), [(0, 0), (8, 16), (5000, 30000), (200_000, 300_000), (262_144, 524_288)]
)
def test_what_a_dead_worker_left_gives_back_all_but_what_is_unread(
    closing: contextlib.ExitStack, released: int, head: int
) -> None:
    """Pages that hold nothing between the two offsets are free again, over the end of the lap too."""
    segment = Segment.create(None, b"{}", ring_bytes=1 << 18, counter_cells=10)
    closing.callback(segment.close)
    segment.data[:] = pattern = os.urandom(1 << 18)
    before = os.fstat(segment.fd).st_blocks * 512
    segment.give_back_ring(released, head)
    segment.give_back_inflight()
    freed = before - os.fstat(segment.fd).st_blocks * 512
    assert freed >= (1 << 18) - (head - released) - 2 * PAGE + segment.inflight_slots * 4096
    assert all(
        segment.data[at % (1 << 18)] == pattern[at % (1 << 18)] for at in range(released, head)
    )


def test_a_ring_with_damaged_offsets_gives_nothing_back(closing: contextlib.ExitStack) -> None:
    """What lies where is not known then."""
    segment = make(closing, None)
    before = os.fstat(segment.fd).st_blocks
    segment.give_back_ring(1 << 40, 0)
    segment.give_back_ring(0, 1 << 40)
    assert os.fstat(segment.fd).st_blocks == before
