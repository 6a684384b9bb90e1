"""How many rows a slice of deletion takes, so that a batch waits for one about as long as it may. Pure."""

from typing import Final

MAX_ROWS: Final = 5000
MIN_ROWS: Final = 100
SLICE_S: Final = 0.05
"""A slice aims at half of the 100 ms that a batch may have to wait for it; SQLite ends its own much earlier."""


class SlicePace:
    """Follows how long slices take."""

    def __init__(self, slice_s: float = SLICE_S, max_rows: int = MAX_ROWS) -> None:
        self._slice_s = slice_s
        self._most = max_rows
        self.max_rows = max_rows // 5
        """Of the next slice."""

    def note(self, took_s: float) -> None:
        factor = 2.0 if took_s < self._slice_s / 2 else 0.5 if took_s > self._slice_s else 1.0
        self.max_rows = max(MIN_ROWS, min(self._most, int(self.max_rows * factor)))
