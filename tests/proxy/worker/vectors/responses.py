"""What an upstream that lies sends, and what the client may get of it."""

from typing import Final, Literal, NamedTuple


class Lie(NamedTuple):
    """Bytes of an upstream."""

    name: str
    rule: str
    raw: bytes
    expected: int | tuple[int, bytes]
    """502; or the status and body of a whole response; or, of a broken one, the status it begins
    with.
    """
    end: Literal["close", "reset", "stay"] = "stay"
    """What follows the bytes."""
    method: bytes = b"GET"
    is_kept: bool = False
    """Whether the connection may be used again."""

    @property
    def is_broken(self) -> bool:
        """Whether the client must see that the response is not whole."""
        return isinstance(self.expected, int) and self.expected < 500


def _ok(fields: bytes, body: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n\r\n" + body


CHUNKED: Final = b"Transfer-Encoding: chunked"
EARLY: Final = b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
EXTRA: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled"

LIES: Final = [
    Lie("length and chunked", "P2", _ok(b"Content-Length: 4\r\n" + CHUNKED, b"0\r\n\r\n"), 502),
    Lie("length twice", "P2", _ok(b"Content-Length: 4\r\nContent-Length: 4", b"body"), 502),
    Lie("length +4", "P2", _ok(b"Content-Length: +4", b"body"), 502),
    Lie("length 4, 4", "P2", _ok(b"Content-Length: 4, 4", b"body"), 502),
    Lie("length over 2^63", "P2", _ok(b"Content-Length: 9223372036854775808", b"body"), 502),
    Lie("coding gzip, chunked", "P2", _ok(b"Transfer-Encoding: gzip, chunked", b"0\r\n\r\n"), 502),
    Lie("coding identity", "P2", _ok(b"Transfer-Encoding: identity", b"body"), 502),
    Lie("chunked on HTTP/1.0", "P2", b"HTTP/1.0 200 OK\r\n" + CHUNKED + b"\r\n\r\n0\r\n\r\n", 502),
    Lie("chunked twice", "P2", _ok(CHUNKED + b"\r\n" + CHUNKED, b"0\r\n\r\n"), 502),
    Lie("bad chunk size", "P4", _ok(CHUNKED, b"0x4\r\nbody\r\n0\r\n\r\n"), 200),
    Lie("bad second chunk", "P4", _ok(CHUNKED, b"4\r\nbody\r\nzz\r\n"), 200),
    Lie("chunk longer than its size", "P4", _ok(CHUNKED, b"2\r\nbody\r\n0\r\n\r\n"), 200),
    Lie("chunk with bare LF", "P4", _ok(CHUNKED, b"4\nbody\n0\n\n"), 200, "close"),
    Lie("trailer that is no field", "P4", _ok(CHUNKED, b"4\r\nbody\r\n0\r\nnothing\r\n\r\n"), 200),
    Lie(
        "trailers and extensions",
        "P4",
        _ok(CHUNKED, b"4;x\r\nbody\r\n0\r\nX: y\r\n\r\n"),
        (200, b"body"),
        is_kept=True,
    ),
    Lie("bare LF in the head", "P3", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n\r\n\r\n", 502),
    Lie("bare CR in a value", "P22", _ok(b"A: b\rSet-Cookie: evil\r\nContent-Length: 0"), 502),
    Lie("LF in a value", "P22", _ok(b"A: b\nSet-Cookie: evil\r\nContent-Length: 0"), 502),
    Lie("NUL in a value", "P22", _ok(b"A: b\x00\r\nContent-Length: 0"), 502),
    Lie("NUL in the reason", "P22", b"HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n", 502),
    Lie("CR in the reason", "P22", b"HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n", 502),
    Lie("folded field", "P3", _ok(b"A: b\r\n c\r\nContent-Length: 0"), 502),
    Lie(
        "blank before the colon",
        "P3",
        _ok(b"Content-Length : 4", b"body"),
        (200, b"body"),
        is_kept=True,
    ),
    Lie("endless head", "P17", b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 24_000, 502),
    Lie("endless header", "P17", b"HTTP/1.1 200 OK\r\nA: " + b"b" * 160_000, 502),
    Lie(
        "head of 160 KB in one piece", "P17", _ok(b"Content-Length: 0\r\nA: " + b"b" * 160_000), 502
    ),
    Lie("endless interims", "P21", b"HTTP/1.1 103 Early\r\nA: " + b"b" * 160_000, 502),
    Lie("HTTP/0.9", "P22", b"hello\r\n\r\n", 502),
    Lie("HTTP/2.0", "P22", b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", 502),
    Lie("status 99", "P22", b"HTTP/1.1 099 No\r\nContent-Length: 0\r\n\r\n", 502),
    Lie("status 000", "P22", b"HTTP/1.1 000 No\r\nContent-Length: 0\r\n\r\n", 502),
    Lie(
        "101 unasked",
        "P7",
        b"HTTP/1.1 101 Up\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n" + EXTRA,
        502,
    ),
    Lie("nothing", "P14", b"", 502, "close"),
    Lie("reset before the first byte", "P14", b"", 502, "reset"),
    Lie("end within the version", "P14", b"HTT", 502, "close"),
    Lie("end behind an empty line", "P14", b"\r\n", 502, "close"),
    Lie("end within the head", "P14", b"HTTP/1.1 200 OK\r\nContent-Le", 502, "close"),
    Lie("early close of a length", "P14", _ok(b"Content-Length: 40", b"body"), 200, "close"),
    Lie("reset within a length", "P14", _ok(b"Content-Length: 40", b"body"), 200, "reset"),
    Lie("early close of chunks", "P14", _ok(CHUNKED, b"4\r\nbody\r\n"), 200, "close"),
    Lie("early close within a chunk", "P14", _ok(CHUNKED, b"9\r\nbody"), 200, "close"),
    Lie(
        "close before the last empty line", "P14", _ok(CHUNKED, b"4\r\nbody\r\n0\r\n"), 200, "close"
    ),
    Lie("close without length", "P2", _ok(b"A: b", b"body"), (200, b"body"), "close"),
    Lie("reset without length", "P14", _ok(b"A: b", b"body"), 200, "reset"),
    Lie("204 with a body", "P6", b"HTTP/1.1 204 No\r\nContent-Length: 4\r\n\r\nbody", (204, b"")),
    Lie(
        "204 chunked",
        "P6",
        b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        (204, b""),
    ),
    Lie(
        "304 with length",
        "P6",
        b"HTTP/1.1 304 No\r\nContent-Length: 4\r\n\r\n",
        (304, b""),
        is_kept=True,
    ),
    Lie("304 with a body", "P6", b"HTTP/1.1 304 No\r\nContent-Length: 4\r\n\r\nbody", (304, b"")),
    Lie(
        "HEAD with length",
        "P6",
        _ok(b"Content-Length: 4"),
        (200, b""),
        method=b"HEAD",
        is_kept=True,
    ),
    Lie("HEAD with a body", "P6", _ok(b"Content-Length: 4", b"body"), (200, b""), method=b"HEAD"),
    Lie(
        "HEAD with chunks",
        "P6",
        _ok(CHUNKED, b"4\r\nbody\r\n0\r\n\r\n"),
        (200, b""),
        method=b"HEAD",
    ),
    Lie("bytes after a length", "P13", _ok(b"Content-Length: 4", b"body" + EXTRA), (200, b"body")),
    Lie(
        "bytes after chunks", "P13", _ok(CHUNKED, b"4\r\nbody\r\n0\r\n\r\n" + EXTRA), (200, b"body")
    ),
    Lie("bytes after an empty body", "P13", _ok(b"Content-Length: 0", EXTRA), (200, b"")),
    Lie(
        "103, then 200",
        "P21",
        EARLY + _ok(b"Content-Length: 4", b"body"),
        (200, b"body"),
        is_kept=True,
    ),
    Lie(
        "100 unasked, then 200",
        "P21",
        b"HTTP/1.1 100 Go\r\n\r\n" + _ok(b"Content-Length: 4", b"body"),
        (200, b"body"),
        is_kept=True,
    ),
    Lie("103, then the end", "P21", b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n", 502, "close"),
]
