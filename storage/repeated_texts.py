"""Results for large texts that occur again and again, byte for byte: scripts, style sheets, pages
and answers that never change.

Strategy: a text is known by its digest. Most texts occur once, and need none: the digest is only
computed after another text of the same length, with the same bytes at both ends and in the middle.
A text that occurs once costs a microsecond, and one that occurs for the third time a digest, 1 ns a
byte. The least recently used results are forgotten.

Invariant: a result is returned only for the bytes, and the kind, that it was kept for.
"""

import hashlib
import threading
from typing import Final, Generic, TypeVar

T = TypeVar("T")

MIN_BYTES: Final = 4 * 1024
"""Shorter texts cost less than they save."""
MAX_SEEN: Final = 8192
"""Texts of which no more than the outline is known: 100 bytes each."""
ENTRY_BYTES: Final = 256
"""Memory of a result without its content, about."""
_SAMPLE_BYTES: Final = 32
_DIGEST_BYTES: Final = 16


class RepeatedTexts(Generic[T]):
    """Keeps results of one function, up to `max_bytes` of them. Callable from any thread."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._size_bytes = 0
        self._seen: dict[int, None] = {}
        """Hashes of outlines."""
        self._results: dict[bytes, tuple[T, int]] = {}
        """Result and size by digest."""
        self._lock = threading.Lock()

    def key_of(self, text: bytes, kind: bytes = b"") -> bytes | None:
        """Return the key of a text of a kind; None if it is short, or was not seen before."""
        if len(text) < MIN_BYTES:
            return None

        middle = len(text) // 2
        samples = text[:_SAMPLE_BYTES], text[middle : middle + _SAMPLE_BYTES], text[-_SAMPLE_BYTES:]
        outline = hash((len(text), *samples))
        with self._lock:
            is_new = outline not in self._seen
            self._seen.pop(outline, None)
            self._seen[outline] = None
            if len(self._seen) > MAX_SEEN:
                del self._seen[next(iter(self._seen))]

        if is_new:
            return None
        digest = hashlib.blake2b(b"%d\n" % len(text), digest_size=_DIGEST_BYTES)
        digest.update(text)
        digest.update(kind)
        return digest.digest()

    def get(self, key: bytes) -> T | None:
        """Return the result that was kept for a key; None if there is none."""
        with self._lock:
            kept = self._results.pop(key, None)
            if kept is None:
                return None
            self._results[key] = kept
            return kept[0]

    def put(self, key: bytes, result: T, size_bytes: int = 0) -> None:
        """Keep the result for a key; `size_bytes` is the memory that its content takes."""
        size_bytes += ENTRY_BYTES
        with self._lock:
            _, before_bytes = self._results.pop(key, (None, 0))
            self._results[key] = result, size_bytes
            self._size_bytes += size_bytes - before_bytes
            while self._size_bytes > self._max_bytes:
                _, gone_bytes = self._results.pop(next(iter(self._results)))
                self._size_bytes -= gone_bytes
