"""What conformance suites in the manner of h1spec ask of a server, written down from the RFCs by
section.

h1spec itself is no package of any index, so it cannot be installed and read; each fact it checks is
here, or in `requests.py` where it was before. Beside refusals and passages there are heads that may
still become requests.
"""

from typing import Final

from tests.proxy.worker.vectors.requests import CHUNKED, SMUGGLED, Passage, Refusal


def _request(line: bytes, fields: bytes = b"Host: example.com\r\n", body: bytes = b"") -> bytes:
    return line + b"\r\n" + fields + b"\r\n" + body


_GET: Final = b"GET / HTTP/1.1"
_POST: Final = b"POST / HTTP/1.1"
_HOST: Final = b"Host: example.com\r\n"

CONFORMANCE_REFUSALS: Final = [
    # RFC 9112 §2.2, §3: the message begins with a request line that has a version this is.
    Refusal("no version but its blank", "P8", b"GET / \r\n\r\n"),
    Refusal("no version, with a field", "P8", _request(b"GET /")),
    Refusal("version 9.9", "P8", _request(b"GET / HTTP/9.9"), 505),
    Refusal("version 2.0", "P8", _request(b"GET / HTTP/2.0"), 505),
    Refusal("a line before the request line", "P8", _request(b"Something elseGET / HTTP/1.1")),
    Refusal("a blank before the method", "P8", _request(b" GET / HTTP/1.1")),
    Refusal("a field line in place of a request line", "P8", _request(b"Host: example.com")),
    # RFC 9112 §3.2, §3.2.3: exactly one valid Host; CONNECT is for tunnels.
    Refusal("no Host, but a length", "P9", _request(_GET, b"Content-Length: 5\r\n")),
    Refusal("two hosts that differ", "P9", _request(_GET, _HOST + b"Host: example.org\r\n")),
    Refusal("blank within Host", "P9", _request(_GET, b"Host: bad host\r\n")),
    Refusal("NUL within Host", "P9", _request(_GET, b"Host: local\x00host\r\n")),
    Refusal("CONNECT in authority-form", "P8", _request(b"CONNECT example.com:443 HTTP/1.1"), 405),
    # RFC 9112 §5: names are tokens, nothing stands before the colon, no line is folded.
    Refusal("brackets in a name", "P3", _request(_GET, _HOST + b"X-Odd[]: x\r\n")),
    Refusal("blank in a name", "P3", _request(_GET, _HOST + b"Odd Name: x\r\n")),
    Refusal("blank before the colon of Host", "P3", _request(_GET, b"Host : example.com\r\n")),
    Refusal("folded first field", "P3", _request(_GET, _HOST + b"  folded\r\n")),
    Refusal("BEL in a value", "P3", _request(_GET, _HOST + b"X-Odd: x\x07\r\n")),
    Refusal(
        "CR before a name, after an empty line",
        "P3",
        b"GET / HTTP/1.1\r\nHost: a\r\n\rOdd: x\r\n\r\n",
    ),
    # RFC 9112 §6, RFC 9110 §8.6: lengths are digits, said once; with chunks there is none.
    Refusal("length -1234", "P2", _request(_GET, _HOST + b"Content-Length: -1234\r\n")),
    Refusal(
        "length far below zero",
        "P2",
        _request(_GET, _HOST + b"Content-Length: -%s\r\n" % (b"123456789" * 3)),
    ),
    Refusal(
        "length of letters", "P2", _request(_POST, _HOST + b"Content-Length: xyz\r\n", b"hello")
    ),
    Refusal(
        "lengths 5 and 7",
        "P2",
        _request(_POST, _HOST + b"Content-Length: 5\r\nContent-Length: 7\r\n", b"hello!!"),
    ),
    Refusal(
        "chunks and a length, no body",
        "P2",
        _request(_GET, _HOST + CHUNKED + b"\r\nContent-Length: 5\r\n"),
    ),
    Refusal(
        "chunks and a length, then a request",
        "P2",
        _request(
            _POST,
            _HOST + CHUNKED + b"\r\nContent-Length: 5\r\n",
            b"5\r\nhello\r\n0\r\n\r\n" + SMUGGLED,
        ),
    ),
    # RFC 9112 §6.1, §7.1: what is coded in an unknown way has no known end.
    Refusal(
        "chunks in HTTP/1.0",
        "P2",
        _request(b"POST / HTTP/1.0", _HOST + CHUNKED + b"\r\n", b"0\r\n\r\n"),
    ),
    Refusal(
        "unknown coding",
        "P2",
        _request(_POST, _HOST + b"Transfer-Encoding: nonsense\r\n", b"hello"),
    ),
    Refusal(
        "chunked not last, then a request",
        "P2",
        _request(
            _POST,
            _HOST + b"Transfer-Encoding: chunked, gzip\r\n",
            b"5\r\nhello\r\n0\r\n\r\n" + SMUGGLED,
        ),
    ),
    Refusal(
        "chunk size of a letter, then a request",
        "P4",
        _request(_POST, _HOST + CHUNKED + b"\r\n", b"Z\r\nhello\r\n0\r\n\r\n" + SMUGGLED),
        is_begun=True,
    ),
    Refusal(
        "chunk without its line end, then a request",
        "P4",
        _request(_POST, _HOST + CHUNKED + b"\r\n", b"5\r\nhello0\r\n\r\n" + SMUGGLED),
        is_begun=True,
    ),
    # RFC 9110 §9.1, §10.1.1: methods are case-sensitive, expectations known.
    Refusal("method in lower case, with Host", "P8", _request(b"get / HTTP/1.1"), 501),
    Refusal(
        "unknown expectation",
        "P5",
        _request(_POST, _HOST + b"Expect: something\r\nContent-Length: 0\r\n"),
        417,
    ),
    # Limits: the next request is answered on a connection of its own.
    Refusal("path of 9 000 bytes", "P17", _request(b"GET /" + b"a" * 9000 + b" HTTP/1.1"), 414),
    Refusal(
        "value of 9 000 bytes",
        "P17",
        _request(_GET, _HOST + b"X-Big: " + b"x" * 9000 + b"\r\n"),
        431,
    ),
    Refusal(
        "102 fields",
        "P17",
        _request(_GET, _HOST + b"".join(b"X-%d: x\r\n" % n for n in range(101))),
        431,
    ),
]

