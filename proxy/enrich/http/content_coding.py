"""Undo the content codings of a captured body, within bounds: a copy for the log must never cost
more than it is worth.

Strategy: streaming decoders fed in small pieces, each asked for no more than there is room. Headers
are often untrue: codings are undone, from the last one on, as long as the bytes bear them out.
Truncated or damaged input gives what could be decoded before. Of text that is longer than
`MAX_OUTPUT_BYTES` head and tail are kept where the caller wants a tail. Invariant: no more than
that is held, no more than `MAX_WALK_BYTES` are walked over, and nothing raises. Standards: RFC 9110
§8.4.1, RFC 9659 (zstd window), Amazon S3's chunks (`aws-chunked`).
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

try:
    import brotli  # type: ignore[import-untyped]
except ImportError:  # optional: without it, bodies that have the coding are not stored
    brotli = None

from proxy.enrich.formats.charset import CONTROLS
from proxy.http1.chunked import ChunkedDecoder, ChunkError
from proxy.ring.body_window import Window
from storage.zstd import zstd

MAX_OUTPUT_BYTES: Final = 1 << 20
"""Of the text, from its start."""
MAX_RATIO: Final = 100
MAX_WALK_BYTES: Final = 32 << 20
"""Of a response, to reach its end: 30 ms for the emptiest of text, in a thread."""
MAX_WALK_RATIO: Final = 1000
"""Streams of small deltas repeat their frames: 200 bytes of text in one of the wire were seen."""
_PLAIN: Final = frozenset(
    ("identity", "none", "utf-8", "utf8", "7bit", "8bit", "binary", "chunked", "amz-1.0")
)
"""`none` keeps the compression of some frameworks away from a stream; charsets stand there by
mistake, and what MIME and Transfer-Encoding call so; Amazon's clients name their protocol.
"""
_AWS_CHUNKED: Final = "aws-chunked"
_LOOK_BYTES: Final = 512
"""Compressed data has a control character within them."""
_SURE_BYTES: Final = 32
"""Of text, which no compressed data is: one in 10^13."""
MAX_NAME_CHARACTERS: Final = 32
"""Of a coding that is unknown."""
MAX_CODINGS: Final = 4
"""Chained codings beyond this are not honest."""
_PIECE_BYTES: Final = 4096
"""Damage costs at most what is left of one piece."""
_OUTPUT_BYTES: Final = 1 << 16
_GZIP_MAGIC: Final = b"\x1f\x8b"
CODING_OF: Final = {_GZIP_MAGIC: "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
MAGIC: Final = tuple(CODING_OF)
"""What begins so is no other data."""
_HEADER_BYTES: Final = 2
"""Of zlib's wrapper: fewer do not show whether there is one."""
_ZSTD_WINDOW_LOG: Final = 23
"""8 MiB, the most a sender of `Content-Encoding: zstd` may ask for (RFC 9659)."""
MAX_FRAMES: Final = 2048
"""Of zstd. Each takes a decoder of its own, at 12 us, and 8 bytes on the wire: a mebibyte of them
took 1.4 s.
"""


class Decoded(NamedTuple):
    """What came out."""

    data: bytes
    """All of it, or its head."""
    is_complete: bool
    """False when the input ended early or was damaged, or a bound was reached: the end is missing.
    """
    tail: bytes = b""
    """The last bytes, where some between them and the head were not kept."""
    size: int = 0
    """Size of the whole output, if there is a tail."""
    marks: tuple[int, ...] = ()
    """Output offsets at the marks of the input."""
    is_broken: bool = False
    """A bound was reached or the input is damaged; else all that can come of this input is here."""
    is_damaged: bool = False
    undone: tuple[str, ...] = ()
    """Codings that were undone, in the order in which they had been applied."""
    error: str | None = None
    """Why others were not, or not to their end."""


class _Stage(Protocol):
    """One decoder, fed piece by piece."""

    def feed(self, piece: bytes, room: int) -> bytes:
        """Decode about `room` bytes at most, and keep the rest of the input; empty when more input
        is needed.
        """
        ...

    @property
    def is_done(self) -> bool:
        """Whether the coding's own end was seen."""
        ...


def codings_of(content_encoding: bytes) -> list[str]:
    """Split a Content-Encoding header into codings, in the order applied, without what codes
    nothing.
    """
    names = (name.strip().lower() for name in content_encoding.decode("latin-1").split(","))
    return [name for name in names if name and name not in _PLAIN]


