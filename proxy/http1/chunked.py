"""The chunked transfer coding, read strictly (RFC 9112 §7.1): bytes in, pieces of body out.

llhttp does not report the end of a chunked body, so the bytes after it could not be kept apart;
hence this small decoder. It accepts hexadecimal digits only, bounds size lines and trailers, and
drops extensions, which a proxy that changes the framing must not forward (RFC 9112 §7.1.1). Trailer
fields are judged like those of heads, and kept. Any split of the input gives the same body.

A chunk read by itself costs 2 µs, however small it is. Runs of small chunks are therefore read at
once (0.15 µs each). One call does a bounded amount of work, counted in chunks read by themselves;
with `has_more`, the remaining bytes are for another turn of the loop (P23).
"""

import re
from typing import Final

from proxy.http1.field_lines import without_blanks_before_colons

MAX_LINE_BYTES: Final = 4096
"""The longest size line, with its extensions (P4)."""
MAX_TRAILER_BYTES: Final = 32768
"""The most bytes of all trailer fields: the limit of a head."""
MAX_TRAILER_FIELDS: Final = 100
"""The most trailer fields: as many as a head may have."""

LAST_CHUNK: Final = b"0\r\n\r\n"

STEP_CHUNKS: Final = 256
"""The work of one call, in chunks read by themselves: 0.5 ms."""
_RUN_AFTER: Final = 4
"""Chunks that are read by themselves before a run is searched. Few reads have more."""
_RUN_BYTES: Final = (256, 16384)
"""Least and most bytes in which a run is searched; doubled as long as it goes on."""
_LINE_BYTES: Final = 256
"""Bytes of a line that cost as much as a chunk read by itself."""
_PARTS_PER_CHUNK: Final = 12
"""Parts of a run (lines and bodies) that cost as much as a chunk read by itself."""

# RFC 9112 §7.1: 1*HEXDIG [ chunk-ext ]; 16 digits are 64 bits. Extensions: a name, and no controls
# but tab.
_SIZE_LINE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-][\t\x20-\x7e\x80-\xff]*)?"
)
_PADDED_SIZE_LINE: Final = re.compile(_SIZE_LINE.pattern + rb"[ \t]*")
"""The size line of a response: some servers pad it. We frame anew, so no other proxy reads it."""
_TRAILER_LINE: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")

_VALUE: Final = re.compile(rb"[:=\"]")
_MAX_SHOWN_BYTES: Final = 40

_SMALL_SIZES: Final = {form % size: size for size in range(1, 1024) for form in (b"%x", b"%X")}
"""Size line without extensions → size, for the chunks of runs."""

# Expected next part of the input.
_SIZE: Final = 0
_DATA: Final = 1
_DATA_END: Final = 2
_TRAILER: Final = 3
_DONE: Final = 4


class ChunkError(ValueError):
    """The body is not well-formed chunked coding; the connection's framing is lost."""


def _shown(line: bytes) -> bytes:
    """Return the beginning of a line to show in an error message, without values, which may be
    secrets.
    """
    return _VALUE.split(line[:_MAX_SHOWN_BYTES], maxsplit=1)[0]


def _size_of(line: bytes, form: re.Pattern[bytes]) -> int:
    """Return the size in a line; 0 for a line that cannot be part of a run."""
    match = form.fullmatch(line)
    if match is not None and len(line) <= MAX_LINE_BYTES:
        return int(match[1], 16)
    return 0


def _take_run(data: bytes, at: int, end: int, form: re.Pattern[bytes]) -> tuple[bytes, int, int]:
    """Read the run of whole small chunks at the beginning of `data[at:end]`.

    Split at line ends, a run alternates sizes and bodies. It ends at a body whose length differs
    from its size: at data with a line end in it, at the last chunk, and at anything malformed. The
    next chunk is then read by itself.

    Returns:
        The body, the end offset of the run, and its work in chunks.
    """
    parts = data[at:end].split(b"\r\n")
    lines = parts[0:-1:2]
    bodies = parts[1:-1:2]
    del lines[len(bodies) :]
    sizes = list(map(_SMALL_SIZES.get, lines))
    cost = len(parts) // _PARTS_PER_CHUNK
    if None in sizes:
        cost *= 3
        sizes = [_SMALL_SIZES.get(line) or _size_of(line, form) for line in lines]

    lengths = list(map(len, bodies))
    if sizes != lengths or 0 in lengths:
        count = next(
            index for index, length in enumerate(lengths) if not length or sizes[index] != length
        )
        del lines[count:], bodies[count:]

    # Each chunk has two line ends.
    run_end = at + sum(map(len, lines)) + sum(map(len, bodies)) + 4 * len(bodies)
    return b"".join(bodies), run_end, cost


