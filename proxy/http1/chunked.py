"""The chunked transfer coding, read strictly (RFC 9112 §7.1). Pure: bytes in, pieces of body out.

llhttp does not show where a chunked body ends, so what follows it could not be kept apart; hence
this small decoder. It takes hexadecimal digits only, bounds size lines and trailers, and drops
extensions, which a proxy that frames anew must not forward (RFC 9112 §7.1.1). Trailer fields are
judged as those of heads are, and kept. Any split of the input gives the same body.

Chunks read one by one cost 2 µs each, whatever is in them. Small ones in a row are therefore taken
in one go (0.15 µs), and one call does a bounded amount of work: what it leaves in hand, `has_more`
says, is for another turn (P23).
"""

import re
from typing import Final

from proxy.http1.field_lines import without_blanks

MAX_LINE_BYTES: Final = 4096
"""Size line with its extensions (P4)."""
MAX_TRAILER_BYTES: Final = 32768
"""All trailer fields together: the limit of a head."""
MAX_TRAILER_FIELDS: Final = 100
"""As many as a head may have."""

LAST_CHUNK: Final = b"0\r\n\r\n"

STEP_CHUNKS: Final = 256
"""What one call does, in chunks read one by one: 0.5 ms."""
_RUN_AFTER: Final = 4
"""Chunks read one by one before small ones in a row are looked for; hardly a body has so many in
one read.
"""
_RUN_BYTES: Final = (256, 16384)
"""How far they are looked for: each time twice as far, until the row ends."""
_LINE_BYTES: Final = 256
"""So many bytes of a line, and so many parts of a row, cost as much as a chunk read by itself."""
_PARTS_PER_CHUNK: Final = 12

# RFC 9112 §7.1: 1*HEXDIG [ chunk-ext ]; 16 digits are 64 bits. Extensions: a name, and no controls
# but tab.
_SIZE_LINE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-][\t\x20-\x7e\x80-\xff]*)?"
)
_PADDED_SIZE_LINE: Final = re.compile(_SIZE_LINE.pattern + rb"[ \t]*")
"""Of a response: servers have padded sizes to a width, and no proxy is fooled by what only we read
and frame anew.
"""
_TRAILER_LINE: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")

_VALUE: Final = re.compile(rb"[:=\"]")
_MAX_SHOWN_BYTES: Final = 40

_SMALL_SIZES: Final = {form % size: size for size in range(1, 1024) for form in (b"%x", b"%X")}
"""Plain size lines of the chunks that come in runs."""

_SIZE, _DATA, _DATA_END, _TRAILER, _DONE = range(5)


class ChunkError(ValueError):
    """The body is not well-formed chunked coding; the connection's framing is lost."""


def _beginning(line: bytes) -> bytes:
    """Return of a line what a message may show: no value of a field, nor of what is text in the
    wrong place.
    """
    return _VALUE.split(line[:_MAX_SHOWN_BYTES], maxsplit=1)[0]


def _size_of(line: bytes, form: re.Pattern[bytes]) -> int:
    """Return the size in a line, 0 where it is none or cannot be part of a run."""
    match = form.fullmatch(line)
    if match is not None and len(line) <= MAX_LINE_BYTES:
        return int(match[1], 16)
    return 0


def take_run(
    data: bytes, at: int, end: int, form: re.Pattern[bytes] = _SIZE_LINE
) -> tuple[bytes, int, int]:
    """Take the small chunks in a row that are whole in a slice; return their body, its end, and
    what it cost in chunks.

    Between two line ends lies either a size or the data it announces. Where one is not as long as
    the other says (data with a line end in it, the last chunk, anything malformed) the run is over
    and the next chunk is read by itself.
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

    return (
        b"".join(bodies),
        at + sum(map(len, lines)) + sum(map(len, bodies)) + 4 * len(bodies),
        cost,
    )


def frame(data: bytes) -> bytes:
    """Return one non-empty piece of body as a chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: bytes) -> bytes:
    """Return the end of a body with trailer lines, each with its CRLF."""
    return b"0\r\n%b\r\n" % trailers