def decode(
    data: bytes,
    codings: list[str],
    max_bytes: int = MAX_OUTPUT_BYTES,
    *,
    tail_bytes: int = 0,
    marks: Sequence[int] = (),
) -> Decoded | None:
    """Undo codings, last applied first.

    Args:
        data: the captured bytes, perhaps only the first part of the body.
        codings: as `codings_of` gives them; none leaves the data as it is.
        max_bytes: that are kept of the head of any stage, `MAX_OUTPUT_BYTES` at most.
        tail_bytes: kept of the end of longer text; 0: the text ends where its head does.
        marks: rising places in the data, to be translated into places in the text.

    Returns:
        The decoded data, or the data as they are without a coding. None for data still compressed: they cannot be
        redacted, and a reader with another decoder could read their secrets.
    """
    limit = min(max_bytes, MAX_RATIO * len(data))
    if tail_bytes:
        walk = min(MAX_WALK_BYTES, MAX_WALK_RATIO * len(data))
    else:
        walk = limit
    decoded = Decoded(data, True, marks=tuple(marks))

    # Clients name it first, though it is applied last.
    left = sorted(codings, key=_AWS_CHUNKED.__eq__)
    while left and decoded.data:
        coding = left.pop()
        if left or not tail_bytes:
            window = Window(limit, 0)
        else:
            window = Window(max_bytes, tail_bytes)
        decoded = _undo(coding, decoded, window, limit if left else walk)

    for magic, coding in CODING_OF.items():
        if decoded.error is not None and not decoded.is_damaged and decoded.data.startswith(magic):
            decoded = _undo(coding, decoded, Window(limit, 0), limit)
    decoded = _without_further(decoded, limit)
    if decoded.error is None or decoded.is_damaged or is_text(decoded.data):
        return decoded

    is_compressed = decoded.data.startswith(MAGIC) or (brotli is None and "br" in codings)
    return None if is_compressed else decoded


def _without_further(decoded: Decoded, limit: int) -> Decoded:
    """Undo what was coded more often than its head says, where that is text: servers compress what
    came compressed.
    """
    while decoded.undone and len(decoded.undone) < MAX_CODINGS and decoded.data.startswith(MAGIC):
        coding = next(name for magic, name in CODING_OF.items() if decoded.data.startswith(magic))
        inner = _undo(coding, decoded, Window(limit, 0), limit)
        if inner.error is not None or not (is_text(inner.data) or inner.data.startswith(MAGIC)):
            return decoded
        decoded = inner

    return decoded


def is_text(data: bytes) -> bool:
    """Whether data may be text that nothing has coded."""
    return CONTROLS.search(data, 0, _LOOK_BYTES) is None


def _undo(coding: str, before: Decoded, window: Window, limit: int) -> Decoded:
    """Undo one coding; data that contradict it stay as they are, with the reason."""
    data = before.data
    reason = "not coded"
    may_be_text = coding != _AWS_CHUNKED and is_text(data)

    if coding not in _STAGES:
        reason = "unknown"
    elif len(before.undone) == MAX_CODINGS:
        reason = "one too many"
    elif not may_be_text or len(data) < _SURE_BYTES or not data[:_LOOK_BYTES].isascii():
        decoded = _run(_STAGES[coding](), before, window, limit)
        if decoded.is_complete or (decoded.data and not may_be_text):
            error = f"{coding}: damaged" if decoded.is_damaged else before.error
            return decoded._replace(undone=(coding, *before.undone), error=error)

    return before._replace(error=before.error or f"{coding[:MAX_NAME_CHARACTERS]}: {reason}")


def _run(stage: _Stage, source: Decoded, window: Window, limit: int) -> Decoded:
    is_broken = False
    is_damaged = False

    marks: list[int] = []
    try:
        for piece, is_mark in _pieces(source.data, source.marks):
            is_broken = not _feed(stage, piece, window, limit)
            if is_broken:
                break
            if is_mark:
                marks.append(window.size)
    except tuple(_DAMAGE):
        is_broken = True
        is_damaged = True

    is_complete = not is_broken and stage.is_done and source.is_complete
    is_broken |= source.is_broken
    kept: list[bytes] = []
    _, tail_size = window.collect(kept)
    tail = kept.pop() if tail_size else b""
    head = b"".join(kept)
    marks += [window.size] * (len(source.marks) - len(marks))
    if len(head) + len(tail) == window.size:
        return Decoded(head + tail, is_complete, b"", 0, tuple(marks), is_broken, is_damaged)

    return Decoded(head, is_complete, tail, window.size, tuple(marks), is_broken, is_damaged)


def _feed(stage: _Stage, piece: bytes, window: Window, limit: int) -> bool:
    """Decode a piece; return False when the limit is reached."""
    # One byte more than fits distinguishes "exactly full" from "more to come".
    while output := stage.feed(piece, min(limit - window.size, _OUTPUT_BYTES) + 1):
        room = limit - window.size
        window.add(output[:room])
        if len(output) > room:
            return False
        piece = b""

    return True


