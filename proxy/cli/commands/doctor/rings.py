"""`sidelog doctor` on rings: is there room for them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from proxy.cli.commands.doctor.finding import Finding, State, why_not_writable
from proxy.process.shared_memory import RING_OVERHEAD_BYTES, SHARED_MEMORY
from proxy.settings.model import Settings

_ROOM: Final = "docker run --shm-size, an emptyDir of medium Memory, or smaller ring.bytes"
_ANONYMOUS: Final = "until then rings are anonymous memory, which ends with the supervisor"


def check_ring_space(settings: Settings, *, shared_memory: Path = SHARED_MEMORY) -> Iterator[Finding]:
    """Check that the space for rings can be written and is large enough for those of all workers."""
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
    if not os.access(directory, os.W_OK | os.X_OK):
        text = f"{directory} is {why_not_writable(space)}, rings take {need >> 20} MiB"
        yield Finding(lesser, "ring space", text, fix)
    else:
        yield Finding("ok", "ring space", text) if free >= need else Finding(lesser, "ring space", text, fix)
