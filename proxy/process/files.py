"""Writing whole: a file is replaced in one step, a pipe is given all of what is for it. stdlib only."""

import os
import select
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file by one with this content, readable by its owner only; blocks until it is on disk.

    A reader finds the old content or the new one.

    Raises:
        OSError: it cannot be written; the old one is still there.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
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
    """Write all of it, however long that takes, also where another process has made the descriptor non-blocking.

    Raises:
        OSError: it takes no more.
    """
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            select.select([], [fd], [])
