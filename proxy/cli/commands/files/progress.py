"""A progress bar on stderr, if that is a terminal."""

import sys
import time
from typing import Final

from proxy.cli.commands.output import complain

REPORT_EVERY_S: Final = 0.5
BAR_CHARACTERS: Final = 24


class Progress:
    """Shows the latest count at intervals."""

    def __init__(self, expected: int | None) -> None:
        """Show progress as a share of the expected total; without a known total, show no bar."""
        self._expected = expected
        self._text = ""
        self._shown_s = time.monotonic()
        self._is_shown = False

    def show(self, done: int, text: str) -> None:
        """Show the count and a text on the terminal, unless they were shown a moment ago."""
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
        """Remove the bar; with `is_kept`, leave the last count."""
        if self._is_shown:
            sys.stderr.write("\r\x1b[K")
            if is_kept:
                complain(self._text)
