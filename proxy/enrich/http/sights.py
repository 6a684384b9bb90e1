"""Which varying values come again: most never do, and remembering them would push out those that do.

A hash table of fixed size, 32 KiB; numbers in an array, because objects would be as many cold places in memory.
"""

from array import array
from typing import Final

_PLACES: Final = 4096


class Sights:
    """Remembers the newest hash in each place. Not thread-safe."""

    __slots__ = ("_hashes",)

    def __init__(self) -> None:
        self._hashes = array("q", bytes(8 * _PLACES))

    def seen_before(self, sight: int) -> bool:
        """Whether this hash was seen before, and no other in its place since; remember it."""
        place = sight % _PLACES
        if self._hashes[place] == sight:
            return True
        self._hashes[place] = sight
        return False
