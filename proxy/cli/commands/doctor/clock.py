"""`sidelog doctor` on the clock: ids, retention and the order of pages hang on it.

A clock that was set back shows in files that were written later than now; one that is wrong, beside that of a database
which other sidecars write to as well.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from proxy.cli.commands.doctor.finding import Finding
from proxy.settings.model import Settings

MAX_JUMP_S: Final = 60.0
"""Of a file's time before ours."""
MAX_SKEW_S: Final = 5.0
"""Between our clock and a database's."""
FIX: Final = "set the clock, and run chrony or systemd-timesyncd"
_PLAUSIBLE_S: Final = range(1_700_000_000, 4_000_000_000)


def check_clock(settings: Settings) -> Iterator[Finding]:
    """See whether the wall clock is plausible, and whether it was set back since sidelog last ran."""
    now = time.time()
    shown = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    if int(now) not in _PLAUSIBLE_S:
        yield Finding("fail", "clock", f"{shown}", FIX)
        return
    newest = _newest_file(Path(settings.data_dir))
    if newest is not None and newest[0] > now + MAX_JUMP_S:
        text = f"{shown}, but {newest[1]} was written {newest[0] - now:.0f} s later: the clock was set back"
        yield Finding("warn", "clock", text, FIX)
    else:
        yield Finding("ok", "clock", shown)


def _newest_file(directory: Path) -> tuple[float, Path] | None:
    """Return the newest file of the data directory and its time."""
    try:
        return max(((path.stat().st_mtime, path) for path in directory.iterdir()), default=None)
    except OSError:  # it is not there yet, or one of its files has just gone
        return None


def check_skew(place: str, their_s: float, asked_s: float, answered_s: float) -> Iterator[Finding]:
    """Compare the clock of a database at a place with ours; sidecars that share it should agree on the time.

    All times are Unix seconds: theirs, ours before it was asked, and ours behind its answer.
    """
    skew_s = max(asked_s - their_s, their_s - answered_s, 0.0)
    if skew_s > MAX_SKEW_S:
        side = "behind" if their_s > answered_s else "ahead of"
        text = f"ours is {skew_s:.0f} s {side} that of {place}: records would be filed under a wrong time"
        yield Finding("warn", "clock", text, FIX)
