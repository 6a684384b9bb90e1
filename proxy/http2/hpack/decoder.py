"""Decode the header blocks of one direction of a connection, strictly (RFC 7541 §3, §5, §6).

A malformed block ends the connection, since the tables would differ from then on (RFC 9113 §4.3). A
list over the limit does not: its block is read to the end, and `is_over` is set. Every reference
counts, indexed ones too, so a block of one-byte references to a long entry ends the connection
early (F4).

A block that leaves the table unchanged has the same meaning when it comes again, so some are
memoised: clients repeat their heads (0.1 µs instead of 4 for ten fields from the table,
bench/micro). Literals are memoised for all connections: most servers write the same fields into
each response, Huffman-coded, and so do clients of one kind.
"""

from typing import Final

from proxy.http2.errors import ConnectionFault, ErrorCode
from proxy.http2.field import Field
from proxy.http2.hpack.huffman import read_huffman
from proxy.http2.hpack.table import STATIC_ENTRIES, Table

BOMB_FACTOR: Final = 4
"""Factor over the limit from which a block or list is an attack, not a head worth reading."""
MAX_SIZE_UPDATES: Final = 2
MAX_INTEGER_OCTETS: Final = 5
_MEMO_BLOCKS: Final = 16
_MEMO_BLOCK_BYTES: Final = 256
"""Longest memoised block: with its fields at most 40 KiB a connection."""
_MEMO_LITERALS: Final = 1024
_MEMO_LITERAL_BYTES: Final = 128
_literals: Final[dict[bytes, Field]] = {}
"""Literal fields by their encoded form, for all connections. Their names are in no dynamic table,
so they mean the same everywhere.
"""
_PATH: Final = 4
"""Static index of `:path`, whose values mostly differ."""


class Decoder:
    """Decodes one block after the other."""

    __slots__ = ("_at", "_data", "_max_list_bytes", "_memo", "_table", "is_over")

    def __init__(self, max_list_bytes: int) -> None:
        """Set the limit of a list in bytes, as RFC 9113 §6.5.2 counts them."""
        self._max_list_bytes = max_list_bytes
        self._table = Table()
        self._memo: dict[bytes, list[Field]] = {}
        self._data = b""
        self._at = 0
        self.is_over = False
        """True if the last list exceeded the limit."""

    def decode(self, block: bytes) -> list[Field]:
        """Return the fields of a block. The caller must not change them. A fault ends the
        connection.
        """
        known = self._memo.get(block)
        if known is not None:
            self.is_over = False
            return known

        self._data = block
        self._at = 0
        self._read_size_updates()
        has_changed = self._at > 0
        fields: list[Field] = []
        end = len(block)
        total = 0
        most = self._max_list_bytes

        while self._at < end:
            first = block[self._at]
            if first >= 0x80:
                field = self._table.field(self._integer(0x7F))
            elif first >= 0x40:
                field = self._literal(0x3F)
                has_changed = self._table.add(field) or has_changed
            elif first >= 0x20:
                raise _malformed("a size update behind a field")
            else:
                field = self._literal(0x0F)

            total += field.size_bytes
            fields.append(field)
            if total > BOMB_FACTOR * most:
                raise ConnectionFault(
                    ErrorCode.ENHANCE_YOUR_CALM, "a header list far over the limit"
                )

        self.is_over = total > most
        self._data = b""
        if has_changed or len(self._memo) >= _MEMO_BLOCKS:
            self._memo.clear()
        if not has_changed and not self.is_over and len(block) <= _MEMO_BLOCK_BYTES:
            self._memo[block] = fields
        return fields

    def _read_size_updates(self) -> None:
        """Read the size updates at the beginning of a block (RFC 7541 §4.2)."""
        updates = 0
        while self._at < len(self._data) and self._data[self._at] & 0xE0 == 0x20:
            updates += 1
            if updates > MAX_SIZE_UPDATES:
                raise _malformed("too many size updates")
            self._table.resize(self._integer(0x1F))

    def _literal(self, mask: int) -> Field:
        """Read a literal with an indexed name, or a literal name if the index is 0 (RFC 7541 §6.2)."""
        start = self._at
        index = self._integer(mask)
        if index == _PATH or index >= STATIC_ENTRIES:
            return Field(self._table.field(index).name, self._string())

        behind = self._at
        if not index:
            self._pass_string()
        self._pass_string()
        written = self._data[start : self._at]

        field = _literals.get(written)
        if field is None:
            self._at = behind
            name = self._table.field(index).name if index else self._string()
            field = Field(name, self._string())

            if len(written) <= _MEMO_LITERAL_BYTES:
                if len(_literals) >= _MEMO_LITERALS:
                    _literals.clear()
                _literals[written] = field

        return field

    def _integer(self, mask: int) -> int:
        """Read an integer whose prefix has the bits of `mask` (RFC 7541 §5.1)."""
        data = self._data
        at = self._at
        if at >= len(data):
            raise _malformed("a cut header block")

        value = data[at] & mask
        at += 1
        if value == mask:
            shift = 0
            octet = 0x80
            while octet >= 0x80:
                if at >= len(data) or shift == 7 * MAX_INTEGER_OCTETS:
                    raise _malformed("a cut or too long integer")
                octet = data[at]
                at += 1
                value += (octet & 0x7F) << shift
                shift += 7

        self._at = at
        return value

    def _pass_string(self) -> int:
        """Skip a string literal (RFC 7541 §5.2); return its length."""
        length = self._integer(0x7F)
        self._at += length
        if self._at > len(self._data):
            raise _malformed("a string beyond its block")
        return length

    def _string(self) -> bytes:
        """Read a string literal, decoded if it is Huffman-coded."""
        is_coded = self._at < len(self._data) and self._data[self._at] >= 0x80
        length = self._pass_string()
        text = self._data[self._at - length : self._at]
        if is_coded:
            return read_huffman(text)
        return text


def _malformed(reason: str) -> ConnectionFault:
    return ConnectionFault(ErrorCode.COMPRESSION_ERROR, reason)
