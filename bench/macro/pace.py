"""Waiting to the microsecond: epoll for what is ready, select for the time, since epoll counts whole milliseconds.

A load generator that sends at a rate must not wake late, or what it measures is its own timer.
"""

import select
import time
from typing import Final

MAX_EVENTS: Final = 256


class Poller:
    """Sockets that are watched for reading, by their descriptor."""

    def __init__(self) -> None:
        self._epoll = select.epoll()

    def watch(self, descriptor: int) -> None:
        """Report when there is something to read, or an end."""
        self._epoll.register(descriptor, select.EPOLLIN)

    def forget(self, descriptor: int) -> None:
        """Report it no more."""
        self._epoll.unregister(descriptor)

    def wait(self, until_ns: int) -> list[int]:
        """Return the descriptors that are ready, at the latest at a time of `time.monotonic_ns`; none: it is time."""
        remaining_s = (until_ns - time.monotonic_ns()) / 1e9
        if remaining_s > 0:
            select.select([self._epoll.fileno()], [], [], remaining_s)
        return [descriptor for descriptor, _ in self._epoll.poll(0, MAX_EVENTS)]

    def close(self) -> None:
        """Watch nothing any more."""
        self._epoll.close()
