"""Fields as HPACK, without a dynamic table: static indexes and literals (RFC 7541 §6.1, §6.2).

Strategy: the first block of a connection sets the size of the table to 0 (RFC 7541 §4.2); from then
on a line has one form on every connection, so forms are remembered and nothing can fall out of
step. Clients that share an upstream connection cannot probe each other's values by the size of a
block (RFC 7541 §7.1). Secret values are marked as never indexed, for the next proxies (RFC 7541
§7.1.3). Strings are not Huffman-coded: that costs more than the bytes
it saves.
"""

from typing import Final

from proxy.http1.field_lines import HOP_BY_HOP, options_of
from proxy.http2.hpack.static_table import INDEX_OF_FIELD, INDEX_OF_NAME

NO_TABLE: Final = b"\x20"
"""Prefix of a connection's first block: sets the dynamic table to size 0."""
_MAX_KNOWN: Final = 4096
_MAX_KNOWN_BYTES: Final = 256
"""Longest memoised line; with the limit above at most 2 MiB for all connections."""
_MAX_HEADS: Final = 256
_MAX_HEAD_BYTES: Final = 1024
"""Longest memoised head; with the limit above at most 512 KiB."""
_OCTETS: Final = tuple(bytes((value,)) for value in range(256))
_SECRET: Final = frozenset((b"authorization", b"cookie", b"set-cookie", b"proxy-authorization"))


def encode_field(name: bytes, value: bytes) -> bytes:
    """Return a field in the encoding of HPACK; its name must be in lower case."""
    index = INDEX_OF_FIELD.get((name, value), 0)
    if index:
        return _OCTETS[0x80 | index]

    form = 0x10 if name in _SECRET else 0
    index = INDEX_OF_NAME.get(name, 0)
    if index:
        begin = encode_integer(index, 0x0F, form)
    else:
        begin = _OCTETS[form] + _string(name)
    return begin + _string(value)


def _string(text: bytes) -> bytes:
    return encode_integer(len(text), 0x7F, 0) + text


def encode_integer(value: int, mask: int, form: int) -> bytes:
    """Return an integer after the bits of a representation (RFC 7541 §5.1)."""
    if value < mask:
        return _OCTETS[form | value]
    octets = bytearray((form | mask,))
    value -= mask
    while value >= 0x80:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)


class LineEncoder:
    """Turns lines of HTTP/1.1 into fields; one for all connections of a worker."""

    __slots__ = ("_heads", "_known")

    def __init__(self) -> None:
        self._heads: dict[bytes, bytes] = {}
        self._known: dict[bytes, bytes] = {}

    def begin(self, method: bytes, scheme: bytes, authority: bytes) -> bytes:
        """Return the encoded pseudo-headers of a request; cached, as few combinations occur."""
        key = b"\0%b %b %b" % (method, scheme, authority)  # no field line begins like this
        block = self._known.get(key)
        if block is None:
            fields = (b":method", method), (b":scheme", scheme), (b":authority", authority)
            block = b"".join([encode_field(name, value) for name, value in fields])
            self._remember(key, block)

        return block

    def _remember(self, text: bytes, block: bytes) -> None:
        if len(text) <= _MAX_KNOWN_BYTES:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[text] = block

    def encode(self, lines: bytes) -> bytes:
        """Return the encoded fields of lines, each with its CRLF. HTTP/1.1 connection fields are
        dropped (F7).

        Repeated heads are cached as a whole: those of gRPC, and those of a server within a second.
        """
        block = self._heads.get(lines)
        if block is None:
            block = self._encode(lines)
            if len(lines) <= _MAX_HEAD_BYTES:
                if len(self._heads) >= _MAX_HEADS:
                    self._heads.clear()
                self._heads[lines] = block

        return block

    def _encode(self, lines: bytes) -> bytes:
        parts: list[bytes] = []
        known = self._known
        for line in lines.split(b"\r\n"):
            form = known.get(line)
            if form is None:
                form = encode_line(line)
                self._remember(line, form)
            parts.append(form)

        return b"".join(parts)


def encode_line(line: bytes) -> bytes:
    """Return a field line, with or without its CRLF, as an encoded field of HPACK."""
    name, _, value = line.partition(b":")
    name = name.lower()
    if name == b"te" and b"trailers" in options_of(value):
        return encode_field(name, b"trailers")
    if not name or name in HOP_BY_HOP:
        return b""

    return encode_field(name, value.strip(b" \t\r\n"))
