"""Replacing a file in one step, so that a reader finds the old content or the new one. stdlib only."""

import os
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file by one with this content, readable by its owner only; blocks until it is on disk.

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
