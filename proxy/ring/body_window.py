"""The kept part of a body that streams by: its first and last bytes, and its true size.

Chunks are kept as the objects that the transport gave, without copying; only the end of a large
chunk is copied. So a window holds at most `head_bytes`, `tail_bytes` and one chunk of
`LARGE_BYTES`. `collect` cuts them to size when the body is recorded. For a body in tiny pieces the
objects would take up to 22 times the bytes they hold, and as many steps to record, so tiny pieces
are joined from time to time.
"""

from collections import deque
from typing import Final

LARGE_BYTES: Final = 65536
"""Size from which the end of a chunk is copied instead of keeping the whole: a client that read
nothing held 256 KiB otherwise.
"""
JOINED_PIECES: Final = 512
"""Number of pieces joined at once, a power of two."""
_JOINED_BYTES: Final = 128 * JOINED_PIECES
"""Limit of the joined bytes. Pieces that exceed it are not tiny."""


class Window:
    """Keeps the head and the tail of one body while it streams by."""

    __slots__ = ("_head", "_room", "_tail", "_tail_bytes", "_tail_size", "size")

    def __init__(self, head_bytes: int, tail_bytes: int) -> None:
        """Keep up to `head_bytes` from the start and `tail_bytes` from the end; 0 and 0 only count."""
        self.size = 0
        self._room = head_bytes
        self._tail_bytes = tail_bytes
        self._head: list[bytes] = []
        self._tail: deque[bytes] | None = None
        self._tail_size = 0

    @property
    def is_head_full(self) -> bool:
        return not self._room

    def add(self, data: bytes) -> None:
        length = len(data)
        self.size += length

        room = self._room
        if length <= room:
            head = self._head
            head.append(data)
            self._room = room - length
            if not len(head) % JOINED_PIECES:
                self._join_head()
            return

        if room:
            self._head.append(data[:room])
            data = data[room:]
            self._room = 0

        if self._tail_bytes:
            self._keep_tail(data)

    def _join_head(self) -> None:
        pieces = self._head[-JOINED_PIECES:]
        if sum(map(len, pieces)) < _JOINED_BYTES:
            self._head[-JOINED_PIECES:] = [b"".join(pieces)]

    def _keep_tail(self, data: bytes) -> None:
        tail = self._tail
        if tail is None:
            tail = deque()
            self._tail = tail
        if len(data) > max(LARGE_BYTES, self._tail_bytes):
            data = data[-self._tail_bytes :]
        tail.append(data)
        self._tail_size += len(data)
        if (
            not len(tail) % JOINED_PIECES
            and self._tail_size < len(tail) * _JOINED_BYTES // JOINED_PIECES
        ):
            joined = b"".join(tail)[-self._tail_bytes :]
            tail.clear()
            tail.append(joined)
            self._tail_size = len(joined)

        while self._tail_size - len(tail[0]) >= self._tail_bytes:
            self._tail_size -= len(tail.popleft())

    def forget(self) -> None:
        """Drop the kept bytes; from here on only the size is counted."""
        self._room = 0
        self._tail_bytes = 0
        self._tail_size = 0
        self._head.clear()
        self._tail = None

    def shorten(self, size: int) -> None:
        """Remove the last `size` bytes of the body, because they were received and not passed on."""
        size = min(size, self.size)
        self.size -= size
        self._head = [b"".join(self._head)[: self.size]]
        if self._tail:
            tail = b"".join(self._tail)
            self._tail = deque((tail[: max(len(tail) - size, 0)],))

    def collect(self, sections: list[bytes], limit: int = -1) -> tuple[int, int]:
        """Append the kept bytes to `sections`, head first; return the lengths of head and tail.

        With a limit that is not negative, only that many bytes of the head are kept, and no tail.
        """
        if limit >= 0:
            head = b"".join(self._head)[:limit]
            sections.append(head)
            return len(head), 0

        sections.extend(self._head)
        head_size = sum(map(len, self._head))
        if not self._tail:
            return head_size, 0

        tail = b"".join(self._tail)[-self._tail_bytes :]
        sections.append(tail)
        return head_size, len(tail)
