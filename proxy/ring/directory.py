"""The segments in the directory of one data directory's rings. Which directory that is: `process/shared_memory.py`."""

import fcntl
import os
from pathlib import Path


def segments_in(directory: Path) -> list[Path]:
    """Return the rings in a directory, sorted by name; none if it does not exist."""
    return sorted(directory.glob("*.ring")) if directory.is_dir() else []


def remove_unfinished(directory: Path) -> int:
    """Remove files of creators that were killed before their segment was complete; return how many there were."""
    removed = 0
    for path in directory.glob("*.new"):
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
            removed += 1
        except BlockingIOError:
            pass
        finally:
            os.close(fd)
    return removed
