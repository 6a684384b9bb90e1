"""A wake-up is seen once, however often it was given."""

import os
import select
from collections.abc import Iterator

import pytest

from proxy.process.wakeup import Wakeup


@pytest.fixture
def wakeup() -> Iterator[Wakeup]:
    """Nothing stays open."""
    before = set(os.listdir("/proc/self/fd"))
    made = Wakeup.create()
    yield made
    made.close()
    # Tests before may have left some that are closed meanwhile.
    assert set(os.listdir("/proc/self/fd")) <= before


def is_awake(wakeup: Wakeup) -> bool:
    """Whether the reading end is readable now."""
    return bool(select.select([wakeup.read_fd], [], [], 0)[0])


def test_notify_wakes_until_cleared(wakeup: Wakeup) -> None:
    """Ten notifications are one; clearing twice is harmless."""
    assert not is_awake(wakeup)
    for _ in range(10):
        wakeup.notify()
    assert is_awake(wakeup)
    wakeup.clear()
    assert not is_awake(wakeup)
    wakeup.clear()
    wakeup.notify()
    assert is_awake(wakeup)


def test_a_reader_that_never_clears_blocks_nobody(wakeup: Wakeup) -> None:
    """Far more notifications than a pipe can hold return at once, and one clear brings no more than
    some sleep back.
    """
    for _ in range(20_000):
        wakeup.notify()
    for _ in range(100):
        wakeup.clear()
    assert not is_awake(wakeup)


def test_it_wakes_across_inherited_descriptors(wakeup: Wakeup) -> None:
    """A process that adopts the descriptors is heard."""
    other = Wakeup(os.dup(wakeup.read_fd), os.dup(wakeup.write_fd))
    other.notify()
    assert is_awake(wakeup)
    other.close()


def test_a_reader_that_is_gone_is_no_error() -> None:
    """The worker goes on when the collector's end is closed."""
    made = Wakeup.create()
    os.close(made.read_fd)
    with pytest.raises(BrokenPipeError):
        os.write(made.write_fd, b"x")
    made.notify()
    os.close(made.write_fd)
