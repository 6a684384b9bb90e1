"""The ring directory of one sidecar: claimed at its start, released at its stop, swept if
abandoned.

The directory is `<ring.directory>/<id>`, else `/dev/shm/sidelog-<uid>/<id>`. The id is random, so
two sidecars that share the memory never open each other's rings, whatever the names of their data
directories. It is kept in the `state.json` of the data directory, so the successor of a killed
sidecar finds the rings again. Each process of a sidecar holds `flock(LOCK_SH)` on the directory for
life: an exclusive lock that succeeds proves that all of them are gone. Standard library only.
"""

import fcntl
import json
import logging
import os
import re
import secrets
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from proxy.process.data_dir import directory_id, read_state, update_state
from proxy.process.shared_memory import SHARED_MEMORY, SharedMemoryError, private_directory

log = logging.getLogger("proxy.supervisor")

STATE_NAME: Final = "rings"
"""Member of the state: the directory claimed last."""
ABANDONED_S: Final = 86400.0
"""Time after which unclaimed rings are removed if their owner is not visible from here."""
_OWNER: Final = "owner"
"""File in the directory: its owner, as returned by `_identity`."""
_UNCLAIMED: Final = "unclaimed"
"""File in the directory: its time stamp tells since when it has no known owner."""
_NAME: Final = re.compile(r"[0-9a-f]{16}")
_ATTEMPTS: Final = 10

HEAD_AT: Final = 512
PUSHED_AT: Final = 520
RELEASED_AT: Final = 704
"""Offsets of these cells in a ring's file (ring/FORMAT.md)."""
_CELLS_END: Final = RELEASED_AT + 8
_MAGIC: Final = b"sidelogR"


@dataclass(frozen=True, slots=True)
class RingHome:
    """A claimed directory."""

    path: Path | None = None
    """Path of the directory; None if rings are in anonymous memory."""
    lock_fd: int = -1
    """Descriptor that keeps the directory claimed while any process has it open."""

    @property
    def descriptors(self) -> list[int]:
        """Return the descriptors that a child inherits, so that the ring directory stays claimed
        while the child lives.
        """
        if self.path is None:
            return []
        return [self.lock_fd]

    def release(self) -> None:
        """Release the directory. It is removed if it has no rings."""
        if self.path is None:
            return
        if not _rings(self.path):
            _remove(self.path)
            if self.path.parent.name == _shared_name():
                _remove_empty(self.path.parent)

        os.close(self.lock_fd)


def claim_ring_home(
    configured: str, data_dir: Path, *, shared_memory: Path = SHARED_MEMORY
) -> RingHome:
    """Claim the directory for the rings of `data_dir`, whose lock is held, and sweep abandoned
    ones.

    Args:
        configured: the setting `ring.directory`; "" for shared memory, or anonymous memory if that
            is unusable.
        data_dir: data directory; its state names the ring directory, and gets the name of a new
            one.
        shared_memory: mount point of the file system in memory.

    Raises:
        SharedMemoryError: the configured directory cannot be used.
    """
    parent = ring_parent(configured, shared_memory)
    try:
        home = _claim(parent, data_dir, is_configured=bool(configured))
        _sweep(parent, home, _identity(data_dir))
    except OSError as error:
        if isinstance(error, SharedMemoryError):
            reason = str(error)
        else:
            reason = f"{error.filename or parent}: {error.strerror}"
        if configured:
            raise SharedMemoryError(f"cannot use the ring directory {parent}: {reason}") from error

        log.warning(
            "rings are in anonymous memory, and unread records are lost when this sidelog ends: %s; "
            "make room there, or name another place in [ring] directory",
            reason,
        )
        return RingHome()

    return home


def ring_parent(configured: str, shared_memory: Path) -> Path:
    """Return the parent of the ring directories: as configured, else this user's directory in
    shared memory.
    """
    if configured:
        return Path(configured)
    return shared_memory / _shared_name()


def _shared_name() -> str:
    return f"sidelog-{os.getuid()}"


def _claim(parent: Path, data_dir: Path, *, is_configured: bool) -> RingHome:
    last = Path(str(read_state(data_dir).get(STATE_NAME) or "-"))
    if last.parent != parent and _rings(last):
        log.error("rings of the last run are in %s: set ring.directory back to read them", last)
    for _ in range(_ATTEMPTS):
        if is_configured:
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        else:
            os.close(private_directory(parent))

        if (
            last.parent == parent
            and last.is_dir()
            and (home := _reclaim(last, data_dir)) is not None
        ):
            return home

        try:
            home = _new(parent / secrets.token_hex(8), data_dir)
        except FileNotFoundError:  # another sidecar removed the empty parent while stopping
            continue

        if home is not None:
            return home

    raise SharedMemoryError(f"the ring directory {parent} keeps being removed by another process")


