"""Requests, bad and strange. `rule` is the rule it belongs to, P1 to P22 (test_bad_input.py says
which).
"""

from typing import Final, NamedTuple


class Refusal(NamedTuple):
    """A request that is refused and closed."""

    name: str
    rule: str
    raw: bytes
    status: int = 400
    is_begun: bool = False
    """Its head is in order and was forwarded before the body turned out to be bad: no whole message
    went upstream.
    """


class Passage(NamedTuple):
    """Bytes that are forwarded as these messages."""

    name: str
    rule: str
    raw: bytes
    messages: list[tuple[bytes, bytes, bytes]]
    """Method, target, body."""
    host: bytes = b"a"
    """The Host of all of them."""


def _post(framing: bytes, body: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n" + body


def _get(fields: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n\r\n"


def _line(line: bytes) -> bytes:
    return line + b"\r\nHost: a\r\n\r\n"


CHUNKED: Final = b"Transfer-Encoding: chunked"
SMUGGLED: Final = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

LENGTHS: Final = [
    Refusal(f"content-length {value!r}", "P2", _post(b"Content-Length: " + value, b"body"))
    for value in (
        b"+4", b"-4", b"0x4", b"4_0", b"\xd9\xa4", b"\xc2\xb2", b"4 0", b"4,4", b"4, 4", b"", b"4.0", b"4\x0b",
        b'"4"', b"4;",
        b"9223372036854775808", b"18446744073709551620", b"99999999999999999999999999",
    )
]  # fmt: skip

FRAMINGS: Final = [
    Refusal("content-length twice, equal", "P2", _post(b"Content-Length: 4\r\nContent-Length: 4", b"body")),
    Refusal("content-length twice, unequal", "P2", _post(b"Content-Length: 4\r\nContent-Length: 5", b"body")),
    Refusal("content-length with chunked", "P2", _post(b"Content-Length: 4\r\n" + CHUNKED, b"0\r\n\r\n")),
    Refusal("chunked with content-length", "P2", _post(CHUNKED + b"\r\nContent-Length: 0", b"0\r\n\r\n")),
    Refusal("chunked on HTTP/1.0", "P2", b"POST / HTTP/1.0\r\nHost: a\r\n" + CHUNKED + b"\r\n\r\n0\r\n\r\n"),
    Refusal("chunked twice", "P2", _post(CHUNKED + b"\r\n" + CHUNKED, b"0\r\n\r\n")),
    Refusal("chunked in a folded line", "P2", _post(b"Transfer-Encoding:\r\n chunked", b"0\r\n\r\n")),
    Refusal("blank before the colon of Transfer-Encoding", "P3", _post(b"Transfer-Encoding : chunked", b"0\r\n\r\n")),
    Refusal("vertical tab before chunked", "P2", _post(b"Transfer-Encoding: \x0bchunked", b"0\r\n\r\n")),
    *(
        Refusal(f"transfer-encoding {value!r}", "P2", _post(b"Transfer-Encoding: " + value, b"0\r\n\r\n"))
        for value in (
            b"chunked, identity", b"identity, chunked", b",chunked", b"chunked,", b"chunked;x", b"xchunked", b"gzip",
            b"identity",
            b"gzip, chunked", b"chunked, chunked", b"", b'"chunked"', b"chunke\xe4", b"chunked\x00",
        )
    ),
]  # fmt: skip

CHUNKS: Final = [
    Refusal(f"chunk {name}", "P4", _post(CHUNKED, chunk), is_begun=True)
    for name, chunk in {
        "size 0x": b"0x4\r\nbody\r\n0\r\n\r\n",
        "size with a sign": b"+4\r\nbody\r\n0\r\n\r\n",
        "size negative": b"-4\r\nbody\r\n0\r\n\r\n",
        "size after a blank": b" 4\r\nbody\r\n0\r\n\r\n",
        "size before a blank": b"4 \r\nbody\r\n0\r\n\r\n",
        "size empty": b"\r\nbody\r\n0\r\n\r\n",
        "size of 17 digits": b"00000000000000004\r\nbody\r\n0\r\n\r\n",
        "size over 2^63": b"8000000000000000\r\nbody\r\n0\r\n\r\n",
        "extension without a name": b"4;\r\nbody\r\n0\r\n\r\n",
        "extension of 64 KiB": b"4;" + b"e" * 65536 + b"\r\nbody\r\n0\r\n\r\n",
        "line end LF only": b"4\nbody\n0\n\n" + b"x" * 5000,
        "extension with LF": b"4;a\nb\r\nbody\r\n0\r\n\r\n",
        "extension with NUL": b"4;\x00\r\nbody\r\n0\r\n\r\n",
        "without its last CRLF": b"4\r\nbody0\r\n\r\n",
        "data longer than its size": b"2\r\nbody\r\n0\r\n\r\n",
        "data shorter than its size": b"6\r\nbody\r\n0\r\n\r\n",
        "without the last empty line": b"4\r\nbody\r\n0\r\n" + SMUGGLED,
        "trailer malformed": b"4\r\nbody\r\n0\r\nX : y\r\n\r\n",
        "trailer folded": b"4\r\nbody\r\n0\r\nX: y\r\n z\r\n\r\n",
        "trailers without end": b"4\r\nbody\r\n0\r\n" + b"X: y\r\n" * 6000,
    }.items()
]

FIELDS: Final = [
    *(
        Refusal(f"field line {line[:24]!r}", "P3", _get(line))
        for line in (
            b"A B: c", b"A\x00: c", b"\x80: c", b"\xc3\xa4: c", b": c", b"A : c", b"A\t: c", b" A: c", b"A",
            b"A\r: c", b"A: \x00", b"A: b\rc", b"A: b\nc", b"A: b\r\n c", b"A: b\r\n\tc", b"A: \x01", b"A: \x7f",
            b"(a): b", b"A: b\n",
        )
    ),
    Refusal("head ended by CR LF CR x", "P3", b"GET / HTTP/1.1\r\nHost: a\r\n\rx\r\n\r\n"),
    Refusal("head with bare LF", "P3", b"GET / HTTP/1.1\nHost: a\n\n\r\n\r\n"),
    Refusal("bare LF before the request", "P3", b"\n" + _get(b"A: b")),
    *(
        Refusal(f"connection names {name!r}", "P1", _get(b"Cookie: c\r\nConnection: close, " + name))
        for name in (b"Host", b"content-length", b"Authorization", b"cookie")
    ),
    Refusal("connection with a blank in an option", "P1", _get(b"Connection: a b")),
]  # fmt: skip

LIMITS: Final = [
    Refusal("101 header fields", "P17", _get(b"\r\n".join(b"H%d: x" % n for n in range(100))), 431),
    Refusal(
        "head of 33 KiB",
        "P17",
        _get(b"\r\n".join(b"H%d: " % n + b"x" * 1000 for n in range(33))),
        431,
    ),
    Refusal("head of 33 KiB without an end", "P17", _get(b"A: b\r\n" * 6000)[:-4], 431),
    Refusal("field line of 9 KiB", "P17", _get(b"A: " + b"x" * 9216), 431),
    Refusal("request line of 9 KiB", "P17", _line(b"GET /" + b"x" * 9216 + b" HTTP/1.1"), 414),
    Refusal("request line without an end", "P17", b"GET /" + b"x" * 9216, 414),
]

HOSTS: Final = [
    Refusal("host missing", "P9", b"GET / HTTP/1.1\r\nA: b\r\n\r\n"),
    Refusal("host twice", "P9", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    Refusal("host twice, unequal", "P9", b"GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n"),
    *(
        Refusal(f"host {value!r}", "P9", b"GET / HTTP/1.1\r\nHost: " + value + b"\r\n\r\n")
        for value in (
            b"a, b", b"a,b", b"u@a", b"u:p@a", b"a/b", b"a:99999", b"a b", b"a:x", b"[::1", b"a?b", b"a#b", b"a\\b",
            b"\x80", b"a:-1",
        )
    ),
]  # fmt: skip

TARGETS: Final = [
    Refusal("fragment", "P8", _line(b"GET /a#b HTTP/1.1")),
    Refusal("fragment in absolute-form", "P8", _line(b"GET http://a/#b HTTP/1.1")),
    Refusal("userinfo in absolute-form", "P8", _line(b"GET http://u@a/ HTTP/1.1")),
    Refusal("absolute-form without a host", "P8", _line(b"GET http:///x HTTP/1.1")),
    Refusal("absolute-form of another scheme", "P8", _line(b"GET ftp://a/ HTTP/1.1")),
    Refusal("asterisk with GET", "P8", _line(b"GET * HTTP/1.1")),
    Refusal("authority-form with GET", "P8", _line(b"GET a:80 HTTP/1.1")),
    Refusal("CONNECT", "P8", b"CONNECT host:443 HTTP/1.1\r\nHost: host:443\r\n\r\n", 405),
    Refusal("TRACE", "P8", _line(b"TRACE / HTTP/1.1"), 405),
    Refusal("byte from 0x80 in the authority", "P9", _line(b"GET http://\xc3\xa4/ HTTP/1.1")),
    Refusal("NUL in the target", "P10", _line(b"GET /\x00 HTTP/1.1")),
    Refusal("tab in the request line", "P10", _line(b"GET\t/ HTTP/1.1")),
    Refusal("two blanks in the request line", "P10", _line(b"GET  / HTTP/1.1")),
    Refusal("blank after the version", "P10", _line(b"GET / HTTP/1.1 ")),
    Refusal("CONNECT in another case", "P8", _line(b"Connect / HTTP/1.1"), 501),
    Refusal("method that is no token", "P8", _line(b"G@T / HTTP/1.1")),
    Refusal("method in lower case", "P8", _line(b"get / HTTP/1.1"), 501),
    Refusal("HTTP/0.9", "P8", b"GET /\r\n\r\n"),
    Refusal("HTTP/0.9 with a version", "P8", _line(b"GET / HTTP/0.9"), 505),
    Refusal("HTTP/1.2", "P8", _line(b"GET / HTTP/1.2"), 505),
    Refusal(
        "HTTP/2 preface",
        "P8",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    ),
    Refusal("TLS hello", "P8", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(range(154))),
    Refusal("SOCKS hello", "P8", b"\x05\x01\x00"),
]

OTHERS: Final = [
    Refusal("expect of something else", "P5", _get(b"Expect: 200-ok"), 417),
    Refusal("expect of more", "P5", _get(b"Expect: 100-continue, x"), 417),
    Refusal(
        "websocket with a body",
        "P7",
        _post(b"Upgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 4", b"body"),
    ),
    Refusal(
        "websocket of a draft",
        "P7",
        _get(b"Upgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key1: 4 @1"),
    ),
    Refusal("our own hop", "P19", _get(b"X-Sidelog-Hop: other, Side-1"), 508),
    Refusal("bytes after a request that are none", "P20", b"\x00\x00\x00\x00\r\n\r\n"),
]

REFUSALS: Final = [*LENGTHS, *FRAMINGS, *CHUNKS, *FIELDS, *LIMITS, *HOSTS, *TARGETS, *OTHERS]

PASSAGES: Final = [
    Passage(
        "absolute-form", "P8", _line(b"GET http://other/ HTTP/1.1"), [(b"GET", b"/", b"")], b"other"
    ),
    Passage(
        "absolute-form with a query only",
        "P8",
        _line(b"GET http://o:81?q HTTP/1.1"),
        [(b"GET", b"/?q", b"")],
        b"o:81",
    ),
    Passage(
        "absolute-form without a path",
        "P8",
        _line(b"OPTIONS http://o HTTP/1.1"),
        [(b"OPTIONS", b"*", b"")],
        b"o",
    ),
    Passage(
        "path that looks like a host",
        "P10",
        _line(b"GET //host/ HTTP/1.1"),
        [(b"GET", b"//host/", b"")],
    ),
    Passage(
        "method that nobody knows", "P8", _line(b"LIST /v1 HTTP/1.1"), [(b"LIST", b"/v1", b"")]
    ),
    Passage(
        "byte from 0x80 in the target",
        "P10",
        _line(b"GET /\xc3\xa4?\xff HTTP/1.1"),
        [(b"GET", b"/\xc3\xa4?\xff", b"")],
    ),
    Passage(
        "empty lines before requests",
        "P3",
        b"\r\n" + _get(b"A: b") + b"\r\n\r\n" + SMUGGLED,
        [(b"GET", b"/", b""), (b"GET", b"/smuggled", b"")],
    ),
    Passage("OPTIONS *", "P8", _line(b"OPTIONS * HTTP/1.1"), [(b"OPTIONS", b"*", b"")]),
    Passage(
        "path bytes",
        "P10",
        _line(b"GET /%2F%2e/..//./;x+%00%zz%?a=%2F&b=/../ HTTP/1.1"),
        [(b"GET", b"/%2F%2e/..//./;x+%00%zz%?a=%2F&b=/../", b"")],
    ),
    Passage(
        "h2c",
        "P7",
        _get(b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA"),
        [(b"GET", b"/", b"")],
    ),
    Passage(
        "h2c with a body that looks like a request",
        "P7",
        _post(
            b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: %d" % len(SMUGGLED), SMUGGLED
        ),
        [(b"POST", b"/", SMUGGLED)],
    ),
    Passage(
        "refused upgrade followed by a request",
        "P7",
        _get(b"Upgrade: websocket\r\nConnection: Upgrade") + SMUGGLED,
        [(b"GET", b"/", b""), (b"GET", b"/smuggled", b"")],
    ),
    Passage(
        "tab before chunked",
        "P2",
        _post(b"Transfer-Encoding:\tchunked", b"0\r\n\r\n"),
        [(b"POST", b"/", b"")],
    ),
    Passage(
        "zeros before the length",
        "P2",
        _post(b"Content-Length: 0004", b"body"),
        [(b"POST", b"/", b"body")],
    ),
    Passage(
        "chunk extensions and trailers",
        "P4",
        _post(
            CHUNKED,
            b'2;a="b"\r\nbo\r\n002 ;x\r\ndy\r\n0;z\r\nTransfer-Encoding: chunked\r\nHost: '
            b"b\r\n\r\n",
        )
        + SMUGGLED,
        [(b"POST", b"/", b"body"), (b"GET", b"/smuggled", b"")],
    ),
    Passage(
        "expect 100-continue",
        "P5",
        _post(b"Expect: 100-Continue\r\nContent-Length: 4", b"body"),
        [(b"POST", b"/", b"body")],
    ),
    Passage(
        "body of GET",
        "P2",
        _get(b"Content-Length: 4") + b"body" + SMUGGLED,
        [(b"GET", b"/", b"body"), (b"GET", b"/smuggled", b"")],
    ),
    Passage(
        "HEAD, then a request",
        "P6",
        b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
        [(b"HEAD", b"/", b""), (b"GET", b"/smuggled", b"")],
    ),
    Passage("HTTP/1.0 without a host", "P9", b"GET / HTTP/1.0\r\n\r\n", [(b"GET", b"/", b"")], b""),
]
