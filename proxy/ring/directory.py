"""Where the rings of one data directory lie: a private directory in shared memory, or where the operator says.

Rings hold unredacted bytes. The directory is this user's, mode 0700, and no link; /dev/shm is writable for everybody,
so each part of the path is looked at before it is used, and what somebody else made is refused.
"""

import errno
import fcntl
import hashlib
import os
import stat
from pathlib import Path
from typing import Final

from proxy.ring.segment_layout import SegmentError

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - every directory made in it is checked for owner, mode and links
_CANNOT_HOLD: Final = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.ENOSPC)


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
        SegmentError: the configured directory cannot be used or is too small, or the private directory belongs to
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
    except SegmentError:
        raise
    except OSError as exc:
        if exc.errno in _CANNOT_HOLD:
            return None
        raise SegmentError(f"cannot use {shared_memory} for rings: {exc.strerror}") from exc


def _configured(parent: Path, name: str, needed_bytes: int) -> Path:
    try:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory = _private(parent / name)
        free = _free_bytes(directory)
    except SegmentError:
        raise
    except OSError as exc:
        raise SegmentError(f"cannot use the ring directory {parent}: {exc.strerror}") from exc
    if free < needed_bytes:
        raise SegmentError(f"the ring directory {parent} has {free} bytes free, the rings need {needed_bytes}")
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
        raise SegmentError(f"the ring directory {directory} is a link or no directory: {exc.strerror}") from exc
    try:
        status = os.fstat(fd)
        if status.st_uid != os.getuid():
            raise SegmentError(f"the ring directory {directory} belongs to user {status.st_uid}, not {os.getuid()}")
        if stat.S_IMODE(status.st_mode) != 0o700:
            os.fchmod(fd, 0o700)
    finally:
        os.close(fd)
    return directory


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
