"""Pipes whose reader does not read."""

import fcntl
import os
from collections.abc import Callable


def full_pipe() -> tuple[int, int]:
    """Make a pipe full of zero bytes; return its ends, which block."""
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    fcntl.fcntl(write_fd, fcntl.F_SETPIPE_SZ, 4096)

    try:
        while True:
            os.write(write_fd, bytes(4096))
    except BlockingIOError:
        pass

    os.set_blocking(write_fd, True)
    return read_fd, write_fd


def read_all(read_fd: int, *, until: Callable[[], object]) -> bytes:
    """Read what comes until something is true, and what is there then."""
    os.set_blocking(read_fd, False)
    found = b""
    is_over = False

    while True:
        try:
            found += os.read(read_fd, 1 << 16)
        except BlockingIOError:
            if is_over:
                return found
            is_over = bool(until())
