"""The data directory: its lock, the instance name, the admin token, and the shared `state.json`.

Everything in it is private to the user (0700, files 0600). The lock allows one sidelog at a time:
two collectors with the same stored positions would count each other's records. Standard library
only.
"""

import errno
import fcntl
import hashlib
import json
import logging
import os
import re
import secrets
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from proxy.process.files import replace_file
from proxy.process.memfd import anonymous_file

log = logging.getLogger("proxy.supervisor")

DISK_ERRORS: Final = (
    errno.EROFS,
    errno.EIO,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.ESTALE,
    errno.ENOTCONN,
    errno.ENODEV,
    errno.EUCLEAN,
)
"""Errors of a disk that is read-only, full, failing or temporarily gone, not of a wrong path or
user.
"""
LOCK_WAIT_S: Final = 10.0
"""Time that a draining sidelog gets to release the lock before a new one gives up."""
TOKEN_FILE: Final = "admin-token"  # noqa: S105 - the name of the file, not its content
STATE_FILE: Final = "state.json"
AUTHORITY_DIRECTORY: Final = "ca"
"""Directory of the certificate authority for outgoing calls (`proxy/egress/authority.py`)."""
CERTIFICATE_FILE: Final = "ca.pem"
BUNDLE_FILE: Final = "bundle.pem"
"""Files in it: its certificate, and that behind the machine's or the user's."""
OWN_DIRECTORY: Final = "sidelog-data"
DEMO_DIRECTORY: Final = "sidelog-demo"
"""Data directory of `examples/demo.py`. Commands look there as well as in the usual directory."""
_UNPLAIN: Final = re.compile(r"[^\w.-]+", re.ASCII)
LOCK_FILE: Final = "lock"
STORAGE_URL_NAME: Final = "storage_url"
"""Member of the state: the store of the last start, unless its URL may contain a password."""

UNLISTED_NAME: Final = "unlisted_proxies"
"""Member of the state: addresses of peers that behave like proxies and are missing in
`trusted_proxies`.
"""
LISTENS_NAME: Final = "listens"
"""Member of the state: port of each listen setting at the last start."""
EGRESS_URL_NAME: Final = "egress_url"
"""Member of the state: URL of the port of outgoing calls at the last start; empty: it was off."""


class DataDirError(Exception):
    """The data directory cannot be used. The message names it and the reason."""


@dataclass(frozen=True, slots=True)
class DataDir:
    """An owned data directory."""

    path: Path
    instance: str
    """Name of this sidecar, generated once."""
    token: str
    """The admin token, generated at the first start."""
    lock_fd: int
    """Open descriptor that holds the lock."""


def project_directory(directory: Path, environ: Mapping[str, str]) -> Path | None:
    """Return the data directory of `sidelog run` for a project; None if there is no home directory.

    `directory` may be any directory in the project. The data directory is outside of the project,
    so
    neither version control nor file watchers see it, but is named after it (XDG Base Directory
    Specification: state).
    """
    here = directory.resolve()
    project = next((each for each in (here, *here.parents) if (each / ".git").exists()), here)

    state = environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):
        home = os.path.expanduser("~")
        if not os.path.isabs(home):
            return None
        state = os.path.join(home, ".local", "state")

    digest = hashlib.sha256(os.fsencode(project)).hexdigest()[:8]
    return Path(state, "sidelog", f"{_UNPLAIN.sub('-', project.name) or 'root'}-{digest}")


