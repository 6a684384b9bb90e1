"""A bar on stderr, when that is a terminal: how far a command has come."""

import sys
import time
from typing import Final

from proxy.cli.commands.output import complain

REPORT_EVERY_S: Final = 0.5
BAR_CHARACTERS: Final = 24


class Progress:
    """Shows the newest of what it is given, now and then."""

    def __init__(self, expected: int | None) -> None:
        """Show a share of what is expected; no bar where that is not known."""
        self._expected = expected
        self._text = ""
        self._shown_s = time.monotonic()
        self._is_shown = False

    def show(self, done: int, text: str) -> None:
        """Note how much is done, and show it if the last time was a while ago."""
        self._text = text
        now_s = time.monotonic()
        if sys.stderr.isatty() and now_s - self._shown_s >= REPORT_EVERY_S:
            self._shown_s = now_s
            self._is_shown = True
            sys.stderr.write(f"\r\x1b[K{self._bar(done)}{text}")
            sys.stderr.flush()

    def _bar(self, done: int) -> str:
        if not self._expected:
            return ""
        share = min(1.0, done / self._expected)
        return f"{'━' * round(share * BAR_CHARACTERS):{BAR_CHARACTERS}} {share:4.0%}  "

    def end(self, *, is_kept: bool) -> None:
        """Take the bar away, and leave the last figures behind if they are `is_kept`."""
        if self._is_shown:
            sys.stderr.write("\r\x1b[K")
            if is_kept:
                complain(self._text)
