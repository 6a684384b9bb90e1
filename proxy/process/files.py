"""Read and write files as a whole: within a time limit, atomically, or completely. stdlib only."""

import errno
import os
import select
import threading
from pathlib import Path
from typing import Final

READ_S: Final = 10.0
"""Time limit: a pipe without a writer and a file system that hangs never answer."""
MAX_READ_BYTES: Final = 64 << 20


def read_file(path: Path, max_bytes: int = MAX_READ_BYTES, within_s: float = READ_S) -> bytes:
    """Read a file to its end, within a time limit.

    A thread does the reading, since no signal interrupts a file system that hangs.

    Raises:
        OSError: it cannot be read, does not end in time (`TimeoutError`), or has more than
            `max_bytes`.
    """
    read: list[bytes | OSError] = []
    thread = threading.Thread(
        target=lambda: read.append(_read(path, max_bytes)), name=f"read {path}", daemon=True
    )
    thread.start()
    thread.join(within_s)

    if not read:
        raise TimeoutError(
            errno.ETIMEDOUT,
            f"not read to its end within {within_s:g} s (a pipe, or a file system that hangs?)",
        )
    if isinstance(read[0], OSError):
        raise read[0]

    return read[0]


def _read(path: Path, max_bytes: int) -> bytes | OSError:
    try:
        with path.open("rb") as stream:
            content = stream.read(max_bytes + 1)
    except OSError as error:
        return error

    if len(content) <= max_bytes:
        return content
    return OSError(errno.EFBIG, f"has more than {max_bytes} bytes")


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file atomically by one that only its owner can read; blocks until it is on disk.

    A reader finds the old content or the new one.

    Raises:
        OSError: it cannot be written; the old one is still there.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(
        unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
    )
    try:
        with os.fdopen(fd, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(fd)
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def write_all(fd: int, data: bytes) -> None:
    """Write all data, however long that takes, even if another process made the descriptor
    non-blocking.

    Raises:
        OSError: the descriptor accepts no more data.
    """
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            select.select([], [fd], [])