class ChunkedDecoder:
    """Reads one chunked body."""

    __slots__ = (
        "_buffer",
        "_form",
        "_remaining",
        "_state",
        "_trailer_fields",
        "has_more",
        "trailers",
    )

    def __init__(self, *, is_response: bool = False) -> None:
        """Begin a body; in that of a response blanks may follow a size, or come before the colon of
        a trailer.
        """
        self._form = _PADDED_SIZE_LINE if is_response else _SIZE_LINE
        self.has_more = False
        """Whether bytes are left over from the last call; the next one begins with them."""
        self._state = _SIZE
        self._remaining = 0
        self._buffer = b""
        self.trailers = b""
        """Trailer lines as received, each with its CRLF; all of them once `is_done`."""
        self._trailer_fields = 0

    @property
    def in_hand(self) -> int:
        """How many bytes were fed and not read."""
        return len(self._buffer)

    @property
    def is_done(self) -> bool:
        return self._state == _DONE

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Return pieces of body among the next bytes, in order, and what follows the body (only
        once `is_done`).

        Raises:
            ChunkError: malformed or over a limit; the decoder cannot be used again.
        """
        pieces: list[bytes] = []
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        self.has_more = False
        at = 0
        work = 0
        run_from = _RUN_AFTER
        run_bytes = _RUN_BYTES[0]

        end = len(data)
        while at < end and self._state != _DONE:
            if self._state == _DATA:
                at = self._take(data, at, pieces)
                continue
            if self._state == _SIZE and work >= run_from:
                if work >= STEP_CHUNKS:
                    self.has_more = True
                    break
                body, next_at, cost = take_run(data, at, at + run_bytes, self._form)
                work += 1 + cost
                if body:
                    pieces.append(body)
                    is_whole = next_at - at > run_bytes // 2
                    if is_whole:
                        run_bytes = min(2 * run_bytes, _RUN_BYTES[1])
                    else:
                        run_bytes = _RUN_BYTES[0]
                    at = next_at
                    continue

                run_from = work + run_from

            line_end = self._line_end(data, at)
            if line_end < 0:
                break

            work += (self._state == _SIZE) + (line_end - at) // _LINE_BYTES
            self._line(data[at:line_end])
            at = line_end + 2

        if self._state == _DONE:
            return pieces, data[at:]

        self._buffer = data[at:]
        return pieces, b""

    def _take(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        piece = data[at : at + self._remaining]
        pieces.append(piece)
        self._remaining -= len(piece)
        if not self._remaining:
            self._state = _DATA_END
        return at + len(piece)

    def _line_end(self, data: bytes, at: int) -> int:
        if self._state == _DATA_END:
            if not b"\r\n".startswith(data[at : at + 2]):
                raise ChunkError("chunk data is longer than its size")
            return at if len(data) - at >= 2 else -1

        line_end = data.find(b"\r\n", at, at + MAX_LINE_BYTES + 2)
        if line_end < 0:
            if len(data) - at > MAX_LINE_BYTES + 1:  # the CR of a longest line may be the last byte
                raise ChunkError(f"{self._line_name} over {MAX_LINE_BYTES} bytes")
            if data.find(b"\n", at) >= 0:
                raise ChunkError(f"bare LF in {self._line_name} {_beginning(data[at:])!r}")

        return line_end

    def _line(self, line: bytes) -> None:
        if self._state == _DATA_END:
            self._state = _SIZE
        elif self._state == _SIZE:
            match = self._form.fullmatch(line)
            if match is None:
                raise ChunkError(f"invalid chunk size line {_beginning(line)!r}")

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
        if self._form is _PADDED_SIZE_LINE:
            line = without_blanks(b"\r\n" + line)[2:]
        if not _TRAILER_LINE.fullmatch(line):
            raise ChunkError(f"invalid trailer field {_beginning(line)!r}")

        self._trailer_fields += 1
        if self._trailer_fields > MAX_TRAILER_FIELDS:
            raise ChunkError(f"more than {MAX_TRAILER_FIELDS} trailer fields")

        self.trailers += line + b"\r\n"
        if len(self.trailers) > MAX_TRAILER_BYTES:
            raise ChunkError(f"trailer section over {MAX_TRAILER_BYTES} bytes")
