"""What `sidelog doctor` says of the spool: whether there is room for it, and what waits in it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

from proxy.settings.model import Settings
from storage.record import Position
from storage.writer.spool import SUFFIX, Spool

_MEND_ROOM: Final = "free space where data_dir is, or lower spool.max_bytes"


class SpoolFinding(NamedTuple):
    """What was found, in the words of `proxy.cli.commands.doctor.Finding`."""

    state: Literal["ok", "warn", "fail"]
    name: str
    text: str
    mend: str = ""


def look_at_spool(settings: Settings) -> Iterator[SpoolFinding]:
    """Compare the budget with the free space, and read the index of what is there. Changes nothing."""
    directory = Path(settings.data_dir, "spool")
    if settings.storage.durability != "safe" and not directory.is_dir():
        yield SpoolFinding("ok", "spool", "none: storage.durability is fast")
        return
    segments = sorted(directory.glob("*" + SUFFIX)) if directory.is_dir() else []
    taken = sum(path.stat().st_size for path in segments)
    place = next(path for path in (directory, *directory.parents) if path.is_dir())
    space = os.statvfs(place)
    free, need = space.f_bavail * space.f_frsize, max(0, settings.spool.max_bytes - taken)
    if free < need:
        text = f"{place} has {free >> 20} MiB free, the spool may take {need >> 20} MiB more"
        yield SpoolFinding("warn", "spool", text, _MEND_ROOM)
    if not segments:
        yield SpoolFinding("ok", "spool", "empty")
        return
    spool = Spool(directory, settings.spool.max_bytes)
    spool.look(Position())
    waiting = spool.pending_records
    text = f"at most {waiting} records wait for the store, in {len(segments)} segments, {taken >> 20} MiB"
    yield SpoolFinding("warn", "spool", text, "start sidelog; when it runs, see why the store is away")
