"""`sidelog doctor` on rings: is there room for them, and are there abandoned ones."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from proxy.cli.commands.doctor.finding import Finding, State, why_not_writable
from proxy.process.data_dir import is_in_use, read_state
from proxy.process.ring_home import STATE_NAME, LeftRings, left_rings, ring_parent
from proxy.process.shared_memory import RING_OVERHEAD_BYTES, SHARED_MEMORY
from proxy.settings.model import Settings

_ROOM: Final = "docker run --shm-size, an emptyDir of medium Memory, or smaller ring.bytes"
_ANONYMOUS: Final = "until then rings are anonymous memory, which ends with the supervisor"


def check_ring_space(settings: Settings, *, shared_memory: Path = SHARED_MEMORY) -> Iterator[Finding]:
    """Check that the space for rings is ours and large enough for those of all workers."""
    if not settings.proxy.data_port:
        yield Finding("ok", "ring space", "none needed: there is no data port")
        return
    directory = settings.ring.directory or str(shared_memory)
    need = (settings.ring.bytes + RING_OVERHEAD_BYTES) * max(settings.proxy.workers, 1)
    lesser: State = "fail" if settings.ring.directory else "warn"
    fix = _ROOM if settings.ring.directory else f"{_ROOM}; {_ANONYMOUS}"
    try:
        space = os.statvfs(directory)
    except OSError as error:
        yield Finding(lesser, "ring space", f"{directory}: {error.strerror}", fix)
        return
    free = space.f_bavail * space.f_frsize
    text = f"{directory} has {free >> 20} MiB free, rings take {need >> 20} MiB"
    foreign = None if settings.ring.directory else _foreign(ring_parent("", shared_memory))
    if not os.access(directory, os.W_OK | os.X_OK):
        text = f"{directory} is {why_not_writable(space)}, rings take {need >> 20} MiB"
        yield Finding(lesser, "ring space", text, fix)
    elif foreign:
        yield Finding("warn", "ring space", foreign, f"remove it as its owner, or set ring.directory; {_ANONYMOUS}")
    else:
        yield Finding("ok", "ring space", text) if free >= need else Finding(lesser, "ring space", text, fix)


def _foreign(directory: Path) -> str | None:
    """Return what is wrong with the directory of this user's rings; where it is missing, it will be made."""
    try:
        status = directory.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISDIR(status.st_mode):
        return f"{directory} is a link or no directory"
    if status.st_uid != os.getuid():
        return f"{directory} belongs to user {status.st_uid}, not {os.getuid()}"
    return None


def check_rings(settings: Settings, *, shared_memory: Path = SHARED_MEMORY) -> Iterator[Finding]:
    """Look for rings that no process holds: left by a kill of all processes, and not read by a start since."""
    parent = ring_parent(settings.ring.directory, shared_memory)
    directory = Path(settings.data_dir)
    last = Path(str(read_state(directory).get(STATE_NAME) or parent))
    places = [parent] if last.parent == parent or last == parent else [parent, last.parent]
    left = [rings for place in places for rings in left_rings(place)]
    if not left and not is_in_use(directory):
        yield Finding("ok", "rings", "none were left behind")
    if empty := [rings.path for rings in left if not rings.records]:
        more = f" and {len(empty) - 1} other directories" if len(empty) > 1 else ""
        yield Finding("ok", "rings", f"no record waits in the rings that were left in {empty[0]}{more}")
    for rings in left:
        if rings.records:
            yield _left(rings, is_own=rings.path == last, is_elsewhere=rings.path.parent != parent)


def _left(rings: LeftRings, *, is_own: bool, is_elsewhere: bool) -> Finding:
    text = f"unread rings in {rings.path}: at least {rings.records} records of {rings.data_dir}"
    if is_own and is_elsewhere:
        return Finding("warn", "rings", text, f"set ring.directory back to {rings.path.parent} and start sidelog")
    if is_own:
        return Finding("warn", "rings", text, "start sidelog, which stores them")
    fix = f"start sidelog with --data-dir {rings.data_dir}, which stores them, or remove {rings.path}"
    return Finding("warn", "rings", text, fix)
