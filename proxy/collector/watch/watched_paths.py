"""Checks that the paths of a running sidelog are still there: its directories, the files by which
commands find it, the files of its rings.

A process goes on after the names of its files are removed, and all looks well until the next start
finds nothing. So a removed or replaced path is logged, counted and shown as degraded; a restart
mends it. The directories are kept open meanwhile, because a file system gives the inode number of a
removed one to the next (ext4: always).
"""

import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from proxy.collector.rings.sources import Source
from proxy.process.data_dir import STATE_FILE, TOKEN_FILE
from proxy.process.files import replace_file
from proxy.ring.segment import ANONYMOUS, Segment

log = logging.getLogger(__name__)

DATA_DIR: Final = "data directory"
RING_DIR: Final = "ring directory"
RING: Final = "file of a ring"
STATE: Final = "state or token file of the data directory"

_CONSEQUENCES: Final = {
    DATA_DIR: "the next start will not find its data",
    RING_DIR: "unread records are lost if all processes end at once",
    RING: "its unread records are lost if all processes end at once",
    STATE: "commands do not find this sidelog, a start makes it anew",
}


class WatchedPaths:
    """Remembers the paths of the start, and checks them."""

    def __init__(
        self,
        directories: Mapping[str, Path | None],
        attached: Mapping[bytes, Source],
        token: str = "",
    ) -> None:
        """Remember the directories as they are now.

        Args:
            directories: By kind; None where there is none.
            attached: The rings, by source.
            token: The admin token. A data directory that is read-only now lacks its file, which is
                written as soon as that succeeds.
        """
        self._directories = {
            kind: (path, _identity(path)) for kind, path in directories.items() if path is not None
        }
        self._held = [
            os.open(path, os.O_PATH | os.O_CLOEXEC)
            for path, identity in self._directories.values()
            if identity is not None
        ]
        self._files: list[Path] = []
        self._unwritten_token: tuple[Path, str] | None = None
        data_dir = directories.get(DATA_DIR)
        if data_dir is not None:
            token_file = data_dir / TOKEN_FILE
            self._files = [path for path in (token_file, data_dir / STATE_FILE) if path.exists()]
            if token and token_file not in self._files:
                self._unwritten_token = token_file, token

        self._attached = attached
        self._gone_rings: set[bytes] = set()
        self._gone: set[str] = set()
        self.removed = dict.fromkeys((DATA_DIR, RING_DIR, RING, STATE), 0)
        """Kind → how often one was found removed or replaced."""

    @property
    def gone(self) -> list[str]:
        """Return the kinds of watched paths of which something is missing now."""
        return [*sorted(self._gone), *([RING] if self._gone_rings else [])]

    def look(self) -> None:
        """Check every path, and report those that are gone since the last check."""
        self._check_directories()
        self._write_token()
        self._check_files()
        self._check_rings()

    def _check_directories(self) -> None:
        for kind, (path, identity) in self._directories.items():
            if kind not in self._gone and identity is not None and _identity(path) != identity:
                self._gone.add(kind)
                self._report(kind, str(path))

    def _write_token(self) -> None:
        if self._unwritten_token is None:
            return
        path, token = self._unwritten_token
        with suppress(OSError):
            replace_file(path, f"{token}\n".encode())
            self._files.append(path)
            self._unwritten_token = None

    def _check_files(self) -> None:
        missing = [path for path in self._files if not path.exists()]
        if not missing:
            self._gone.discard(STATE)
        elif not self._gone & {STATE, DATA_DIR}:
            self._gone.add(STATE)
            self._report(STATE, str(missing[0]))

    def _check_rings(self) -> None:
        self._gone_rings &= self._attached.keys()
        for source in self._attached.values():
            if source.id not in self._gone_rings and _is_removed(source.segment):
                self._gone_rings.add(source.id)
                self._report(RING, source.id.hex())

    def close(self) -> None:
        """Close the directories, and stop checking."""
        for descriptor in self._held:
            os.close(descriptor)
        self._held.clear()
        self._directories.clear()
        self._files.clear()

    def _report(self, kind: str, name: str) -> None:
        self.removed[kind] += 1
        log.error(
            "the %s was removed or replaced while sidelog runs: %s",
            kind,
            _CONSEQUENCES[kind],
            extra={"name_was": name},
        )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_removed(segment: Segment) -> bool:
    """Return True if the file of a ring has lost its name. An anonymous file never had one."""
    try:
        if os.fstat(segment.fd).st_nlink:
            return False
        return ANONYMOUS not in os.readlink(f"/proc/self/fd/{segment.fd}")
    except OSError:
        return False
