"""Requests, well-formed and nearly so: every part has spellings that parsers are known to read
differently.

A seed decides everything. Most inputs carry one or two flaws only, since the first would hide the
others.
"""

from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple

METHODS: Final = (
    b"GET",
    b"POST",
    b"PUT",
    b"HEAD",
    b"DELETE",
    b"OPTIONS",
    b"PATCH",
    b"PURGE",
    b"QUERY",
)
BAD_METHODS: Final = (
    b"get", b"CONNECT", b"TRACE", b"G\x00T", b"GET ", b"", b"G\tT", b"PRI", b"FOO", b"GET\x0b", b"POST\r",
)  # fmt: skip
TARGETS: Final = (
    b"/",
    b"/a?b=c",
    b"/%2F%2e/..//;x+%00%zz",
    b"//host/p",
    b'/a|b"<>{}',
    b"/" + b"x" * 900,
)
ABSOLUTE: Final = (
    b"http://other/",
    b"http://other:81",
    b"HTTP://o/x?y",
    b"http://[::1]:8/",
    b"http://other?q",
)
TLS_ABSOLUTE: Final = (*ABSOLUTE, b"https://other/", b"HTTPS://o:8443/x?y")
BAD_TARGETS: Final = (
    b"https://o/x?y",
    b"*", b"a", b"/a#b", b"http://u@h/", b"http:///x", b"ftp://h/", b"host:443", b"/\x80", b"/a b", b"/\x00", b"/\t",
    b"http://h:99999/", b"http://h h/", b"http://h,i/", b"", b"?", b"/" + b"x" * 9000, b"http://a\\b/",
    b"http://h/#f",
)  # fmt: skip
BAD_VERSIONS: Final = (
    b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b"HTTP/1.1 ", b" HTTP/1.1", b"HTTP/1.10", b"HTTP/01.1",
    b"HTTP/1,1", b"RTSP/1.0", b"", b"HTTP/1.1\t", b"HTTP/1.1x", b"ICE/1.0", b"HTTP/ 1.1", b"HTTP/1.",
)  # fmt: skip
LINE_ENDS: Final = (
    b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\r", b"\x0b\r\n", b"\x00\r\n", b" \r\n", b"\r\n ", b"\x85", b"",
)  # fmt: skip
BAD_LENGTHS: Final = (
    b"+%d", b"-%d", b"0x%x", b"%d_0", b" %d ", b"\t%d", b"%d,%d", b"%d, %d", b"0%d", b"00%d", b"%d.0", b"%de0",
    b"\xd9\xa1",
    b"%d 0", b"%d;x", b"", b"9223372036854775808", b"18446744073709551620", b"999999999999999999999999", b"%d\x00",
    b"\x0b%d", b'"%d"', b"\xc2\xb2", b"%d\r",
)  # fmt: skip
CODINGS: Final = (
    b"Chunked", b"CHUNKED", b"chunked, identity", b"identity, chunked", b",chunked", b"chunked,", b"chunked;x",
    b"xchunked",
    b"chunked, chunked", b"gzip, chunked", b"identity", b"gzip", b"\tchunked", b"\x0bchunked", b"chunked\x00",
    b"chunked ",
    b"", b"chu\xc0nked", b'"chunked"', b"chunked\x0c", b"chunke", b"chunkedd", b"\r\n chunked", b"\xa0chunked",
    b"chunked\xa0",
)  # fmt: skip
CODING_NAMES: Final = (
    b"Transfer-Encoding", b"transfer-encoding", b"Transfer_Encoding", b"Transfer-Encoding ", b" Transfer-Encoding",
    b"Transfer Encoding", b"Transfer-Encoding\x00", b"X-Y: z\r\nTransfer-Encoding", b"Transfer-Encoding\t",
    b"Transfer-Encod\x80ng", b"Transfer\x01Encoding", b"\x0bTransfer-Encoding", b"Transfer-Encoding\r\n",
)  # fmt: skip
LENGTH_NAMES: Final = (
    b"Content-Length", b"content-length", b"Content_Length", b"Content-Length ", b"Content-Length\t",
    b" Content-Length",
    b"Content Length", b"Content-Length\x00", b"\nContent-Length", b"X: y\nContent-Length", b"Content-\x80Length",
)  # fmt: skip
SIZES: Final = (
    b"0x%x", b"+%x", b"-%x", b" %x", b"%x ", b"%x\t", b"%x;", b"%x;a=b", b'%x;a="\n"', b"%x ;a", b"0%x",
    b"00000000%x", b"%x_",
    b"%xg", b"%x\n", b"%x\r", b"", b"%x;" + b"e" * 5000, b"ffffffffffffffff", b"10000000000000000%x", b"%x\x00",
    b"%x\x0b",
    b"%X", b"%x;\x7f", b"%x;\x80", b"%x,%x", b"\xef\xbc\x91", b"0000000000000000%x", b"8000000000000000",
)  # fmt: skip
FIELDS: Final = (
    b"Accept: */*", b"A:b", b"a: ", b"A:", b"X-Long: " + b"v" * 300, b"Cookie: a=1; sidelog_session=x; b",
    b"X: \xc3\xa4",
    b"Connection: keep-alive", b"Connection: X-A, close", b"X-A: 1", b"Keep-Alive: 5", b"TE: trailers",
    b"Trailer: X",
    b"Proxy-Connection: keep-alive", b"X-Forwarded-For: 1.2.3.4", b"X_Forwarded_For: 6.6.6.6", b"X-Request-Id: abc",
    b"X-Request-Id: a b", b"Authorization: Bearer x", b"Expect: 100-continue", b"Upgrade: websocket",
    b"Connection: Upgrade", b"Upgrade: h2c", b"HTTP2-Settings: AA", b"Connection: Upgrade, HTTP2-Settings",
    b"X-Forwarded-Host: evil", b"Via: 1.1 x", b"X-Sidelog-Hop: other", b"Connection: X-Forwarded-For",
    b"Forwarded: for=1",
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", b"Sec-WebSocket-Version: 13", b"Range: bytes=0-1",
    b"Connection: ,",
)  # fmt: skip
BAD_FIELDS: Final = (
    b"Expect: 200-ok", b"Expect: 100-continue, x", b"Connection: host", b"Connection: Content-Length",
    b"Connection: a b",
    b"Connection: Transfer-Encoding", b"A : b", b" A: b", b"A\x00: b", b": b", b"A", b"A: b\x00", b"A: b\rc",
    b"A: b\nc", b"\xc3: b",
    b"A: b\r\n c", b"A: b\r\n\tc", b"A\r: b", b"(a): b", b"A: \x01", b"A: \x7f", b"X-Sidelog-Hop: Side-1",
    b"A: b\r\n\x00: c",
    b"Connection: cookie", b"X-Big: " + b"v" * 8300, b"A: b\x0b", b"Host: a", b"Host", b"Connection: \x00",
    b"A: b\n\r",
    b"Content-Length: 0", b"Transfer-Encoding: chunked", b"Connection: \xe4", b"Proxy-Connection: \x0c",
    b"Upgrade: websocket, h2c", b"Upgrade: WebSocket\r\nConnection: upgrade", b"Connection: authorization",
)  # fmt: skip
HOSTS: Final = (b"a", b"a.b:80", b"[::1]:8080", b"A", b"a:", b"x_y", b"1.2.3.4")
BAD_HOSTS: Final = (
    b"a, b", b"u@a", b"a/b", b"a:99999", b"a b", b"", b"a\x00", b"[::1", b"a:x", b"a\x80", b"a?", b"a#b", b"\\a",
)  # fmt: skip
TRAILERS: Final = (
    b"", b"", b"", b"X: y\r\n", b"Grpc-Status: 0\r\ngrpc-message:\tok \r\n", b"X: \xff\r\n" * 100, b"X-A: 1\r\nx:\r\n",
    b"Transfer-Encoding: chunked\r\n", b"X: y\r\nContent-Length: 9\r\nHost: b\r\n",
    b"X_Forwarded_For: 1\r\nCookie: a=1\r\n",
)  # fmt: skip
BAD_TRAILERS: Final = (
    b"X : y\r\n", b"X\r\n", b" X: y\r\n", b"X: y\r\n" * 101,
    b"X: \x00\r\n", b"X: y\n",
    b"\n", b"X: y\r\n folded\r\n", b"GET /smuggled HTTP/1.1\r\n", b"X: " + b"y" * 40_000 + b"\r\n",
)  # fmt: skip
SMUGGLED: Final = b"GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n"
JUNK: Final = (
    b"\r\n",
    b"\n",
    b"\x00",
    b"x",
    b"0\r\n\r\n",
    SMUGGLED,
    b"\x16\x03\x01\x02\x00\x01",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)
