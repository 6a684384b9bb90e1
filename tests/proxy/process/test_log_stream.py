"""Nobody who writes to the log waits for its reader; what is lost is counted."""

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from proxy.process.logs import LogStream
from tests.support.pipes import full_pipe, read_all
from tests.support.programs import PROGRAM_S

MEMBER = ("x" * 99) + "\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that is full."""
    read_fd, write_fd = full_pipe()
    yield read_fd, write_fd
    os.close(read_fd)
    os.close(write_fd)


def test_a_reader_who_does_not_read_holds_nobody_up(pipe: tuple[int, int]) -> None:
    """What fits waits, what does not is counted; when it reads, it gets what waited, whole and in
    order.
    """
    read_fd, write_fd = pipe
    stream = LogStream(write_fd, max_waiting_bytes=1000)
    for number in range(100):
        assert stream.write(f"{number:099d}\n") == 100
    assert not stream.settle(0.01)
    assert 89 <= stream.dropped <= 90
    found = read_all(read_fd, until=lambda: stream.settle(0.01))
    lines = found.lstrip(b"\0").splitlines()
    assert [int(line) for line in lines] == list(range(100 - stream.dropped))
    stream.write("again\n")
    assert stream.settle(60)
    assert os.read(read_fd, 100) == b"again\n"


def test_a_text_is_counted_by_its_lines(pipe: tuple[int, int]) -> None:
    """A traceback is several; half of one is one."""
    stream = LogStream(pipe[1], max_waiting_bytes=0)
    stream.write("one\ntwo\n")
    stream.write("three")
    assert stream.dropped == 3


def test_a_reader_that_is_gone_costs_lines_and_nothing_else() -> None:
    """No error reaches whoever writes."""
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    stream = LogStream(write_fd)
    for _ in range(3):
        stream.write(MEMBER)
    assert stream.settle(60)
    assert stream.dropped == 3
    os.close(write_fd)


def test_a_descriptor_that_does_not_block_is_waited_for(pipe: tuple[int, int]) -> None:
    """Its flags belong to whoever started us."""
    read_fd, write_fd = pipe
    fcntl.fcntl(write_fd, fcntl.F_SETFL, fcntl.fcntl(write_fd, fcntl.F_GETFL) | os.O_NONBLOCK)
    stream = LogStream(write_fd)
    stream.write(MEMBER)
    assert not stream.settle(0.01)
    found = read_all(read_fd, until=lambda: stream.settle(0.01))
    assert found.lstrip(b"\0") == MEMBER.encode()
    assert stream.dropped == 0


def test_it_is_a_stream_like_stderr(pipe: tuple[int, int]) -> None:
    """Half of a surrogate pair is no error, and threads may share it."""
    read_fd, write_fd = pipe
    stream = LogStream(write_fd)
    assert (stream.fileno(), stream.isatty(), stream.writable()) == (write_fd, False, True)
    threads = [threading.Thread(target=stream.write, args=("\ud800\n",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read_all(read_fd, until=lambda: stream.settle(0.01))
    assert found.lstrip(b"\0") == b"\\ud800\n" * 4


@pytest.mark.parametrize(
    "ending", ["raise RuntimeError", "import logging; logging.error('x'); sys.exit(1)"]
)
def test_a_process_ends_although_nobody_reads_its_last_words(
    pipe: tuple[int, int], ending: str
) -> None:
    """A crash too, whose traceback Python itself writes."""
    program = (
        "import sys; from proxy.process.logs import detach_from_stderr; detach_from_stderr(); "
        f"{ending}"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], stderr=pipe[1], timeout=PROGRAM_S, check=False
    )
    assert done.returncode == 1


def test_the_last_words_of_a_process_are_written() -> None:
    """When somebody reads them."""
    patience = "logs.LogStream.settle.__defaults__ = (60.0,)"
    program = (
        f"import sys; from proxy.process import logs; {patience}; logs.detach_from_stderr(); 1 / 0"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=PROGRAM_S,
        check=False,
    )
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")
