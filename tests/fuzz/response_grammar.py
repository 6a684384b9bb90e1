"""Responses of an upstream that lies, and the requests they answer."""

from random import Random
from typing import Final, Literal, NamedTuple

from tests.fuzz.request_grammar import (
    BAD_LENGTHS,
    BAD_TRAILERS,
    CODINGS,
    JUNK,
    LINE_ENDS,
    SIZES,
    TRAILERS,
    make_cuts,
    mutate,
)

End = Literal["stay", "close", "reset"]

_STATUS_LINES: Final = (
    b"HTTP/1.1 200 OK", b"HTTP/1.1 200 ", b"HTTP/1.1 200", b"HTTP/1.1 404 Not Found", b"HTTP/1.1 500 It's\tbroken",
    b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified", b"HTTP/1.1 206 Part", b"HTTP/1.1 599 x",
    b"HTTP/1.1 205 R",
)  # fmt: skip
_BAD_STATUS_LINES: Final = (
    b"HTTP/1.1 099 x", b"HTTP/1.1 600 x", b"HTTP/1.1 999 x", b"HTTP/1.1 20 x", b"HTTP/1.1 2000 x", b"HTTP/1.2 200 OK",
    b"HTTP/2.0 200 OK",
    b"HTTP/0.9 200 OK", b"http/1.1 200 OK", b"HTTP/1.1  200 OK", b"HTTP/1.1\t200 OK", b" HTTP/1.1 200 OK", b"200 OK",
    b"",
    b"HTTP/1.1 200 O\x00K", b"HTTP/1.1 200 O\rK", b"HTTP/1.1 200 O\nSet-Cookie: evil", b"HTTP/1.1 200 \xe4",
    b"ICY 200 OK",
    b"HTTP/1.1 +200 OK", b"HTTP/1.1 2e2 OK", b"HTTP/1.1 101 Up\r\nUpgrade: websocket\r\nConnection: Upgrade",
    b"RTSP/1.0 200 OK",
    b"HTTP/1.1 101 Up", b"HTTP/1.1 100 Continue", b"HTTP/1.1 199 x",
    b"HTTP/1.1 103 Early\r\nTransfer-Encoding: chunked",
    b"HTTP/1.0 200 OK", b"HTTP/1.0 200 OK\r\nConnection: keep-alive", b"HTTP/1.1 200 \x7f", b"HTTP/1.1\x0b200 OK",
)  # fmt: skip
_INTERIMS: Final = (
    b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
    b"HTTP/1.1 102 Processing\r\n\r\n",
    b"HTTP/1.1 103 Early\r\nContent-Length: 5\r\n\r\n", b"HTTP/1.0 100 Continue\r\n\r\n",
)  # fmt: skip
_FIELDS: Final = (
    b"Server: x", b"Set-Cookie: a=b", b"Connection: close", b"Connection: keep-alive", b"Keep-Alive: timeout=5",
    b"A:", b"A:b",
    b"Content-Type: text/event-stream", b"Content-Encoding: gzip", b"X: \xff\xc3\xa4", b"Trailer: X",
    b"Connection: X-A",
    b"X-A: 1", b"Upgrade: h2c", b"Upgrade: websocket", b"Proxy-Authenticate: Basic", b"Connection: upgrade",
    b"Via: 1.1 x",
    b"Location: //evil", b"X-Sidelog-Id: fake", b"Date: now",
)  # fmt: skip
_BAD_FIELDS: Final = (
    b"A : b", b"A\x00: b", b"A: b\x00", b"A: b\rSet-Cookie: evil", b"A: b\nSet-Cookie: evil", b": b", b"A",
    b"A: b\r\n c", b"\xe4: b",
    b"A: \x01", b"A: b\x7f", b"Content-Length: 3", b"Transfer-Encoding: chunked", b"Connection: content-length",
    b"A: " + b"b" * 40_000, b"Content-Length : 3",
    b"\r\n".join(b"H: x" for _ in range(101)), b"Keep-Alive: timeout=99999999999999",
    b"Connection: set-cookie, content-type",
    b"Connection: transfer-encoding", b"A: b\r\n\tc", b"(a): b", b"A\t: b",
)  # fmt: skip
_REQUESTS: Final = (
    (b"GET", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (b"GET", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (b"HEAD", b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (b"GET", b"GET / HTTP/1.0\r\n\r\n"),
    (b"GET", b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
    (b"GET", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    (b"POST", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"),
    (
        b"POST",
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody",
    ),
    (
        b"POST",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    ),
    (b"GET", b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
)
EXTRA: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled"


class ResponseCase(NamedTuple):
    """One run's input."""

    method: bytes
    request: bytes
    kept_back: int
    """Bytes of the request that the client sends only after the response began, or never."""
    data: bytes
    cuts: list[int]
    end: End
    is_clean: bool
    """Nothing is wrong with it: it must reach the client."""
    order: int
    """Seed of what happens when."""


def make_response_case(random: Random) -> ResponseCase:
    """Make one input."""
    method, request = random.choice(_REQUESTS)
    flaws = random.choice((0, 1, 1, 1, 2, 2))
    maker = _Maker(random, flaws)
    data = maker.response(method)
    end: End = random.choice(("stay", "stay", "close", "close", "reset"))
    is_clean = not flaws and end != "reset"
    if random.random() < 0.12:
        data += random.choice((*JUNK, EXTRA))
        is_clean = False
    if random.random() < 0.1:
        data = mutate(random, data)
        is_clean = False
    if random.random() < 0.15:
        data = data[: random.randrange(len(data) + 1)]
        is_clean = False
    kept_back = random.choice((0, 0, 1, 4)) if method == b"POST" else 0
    return ResponseCase(
        method,
        request,
        kept_back,
        data,
        make_cuts(random, len(data)),
        end,
        is_clean,
        random.randrange(1 << 30),
    )


class _Maker:
    """Makes one response with so many flaws."""

    def __init__(self, random: Random, flaws: int) -> None:
        self._random = random
        parts = ("status", "end", *("field", "framing", "chunk", "both") * 2)
        self._flaws = {random.choice(parts) for _ in range(flaws)}

    def response(self, method: bytes) -> bytes:
        random = self._random
        line = random.choice(_BAD_STATUS_LINES if "status" in self._flaws else _STATUS_LINES)
        fields = random.sample(_FIELDS, random.choice((0, 1, 2)))
        framing, body = self._body()
        if "field" in self._flaws:
            fields.append(random.choice(_BAD_FIELDS))
        fields += framing
        random.shuffle(fields)
        head = b"\r\n".join([line, *fields]) + b"\r\n\r\n"

        if "end" in self._flaws:
            ends = [at for at in range(len(head)) if head.startswith(b"\r\n", at)]
            at = random.choice(ends)
            head = head[:at] + random.choice(LINE_ENDS) + head[at + 2 :]

        if random.random() < 0.1:
            head = random.choice(_INTERIMS) + head
        has_no_body = method == b"HEAD" or b" 204" in line or b" 304" in line
        if has_no_body and random.random() < 0.8:
            return head

        return head + body

    def _body(self) -> tuple[list[bytes], bytes]:
        random = self._random
        body = random.choice(
            (b"", b"x", b"body", EXTRA, b"0\r\n\r\n", bytes(range(256)), b"z" * 3000)
        )
        kind = (
            random.choice((0, 1, 1, 2, 2))
            if not self._flaws & {"framing", "chunk"}
            else random.choice((1, 2))
        )
        if "chunk" in self._flaws:
            kind = 2
        if "both" in self._flaws:
            return [self._length(body), self._coding()], random.choice((self._chunks(body), body))
        if kind == 0:
            return [], body
        if kind == 1:
            return ([self._length(body)], body)

        return ([self._coding()], self._chunks(body))

    def _length(self, body: bytes) -> bytes:
        spelling = b"%d"
        size = len(body)
        if "framing" in self._flaws:
            spelling = self._random.choice((b"%d", b"%d", *BAD_LENGTHS))
            size = max(0, size + self._random.choice((0, 1, -1, 100)))
        return b"Content-Length: " + spelling.replace(b"%d", b"%d" % size).replace(
            b"%x", b"%x" % size
        )

    def _coding(self) -> bytes:
        value = (
            self._random.choice((b"chunked", *CODINGS)) if "framing" in self._flaws else b"chunked"
        )
        return b"Transfer-Encoding: " + value

    def _chunks(self, body: bytes) -> bytes:
        random = self._random
        pieces = [body[at : at + 900] for at in range(0, len(body), 900)]
        flawed = random.randrange(len(pieces) + 1) if "chunk" in self._flaws else -1
        raw = b""

        for number, piece in enumerate([*pieces, b""]):
            is_flawed = number == flawed
            spelling = random.choice(SIZES) if is_flawed else random.choice((b"%x", b"%x;a=b"))
            raw += spelling.replace(b"%x", b"%x" % len(piece)).replace(b"%X", b"%X" % len(piece))
            raw += self._line_end(is_flawed=is_flawed)
            if piece:
                raw += piece + self._line_end(is_flawed=is_flawed)

        is_bad = flawed == len(pieces) and random.random() < 0.5
        return raw + random.choice(BAD_TRAILERS if is_bad else TRAILERS) + b"\r\n"

    def _line_end(self, *, is_flawed: bool) -> bytes:
        if is_flawed and self._random.random() < 0.3:
            return self._random.choice(LINE_ENDS)
        return b"\r\n"