INTERESTING: Final = (
    b"\r", b"\n", b"\r\n", b"\x00", b" ", b"\t", b":", b",", b";", b"\x0b", b"\x80", b"\xff", b"0", b"\r\n\r\n",
    b"\x7f", b"#", b"\x1f",
)  # fmt: skip


class RequestCase(NamedTuple):
    """One run's input."""

    data: bytes
    cuts: list[int]
    """Where the bytes are cut into pieces, ascending."""
    is_clean: bool
    """Nothing is wrong with it: it must be forwarded."""
    answers: int
    """Seed of how the upstream answers."""


def good_target(random: Random) -> bytes:
    """Choose a target that passes on a plain port."""
    return random.choice(TARGETS if random.random() < 0.85 else ABSOLUTE)


def good_target_of_tls(random: Random) -> bytes:
    """Choose a target that passes on a TLS port."""
    return random.choice(TARGETS if random.random() < 0.7 else TLS_ABSOLUTE)


def make_request_case(
    random: Random, make_target: Callable[[Random], bytes] = good_target
) -> RequestCase:
    """Make one input; `make_target` chooses the targets that are in order."""
    flaws = random.choice((0, 1, 1, 1, 2, 2, 3))
    count = random.choice((1, 1, 1, 2, 3))
    flawed = random.randrange(count)
    pieces = [
        _Maker(random, flaws if number == flawed else 0, make_target).request()
        for number in range(count)
    ]
    data = b"".join(pieces)
    is_clean = flaws == 0
    if random.random() < 0.08:
        data += random.choice(JUNK)
        is_clean = False
    if random.random() < 0.1:
        data = mutate(random, data)
        is_clean = False
    return RequestCase(data, make_cuts(random, len(data)), is_clean, random.randrange(1 << 30))


