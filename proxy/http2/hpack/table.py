"""The dynamic table of one direction of one connection (RFC 7541 §2.3, §4).

The newest entry has the first index after the static table. Rows are appended, and evicted by
moving a mark, so a look-up is one subtraction. The sum of the sizes never exceeds the limit, at any
moment.
"""

from typing import Final

from proxy.http2.errors import ConnectionFault, ErrorCode
from proxy.http2.field import Field
from proxy.http2.hpack.static_table import STATIC_FIELDS

TABLE_BYTES: Final = 4096
"""Default of HEADER_TABLE_SIZE, which we do not change (RFC 9113 §6.5.2)."""
STATIC_ENTRIES: Final = 62
_EVICTED_ROWS: Final = 64


class Table:
    """Static and dynamic table as one address space (RFC 7541 §2.3.3)."""

    __slots__ = ("_first", "_max_bytes", "_rows", "size_bytes")

    def __init__(self) -> None:
        self._rows: list[Field] = []
        self._first = 0
        self._max_bytes = TABLE_BYTES
        self.size_bytes = 0

    def field(self, index: int) -> Field:
        """Return the field of an index. 0, or an index beyond the table, ends the connection."""
        if 0 < index < STATIC_ENTRIES:
            return STATIC_FIELDS[index]
        place = len(self._rows) - 1 - (index - STATIC_ENTRIES)
        if not index or place < self._first:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, "an index beyond the table")
        return self._rows[place]

    def add(self, field: Field) -> bool:
        """Add an entry. An entry larger than the table empties it, which is not an error (RFC 7541
        §4.4).

        Return False if the table is unchanged because it has size 0. nginx sets it to that, and
        adds all its fields.
        """
        had_any = self.size_bytes > 0
        self._evict(max(self._max_bytes - field.size_bytes, 0))
        if field.size_bytes <= self._max_bytes:
            self._rows.append(field)
            self.size_bytes += field.size_bytes
            return True

        return had_any

    def resize(self, max_bytes: int) -> None:
        """Change the table's size (RFC 7541 §4.2, §4.3).

        A size over our limit ends the connection.
        """
        if max_bytes > TABLE_BYTES:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, "a table size over the limit")
        self._max_bytes = max_bytes
        self._evict(max_bytes)

    def _evict(self, max_bytes: int) -> None:
        """Drop the oldest entries until the rest has at most `max_bytes`."""
        rows = self._rows
        first = self._first
        while self.size_bytes > max_bytes:
            self.size_bytes -= rows[first].size_bytes
            first += 1
        if first > _EVICTED_ROWS or first == len(rows):
            del rows[:first]
            first = 0
        self._first = first
