"""Waking the collector: a pipe shared by all workers. stdlib only.

A worker writes to it only after a push that found the reader asleep, so a busy system never makes
this system call.
"""

import os
from typing import Self


class Wakeup:
    """A pair of descriptors. `read_fd` becomes readable after `notify`, until `clear`."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        """Adopt descriptors made by `create` here or in the parent."""
        self.read_fd = read_fd
        self.write_fd = write_fd

    @classmethod
    def create(cls) -> Self:
        """Make the pair of non-blocking descriptors; a child inherits them only if they are passed
        on.
        """
        read_fd, write_fd = os.pipe()
        os.set_blocking(read_fd, False)
        os.set_blocking(write_fd, False)
        return cls(read_fd, write_fd)

    def notify(self) -> None:
        """Wake the reader. Does nothing if it is awake already, or gone."""
        try:
            os.write(self.write_fd, b"\x01")
        except (BlockingIOError, BrokenPipeError):
            pass

    def clear(self) -> None:
        try:
            os.read(self.read_fd, 4096)
        except BlockingIOError:
            pass

    def close(self) -> None:
        os.close(self.read_fd)
        os.close(self.write_fd)
