"""Inflate WebSocket messages of permessage-deflate (RFC 7692), within bounds.

A message may refer back to all earlier messages of its direction, so each direction of each
connection keeps an inflater, in a bounded table. After a message that was captured in part, or was
too long, later ones cannot be inflated until one refers to nothing before it. zlib refuses a
reference that leads out of its window, so the output is never wrong, only unknown.
"""

import zlib
from collections import OrderedDict
from typing import Any, Final, NamedTuple

MAX_INFLATERS: Final = 512
"""One per direction, about 40 KiB each; the least recently used is evicted first."""
_TAIL: Final = b"\x00\x00\xff\xff"
"""Removed by the sender from the end of each message (RFC 7692 §7.2.1)."""

Direction = tuple[bytes, int]
"""The exchange of a connection, and the direction of a message in it."""


class Bounds(NamedTuple):
    """Limits for one message."""

    kept_bytes: int
    """Bytes kept from its beginning."""
    inflated_bytes: int
    """Bytes inflated, mostly to count them and for later messages. A few messages get more
    (`MAX_COUNTED_BYTES`).
    """


PLAIN: Final = Bounds(65_536, 262_144)
"""4 KiB may hold 4 MiB, and a decompression bomb must stay cheap (0.5 ms)."""
MAX_COUNTED_BYTES: Final = 1 << 22
"""Further bytes of one message inflated only to find its size: 8 ms, and as much as 4 KiB may
hold.
"""
_COUNTED_PER_MESSAGE: Final = 1 << 16
"""Average of these per message: 0.1 ms."""
CALL: Final = Bounds(262_144, 1_048_576)
"""In a session with a model. An agent sends its whole history when it reconnects."""


class Inflated(NamedTuple):
    """The output of a message."""

    data: bytes
    """The first bytes, within the bounds."""
    size: int | None
    """Size of the whole message; None if it was captured in part, or is too long to be counted."""


class MessageInflaters:
    """The inflaters of all connections. Not thread-safe."""

    def __init__(self, max_inflaters: int = MAX_INFLATERS) -> None:
        self._max_inflaters = max_inflaters
        self._inflaters: OrderedDict[Direction, Any] = OrderedDict()
        self._countable_bytes = MAX_COUNTED_BYTES

    def inflate(
        self, direction: Direction, data: bytes, bounds: Bounds = PLAIN, *, is_whole: bool
    ) -> Inflated | None:
        """Inflate the next message of a direction; None if it is damaged or refers to unknown
        data.
        """
        inflater = self._inflaters.pop(direction, None) or zlib.decompressobj(-zlib.MAX_WBITS)
        self._countable_bytes = min(self._countable_bytes + _COUNTED_PER_MESSAGE, MAX_COUNTED_BYTES)
        if is_whole:
            most = bounds.inflated_bytes + self._countable_bytes
        else:
            most = bounds.inflated_bytes

        try:
            kept: bytes = inflater.decompress(data + _TAIL if is_whole else data, bounds.kept_bytes)
            size = len(kept)
            last = len(kept)
            # A full buffer may mean that there is more, even if no input is left.
            while last == bounds.kept_bytes and size < most:
                last = len(inflater.decompress(inflater.unconsumed_tail, bounds.kept_bytes))
                size += last
            self._countable_bytes -= max(0, size - bounds.inflated_bytes)
        except zlib.error:
            return None

        if not is_whole or last == bounds.kept_bytes:
            return Inflated(kept, None)

        if not inflater.eof:  # An inflater that has seen a final block takes no more.
            self._keep(direction, inflater)
        return Inflated(kept, size)

    def forget(self, direction: Direction) -> None:
        """Drop the inflater of a direction, because the connection has ended or one of its messages
        is missing.
        """
        self._inflaters.pop(direction, None)

    def _keep(self, direction: Direction, inflater: Any) -> None:
        self._inflaters[direction] = inflater
        if len(self._inflaters) > self._max_inflaters:
            self._inflaters.popitem(last=False)
