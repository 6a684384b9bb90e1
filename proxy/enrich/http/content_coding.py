"""Undo the content codings of a captured body, within bounds on time and memory.

Strategy: streaming decoders get small pieces, and each is asked for no more than there is room.
Headers are often wrong. Codings are undone from the last one on as long as the bytes confirm them;
if text is expected, other codings are tried. Truncated or damaged input yields the bytes decoded
before. A stream counts as complete even if its checksum fails or data follows its end. For text
longer than `MAX_OUTPUT_BYTES`, head and tail are kept if the caller wants a tail. Invariant: at
most `MAX_OUTPUT_BYTES` are held, at most `MAX_WALK_BYTES` are decoded, and nothing raises.
Standards: RFC 9110 §8.4.1, RFC 9659 (zstd window), Amazon S3's chunks (`aws-chunked`).
"""

import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

try:
    import brotli  # type: ignore[import-untyped]
except ImportError:  # Optional: without it, bodies with this coding are not stored.
    brotli = None

from proxy.enrich.formats.charset import CONTROLS
from proxy.enrich.formats.content import content_of, is_utf8
from proxy.http1.chunked import ChunkedDecoder, ChunkError
from proxy.ring.body_window import Window
from storage.search.octets import sample_of, unreadable_share
from storage.zstd import zstd

