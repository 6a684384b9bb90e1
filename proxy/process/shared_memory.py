"""Where the rings of one data directory lie: a private directory in shared memory, or where the operator says.

Rings hold unredacted bytes. The directory is this user's, mode 0700, and no link; /dev/shm is writable for everybody,
so each part of the path is looked at before it is used, and what somebody else made is refused. Standard library only.
"""

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import Final

RING_OVERHEAD_BYTES: Final = 5 << 20
"""What a ring's file takes beside the ring: the in-flight table of 1 024 slots of a page, and the header pages."""
SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - every directory made in it is checked for owner, mode and links
_CANNOT_HOLD: Final = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.ENOSPC)


class SharedMemoryError(OSError):
    """There is no place for a ring: no space, no permission, or somebody else's directory in the way."""


def ring_directory(
    configured: str, data_dir: Path, needed_bytes: int, *, shared_memory: Path = SHARED_MEMORY
) -> Path | None:
    """Return the existing directory for the rings of `data_dir`, None when anonymous files must do.

    It is `<configured>/<hash>`, else `/dev/shm/sidelog-<uid>/<hash>`, the hash being 16 hex digits of the real path of
    `data_dir`: two sidecars never drain each other's rings.

    Args:
        configured: the setting `ring.directory`; "" = shared memory. Made if it is missing.
        data_dir: identifies the sidecar.
        needed_bytes: must be free there.
        shared_memory: the file system in memory.

    Raises:
        SharedMemoryError: the configured directory cannot be used or is too small, or the private directory belongs to
            somebody else or is a link.
    """
    name = hashlib.sha256(os.fsencode(os.path.realpath(data_dir))).hexdigest()[:16]
    if configured:
        return _configured(Path(configured), name, needed_bytes)
    try:
        if _free_bytes(shared_memory) < needed_bytes:
            return None
        own = _private(shared_memory / f"sidelog-{os.getuid()}")
        return _private(own / name)
    except SharedMemoryError:
        raise
    except OSError as exc:
        if exc.errno in _CANNOT_HOLD:
            return None
        raise SharedMemoryError(f"cannot use {shared_memory} for rings: {exc.strerror}") from exc


def _configured(parent: Path, name: str, needed_bytes: int) -> Path:
    try:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory = _private(parent / name)
        free = _free_bytes(directory)
    except SharedMemoryError:
        raise
    except OSError as exc:
        raise SharedMemoryError(f"cannot use the ring directory {parent}: {exc.strerror}") from exc
    if free < needed_bytes:
        raise SharedMemoryError(f"the ring directory {parent} has {free} bytes free, the rings need {needed_bytes}")
    return directory


def _free_bytes(directory: Path) -> int:
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def _private(directory: Path) -> Path:
    """Make `directory` if it is missing; it is this user's own, mode 0700, and no link."""
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        pass
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as exc:
        raise SharedMemoryError(f"the ring directory {directory} is a link or no directory: {exc.strerror}") from exc
    try:
        status = os.fstat(fd)
        if status.st_uid != os.getuid():
            raise SharedMemoryError(
                f"the ring directory {directory} belongs to user {status.st_uid}, not {os.getuid()}"
            )
        if stat.S_IMODE(status.st_mode) != 0o700:
            os.fchmod(fd, 0o700)
    finally:
        os.close(fd)
    return directory