def make_cuts(random: Random, size: int) -> list[int]:
    """Choose how bytes arrive: at once, in a few pieces, or one by one."""
    kind = random.random()
    if kind < 0.5:
        return []
    if kind < 0.9 or size > 1500:
        return sorted(random.randrange(size + 1) for _ in range(random.randrange(1, 6)))
    return list(range(1, size))


def mutate(random: Random, data: bytes) -> bytes:
    """Change bytes without knowing what they mean."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        at = random.randrange(len(data) + 1)
        to = min(len(data), at + random.choice((0, 1, 1, 2, 5, 20)))
        match random.randrange(4):
            case 0:
                data = data[:at] + random.choice(INTERESTING) + data[at:]
            case 1:
                data = data[:at] + data[to:]
            case 2:
                data = data[:at] + data[at:to] + data[at:]
            case _:
                data = data[:at] + random.choice(INTERESTING) + data[to:]

    return data


class _Maker:
    """Makes one request with so many flaws."""

    def __init__(self, random: Random, flaws: int, make_target: Callable[[Random], bytes]) -> None:
        self._random = random
        self._make_target = make_target
        parts = ("method", "target", "version", "host", "end") + (
            "field",
            "framing",
            "chunk",
            "both",
        ) * 3
        self._flaws = {random.choice(parts) for _ in range(flaws)}

    def _pick(self, part: str, good: tuple[bytes, ...], bad: tuple[bytes, ...]) -> bytes:
        return self._random.choice(bad if part in self._flaws else good)

    def request(self) -> bytes:
        random = self._random
        method = self._pick("method", METHODS, BAD_METHODS)
        target = (
            random.choice(BAD_TARGETS) if "target" in self._flaws else self._make_target(random)
        )
        version = self._pick("version", (b"HTTP/1.1",), (*BAD_VERSIONS, b"HTTP/1.0"))
        lines = [b"%b %b %b" % (method, target, version)]
        host = [b"Host: " + self._pick("host", HOSTS, BAD_HOSTS)]
        if "host" in self._flaws and random.random() < 0.3:
            host *= random.choice((0, 2))
        names = random.sample(FIELDS, random.choice((0, 1, 2, 3)))
        framing, body = self._body()
        if framing and any(
            name.lower().startswith((b"upgrade: w", b"connection: u")) for name in names
        ):
            names = []

        if "field" in self._flaws:
            names.append(random.choice(BAD_FIELDS))
        fields = host + names + framing
        random.shuffle(fields)
        head = b"\r\n".join(lines + fields) + b"\r\n\r\n"
        if "end" in self._flaws:
            head = self._spoil_line_end(head)
        return head + body

    def _spoil_line_end(self, head: bytes) -> bytes:
        ends = [at for at in range(len(head)) if head.startswith(b"\r\n", at)]
        at = self._random.choice(ends)
        return head[:at] + self._random.choice(LINE_ENDS) + head[at + 2 :]

    def _body(self) -> tuple[list[bytes], bytes]:
        random = self._random
        body = random.choice(
            (b"", b"x", b"body", SMUGGLED, b"0\r\n\r\n" + SMUGGLED, bytes(range(256)), b"z" * 3000)
        )
        kind = (
            random.choice((0, 1, 2))
            if not self._flaws & {"framing", "chunk", "both"}
            else random.choice((1, 2))
        )
        if "chunk" in self._flaws:
            kind = 2
        if kind == 0:
            return [], b""

        chunks = self._chunks(body)
        if "both" in self._flaws:
            fields = [self._length(body, LENGTH_NAMES), self._coding(CODING_NAMES)]
            return fields, random.choice((chunks, body))
        if kind == 1:
            return [
                self._length(body, LENGTH_NAMES if "framing" in self._flaws else LENGTH_NAMES[:2])
            ], body

        return [
            self._coding(CODING_NAMES if "framing" in self._flaws else CODING_NAMES[:2])
        ], chunks

    def _length(self, body: bytes, names: tuple[bytes, ...]) -> bytes:
        spelling = b"%d"
        size = len(body)
        if "framing" in self._flaws:
            spelling = self._random.choice((b"%d", *BAD_LENGTHS))
            size += self._random.choice((0, 0, 1, -1))
        return self._random.choice(names) + b": " + _format(spelling, max(0, size))

    def _coding(self, names: tuple[bytes, ...]) -> bytes:
        value = (
            self._random.choice((b"chunked", *CODINGS)) if "framing" in self._flaws else b"chunked"
        )
        return self._random.choice(names) + b": " + value

    def _chunks(self, body: bytes) -> bytes:
        random = self._random
        at = 0
        raw = b""
        pieces = []

        while at < len(body):
            size = random.choice((1, 7, len(body)))
            pieces.append(body[at : at + size])
            at += size

        pieces = pieces[:40] if "chunk" in self._flaws else pieces
        flawed = random.randrange(len(pieces) + 1) if "chunk" in self._flaws else -1
        for number, piece in enumerate([*pieces, b""]):
            spelling = (
                random.choice(SIZES)
                if number == flawed
                else random.choice((b"%x", b"%x", b"%X", b"%x;a=b"))
            )
            end = (
                random.choice(LINE_ENDS) if number == flawed and random.random() < 0.3 else b"\r\n"
            )
            raw += _format(spelling, len(piece)) + end

            if piece:
                end = (
                    random.choice(LINE_ENDS)
                    if number == flawed and random.random() < 0.3
                    else b"\r\n"
                )
                raw += piece + end

        is_bad = flawed == len(pieces) and random.random() < 0.5
        return raw + random.choice(BAD_TRAILERS if is_bad else TRAILERS) + b"\r\n"


def _format(spelling: bytes, number: int) -> bytes:
    """Write the number wherever the spelling has a place for it."""
    return (
        spelling.replace(b"%d", b"%d" % number)
        .replace(b"%x", b"%x" % number)
        .replace(b"%X", b"%X" % number)
    )
