"""`sidelog doctor` on the log of the running sidelog: does a process read it.

An unread pipe does not stop sidelog (`proxy/process/logs.py`): it loses the log itself, and no log line can say so. The
pipe is found through /proc, where the kernel names the process that holds the lock of the data directory.
"""

import os
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from proxy.cli.commands.doctor.finding import Finding
from proxy.process.data_dir import LOCK_FILE
from proxy.settings.model import Settings

FULL_MS: Final = 500
"""A reader that takes nothing for so long is none."""
_LOCKS: Final = Path("/proc/locks")
_FIX: Final = "restart sidelog with its output in a file, the journal, or a program that reads it"


def check_log(settings: Settings) -> Iterator[Finding]:
    """Check the readers of the log and the access log of the sidelog that runs with this data directory."""
    pid = _holder(Path(settings.data_dir, LOCK_FILE))
    if pid is None:
        return
    outputs = {"log": 2} if settings.log.access == "off" else {"log": 2, "access log": 1}
    for name, fd in outputs.items():
        try:
            yield _look(name, Path(f"/proc/{pid}/fd/{fd}"))
        except OSError as error:  # it has just ended, or is another user's
            yield Finding("ok", name, f"cannot be seen from here: {error.strerror}")


def _holder(lock: Path) -> int | None:
    """Return the process that locked a file, as it is numbered here; the first, where others inherited it open."""
    path = os.path.realpath(lock)
    try:
        lines = _LOCKS.read_text().splitlines()
    except OSError:
        return None
    pids = {int(fields[4]) for fields in map(str.split, lines) if fields[1:4:2] == ["FLOCK", "WRITE"]}
    return next((pid for pid in sorted(pids) if pid > 0 and _has_open(pid, path)), None)


def _has_open(pid: int, path: str) -> bool:
    """Whether a process has a file open. Not by its inode, which an overlay file system shows otherwise in the list."""
    try:
        return any(os.readlink(descriptor) == path for descriptor in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # it has ended, or is another user's
        return False


def _look(name: str, descriptor: Path) -> Finding:
    """Judge where a descriptor of a process leads."""
    target = os.readlink(descriptor)
    if target == os.devnull:
        return Finding("warn", name, f"goes to {target}: what sidelog reports is lost", _FIX)
    if not target.startswith("pipe:"):
        return Finding("ok", name, f"goes to {target}")
    pipe = os.open(descriptor, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        poller = select.poll()
        poller.register(pipe, select.POLLOUT)
        found = poller.poll(FULL_MS)
    finally:
        os.close(pipe)
    if not found:
        return Finding("warn", name, "goes to a full pipe whose reader does not read: lines are dropped", _FIX)
    if found[0][1] & select.POLLERR:
        return Finding("warn", name, "goes to a pipe whose reader has ended: all lines are lost", _FIX)
    return Finding("ok", name, "goes to a pipe that is read")
