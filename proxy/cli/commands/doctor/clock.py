"""`sidelog doctor` on the clock: ids, retention and the order of pages hang on it."""

import time
from collections.abc import Iterator
from typing import Final

from proxy.cli.commands.doctor.finding import Finding
from proxy.settings.model import Settings

MAX_SKEW_S: Final = 5.0
"""Between our clock and a database's."""
FIX: Final = "set the clock, and run chrony or systemd-timesyncd"
_PLAUSIBLE_S: Final = range(1_700_000_000, 4_000_000_000)


def check_clock(settings: Settings) -> Iterator[Finding]:
    """See whether the wall clock is plausible."""
    now = time.time()
    shown = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    yield Finding("ok", "clock", shown) if int(now) in _PLAUSIBLE_S else Finding("fail", "clock", shown, FIX)


def check_skew(place: str, their_s: float, asked_s: float, answered_s: float) -> Iterator[Finding]:
    """Compare the clock of a database at a place with ours; sidecars that share it should agree on the time.

    All times are Unix seconds: theirs, ours before it was asked, and ours behind its answer.
    """
    skew_s = max(asked_s - their_s, their_s - answered_s, 0.0)
    if skew_s > MAX_SKEW_S:
        side = "behind" if their_s > answered_s else "ahead of"
        text = f"ours is {skew_s:.0f} s {side} that of {place}: records would be filed under a wrong time"
        yield Finding("warn", "clock", text, FIX)
