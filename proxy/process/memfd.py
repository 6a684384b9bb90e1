"""A document handed from process to process through a file without a name. stdlib only.

The settings hold secrets: they travel in anonymous memory, or where the system has none in a file that is unlinked
before anything is written to it. Readers read from the start: siblings share the file offset.
"""

import os
import tempfile


def anonymous_file(name: str) -> int:
    """Make an empty file without a name, not inheritable; `name` is for those who look into /proc."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name, os.MFD_CLOEXEC)
    fd, path = tempfile.mkstemp(prefix=f"{name}-")  # macOS; mode 0600
    os.unlink(path)
    return fd


def hand_over(document: bytes, name: str) -> int:
    """Write a document into a new inheritable file without a name; the caller owns the descriptor."""
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
