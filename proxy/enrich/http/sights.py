"""Which of the things that vary come again: most never do, and to remember them pushes out those that do.

A table of hashes of fixed size, 32 KiB; numbers in an array, because objects would be as many cold places in memory.
"""

from array import array
from typing import Final

_PLACES: Final = 4096


class Sights:
    """Remembers the newest hash in each place. Not thread-safe."""

    __slots__ = ("_hashes",)

    def __init__(self) -> None:
        self._hashes = array("q", bytes(8 * _PLACES))

    def is_second(self, sight: int) -> bool:
        """Whether what has this hash came before, and nothing since that takes the same place."""
        place = sight % _PLACES
        if self._hashes[place] == sight:
            return True
        self._hashes[place] = sight
        return False
