"""Heads that were read before: kept-alive clients repeat theirs, responses come in runs (one Date a second). Pure."""

from collections.abc import Callable
from typing import Final, Generic, TypeVar

Head = TypeVar("Head")

MAX_MEMO_BYTES: Final = 2048
"""Longer heads are not remembered: they hardly ever repeat."""
MAX_MEMO_HEADS: Final = 1024
"""At this size a memo is emptied; with the limit above it holds at most 2 MiB of keys."""


class HeadMemo(Generic[Head]):
    """A parser of heads that remembers its results: equal bytes give the same, immutable value."""

    __slots__ = ("_parse", "known")

    def __init__(self, parse: Callable[[bytes], Head]) -> None:
        """Remember what `parse` returns; what it raises is raised each time."""
        self._parse = parse
        self.known: dict[bytes, Head] = {}
        """By their bytes."""

    def parse(self, raw: bytes) -> Head:
        head = self.known.get(raw)
        if head is None:
            head = self._parse(raw)
            remember(self.known, raw, head)
        return head


def remember(known: dict[bytes, Head], raw: bytes, head: Head) -> None:
    """Remember what some bytes were read as, within the limits."""
    if len(raw) <= MAX_MEMO_BYTES:
        if len(known) >= MAX_MEMO_HEADS:
            known.clear()
        known[raw] = head
