"""A document handed from process to process through an unnamed file. Standard library only.

The settings hold secrets: they travel in anonymous memory, or if the system has none in a file that
is unlinked before anything is written to it. Readers read from the start: siblings share the file
offset.
"""

import errno
import os
import tempfile
from typing import Final

REFUSED: Final = (errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP)
"""Errors of a system call that a sandbox refuses, or that the system does not have."""


def anonymous_file(name: str) -> int:
    """Create an empty file without a path, not inheritable. `name` only appears in /proc.

    Raises:
        OSError: there is no descriptor left, or neither anonymous memory nor a temporary file is
            allowed.
    """
    refusal: OSError | None = None
    if hasattr(os, "memfd_create"):
        try:
            return os.memfd_create(name, os.MFD_CLOEXEC)
        except OSError as error:
            if error.errno not in REFUSED:
                raise
            refusal = error

    for directory in ("/dev/shm", None):  # noqa: S108 - made by mkstemp: exclusive, mode 0600
        try:
            fd, path = tempfile.mkstemp(prefix=f"{name}-", dir=directory)
        except OSError as error:
            refusal = refusal or error
            continue

        os.unlink(path)
        return fd

    raise OSError(
        errno.EPERM,
        "memfd_create is refused, and there is no directory for a temporary file instead: "
        f"{refusal}",
    ) from refusal


def why_refused() -> str:
    """Return the reason why the system refuses files in anonymous memory; "" if it does not."""
    if not hasattr(os, "memfd_create"):
        return os.strerror(errno.ENOSYS)
    try:
        os.close(os.memfd_create("sidelog-probe", os.MFD_CLOEXEC))
    except OSError as error:
        return error.strerror or str(error)

    return ""


def hand_over(document: bytes, name: str) -> int:
    """Write a document to a new inheritable unnamed file; the caller closes the descriptor."""
    fd = anonymous_file(name)
    write_document(fd, document)
    os.set_inheritable(fd, True)
    return fd


def write_document(fd: int, document: bytes) -> None:
    view = memoryview(document)
    offset = 0
    while offset < len(view):
        offset += os.pwrite(fd, view[offset:], offset)


def read_document(fd: int) -> bytes:
    return os.pread(fd, os.fstat(fd).st_size, 0)
