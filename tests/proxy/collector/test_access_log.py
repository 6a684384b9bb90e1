"""The access log never waits for stdout; what it could not write is counted."""

import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.collector.access_log import AccessLog, open_access_log
from storage.record import Entry
from tests.storage.samples import make_record
from tests.support.plane import eventually


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe; both ends are closed at the end."""
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:  # the test did
            pass


def entries(count: int, **changes: object) -> list[Entry]:
    """Some exchanges."""
    return [Entry(make_record(**changes)) for _ in range(count)]


def read_all(fd: int) -> bytes:
    """Read to the end."""
    found = b""
    while data := os.read(fd, 1 << 20):
        found += data
    return found


def test_off_is_nothing_at_all() -> None:
    """No thread and no object."""
    before = threading.active_count()
    assert open_access_log("off") is None
    assert threading.active_count() == before


def test_each_exchange_is_a_line_and_events_are_none(pipe: tuple[int, int]) -> None:
    """A stop writes what waits."""
    log = AccessLog("common", pipe[1])
    log.observe([*entries(2, path="/a"), *entries(1, kind="event"), *entries(1, path="/b")])
    log.close()
    os.close(pipe[1])
    assert [line.split()[6] for line in read_all(pipe[0]).splitlines()] == [b"/a", b"/a", b"/b"]
    assert log.dropped == 0


def test_lines_come_while_it_runs(pipe: tuple[int, int]) -> None:
    """Nobody has to stop it, or to send more."""
    log = AccessLog("json", pipe[1])
    log.observe(entries(1))
    assert os.read(pipe[0], 65536).endswith(b"}\n")
    log.close()


def test_a_reader_that_stands_still_costs_lines_and_nothing_else(pipe: tuple[int, int]) -> None:
    """What is over the bound is dropped and counted to the line; what was taken arrives in order once it reads."""
    log = AccessLog("json", pipe[1], max_bytes=200_000)
    sent = 0
    while not log.dropped:
        log.observe(entries(10, path=f"/{sent}"))
        sent += 10
        assert sent < 10_000
    taken = sent - log.dropped
    found = bytearray()
    reader = threading.Thread(target=lambda: found.extend(read_all(pipe[0])))
    reader.start()
    eventually(lambda: log._waiting_bytes == 0)
    log.observe(entries(1, path="/last"))
    log.close()
    os.close(pipe[1])
    reader.join()
    lines = bytes(found).splitlines()
    assert len(lines) == taken + 1
    assert b'"/last"' in lines[-1]


def test_a_stop_does_not_wait_for_a_reader_that_stands_still(pipe: tuple[int, int]) -> None:
    """After its time the rest is counted."""
    log = AccessLog("json", pipe[1])
    log.observe(entries(1000))
    log.close(timeout_s=0.05)
    assert log.dropped > 500
    os.close(pipe[0])  # lets the writing thread end
    log._thread.join(5)
    assert not log._thread.is_alive()


def test_a_reader_that_has_gone_is_counted_and_said_once(
    pipe: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    """EPIPE, the end of a log pipeline, is no reason to end."""
    os.close(pipe[0])
    log = AccessLog("common", pipe[1])
    for number in range(1, 4):
        log.observe(entries(1))
        eventually(lambda: log.dropped == number)  # noqa: B023 - called at once
    log.close()
    assert [record.message for record in caplog.records] == ["lines of the access log are lost: broken pipe"]


def test_a_disk_that_has_room_again_gets_lines_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Here a limit of the file's size stands for the disk."""
    with (tmp_path / "access").open("ab", buffering=0) as file:
        log = AccessLog("common", file.fileno())
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
        try:
            log.observe(entries(2))
            eventually(lambda: log.dropped == 2)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        log.observe(entries(1))
        eventually(lambda: file.tell() or os.fstat(file.fileno()).st_size)
        log.close()
    assert (tmp_path / "access").read_bytes().count(b"\n") == 1
    assert "written again" in caplog.text


def test_a_closed_stdout_is_counted() -> None:
    """`sidelog serve >&-` runs on."""
    log = AccessLog("json", -1)
    log.observe(entries(5))
    log.close()
    assert log.dropped == 5


def test_a_descriptor_that_somebody_made_non_blocking_is_waited_for(pipe: tuple[int, int]) -> None:
    """It is shared with whoever started us."""
    os.set_blocking(pipe[1], False)
    log = AccessLog("json", pipe[1])
    log.observe(entries(1000))
    found = bytearray()
    reader = threading.Thread(target=lambda: found.extend(read_all(pipe[0])))
    reader.start()
    log.close(5)
    os.close(pipe[1])
    reader.join()
    assert (found.count(b"\n"), log.dropped) == (1000, 0)
