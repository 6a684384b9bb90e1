"""The chunked transfer coding, read strictly (RFC 9112 §7.1). Pure: bytes in, pieces of body out.

llhttp does not show where a chunked body ends, so what follows it could not be kept apart; hence this small decoder. It
takes hexadecimal digits only, bounds size lines and trailers, and drops extensions and trailer fields, which a proxy
that frames anew must not forward (RFC 9112 §7.1.1, §7.1.2). Any split of the input gives the same body.
"""

import re
from typing import Final

MAX_LINE_BYTES: Final = 4096
"""Size line with its extensions (P4)."""
MAX_TRAILER_BYTES: Final = 32768
"""All trailer fields together: the limit of a head."""

LAST_CHUNK: Final = b"0\r\n\r\n"

# RFC 9112 §7.1: 1*HEXDIG [ chunk-ext ]; 16 digits are 64 bits. Extensions: no controls but tab.
_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER_LINE: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")

_SIZE, _DATA, _DATA_END, _TRAILER, _DONE = range(5)


class ChunkError(ValueError):
    """The body is not well-formed chunked coding; the connection's framing is lost."""


def frame(data: bytes) -> bytes:
    """Return one non-empty piece of body as a chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class ChunkedDecoder:
    """Reads one chunked body."""

    __slots__ = ("_buffer", "_remaining", "_state", "_trailer_bytes")

    def __init__(self) -> None:
        self._state = _SIZE
        self._remaining = 0
        self._buffer = b""
        self._trailer_bytes = 0

    @property
    def is_done(self) -> bool:
        return self._state == _DONE

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Return pieces of body among the next bytes, in order, and what follows the body (only once `is_done`).

        Raises:
            ChunkError: malformed or over a limit; the decoder is of no further use.
        """
        pieces: list[bytes] = []
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        at = 0
        end = len(data)
        while at < end and self._state != _DONE:
            if self._state == _DATA:
                piece = data[at : at + self._remaining]
                pieces.append(piece)
                at += len(piece)
                self._remaining -= len(piece)
                if not self._remaining:
                    self._state = _DATA_END
                continue
            line_end = self._line_end(data, at)
            if line_end < 0:
                self._buffer = data[at:]
                return pieces, b""
            self._line(data[at:line_end])
            at = line_end + 2
        return pieces, data[at:]

    def _line_end(self, data: bytes, at: int) -> int:
        if self._state == _DATA_END:
            if not b"\r\n".startswith(data[at : at + 2]):
                raise ChunkError("chunk data is longer than its size")
            return at if len(data) - at >= 2 else -1
        line_end = data.find(b"\r\n", at, at + MAX_LINE_BYTES + 2)
        if line_end < 0 and len(data) - at > MAX_LINE_BYTES + 1:  # the CR of a longest line may be the last byte
            raise ChunkError(f"chunk size line over {MAX_LINE_BYTES} bytes")
        return line_end

    def _line(self, line: bytes) -> None:
        if self._state == _DATA_END:
            self._state = _SIZE
        elif self._state == _SIZE:
            match = _SIZE_LINE.fullmatch(line)
            if match is None:
                raise ChunkError(f"invalid chunk size line {line[:40]!r}")
            self._remaining = int(match[1], 16)
            if self._remaining >= 1 << 63:
                raise ChunkError(f"chunk size {match[1].decode()} is over 2^63")
            self._state = _DATA if self._remaining else _TRAILER
        elif not line:
            self._state = _DONE
        else:
            self._trailer_bytes += len(line) + 2
            if self._trailer_bytes > MAX_TRAILER_BYTES or not _TRAILER_LINE.fullmatch(line):
                raise ChunkError("invalid or oversized trailer section")
