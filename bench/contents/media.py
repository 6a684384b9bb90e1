"""Octets: pictures, fonts, documents, messages of binary formats, and what is compressed.

Pictures are generated, as none of some size comes with a small package: what filters and
compression leave of a photograph is as good as random, and so it is here.
"""

import gzip
import struct
import zlib
from functools import cache
from random import Random
from typing import Final

import msgspec

from bench.contents import files
from bench.contents.documents import api, order
from bench.contents.words import prose

_PLAIN: Final = str.maketrans("()", "[]")
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_WIDTH: Final = 160
"""Pixels of a row, of three bytes each."""
_COMPRESSED: Final = 0.66
"""What compression leaves of such pixels, a little more than it really does."""
_FONT: Final = struct.Struct(">4sIIHHIIHHIIIII")
_RESIDUALS: Final = bytes(
    [0] * 36 + [1, 255] * 24 + [2, 254] * 18 + [3, 253] * 13 + [4, 252] * 10 + [5, 251] * 8 + [6, 250] * 6
    + [7, 249] * 5 + [8, 248] * 4 + [10, 246] * 4 + [13, 243] * 4 + [17, 239] * 4 + [24, 232] * 4 + [40, 216] * 4
    + [90, 166] * 2
)  # fmt: skip
"""How often which difference from its neighbours is left of a pixel: 256 in all."""


def picture(draw: Random, size: int) -> bytes:
    """Return a PNG (ISO/IEC 15948): rows of pixels, and metadata that fill it up."""
    around = len(_PNG) + 25 + 12 + 12 + 12
    rows = int((size - around) / _COMPRESSED / (3 * _WIDTH + 1))
    pixels = draw.randbytes(3 * _WIDTH * rows).translate(_RESIDUALS)
    step = 3 * _WIDTH
    filtered = b"".join(b"\x04" + pixels[at : at + step] for at in range(0, len(pixels), step))
    packed = zlib.compress(filtered, 6)
    header = struct.pack(">IIBBBBB", _WIDTH, rows, 8, 2, 0, 0, 0)
    metadata = draw.randbytes(size - around - len(packed))
    return _PNG + b"".join(
        (
            _chunk(b"IHDR", header),
            _chunk(b"eXIf", metadata),
            _chunk(b"IDAT", packed),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def font(draw: Random, size: int) -> bytes:
    """Return a WOFF2 file: a header of the size (W3C WOFF 2.0 §4), and compressed tables from a
    place of real ones.
    """
    known = files.octets("fonts") or Random("fonts").randbytes(1 << 18)
    begin = draw.randrange(len(known))
    tables = (known[begin:] + known * (size // len(known) + 1))[: size - _FONT.size]
    head = (
        b"wOF2",
        0x00010000,
        size,
        12,
        0,
        3 * size,
        len(tables),
        1,
        draw.randrange(1 << 16),
        0,
        0,
        0,
        0,
        0,
    )
    return _FONT.pack(*head) + tables


def document(draw: Random, size: int) -> bytes:
    """Return a PDF (ISO 32000-1 §7): pages of compressed text, and a picture that fills it up."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"]
    objects.append(
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents [4 0 R 5 0 R] >>"
    )
    for _ in range(2):
        lines = "".join(
            f"0 -14 Td ({prose(draw, 80).translate(_PLAIN)}) Tj\n" for _ in range(size // 2000)
        )
        packed = zlib.compress(f"BT /F1 11 Tf 72 770 Td\n{lines}ET".encode())
        objects.append(
            b"<< /Filter /FlateDecode /Length %d >>\nstream\n%b\nendstream" % (len(packed), packed)
        )

    picture = (
        b"<< /Type /XObject /Subtype /Image /Filter /DCTDecode /Length %8d "
        b">>\nstream\n%b\nendstream"
    )
    bare = _assembled([*objects, picture % (0, b"")])
    content = b"\xff\xd8\xff\xe0\0\x10JFIF\0" + draw.randbytes(size - len(bare) - 13) + b"\xff\xd9"
    return _assembled([*objects, picture % (len(content), content)])


def _assembled(objects: list[bytes]) -> bytes:
    """Return a file of these objects, with the table of where each begins."""
    text = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"
    begins = list[int]()
    for number, content in enumerate(objects, 1):
        begins.append(len(text))
        text += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    entries = b"".join(b"%010d 00000 n \n" % begin for begin in begins)
    count = len(objects) + 1
    head = b"xref\n0 %d\n0000000000 65535 f \n%b" % (count, entries)
    return (
        text
        + head
        + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%010d\n%%%%EOF\n" % (count, len(text))
    )


def octets(draw: Random, size: int) -> bytes:
    """Return octets of no format at all."""
    return draw.randbytes(size)


def packed_rows(draw: Random, size: int) -> bytes:
    """Return the rows of an API in MessagePack: octets with texts between them; the last text fills
    it up.
    """
    rows = [order(draw, "English") for _ in range(size // 450)]
    while len(msgspec.msgpack.encode(rows)) > size - 300:
        rows.pop()
    missing = size - len(msgspec.msgpack.encode(rows))
    filler = next(length for length in range(missing - 1, 0, -1) if _packed_text(length) <= missing)
    return msgspec.msgpack.encode([*rows, prose(draw, filler)])


@cache
def _packed_text(length: int) -> int:
    return len(msgspec.msgpack.encode("x" * length))


def compressed(draw: Random, size: int) -> bytes:
    """Return gzip (RFC 1952) of an API's JSON of that size."""
    return gzip.compress(api(draw, size), 6, mtime=0)
