"""The marks of conversations that are known, within a bound: which conversations each leads to, and how they went on.

Two generations instead of a list of the least recently used: what is used moves to the young one, and when that has
half of the bound, the old one is forgotten. Each mark's conversations are one `bytes`, so that a mark costs 135 bytes;
with a list of uses and a tuple for each conversation it was 370, 12 MB of a collector's 140.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from proxy.enrich.formats.hashes import HASH_BYTES

MAX_MARKS: Final = 32_768
"""Those of the last 8 000 to 16 000 calls: at most 4.4 MB."""
MAX_ALIKE: Final = 8
"""Conversations that a mark leads to: runs that began with the same messages."""
_ENTRY_BYTES: Final = HASH_BYTES + 1
_FAILED: Final = 1
_CONTINUED: Final = 2


class Known(NamedTuple):
    """A conversation that a mark leads to."""

    conversation: bytes
    has_failed: bool
    """Whether the call that left the mark failed: the same request again is another try."""
    is_continued: bool = False
    """Whether a call has continued it: another run that began alike is more likely to be meant next."""


class Marks:
    """What each mark leads to, oldest conversation first. Not thread-safe."""

    def __init__(self, max_marks: int = MAX_MARKS) -> None:
        self._max_young = max(1, max_marks // 2)
        self._young: dict[bytes, bytes] = {}
        self._old: dict[bytes, bytes] = {}
        self.evictions = 0
        """Marks that were forgotten to make room."""

    def get(self, mark: bytes) -> list[Known]:
        """Return the conversations of a mark; none for an unknown one."""
        packed = self._young.get(mark) or self._old.get(mark)
        return [] if packed is None else list(_unpack(packed))

    def put(self, mark: bytes, known: list[Known]) -> None:
        """Set the conversations of a mark, the newest eight of them; it counts as used."""
        self._old.pop(mark, None)
        self._young[mark] = b"".join(
            one.conversation + bytes((one.has_failed * _FAILED | one.is_continued * _CONTINUED,))
            for one in known[-MAX_ALIKE:]
        )
        if len(self._young) > self._max_young:
            self.evictions += len(self._old)
            self._old, self._young = self._young, {}


def _unpack(packed: bytes) -> Iterator[Known]:
    for at in range(0, len(packed), _ENTRY_BYTES):
        flags = packed[at + HASH_BYTES]
        yield Known(packed[at : at + HASH_BYTES], bool(flags & _FAILED), bool(flags & _CONTINUED))
