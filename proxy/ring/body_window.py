"""What is kept of a body that streams by: its first and last bytes, and its true size. Pure.

Chunks are kept as the objects the transport gave, not copied: a window holds at most `head_bytes`, `tail_bytes` and one
chunk. Only `collect` cuts them to size, when the exchange is recorded.
"""

from collections import deque


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
            self._head.append(data)
            self._room = room - length
            return
        if room:
            self._head.append(data[:room])
            data = data[room:]
            self._room = 0
        if self._tail_bytes:
            self._keep_tail(data)

    def _keep_tail(self, data: bytes) -> None:
        tail = self._tail
        if tail is None:
            tail = self._tail = deque()
        tail.append(data)
        self._tail_size += len(data)
        while self._tail_size - len(tail[0]) >= self._tail_bytes:
            self._tail_size -= len(tail.popleft())

    def collect(self, sections: list[bytes], limit: int = -1) -> tuple[int, int]:
        """Append the kept bytes to `sections`; return the lengths of head and tail.

        Args:
            sections: where the pieces go, head first.
            limit: when not negative, keep only that many bytes of the head and no tail.
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
