"""Makes a finding small: leaves out pieces of the input as long as the same violation shows (delta
debugging). Pure.
"""

from collections.abc import Callable
from typing import Final

MAX_TRIALS: Final = 3000
"""Enough for inputs of some hundred bytes; a reproducer need not be the smallest of all."""


def shrink(data: bytes, is_violated: Callable[[bytes], bool]) -> bytes:
    """Leave out halves, quarters and so on down to single bytes, again and again, until nothing
    more can go.
    """
    trials = 0
    size = max(1, len(data) // 2)
    while trials < MAX_TRIALS:
        at = 0
        has_shrunk = False
        while at < len(data) and trials < MAX_TRIALS:
            trial = data[:at] + data[at + size :]
            trials += 1
            if is_violated(trial):
                data = trial
                has_shrunk = True
            else:
                at += size

        if size == 1 and not has_shrunk:
            break

        size = max(1, size // 2)

    return data
