"""What a read has inflated of blocks, the newest of it: rows that were looked into are often read whole next. Pure."""

from collections.abc import Iterable
from typing import Final

from storage.relational.blocks.payloads import inflate

MAX_BYTES: Final = 8 * 1024 * 1024
"""Of one read; a block has 64 KiB, one of a conversation up to 2 MiB."""


class RecentBlocks:
    """Contents of blocks by their ids. One caller at a time."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._contents: dict[int, bytes] = {}
        """Those used last come last."""
        self._size = 0

    def lacking(self, numbers: Iterable[int]) -> list[int]:
        """List which of some blocks have to be read."""
        return sorted(set(numbers) - self._contents.keys())

    def inflated(self, numbers: Iterable[int], frames: Iterable[tuple[int, bytes]]) -> dict[int, bytes]:
        """Return the contents of some blocks, without those that are gone; what was lacking comes as frames."""
        found = {number: self._contents[number] for number in numbers if number in self._contents}
        found.update((number, inflate(frame)) for number, frame in frames)
        for number, content in found.items():
            self._size += len(content) - len(self._contents.pop(number, b""))
            self._contents[number] = content
        while self._size > self._max_bytes:
            oldest = next(iter(self._contents))
            self._size -= len(self._contents.pop(oldest))
        return found
