"""A share of a ring: what one kind of entry may hold of it, so that it never pushes out the others.

Strategy: two halves, used in turn. A full half is closed at the ring's head of that moment; the next one begins when
the reader has released all of the one before it. So the share costs one comparison an entry, and the shared cell is
read only when a half is full.

Invariant: at most the share's bytes, and one entry, are in the ring and not released.
"""

from typing import Protocol


class Positions(Protocol):
    """Where a ring's writer and reader are."""

    @property
    def head(self) -> int:
        """End of the newest entry."""

    @property
    def released(self) -> int:
        """What lies before this offset is free again."""


class Share:
    """Bounds the bytes of one kind of entry in one ring."""

    __slots__ = ("_closed_at", "_half", "_ring", "_used")

    def __init__(self, ring: Positions, size: int) -> None:
        """Grant `size` bytes of it."""
        self._ring = ring
        self._half = size // 2
        self._used = 0
        self._closed_at = 0
        """End of the half before this one."""

    @property
    def filled(self) -> float:
        """Which part of the share is in the ring and not released, 0 to 1."""
        is_free = self._ring.released >= self._closed_at
        return (self._used + (0 if is_free else self._half)) / (2 * self._half)

    def take(self, size: int) -> bool:
        """Take room for an entry of `size` bytes, which is pushed next; False when there is none."""
        if self._used and self._used + size > self._half:
            if self._ring.released < self._closed_at:
                return False
            self._closed_at = self._ring.head
            self._used = 0
        self._used += size
        return True