CONFORMANCE_PASSAGES: Final = [
    Passage("GET", "P11", _request(_GET), [(b"GET", b"/", b"")], b"example.com"),
    Passage("HEAD", "P6", _request(b"HEAD / HTTP/1.1"), [(b"HEAD", b"/", b"")], b"example.com"),
    Passage("two requests", "P20", _request(_GET) * 2, [(b"GET", b"/", b"")] * 2, b"example.com"),
    Passage(
        "odd case, a tab and an empty value",
        "P3",
        _request(_GET, b"hoSt:\texample.com\r\nempty:\r\n"),
        [(b"GET", b"/", b"")],
        b"example.com",
    ),
    Passage(
        "a blank value",
        "P3",
        _request(_GET, _HOST + b"X: \r\n"),
        [(b"GET", b"/", b"")],
        b"example.com",
    ),
    Passage(
        "asterisk-form",
        "P8",
        _request(b"OPTIONS * HTTP/1.1"),
        [(b"OPTIONS", b"*", b"")],
        b"example.com",
    ),
    Passage(
        "absolute-form", "P8", _request(b"GET http://b/ HTTP/1.1"), [(b"GET", b"/", b"")], b"b"
    ),
    Passage(
        "a length",
        "P2",
        _request(_POST, _HOST + b"Content-Length: 5\r\n", b"hello"),
        [(b"POST", b"/", b"hello")],
        b"example.com",
    ),
    Passage(
        "chunks",
        "P4",
        _request(_POST, _HOST + CHUNKED + b"\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
        [(b"POST", b"/", b"hello")],
        b"example.com",
    ),
    Passage(
        "an expectation",
        "P5",
        _request(_POST, _HOST + b"Expect: 100-continue\r\nContent-Length: 5\r\n", b"hello"),
        [(b"POST", b"/", b"hello")],
        b"example.com",
    ),
]

LAST: Final = [
    Passage(
        "close",
        "P1",
        _request(_GET, _HOST + b"Connection: close\r\n"),
        [(b"GET", b"/", b"")],
        b"example.com",
    ),
    Passage("HTTP/1.0", "P1", _request(b"GET / HTTP/1.0"), [(b"GET", b"/", b"")], b"example.com"),
]
"""After these the connection is closed (RFC 9112 §9.3, §9.6)."""

UNFINISHED: Final = [
    _request(b"GET /hello HTTP/1.1")[:size]
    for size in (1, 4, 10, 11, 15, 19, 20, 21, 24, 26, 27, 37, 38, 39, 40)
]
"""Heads cut at every kind of place: they are waited for, neither refused nor forwarded (RFC 9112
§2.2).
"""
