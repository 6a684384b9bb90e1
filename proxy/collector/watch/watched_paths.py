"""Whether the directories that a running sidelog needs, the files by which commands find it, and
those of its rings, are still there.

A process goes on after the names of its files are removed, and all looks well until the next start
finds nothing. So the paths are checked: a removed or replaced one is logged, counted and shown as
degraded, and a restart mends it. The directories are kept open meanwhile, because a file system
reuses the inode number of a removed one for the next (ext4: always).
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

_MEANING: Final = {
    DATA_DIR: "the next start will not find its data",
    RING_DIR: "unread records are lost if all processes end at once",
    RING: "its unread records are lost if all processes end at once",
    STATE: "commands do not find this sidelog, a start makes it anew",
}


class WatchedPaths:
    """Remembers the directories of the start, and checks them."""

    def __init__(
        self,
        directories: Mapping[str, Path | None],
        attached: Mapping[bytes, Source],
        token: str = "",
    ) -> None:
        """Prepare for the directories as they are now.

        Args:
            directories: None stands for one that is not used.
            attached: The rings.
            token: It is written into the data directory once that can be, where it is read-only now.
        """
        self._directories = {
            what: (path, _identity(path)) for what, path in directories.items() if path is not None
        }
        self._held = [
            os.open(path, os.O_PATH | os.O_CLOEXEC)
            for path, found in self._directories.values()
            if found
        ]
        data_dir = directories.get(DATA_DIR)
        own = (data_dir / TOKEN_FILE, data_dir / STATE_FILE) if data_dir else ()
        self._files = [path for path in own if path.exists()]
        self._unwritten = {
            path: f"{token}\n".encode() for path in own[:1] if token and not path.exists()
        }
        self._attached = attached
        self._gone_rings: set[bytes] = set()
        self._gone: set[str] = set()
        self.removed = dict.fromkeys((DATA_DIR, RING_DIR, RING, STATE), 0)
        """How often one of the kind was found removed or replaced."""

    @property
    def gone(self) -> list[str]:
        """The kinds of which something is missing now."""
        return [*sorted(self._gone), *([RING] if self._gone_rings else [])]

    def look(self) -> None:
        """Check every path, and report those that are gone since the last check."""
        for what, (path, identity) in self._directories.items():
            if what not in self._gone and identity is not None and _identity(path) != identity:
                self._gone.add(what)
                self._report(what, str(path))

        for path, content in list(self._unwritten.items()):
            with suppress(OSError):
                replace_file(path, content)
                self._files.append(path)
                del self._unwritten[path]

        missing = [path for path in self._files if not path.exists()]
        if not missing:
            self._gone.discard(STATE)
        elif not self._gone & {STATE, DATA_DIR}:
            self._gone.add(STATE)
            self._report(STATE, str(missing[0]))

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

    def _report(self, what: str, name: str) -> None:
        self.removed[what] += 1
        log.error(
            "the %s was removed or replaced while sidelog runs: %s",
            what,
            _MEANING[what],
            extra={"name_was": name},
        )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_removed(segment: Segment) -> bool:
    """Whether the file of a ring has lost its name; an anonymous one never had any."""
    try:
        if os.fstat(segment.fd).st_nlink:
            return False
        return ANONYMOUS not in os.readlink(f"/proc/self/fd/{segment.fd}")
    except OSError:
        return False