def _pieces(data: bytes, marks: Sequence[int]) -> Iterator[tuple[bytes, bool]]:
    """Cut data into small pieces; the second value says that a mark follows one."""
    start = 0
    for mark in marks:
        end = min(mark, len(data))
        for at in range(start, end - _PIECE_BYTES, _PIECE_BYTES):
            yield data[at : at + _PIECE_BYTES], False
            start = at + _PIECE_BYTES
        yield data[start:end], True
        start = max(start, end)

    for at in range(start, len(data), _PIECE_BYTES):
        yield data[at : at + _PIECE_BYTES], False


class _Zlib:
    """gzip (with further members) and deflate, in the zlib wrapper or raw as some servers send it."""

    __slots__ = ("_decoder", "_is_started", "_pending", "_window_bits", "is_done")

    def __init__(self, window_bits: int) -> None:
        self._window_bits = window_bits
        self._decoder = zlib.decompressobj(window_bits)
        self._pending = b""
        self._is_started = False
        self.is_done = False

    def feed(self, piece: bytes, room: int) -> bytes:
        data = self._pending + piece
        if not self._is_started and len(data) < _HEADER_BYTES:
            self._pending = data
            return b""

        while data or not self._decoder.eof:
            # The other half may be in the next piece.
            if self._decoder.eof and data == _GZIP_MAGIC[:1]:
                self._pending = data
                return b""
            if self._decoder.eof and not self._begin_member(data):
                break

            try:
                output = self._decoder.decompress(data, room)
            except zlib.error:
                if self._is_started or self._window_bits != zlib.MAX_WBITS:
                    raise
                self._decoder = zlib.decompressobj(-zlib.MAX_WBITS)
                output = self._decoder.decompress(data, room)

            self._is_started = True
            self.is_done = self._decoder.eof
            if self._decoder.eof:
                data = self._decoder.unused_data
            else:
                data = self._decoder.unconsumed_tail
            if output or not self._decoder.eof:
                self._pending = data
                return output

        self._pending = b""
        return b""

    def _begin_member(self, data: bytes) -> bool:
        """Go on with another gzip member; anything else after the end is padding."""
        if self._window_bits <= zlib.MAX_WBITS or not data.startswith(_GZIP_MAGIC):
            return False
        self._decoder = zlib.decompressobj(self._window_bits)
        return True


class _Zstd:
    """zstd, with further frames."""

    __slots__ = ("_decoder", "_frames", "_pending", "is_done")

    def __init__(self) -> None:
        self._decoder = self._new()
        self._frames = 1
        self._pending = b""
        self.is_done = False

    @staticmethod
    def _new() -> zstd.ZstdDecompressor:
        return zstd.ZstdDecompressor(
            options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
        )

    def feed(self, piece: bytes, room: int) -> bytes:
        data = self._pending + piece
        self._pending = b""
        while True:
            if self._decoder.eof:
                if not data:
                    return b""
                if self._frames == MAX_FRAMES:
                    raise zstd.ZstdError(f"more than {MAX_FRAMES} frames")
                self._frames += 1
                self._decoder = self._new()

            if not data and self._decoder.needs_input:
                return b""

            output = self._decoder.decompress(data, room)
            self.is_done = self._decoder.eof
            data = b""
            if self._decoder.eof:
                data = self._decoder.unused_data
            if output:
                self._pending = data
                return output


class _Brotli:
    """br (RFC 7932)."""

    __slots__ = ("_decoder",)

    def __init__(self) -> None:
        self._decoder: Any = brotli.Decompressor()

    def feed(self, piece: bytes, room: int) -> bytes:
        if self._decoder.is_finished():
            return b""
        output: bytes = self._decoder.process(piece, output_buffer_limit=room)
        return output

    @property
    def is_done(self) -> bool:
        return bool(self._decoder.is_finished())


class _AwsChunks:
    """The chunks of Amazon's uploads, framed as those of HTTP are; a signature is an extension of
    one.
    """

    __slots__ = ("_chunks", "_pending")

    def __init__(self) -> None:
        self._chunks = ChunkedDecoder()
        self._pending = b""

    def feed(self, piece: bytes, room: int) -> bytes:
        data = self._pending or b"".join(self._chunks.feed(piece)[0])
        self._pending = data[room:]
        return data[:room]

    @property
    def is_done(self) -> bool:
        return self._chunks.is_done


_STAGES: Final[dict[str, Callable[[], _Stage]]] = {
    "gzip": partial(_Zlib, zlib.MAX_WBITS | 16),
    "x-gzip": partial(_Zlib, zlib.MAX_WBITS | 16),
    "deflate": partial(_Zlib, zlib.MAX_WBITS),
    "zstd": _Zstd,
    _AWS_CHUNKED: _AwsChunks,
}
_DAMAGE: Final[list[type[Exception]]] = [zlib.error, zstd.ZstdError, ChunkError]
if brotli is not None:
    _STAGES["br"] = _Brotli
    _DAMAGE.append(brotli.error)