MAX_OUTPUT_BYTES: Final = 1 << 20
"""Limit for the beginning of the text."""
MAX_RATIO: Final = 100
MAX_WALK_BYTES: Final = 32 << 20
"""Limit for decoding a response up to its end: 30 ms for the most compressible text, in a
thread.
"""
MAX_WALK_RATIO: Final = 1000
"""Streams of small deltas repeat their frames: 200 bytes of text for one on the wire were seen."""
_PLAIN: Final = frozenset(
    ("identity", "none", "utf-8", "utf8", "7bit", "8bit", "binary", "chunked", "amz-1.0")
)
"""Names that stand for no coding. Some frameworks send `none` to prevent the compression of a
stream. Charsets and names from MIME and Transfer-Encoding occur by mistake. Amazon's clients name
their protocol.
"""
_AWS_CHUNKED: Final = "aws-chunked"
UNKNOWN: Final = "unknown"
_RANDOM_SHARE: Final = 0.4
"""Minimum share of unreadable bytes in coded data. Compressed data has 0.6, even if it is short."""
_LOOK_BYTES: Final = 512
"""Compressed data has a control character in this many bytes."""
_SURE_BYTES: Final = 32
"""Compressed data reads as text for this many bytes once in 10^13."""
MAX_NAME_CHARACTERS: Final = 32
"""Limit for the name of an unknown coding."""
MAX_CODINGS: Final = 4
"""Longer chains of codings are not honest."""
_PIECE_BYTES: Final = 4096
_SMALLER_PIECES: Final = {_PIECE_BYTES: 64, 64: 1}
"""If a piece is damaged, the data is decoded again, and this piece in smaller ones. Otherwise the
output before the damage would be lost.
"""
_OUTPUT_BYTES: Final = 1 << 16
_GZIP_MAGIC: Final = b"\x1f\x8b"
CODING_OF: Final = {_GZIP_MAGIC: "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
MAGIC: Final = tuple(CODING_OF)
"""Beginnings that no other data has."""
_ARCHIVES: Final = re.compile(
    rb"BZh|\xfd7zXZ|\]\0\0|\x04\x22\x4d\x18|\x1f[\x8b\x9d]|\x28\xb5\x2f\xfd|PK\x03\x04|7z\xbc\xaf|Rar!"
)
"""Beginnings of compressed data: bzip2, xz, LZMA, LZ4, gzip, compress, zstd, and file archives."""
_UNMARKED: Final = ("deflate", "br")
"""Codings without a magic number, tried if text is expected."""
_FALSE_CHECKS: Final = ("incorrect data check", "incorrect length check")
"""Messages of zlib for errors after the end of a stream."""
_MORE: Final = "octets behind the end"
_HEADER_BYTES: Final = 2
"""Size of zlib's header. Fewer bytes do not show if there is one."""
_ZSTD_WINDOW_LOG: Final = 23
"""8 MiB, the most a sender of `Content-Encoding: zstd` may ask for (RFC 9659)."""
MAX_FRAMES: Final = 2048
"""Maximum number of zstd frames. Each needs its own decoder, at 12 us, and 8 bytes on the wire: one
mebibyte of them took 1.4 s.
"""


class Decoded(NamedTuple):
    """The output of the decoders."""

    data: bytes
    """All of the output, or its head."""
    is_complete: bool
    """False if the end is missing: the input ended early or was damaged, or a limit was reached."""
    tail: bytes = b""
    """The last bytes, if bytes between them and the head were not kept."""
    size: int = 0
    """Size of the whole output, if there is a tail."""
    marks: tuple[int, ...] = ()
    """Output offsets for the marks in the input."""
    is_broken: bool = False
    """True if a limit was reached or the input is damaged. Otherwise the output of this input is
    complete.
    """
    is_damaged: bool = False
    undone: tuple[str, ...] = ()
    """Codings that were undone, in the order in which they had been applied."""
    error: str | None = None
    """Reason for which a coding was not undone, or only in part."""


class _Stage(Protocol):
    """A decoder that is fed piece by piece."""

    def feed(self, piece: bytes, room: int) -> bytes:
        """Decode up to about `room` bytes and keep the rest of the input. Return nothing if more
        input is needed.
        """
        ...

    @property
    def is_done(self) -> bool:
        """Return True once the end of the coded data was seen."""
        ...


def codings_of(content_encoding: bytes) -> list[str]:
    """Split a Content-Encoding header into codings, in the order applied; `identity` and the like
    are left out.
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
    is_of_text: bool = False,
) -> Decoded | None:
    """Undo codings, last applied first.

    Args:
        data: the captured bytes, perhaps only the first part of the body.
        codings: as returned by `codings_of`; an empty list leaves the data as it is.
        max_bytes: limit for the head of each decoder's output, up to `MAX_OUTPUT_BYTES`.
        tail_bytes: bytes to keep from the end of longer text; 0: the text ends with its head.
        marks: ascending offsets in the data, to be mapped to offsets in the text.
        is_of_text: True if the content type means text, so that binary data must be coded.

    Returns:
        The decoded data, or the data itself without a coding. None for data that is still
            compressed: it cannot be
        redacted, and a reader with another decoder could read its secrets.
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
        is_last = bool(tail_bytes) and not left
        kept_bytes = (max_bytes, tail_bytes) if is_last else (limit, 0)
        decoded = _undo(coding, decoded, kept_bytes, limit if left else walk)

    decoded = _without_further(decoded, limit, is_of_text=is_of_text)
    if decoded.error is None or decoded.is_damaged or is_text(decoded.data):
        return decoded

    is_compressed = decoded.data.startswith(MAGIC) or (brotli is None and "br" in codings)
    if is_compressed:
        return None
    return decoded


def _without_further(decoded: Decoded, limit: int, *, is_of_text: bool) -> Decoded:
    """Undo codings that the head does not name, if the result is text. Some servers compress data
    twice, do not declare a coding, or declare a different one.
    """
    while len(decoded.undone) < MAX_CODINGS and not is_surely_text(decoded.data):
        is_untrue = decoded.error is not None and not decoded.is_damaged
        found = [name for magic, name in CODING_OF.items() if decoded.data.startswith(magic)]
        if not (found or is_untrue or is_of_text):
            break

        is_shown = is_untrue and bool(found)
        tried = (_undo(name, decoded, (limit, 0), limit) for name in found or _UNMARKED)
        undone = (each for each in tried if len(each.undone) > len(decoded.undone))
        inner = next((each for each in undone if is_shown or _is_right(each)), None)
        if inner is None:
            break
        decoded = inner

    return decoded


def _is_right(inner: Decoded) -> bool:
    """Return True if the result of undoing a coding shows that the coding was really applied."""
    if inner.data.startswith(MAGIC):
        return True
    is_enough = inner.is_complete or len(inner.data) >= _SURE_BYTES
    return is_enough and is_surely_text(inner.data) and is_utf8(inner.data[:_LOOK_BYTES])


def is_surely_text(data: bytes) -> bool:
    """Return True if data is text, and not by chance."""
    return is_text(data) and (len(data) >= _SURE_BYTES or (data != b"" and is_utf8(data)))


def is_coded(data: bytes) -> bool:
    """True if binary data looks random, as coded data does."""
    is_random = unreadable_share(sample_of(data).replace(b"\0", b"")) >= _RANDOM_SHARE
    return _ARCHIVES.match(data) is not None or (is_random and content_of(data, b"") != "media")


def is_text(data: bytes) -> bool:
    """Return True if data may be uncoded text."""
    return CONTROLS.search(data, 0, _LOOK_BYTES) is None


def _undo(coding: str, before: Decoded, kept_bytes: tuple[int, int], limit: int) -> Decoded:
    """Undo one coding. Data that contradicts it is returned unchanged, with the reason."""
    data = before.data
    reason = "not coded"
    may_be_text = coding != _AWS_CHUNKED and is_text(data)

    if coding not in _STAGES:
        reason = UNKNOWN
    elif len(before.undone) == MAX_CODINGS:
        reason = "one too many"
    elif not may_be_text or len(data) < _SURE_BYTES or not data[:_LOOK_BYTES].isascii():
        decoded = _run(_STAGES[coding], before, kept_bytes, limit)
        # A coding without a magic number may produce binary output from other data by chance.
        is_chance = decoded.is_damaged and coding in _UNMARKED and not is_surely_text(decoded.data)
        if not is_chance and (decoded.is_complete or (decoded.data and not may_be_text)):
            error = f"{coding}: damaged" if decoded.is_damaged else before.error
            return decoded._replace(undone=(coding, *before.undone), error=error)

    return before._replace(error=before.error or f"{coding[:MAX_NAME_CHARACTERS]}: {reason}")


def _run(
    new_stage: Callable[[], _Stage],
    source: Decoded,
    kept_bytes: tuple[int, int],
    limit: int,
    damaged_from: int = -1,
    piece_bytes: int = _PIECE_BYTES,
) -> Decoded:
    """Decode data and keep the given numbers of bytes of the head and tail of the output.

    A damaged piece is decoded again in smaller ones, from its start at `damaged_from`.
    """
    stage = new_stage()
    window = Window(*kept_bytes)
    is_damaged = damaged_from >= 0
    is_broken = False

    marks: list[int] = []
    start = 0
    for piece, is_mark in _pieces(source.data, source.marks, damaged_from, piece_bytes):
        try:
            is_broken = not _feed(stage, piece, window, limit)
        except tuple(_DAMAGE):
            if piece_bytes > 1:
                finer = _SMALLER_PIECES[piece_bytes]
                return _run(new_stage, source, kept_bytes, limit, start, finer)
            is_damaged = True
            is_broken = not stage.is_done
            break
        if is_broken:
            break
        start += len(piece)
        if is_mark:
            marks.append(window.size)

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
    """Decode a piece; return False if the limit is reached."""
    # One byte more than fits distinguishes "exactly full" from "more to come".
    while output := stage.feed(piece, min(limit - window.size, _OUTPUT_BYTES) + 1):
        room = limit - window.size
        window.add(output[:room])
        if len(output) > room:
            return False
        piece = b""

    return True


def _pieces(
    data: bytes, marks: Sequence[int], damaged_from: int, piece_bytes: int
) -> Iterator[tuple[bytes, bool]]:
    """Cut data into small pieces; the second value is True if a mark follows."""
    edge = max(0, damaged_from)
    start = 0
    for number, mark in enumerate((*marks, len(data))):
        end = max(start, min(mark, len(data)))
        while start < end:
            if start >= edge:
                most = piece_bytes
            else:
                most = min(_PIECE_BYTES, edge - start)
            yield data[start : start + min(most, end - start)], False
            start += min(most, end - start)
        if number < len(marks):
            yield b"", True


class _Zlib:
    """gzip with further members, and deflate, either in the zlib wrapper or raw as some servers
    send it.
    """

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
            except zlib.error as error:
                # At this point all text has been decoded, and browsers show it.
                self.is_done = str(error).endswith(_FALSE_CHECKS)
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
        """Begin a further gzip member; return False if the rest is padding."""
        if self._window_bits <= zlib.MAX_WBITS:
            raise zlib.error(_MORE)
        if not data.startswith(_GZIP_MAGIC):
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
                    self.is_done = False
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

    __slots__ = ("_decoder", "is_done")

    def __init__(self) -> None:
        self._decoder: Any = brotli.Decompressor()
        self.is_done = False

    def feed(self, piece: bytes, room: int) -> bytes:
        if self.is_done:
            if piece:
                raise brotli.error(_MORE)
            return b""
        output: bytes = self._decoder.process(piece, output_buffer_limit=room)
        self.is_done = bool(self._decoder.is_finished())
        return output


class _AwsChunks:
    """The chunks of Amazon's uploads, framed like those of HTTP. Signatures are chunk
    extensions.
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