def lock_data_dir(path: Path, instance: str = "", wait_s: float = LOCK_WAIT_S) -> DataDir:
    """Create the directory if needed, lock it, and read or generate instance name and token.

    Raises:
        DataDirError: it cannot be created, read or written, or another sidelog holds it.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock_fd = _lock(path, wait_s)
    except FileExistsError:
        raise DataDirError(
            f"data directory {path}: it is a file; choose another --data-dir"
        ) from None
    except OSError as error:
        if error.errno in DISK_ERRORS:
            return _without_disk(path, instance, wait_s, error)
        raise DataDirError(f"data directory {path}: {error.strerror or error}") from error

    try:
        _check_spool(path)
        token = token_of(path)
        # Access by a group is often intended, as for a volume in Kubernetes.
        for opened, fix in open_to_others(path, stat.S_IRWXO).items():
            log.warning("other users of this machine can use %s: %s", opened, fix)
        return DataDir(path, _instance(path, instance), token, lock_fd)
    except DataDirError:
        os.close(lock_fd)
        raise
    except (OSError, UnicodeDecodeError) as error:
        os.close(lock_fd)
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            return _without_disk(path, instance, wait_s, error)

        reason = (
            f"{TOKEN_FILE} holds no text"
            if isinstance(error, UnicodeDecodeError)
            else error.strerror
        )
        raise DataDirError(f"data directory {path}: {reason or error}") from error


def open_to_others(path: Path, rights: int) -> dict[Path, str]:
    """Return the paths of a data directory that grant `rights` to others, each with a command that
    revokes them.
    """
    places = {path: "chmod 700", path / TOKEN_FILE: "chmod 600"}
    return {
        place: f"{command} {place}"
        for place, command in places.items()
        if place.exists() and place.stat().st_mode & rights
    }


def _without_disk(path: Path, instance: str, wait_s: float, error: OSError) -> DataDir:
    """Start without a writable directory, from the readable files, with the rest in memory.

    Traffic takes precedence over its log.
    """
    log.error(
        "the data directory cannot be written, records wait in memory: %s: %s", path, error.strerror
    )
    name = instance or str(read_state(path).get("instance") or f"sl-{secrets.token_hex(4)}")
    try:
        lock_fd = _lock(path, wait_s, os.O_RDONLY)
    except OSError:
        lock_fd = anonymous_file("sidelog-lock")

    return DataDir(path, name, read_token(path) or secrets.token_urlsafe(32), lock_fd)


def _check_spool(path: Path) -> None:
    """Check that the spool is readable: after a move it may belong to another user, and would be
    lost.
    """
    for segment in sorted((path / "spool").glob("*.spool")):
        try:
            segment.open("rb").close()
        except OSError as error:
            why = (
                f"{segment} cannot be read ({error.strerror}); it must belong to the user that "
                "sidelog runs as"
            )
            raise DataDirError(f"data directory {path}: {why}") from error


def _instance(path: Path, configured: str) -> str:
    state = read_state(path)
    name = configured or str(state.get("instance") or f"sl-{secrets.token_hex(4)}")
    update_state(path, instance=name)
    return name


def _lock(path: Path, wait_s: float, flags: int = os.O_RDWR | os.O_CREAT) -> int:
    fd = os.open(path / LOCK_FILE, flags | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + wait_s
    is_told = wait_s <= 0
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except PermissionError as error:
            os.close(fd)
            raise DataDirError(
                f"data directory {path}: flock is refused, and sidelog needs this lock"
            ) from error
        except BlockingIOError:
            if not is_told:
                is_told = True
                log.warning("waiting up to %g s for another sidelog to leave %s", wait_s, path)
            if time.monotonic() >= deadline:
                os.close(fd)
                raise DataDirError(
                    f"data directory {path} is in use by another sidelog; choose another --data-dir"
                ) from None
            time.sleep(0.05)

    try:
        if not os.fstat(fd).st_size:
            os.write(fd, secrets.token_hex(8).encode())
    except OSError:  # the disk is full: the next start tries again
        pass

    return fd


def directory_id(path: Path) -> str:
    """Return the id of a data directory; "" without one. A directory recreated at its path has
    another.

    Device and inode number are not enough: file systems reuse the numbers of deleted directories.
    """
    try:
        return (path / LOCK_FILE).read_text(errors="replace")
    except OSError:
        return ""


def is_in_use(path: Path) -> bool:
    """Return True if a sidelog runs with this data directory, or the lock cannot be read."""
    try:
        fd = os.open(path / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True

    try:
        # A sidelog that is starting waits for this lock: it tries for 10 s.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)

    return False


def token_of(path: Path) -> str:
    """Return the admin token; generate it if there is none."""
    token = read_token(path)
    if not token:
        token = secrets.token_urlsafe(32)
        replace_file(path / TOKEN_FILE, f"{token}\n".encode())
    return token


def read_token(path: Path) -> str:
    """Return the admin token; "" if it does not exist or the disk fails."""
    try:
        return (path / TOKEN_FILE).read_text().strip()
    except OSError as error:
        if error.errno in (errno.ENOENT, *DISK_ERRORS):
            return ""
        raise


def read_state(path: Path) -> dict[str, Any]:
    """Return the content of `state.json`; an empty dict if it is missing, damaged or unreadable."""
    try:
        state = json.loads((path / STATE_FILE).read_text())
    except ValueError:
        return {}
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, *DISK_ERRORS):
            return {}
        raise

    if isinstance(state, dict):
        return state
    return {}


def update_state(path: Path, **members: Any) -> None:
    """Set members of `state.json`, replacing the file atomically, and keep the others.

    The supervisor, the tail and the sessions write to it. Writers wait for each other, threads and
    processes alike.
    """
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        state = read_state(path)
        changed = {**state, **members}
        if changed != state:
            replace_file(path / STATE_FILE, (json.dumps(changed, indent=1) + "\n").encode())
    finally:
        os.close(directory)
