"""The files by which commands find a running sidelog: restored when they are removed.

Without token and state the commands reach nothing, and an operator who cleaned up too much could neither look nor
export before the restart. Strategy: each look remembers the content of both files. The invariant: nothing is written
into a directory that another sidelog has claimed since; the lock in it shows that.
"""

import fcntl
import logging
import os
from pathlib import Path

from proxy.process.data_dir import LOCK_FILE, STATE_FILE, TOKEN_FILE
from proxy.process.files import replace_file

log = logging.getLogger(__name__)


class DataFiles:
    """Remembers what is in them."""

    def __init__(self, path: Path, token: str = "") -> None:
        """`path` is the data directory, maybe on a disk that goes and comes back; `token` is restored into it."""
        self._path = path
        self._lock = self._lock_file()
        self._seen = {TOKEN_FILE: f"{token}\n".encode()} if token else {}
        self._lock_fd = -1
        """Lock of a restored directory: held for the life of this process, so no other sidelog starts in it."""
        self._failure = ""

    def look(self) -> None:
        """Read the files again, and restore those that are gone."""
        missing = []
        for name in (TOKEN_FILE, STATE_FILE):
            try:
                self._seen[name] = (self._path / name).read_bytes()
            except FileNotFoundError:
                missing.append(name)
            except OSError:  # the code that needs the file reports it
                pass
        lost = [name for name in missing if name in self._seen]
        if lost:
            self._restore(lost)

    def close(self) -> None:
        """Release the lock of a restored directory."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)

    def _restore(self, names: list[str]) -> None:
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._is_ours():
                return
            for name in names:
                replace_file(self._path / name, self._seen[name])
        except OSError as error:
            if self._failure != str(error):
                self._failure = str(error)
                log.warning("cannot restore the removed files of the data directory: %s", error.strerror)
            return
        log.warning("restored files of the data directory that were removed while sidelog runs: %s", ", ".join(names))

    def _is_ours(self) -> bool:
        """Whether we hold the directory's lock: the one taken at the start, or that of a new directory."""
        if self._lock_fd >= 0 or (any(self._lock) and self._lock_file() == self._lock):
            return True
        fd = os.open(self._path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._lock_fd = fd
        return True

    def _lock_file(self) -> tuple[int, int, int]:
        """Return device, inode and change time of the lock file, since inode numbers are reused; zeros without one."""
        try:
            status = (self._path / LOCK_FILE).stat()
        except OSError:
            return 0, 0, 0
        return status.st_dev, status.st_ino, status.st_ctime_ns