def _new(path: Path, data_dir: Path) -> RingHome | None:
    fd = private_directory(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
        if not os.fstat(fd).st_nlink:  # it was swept between creation and locking
            os.close(fd)
            return None
        (path / _OWNER).write_text(json.dumps(_identity(data_dir)))
    except BaseException:
        _remove(path)
        os.close(fd)
        raise

    try:
        update_state(data_dir, **{STATE_NAME: str(path)})
    except OSError as error:  # the disk is full: the next start finds it by its owner
        log.warning(
            "cannot save the name of the ring directory in %s: %s", data_dir, error.strerror
        )

    return RingHome(path, fd)


def _reclaim(path: Path, data_dir: Path) -> RingHome | None:
    """Take over the directory of the last run.

    None if it now belongs to another data directory, for example the original of a copy.
    """
    fd = private_directory(path)
    owner = _owner(path)
    ours = _identity(data_dir)

    is_ours = _is_same(owner, ours)
    if not is_ours and (
        _is_same(owner, _identity(Path(str(owner.get("data_dir"))))) or not _lock(fd)
    ):
        os.close(fd)
        return None

    fcntl.flock(fd, fcntl.LOCK_SH)
    if not os.fstat(fd).st_nlink:
        os.close(fd)
        return None

    (path / _UNCLAIMED).unlink(missing_ok=True)
    try:
        (path / _OWNER).write_text(json.dumps(ours))
    except OSError:  # the rings fill their file system, so it is even more important to read them
        pass

    return RingHome(path, fd)


def _sweep(parent: Path, home: RingHome, ours: dict[str, Any]) -> None:
    """Remove the remains of dead sidecars: empty directories at once, rings if their data directory
    is gone as well.

    Rings of our own earlier runs are moved to `home`: the state may be lost or outdated.
    """
    for path in parent.iterdir():
        if path == home.path or not _NAME.fullmatch(path.name):
            continue
        try:
            fd = private_directory(path)
        except OSError:  # another user's, or already gone
            continue

        try:
            if not _lock(fd):
                continue
            if home.path is not None and _is_same(_owner(path), ours):
                _take_along(path, home.path)
            if _is_abandoned(path):
                _report_loss(path)
                _remove(path)
        except OSError as error:
            log.warning("cannot sweep the ring directory %s: %s", path, error.strerror)
        finally:
            os.close(fd)


def _take_along(path: Path, home: Path) -> None:
    rings = _rings(path)
    for ring in rings:
        ring.rename(home / ring.name)
    if rings:
        log.warning("rings of an earlier run were found in %s", path, extra={"rings": len(rings)})


def _report_loss(path: Path) -> None:
    """Log the number of records that are lost with rings about to be removed.

    A ring without a header page counts as empty.
    """
    rings = _rings(path)
    lost = sum(map(waiting_in, rings))
    if lost:
        log.error(
            "removed abandoned rings with at least %d records in them",
            lost, extra={"directory": str(path), "rings": len(rings), "owner": str(_owner(path).get("data_dir"))},
        )  # fmt: skip


def waiting_in(ring: Path) -> int:
    """Return the least number of records that wait in a ring's file.

    For a part of them only the bytes are known.
    """
    try:
        with ring.open("rb") as file:
            page = file.read(_CELLS_END)
    except OSError:
        return 0
    if page.startswith(_MAGIC):
        return _waiting(page)
    return 0


def unread_in(fd: int) -> int | None:
    """Return the least number of records that wait in a descriptor's ring; None if its cells were
    wiped.
    """
    page = os.pread(fd, _CELLS_END, 0)
    return (
        _waiting(page) if any(page[HEAD_AT:]) else None
    )  # a ring that was held names its producer


def _waiting(page: bytes) -> int:
    if len(page) < _CELLS_END:
        return 0
    cells = (page[at : at + 8] for at in (HEAD_AT, PUSHED_AT, RELEASED_AT))
    head, pushed, released = (int.from_bytes(cell, sys.byteorder) for cell in cells)
    if released:
        return int(head & ~0b111 > released)
    return pushed


def _is_abandoned(path: Path) -> bool:
    """Return True if no sidecar can claim the rings of an unlocked directory again.

    If that is unknown, it is assumed after `ABANDONED_S`.
    """
    if not _rings(path):
        return True
    owner = _owner(path)
    data_dir = Path(str(owner.get("data_dir")))
    here = _identity(data_dir)
    if _is_same(owner, here):
        return False
    if owner.get("view") == here["view"]:
        return True

    # The directory belongs to another container, whose files are not visible from here.
    unclaimed = path / _UNCLAIMED
    try:
        return time.time() - unclaimed.stat().st_mtime >= ABANDONED_S
    except FileNotFoundError:
        unclaimed.touch(mode=0o600)
        log.warning(
            "rings in %s belong to no sidelog on this machine; they will be removed in a day", path
        )
        return False


def _identity(data_dir: Path) -> dict[str, Any]:
    """Return the identity of a data directory, with the mount namespace from which it was seen."""
    try:
        status = os.stat(data_dir)
        device = status.st_dev
        inode = status.st_ino
    except OSError:
        device = 0
        inode = 0

    try:
        view = os.readlink("/proc/self/ns/mnt")
    except OSError:
        view = ""

    place = os.path.realpath(data_dir)
    return {
        "data_dir": place,
        "device": device,
        "inode": inode,
        "id": directory_id(data_dir),
        "view": view,
    }


def _is_same(owner: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return True if both are the same data directory.

    One may have been seen before it had an id.
    """
    if owner.get("id") and other["id"] and owner["id"] != other["id"]:
        return False
    return bool(other["inode"]) and all(
        owner.get(name) == other[name] for name in ("device", "inode")
    )


def _owner(path: Path) -> dict[str, Any]:
    try:
        owner = json.loads((path / _OWNER).read_text())
    except (OSError, ValueError):
        return {}
    if isinstance(owner, dict):
        return owner
    return {}


def _rings(path: Path) -> list[Path]:
    return list(path.glob("*.ring"))


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove(path: Path) -> None:
    for pattern in ("*.ring", "*.new", _OWNER, _UNCLAIMED):
        for file in path.glob(pattern):
            file.unlink(missing_ok=True)
    _remove_empty(path)


def _remove_empty(path: Path) -> None:
    try:
        path.rmdir()
    except OSError:  # it holds other files
        pass