def frame(data: bytes) -> bytes:
    """Return a non-empty piece of a body as a chunk of the chunked coding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: bytes) -> bytes:
    """Return the bytes that end a chunked body, with trailer lines, each with its CRLF."""
    return b"0\r\n%b\r\n" % trailers


class ChunkedDecoder:
    """Reads one chunked body."""

    __slots__ = (
        "_buffer",
        "_remaining",
        "_size_line",
        "_state",
        "_trailer_fields",
        "has_more",
        "trailers",
    )

    def __init__(self, *, is_response: bool = False) -> None:
        """Begin a body. In a response, blanks may follow a size or a trailer's name."""
        self._size_line = _PADDED_SIZE_LINE if is_response else _SIZE_LINE
        self.has_more = False
        """True if bytes are left from the last call for another turn."""
        self._state = _SIZE
        self._remaining = 0
        """Bytes of the current chunk that are still to come."""
        self._buffer = b""
        self.trailers = b""
        """The trailer lines as received, each with its CRLF; complete once it `is_done`."""
        self._trailer_fields = 0

    @property
    def in_hand(self) -> int:
        """Return how many bytes were fed and not read yet."""
        return len(self._buffer)

    @property
    def is_done(self) -> bool:
        return self._state == _DONE

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Return the pieces of body in the next bytes, and, once it `is_done`, the bytes after it.

        Raises:
            ChunkError: malformed or over a limit; the decoder cannot be used again.
        """
        pieces: list[bytes] = []
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        self.has_more = False
        at = 0
        end = len(data)
        work = 0
        run_from = _RUN_AFTER  # work after which a run is searched
        run_bytes = _RUN_BYTES[0]

        while at < end and self._state != _DONE:
            if self._state == _DATA:
                at = self._take_data(data, at, pieces)
                continue

            if self._state == _SIZE and work >= run_from:
                if work >= STEP_CHUNKS:
                    self.has_more = True
                    break

                body, next_at, cost = _take_run(data, at, at + run_bytes, self._size_line)
                work += 1 + cost
                if body:
                    pieces.append(body)
                    is_long = next_at - at > run_bytes // 2
                    if is_long:
                        run_bytes = min(2 * run_bytes, _RUN_BYTES[1])
                    else:
                        run_bytes = _RUN_BYTES[0]
                    at = next_at
                    continue

                run_from = work + run_from  # no run here: look again, at growing distances

            line_end = self._line_end(data, at)
            if line_end < 0:
                break

            work += (self._state == _SIZE) + (line_end - at) // _LINE_BYTES
            self._read_line(data[at:line_end])
            at = line_end + 2

        if self._state == _DONE:
            return pieces, data[at:]

        self._buffer = data[at:]
        return pieces, b""

    def _take_data(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """Add the available data of the current chunk to `pieces`; return the offset after it."""
        piece = data[at : at + self._remaining]
        pieces.append(piece)
        self._remaining -= len(piece)
        if not self._remaining:
            self._state = _DATA_END
        return at + len(piece)

    def _line_end(self, data: bytes, at: int) -> int:
        """Return the end offset of the line at `at`, -1 if it has not come. After data the line is
        empty.
        """
        if self._state == _DATA_END:
            if not b"\r\n".startswith(data[at : at + 2]):
                raise ChunkError("chunk data is longer than its size")
            if len(data) - at >= 2:
                return at
            return -1

        line_end = data.find(b"\r\n", at, at + MAX_LINE_BYTES + 2)
        if line_end < 0:
            if len(data) - at > MAX_LINE_BYTES + 1:  # the CR of a longest line may be the last byte
                raise ChunkError(f"{self._line_name} over {MAX_LINE_BYTES} bytes")
            if data.find(b"\n", at) >= 0:
                raise ChunkError(f"bare LF in {self._line_name} {_shown(data[at:])!r}")

        return line_end

    def _read_line(self, line: bytes) -> None:
        if self._state == _DATA_END:
            self._state = _SIZE
        elif self._state == _SIZE:
            match = self._size_line.fullmatch(line)
            if match is None:
                raise ChunkError(f"invalid chunk size line {_shown(line)!r}")

            self._remaining = int(match[1], 16)
            if self._remaining >= 1 << 63:
                raise ChunkError(f"chunk size {match[1].decode()} is over 2^63")

            self._state = _DATA if self._remaining else _TRAILER
        elif not line:
            self._state = _DONE
        else:
            self._take_trailer(line)

    @property
    def _line_name(self) -> str:
        if self._state == _TRAILER:
            return "trailer field"
        return "chunk size line"

    def _take_trailer(self, line: bytes) -> None:
        if self._size_line is _PADDED_SIZE_LINE:
            line = without_blanks_before_colons(b"\r\n" + line)[2:]
        if not _TRAILER_LINE.fullmatch(line):
            raise ChunkError(f"invalid trailer field {_shown(line)!r}")

        self._trailer_fields += 1
        if self._trailer_fields > MAX_TRAILER_FIELDS:
            raise ChunkError(f"more than {MAX_TRAILER_FIELDS} trailer fields")

        self.trailers += line + b"\r\n"
        if len(self.trailers) > MAX_TRAILER_BYTES:
            raise ChunkError(f"trailer section over {MAX_TRAILER_BYTES} bytes")
