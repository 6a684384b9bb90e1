"""Directories for rings: in shared memory, or as configured. Standard library only.

Rings hold unredacted bytes. Their directory belongs to this user, has mode 0700 and is not a link.
All users can write to /dev/shm, so each part of the path is checked before use, and a directory of
another user is refused.
"""

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from proxy.process.memfd import REFUSED

RING_OVERHEAD_BYTES: Final = 5 << 20
"""Size of a ring's file in addition to the ring: the in-flight table of 1 024 slots of a page, and
the header pages.
"""
SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - every directory made in it is checked for owner, mode and links


class SharedMemoryError(OSError):
    """A ring cannot be placed: no space, no permission, or another user's directory in the way."""


def free_bytes(directory: Path) -> int:
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def allocated_bytes(directory: Path | None, descriptors: Iterable[int]) -> int:
    """Return the memory of the rings in a directory and behind descriptors, each counted once."""
    found = [os.fstat(fd) for fd in descriptors]
    for path in [] if directory is None else directory.glob("*"):
        try:
            found.append(path.stat(follow_symlinks=False))
        except OSError:  # it was drained meanwhile
            pass

    return sum(
        {(status.st_dev, status.st_ino): status.st_blocks * 512 for status in found}.values()
    )


def allocate(fd: int, total: int, needed: int) -> None:
    """Give the empty file behind `fd` a size of `total` bytes, all zero, the first `needed`
    allocated.

    All of them are allocated if the system cannot allocate pages later.

    Raises:
        OSError: no space.
    """
    try:
        os.posix_fallocate(fd, 0, needed)
        os.ftruncate(fd, total)
        return
    except OSError as error:
        if error.errno not in REFUSED:
            raise
    except AttributeError:  # macOS
        pass

    zeros = bytes(1 << 20)
    done = 0
    while done < total:
        done += os.pwrite(fd, zeros[: total - done], done)


def check_room(directory: Path, needed_bytes: int) -> None:
    """Check that a file system can hold rings.

    Raises:
        SharedMemoryError: it has less than `needed_bytes` free, or its free space is unknown.
    """
    try:
        free = free_bytes(directory)
    except OSError as error:
        raise SharedMemoryError(
            f"cannot use the ring directory {directory}: {error.strerror}"
        ) from error

    if free < needed_bytes:
        raise SharedMemoryError(
            f"the ring directory {directory} has {free} bytes free, the rings need {needed_bytes}: "
            "lower [ring] bytes or [proxy] workers, make it larger, or leave [ring] directory empty"
        )


def private_directory(directory: Path) -> int:
    """Create `directory` if it is missing, and return it open.

    It is owned by this user, has mode 0700, and is not a link.

    Raises:
        SharedMemoryError: it belongs to another user, or is not a directory.
        OSError: it cannot be created.
    """
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        pass

    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise SharedMemoryError(
            f"the ring directory {directory} is a link or not a directory: {error.strerror}"
        ) from error

    try:
        status = os.fstat(fd)
        if status.st_uid != os.getuid():
            raise SharedMemoryError(
                f"the ring directory {directory} belongs to user {status.st_uid}, not {os.getuid()}"
            )

        if stat.S_IMODE(status.st_mode) != 0o700:
            os.fchmod(fd, 0o700)
    except BaseException:
        os.close(fd)
        raise

    return fd
