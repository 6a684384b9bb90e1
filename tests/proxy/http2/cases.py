"""What a server has to make of a client's frames, by section of RFC 9113 and RFC 7541: the cases of
h2spec and more.

Written from the RFCs. A case is sent behind the hello of a client; expected is how it is judged,
`connection CODE` or `stream CODE`, and otherwise that what is named after `=` was opened and
nothing objected to.
"""

from typing import Final, NamedTuple

from proxy.http2 import frames
from proxy.http2.frame_reader import MAX_CONTINUATIONS
from proxy.http2.frames import (
    DATA,
    HEADERS,
    PADDED,
    PREFACE,
    PRIORITY,
    SETTINGS,
    frame,
    rst_stream,
    settings,
    window_update,
)
from tests.proxy.http2.wire import GET, HELLO, POST, Fields, block, data, head

PROTOCOL, FLOW, CLOSED, SIZE, REFUSED, COMPRESSION, CALM = 1, 3, 5, 6, 7, 9, 11
OPEN: Final = head(1, POST, frames.END_HEADERS)
"""A request whose body is to come."""
DONE: Final = head(1)
"""A request that is complete."""
UPGRADE: Final = ((b":protocol", b"websocket"), (b":method", b"CONNECT"), *GET[1:])
"""An extended CONNECT."""
FLAGS: Final = 0x05
GET_BLOCK: Final = block(GET)


class Case(NamedTuple):
    """One input."""

    name: str
    """Section, and what is sent."""
    raw: bytes
    expected: str
    hello: bytes = HELLO


def connection(code: int) -> str:
    return f"connection {code}"


def stream(code: int) -> str:
    return f"stream {code}"


def fields(*more: tuple[bytes, bytes], without: bytes = b"", base: Fields = GET) -> bytes:
    """Return a request with fields more, or one pseudo-field less."""
    return head(1, [field for field in base if field[0] != without] + list(more))


def hpack(form: bytes, *, before: bytes = GET_BLOCK) -> bytes:
    return frame(HEADERS, FLAGS, 1, before + form)


def priority(stream_id: int, depends_on: int, weight: int = 15) -> bytes:
    return frame(PRIORITY, 0, stream_id, depends_on.to_bytes(4, "big") + bytes((weight,)))


def length(value: bytes, *bodies: bytes) -> bytes:
    """Return a request that names a length, and a body in pieces."""
    parts = [data(1, body, is_end=at == len(bodies) - 1) for at, body in enumerate(bodies)]
    return head(1, [*POST, (b"content-length", value)], frames.END_HEADERS) + b"".join(parts)


SECTION_3: Final = (
    Case("3.4 preface and SETTINGS", b"", "=", HELLO),
    Case("3.4 another preface", b"INVALID CONNECTION PREFACE\r\n\r\n", connection(PROTOCOL), b""),
    Case(
        "3.4 a preface that differs in its last byte",
        PREFACE[:-1] + b"x",
        connection(PROTOCOL),
        b"",
    ),
    Case("3.4 no SETTINGS behind the preface", PREFACE + DONE, connection(PROTOCOL), b""),
    Case(
        "3.4 an ACK in place of SETTINGS",
        PREFACE + frame(SETTINGS, 1, 0, b""),
        connection(PROTOCOL),
        b"",
    ),
)
SECTION_4: Final = (
    Case("4.1 an unknown type", frame(0x16, 0, 0, b"x") + DONE, "=1"),
    Case("4.1 undefined flags", frame(6, 0x16, 0, b"12345678") + DONE, "=1"),
    Case(
        "4.1 the reserved bit of a stream id", frame(HEADERS, FLAGS, 1 | 1 << 31, GET_BLOCK), "=1"
    ),
    Case("4.2 DATA of 2^14 bytes", OPEN + data(1, bytes(16384), is_end=True), "=1"),
    Case("4.2 DATA over 2^14 bytes", OPEN + data(1, bytes(16385)), connection(SIZE)),
    Case("4.2 HEADERS over 2^14 bytes", head(1, [*GET, (b"x", bytes(17000))]), connection(SIZE)),
    Case("4.3 a broken header block", hpack(b"\x40"), connection(COMPRESSION)),
    Case(
        "4.3 PRIORITY within a block",
        frame(HEADERS, 0, 1, b"") + priority(1, 0),
        connection(PROTOCOL),
    ),
    Case("4.3 HEADERS within a block", frame(HEADERS, 0, 1, b"") + head(3), connection(PROTOCOL)),
)
SECTION_5: Final = (
    Case("5.1 PRIORITY on an idle stream", priority(1, 0) + DONE, "=1"),
    Case("5.1 DATA on an idle stream", data(1, b"x"), connection(PROTOCOL)),
    Case("5.1 RST_STREAM on an idle stream", rst_stream(1, 8), connection(PROTOCOL)),
    Case("5.1 WINDOW_UPDATE on an idle stream", window_update(1, 1), connection(PROTOCOL)),
    Case("5.1 CONTINUATION on an idle stream", frame(9, 4, 1, GET_BLOCK), connection(PROTOCOL)),
    Case("5.1 WINDOW_UPDATE on a half-closed stream", DONE + window_update(1, 1), "=1"),
    Case("5.1 PRIORITY on a half-closed stream", DONE + priority(1, 0), "=1"),
    Case("5.1 RST_STREAM on a half-closed stream", DONE + rst_stream(1, 8), "=1"),
    Case("5.1 DATA on a half-closed stream", DONE + data(1, b"x"), stream(CLOSED)),
    Case("5.1 HEADERS on a half-closed stream", DONE + DONE, stream(CLOSED)),
    Case(
        "5.1 CONTINUATION on a half-closed stream", DONE + frame(9, 4, 1, b""), connection(PROTOCOL)
    ),
    Case("5.1 PRIORITY on a closed stream", OPEN + rst_stream(1, 8) + priority(1, 0), "=1"),
    Case("5.1 RST_STREAM on a closed stream", OPEN + rst_stream(1, 8) + rst_stream(1, 8), "=1"),
    Case(
        "5.1 WINDOW_UPDATE on a closed stream", OPEN + rst_stream(1, 8) + window_update(1, 1), "=1"
    ),
    Case("5.1 DATA behind RST_STREAM", OPEN + rst_stream(1, 8) + data(1, b"x"), stream(CLOSED)),
    Case("5.1 HEADERS behind RST_STREAM", OPEN + rst_stream(1, 8) + DONE, connection(CLOSED)),
    Case(
        "5.1 CONTINUATION behind RST_STREAM",
        OPEN + rst_stream(1, 8) + frame(9, 4, 1, b""),
        connection(PROTOCOL),
    ),
    Case("5.1.1 an even id", head(2), connection(PROTOCOL)),
    Case("5.1.1 a smaller id", head(5) + head(3), connection(PROTOCOL)),
    Case("5.1.1 a smaller id, of DATA", head(5) + data(3, b"x"), stream(CLOSED)),
    Case("5.1.1 an id that was used", head(5) + rst_stream(5, 8) + head(5), connection(CLOSED)),
    Case("5.1.1 the last id", head(0x7FFFFFFF), f"={0x7FFFFFFF}"),
    Case(
        "5.1.2 a stream over the limit",
        b"".join(head(1 + 2 * at) for at in range(101)),
        stream(REFUSED),
    ),
    Case("5.3.1 a stream that depends on itself", priority(1, 1) + DONE, "=1"),
    Case(
        "5.3.1 HEADERS that depend on themselves",
        frame(HEADERS, 0x25, 1, b"\0\0\0\1\x0f" + GET_BLOCK),
        "=1",
    ),
    Case(
        "5.5 an unknown frame with a stream",
        OPEN + frame(0xFF, 0xFF, 1, b"x") + data(1, b"x", is_end=True),
        "=1",
    ),
    Case(
        "5.5 an unknown frame within a block",
        frame(HEADERS, 0, 1, b"") + frame(22, 0, 0, b""),
        connection(PROTOCOL),
    ),
)
SECTION_6_STREAMS: Final = (
    Case("6.1 DATA in two frames", OPEN + data(1, b"x") + data(1, b"y", is_end=True), "=1"),
    Case(
        "6.1 DATA with padding",
        OPEN + frame(DATA, PADDED | frames.END_STREAM, 1, b"\2hello\0\0"),
        "=1",
    ),
    Case(
        "6.1 DATA of padding only",
        OPEN + frame(DATA, PADDED | frames.END_STREAM, 1, b"\2\0\0"),
        "=1",
    ),
    Case("6.1 DATA on stream 0", data(0, b"x"), connection(PROTOCOL)),
    Case(
        "6.1 padding as long as its frame",
        OPEN + frame(DATA, PADDED, 1, b"\7hello\0"),
        connection(PROTOCOL),
    ),
    Case("6.1 padded DATA without a length", OPEN + frame(DATA, PADDED, 1, b""), connection(SIZE)),
    Case(
        "6.2 HEADERS with padding",
        frame(HEADERS, FLAGS | PADDED, 1, b"\2" + GET_BLOCK + b"\0\0"),
        "=1",
    ),
    Case("6.2 HEADERS with priority", frame(HEADERS, FLAGS | 0x20, 1, bytes(5) + GET_BLOCK), "=1"),
    Case("6.2 HEADERS on stream 0", head(0), connection(PROTOCOL)),
    Case(
        "6.2 HEADERS with too much padding",
        frame(HEADERS, FLAGS | PADDED, 1, b"\x7f\0"),
        connection(PROTOCOL),
    ),
    Case(
        "6.2 HEADERS cut in their priority",
        frame(HEADERS, FLAGS | 0x20, 1, bytes(4)),
        connection(SIZE),
    ),
    Case("6.3 PRIORITY of the lowest weight", priority(1, 0, 0) + DONE, "=1"),
    Case("6.3 PRIORITY of the highest weight", priority(1, 0, 255) + DONE, "=1"),
    Case("6.3 PRIORITY behind another stream", head(1) + priority(3, 1) + head(3), "=1 3"),
    Case("6.3 an exclusive PRIORITY", head(1) + priority(3, 1 | 1 << 31) + head(3), "=1 3"),
    Case("6.3 PRIORITY on stream 0", priority(0, 1), connection(PROTOCOL)),
    Case("6.3 PRIORITY of 4 bytes", DONE + frame(PRIORITY, 0, 1, bytes(4)), stream(SIZE)),
    Case(
        "6.3 PRIORITY of 4 bytes on an idle stream",
        frame(PRIORITY, 0, 1, bytes(4)),
        connection(SIZE),
    ),
    Case("6.4 RST_STREAM on stream 0", rst_stream(0, 8), connection(PROTOCOL)),
    Case(
        "6.4 RST_STREAM of 3 bytes",
        OPEN + frame(frames.RST_STREAM, 0, 1, bytes(3)),
        connection(SIZE),
    ),
)
SECTION_6_CONNECTION: Final = (
    Case("6.5 an ACK with entries", frame(SETTINGS, 1, 0, bytes(6)), connection(SIZE)),
    Case("6.5 SETTINGS on a stream", frame(SETTINGS, 0, 1, b""), connection(PROTOCOL)),
    Case("6.5 SETTINGS of 7 bytes", frame(SETTINGS, 0, 0, bytes(7)), connection(SIZE)),
    Case("6.5 SETTINGS of 32 entries", settings([(99, 1)] * 32) + DONE, "=1"),
    Case("6.5 SETTINGS of 33 entries", settings([(99, 1)] * 33), connection(CALM)),
    Case("6.5.2 ENABLE_PUSH of 2", settings([(2, 2)]), connection(PROTOCOL)),
    Case("6.5.2 INITIAL_WINDOW_SIZE of 2^31", settings([(4, 1 << 31)]), connection(FLOW)),
    Case("6.5.2 MAX_FRAME_SIZE of 2^14 - 1", settings([(5, 16383)]), connection(PROTOCOL)),
    Case("6.5.2 MAX_FRAME_SIZE of 2^24", settings([(5, 1 << 24)]), connection(PROTOCOL)),
    Case("6.5.2 an unknown setting", settings([(255, 1)]) + DONE, "=1"),
    Case("6.5.2 every setting", settings([(1, 0), (2, 1), (3, 0), (4, 0), (5, 16384), (6, 1)]) + DONE, "=1"),
    Case("6.5.3 an ACK too many", frame(SETTINGS, 1, 0, b"") + DONE, "=1"),
    Case("6.6 PUSH_PROMISE", DONE + frame(5, 4, 1, b"\0\0\0\2" + GET_BLOCK), connection(PROTOCOL)),
    Case("6.7 PING", frame(6, 0, 0, bytes(8)) + DONE, "=1"),
    Case("6.7 an ACK of no PING", frame(6, 1, 0, bytes(8)) + DONE, "=1"),
    Case("6.7 PING on a stream", frame(6, 0, 1, bytes(8)), connection(PROTOCOL)),
    Case("6.7 PING of 6 bytes", frame(6, 0, 0, bytes(6)), connection(SIZE)),
    Case("6.8 GOAWAY", frames.goaway(0, 0) + DONE, "=1"),
    Case("6.8 GOAWAY on a stream", frame(frames.GOAWAY, 0, 1, bytes(8)), connection(PROTOCOL)),
    Case("6.8 GOAWAY of 7 bytes", frame(frames.GOAWAY, 0, 0, bytes(7)), connection(SIZE)),
    Case("6.9 WINDOW_UPDATE on stream 0", window_update(0, 1) + DONE, "=1"),
    Case("6.9 WINDOW_UPDATE of nothing", window_update(0, 0), connection(PROTOCOL)),
    Case("6.9 WINDOW_UPDATE of nothing on a stream", DONE + window_update(1, 0), stream(PROTOCOL)),
    Case("6.9 WINDOW_UPDATE of 3 bytes", frame(frames.WINDOW_UPDATE, 0, 0, bytes(3)), connection(SIZE)),
    Case("6.9.1 the connection's window over 2^31-1", window_update(0, 0x7FFFFFFF), connection(FLOW)),
    Case("6.9.1 a stream's window over 2^31-1", DONE + window_update(1, 0x7FFFFFFF), stream(FLOW)),
    Case("6.9.2 a window over 2^31-1 by SETTINGS", DONE + window_update(1, 99) + settings([(4, 0x7FFFFFFF)]),
         connection(FLOW)),
)  # fmt: skip
CUT: Final = frame(HEADERS, frames.END_STREAM, 1, GET_BLOCK[:3])
LONG: Final = GET_BLOCK[3:] + block([(b"x", b"y" * 33000)])
MORE: Final = frame(9, 0, 1, b"") * MAX_CONTINUATIONS
SECTION_6_10: Final = (
    Case("6.10 two CONTINUATIONs", CUT + frame(9, 0, 1, GET_BLOCK[3:4]) + frame(9, 4, 1, GET_BLOCK[4:]), "=1"),
    Case("6.10 an empty CONTINUATION", CUT + frame(9, 0, 1, b"") + frame(9, 4, 1, GET_BLOCK[3:]), "=1"),
    Case("6.10 16 CONTINUATIONs", CUT + MORE[:-9] + frame(9, 4, 1, GET_BLOCK[3:]), "=1"),
    Case("6.10 17 CONTINUATIONs", CUT + MORE + frame(9, 4, 1, GET_BLOCK[3:]), connection(CALM)),
    Case("6.10 a block over max_header_bytes", CUT + frame(9, 0, 1, LONG[:16384])
         + frame(9, 0, 1, LONG[16384:32768]) + frame(9, 4, 1, LONG[32768:]), "=1"),
    Case("6.10 a block of four times that", CUT + frame(9, 0, 1, bytes(16384)) * 8, connection(CALM)),
    Case("6.10 DATA within a block", CUT + data(1, b"x"), connection(PROTOCOL)),
    Case("6.10 CONTINUATION on stream 0", CUT + frame(9, 4, 0, b""), connection(PROTOCOL)),
    Case("6.10 CONTINUATION of another stream", CUT + frame(9, 4, 3, b""), connection(PROTOCOL)),
    Case("6.10 CONTINUATION behind whole HEADERS", OPEN + frame(9, 4, 1, b""), connection(PROTOCOL)),
    Case("6.10 CONTINUATION behind the last one", CUT + frame(9, 4, 1, GET_BLOCK[3:]) + frame(9, 4, 1, b""),
         connection(PROTOCOL)),
    Case("6.10 CONTINUATION behind DATA", OPEN + data(1, b"x") + frame(9, 4, 1, b""), connection(PROTOCOL)),
)  # fmt: skip
SECTION_7: Final = (
    Case("7 GOAWAY with an unknown code", frames.goaway(0, 0xFF) + DONE, "=1"),
    Case("7 RST_STREAM with an unknown code", DONE + rst_stream(1, 0xFF) + head(3), "=1 3"),
)
SECTION_8_MESSAGES: Final = (
    Case("8.1 HEAD", head(1, [(b":method", b"HEAD"), *GET[1:]]), "=1"),
    Case("8.1 POST with trailers", OPEN + data(1, b"x") + head(1, [(b"x", b"y")]), "=1"),
    Case("8.1 trailers without a body", OPEN + head(1, [(b"x", b"y")]), "=1"),
    Case("8.1 a second head that does not end", OPEN + head(1, [(b"x", b"y")], frames.END_HEADERS), stream(PROTOCOL)),
    Case("8.1 a pseudo-field in trailers", OPEN + head(1, [(b":path", b"/")]), stream(PROTOCOL)),
    Case("8.1 an upper-case name in trailers", OPEN + head(1, [(b"X", b"y")]), stream(PROTOCOL)),
    Case("8.1 a connection field in trailers", OPEN + head(1, [(b"upgrade", b"h2c")]), stream(PROTOCOL)),
    Case("8.1 trailers over the limit", OPEN + frame(HEADERS, FLAGS, 1, b"\x40\1x\x7f\x80\x1e" + bytes(b"y" * 3967)
         + b"\xbe" * 9), stream(CALM)),
    Case("8.1 100 trailers", OPEN + head(1, [(b"x", b"y")] * 100), "=1"),
    Case("8.1 101 trailers", OPEN + head(1, [(b"x", b"y")] * 101), stream(CALM)),
    Case("8.1.1 a length that fits", length(b"5", b"hello"), "=1"),
    Case("8.1.1 a length that fits in pieces", length(b"5", b"he", b"llo", b""), "=1"),
    Case("8.1.1 a length with zeros before it", length(b"005", b"hello"), "=1"),
    Case("8.1.1 a length of nothing", length(b"0", b""), "=1"),
    Case("8.1.1 more than the length", length(b"5", b"hello!"), stream(PROTOCOL)),
    Case("8.1.1 more than the length in pieces", length(b"5", b"he", b"llo!"), stream(PROTOCOL)),
    Case("8.1.1 less than the length", length(b"5", b"hell"), stream(PROTOCOL)),
    Case("8.1.1 less than the length in pieces", length(b"5", b"he", b"ll"), stream(PROTOCOL)),
    Case("8.1.1 a body where the length is 0", length(b"0", b"x"), stream(PROTOCOL)),
    Case("8.1.1 no body where the length is 1", fields((b"content-length", b"1")), stream(PROTOCOL)),
    Case("8.1.1 trailers before the length", length(b"5") + data(1, b"x") + head(1, [(b"x", b"")]), stream(PROTOCOL)),
    *(
        Case(f"8.1.1 the length {value!r}", length(value, b"x"), stream(PROTOCOL))
        for value in (b"+1", b"-1", b"0x1", b"1,1", b"1 1", b"", b"1.0", b"9223372036854775808", b"9" * 30, b"\xb2")
    ),
    Case("8.1.1 a length twice", fields((b"content-length", b"0"), (b"content-length", b"0")), stream(PROTOCOL)),
)  # fmt: skip
SECTION_8_FIELDS: Final = (
    *(
        Case(f"8.2.1 the name {name!r}", fields((name, b"y")), stream(PROTOCOL))
        for name in (b"X-Y", b"x y", b"", b"x:y", b"x\0", b"x\r\ny", b"\xc3\xa4", b"x\x7f", b"x(y)", b":x", b":", b" x")
    ),
    *(
        Case(f"8.2.1 the value {value!r}", fields((b"x", value)), stream(PROTOCOL))
        for value in (b"y\0", b"y\r", b"y\n", b"y\r\nz: 1", b" y", b"y ", b"\ty", b"y\t", b"\x01", b"\x7f", b" ")
    ),
    *(
        Case(f"8.2.1 the value {value!r}", fields((b"x", value)), "=1")
        for value in (b"", b"a b", b"a\tb", b"\xc3\xa4\xff", b":y")
    ),
    *(
        Case(f"8.2.2 {name.decode()} of {value!r}", fields((name, value)), stream(PROTOCOL))
        for name, value in (
            (b"connection", b"close"), (b"connection", b""), (b"proxy-connection", b"x"), (b"keep-alive", b"1"),
            (b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"identity"), (b"upgrade", b"h2c"),
        )
    ),
    *(
        Case(f"8.2.2 TE of {value!r}", fields((b"te", value)), stream(PROTOCOL))
        for value in (b"gzip", b"trailers, deflate", b"trailers;q=1", b"")
    ),
    Case("8.2.2 TE of trailers", fields((b"te", b"trailers")), "=1"),
)  # fmt: skip
SECTION_8_PSEUDO: Final = (
    *(
        Case(f"8.3.1 no {name.decode()}", fields(without=name), stream(PROTOCOL))
        for name in (b":method", b":scheme", b":path")
    ),
    Case("8.3.1 no :authority", fields(without=b":authority"), "=1"),
    *(Case(f"8.3.1 {name.decode()} twice", fields((name, value)), stream(PROTOCOL)) for name, value in GET),
    *(
        Case(f"8.3.1 {name.decode()} of {value!r}", fields((name, value), without=name), stream(PROTOCOL))
        for name, value in (
            (b":path", b""), (b":path", b"*"), (b":path", b"a"), (b":path", b"http://b/"), (b":path", b"/ HTTP/1.1"),
            (b":path", b"/a b"), (b":path", b"/\0"), (b":path", b"/\r\nX: b"), (b":path", b"//\t"), (b":path", b"?a"),
            (b":method", b""), (b":method", b"GET /x HTTP/1.1\r\n"), (b":method", b"G ET"), (b":method", b"G:T"),
            (b":method", b"CONNECT"), (b":scheme", b""), (b":scheme", b"http://b/?"), (b":scheme", b"ftp"),
            (b":scheme", b"http "), (b":authority", b""), (b":authority", b"a b"), (b":authority", b"a\r\nX: y"),
        )
    ),
    Case("8.3.1 * of OPTIONS", head(1, [(b":method", b"OPTIONS"), (b":scheme", b"http"), (b":path", b"*")]), "=1"),
    Case("8.3.1 a scheme in capitals", fields((b":scheme", b"HTTPS"), without=b":scheme"), "=1"),
    Case("8.3.1 an empty host", fields((b"host", b""), without=b":authority"), stream(PROTOCOL)),
    Case("8.3 a pseudo-field behind a field", head(1, [*GET[1:], (b"x", b"y"), GET[0]]), stream(PROTOCOL)),
    Case("8.3 a pseudo-field behind host", head(1, [*GET[1:], (b"host", b"a"), GET[0]]), stream(PROTOCOL)),
    Case("8.3 a pseudo-field behind a cookie", head(1, [*GET[1:], (b"cookie", b"a=b"), GET[0]]), stream(PROTOCOL)),
    Case("8.3 an unknown pseudo-field", head(1, [(b":test", b"x"), *GET]), stream(PROTOCOL)),
    Case("8.3 a pseudo-field in capitals", head(1, [(b":Path", b"/"), *GET[:2]]), stream(PROTOCOL)),
    Case("8.3 :status in a request", head(1, [(b":status", b"200"), *GET]), stream(PROTOCOL)),
    Case("8.3 :protocol without CONNECT", head(1, [(b":protocol", b"websocket"), *GET]), stream(PROTOCOL)),
    Case("8.3 no fields at all", head(1, []), stream(PROTOCOL)),
    Case("8.5 CONNECT", head(1, [(b":method", b"CONNECT"), (b":authority", b"a:443")]), "=1"),
    Case("8.5 CONNECT without :authority", head(1, [(b":method", b"CONNECT")]), stream(PROTOCOL)),
    Case("8441 4 CONNECT with :protocol", head(1, UPGRADE, frames.END_HEADERS), "=1"),
    Case("8441 4 with Host in place of :authority", head(1, [*UPGRADE[:4], (b"host", b"a")], frames.END_HEADERS), "=1"),
    Case("8441 4 for another protocol", head(1, [(b":protocol", b"x"), *UPGRADE[1:]], frames.END_HEADERS), "=1"),
    Case("8441 4 :protocol twice", head(1, [UPGRADE[0], *UPGRADE], frames.END_HEADERS), stream(PROTOCOL)),
    Case("8441 4 without :path", head(1, [*UPGRADE[:3], UPGRADE[4]], frames.END_HEADERS), stream(PROTOCOL)),
    Case("8441 4 without :scheme", head(1, [*UPGRADE[:2], *UPGRADE[3:]], frames.END_HEADERS), stream(PROTOCOL)),
    Case("8441 4 :protocol in trailers", OPEN + head(1, [UPGRADE[0]]), stream(PROTOCOL)),
)  # fmt: skip
HPACK: Final = (
    Case("7541 2.3.3 an index beyond the tables", hpack(b"\xc0"), connection(COMPRESSION)),
    Case("7541 2.3.3 a name beyond the tables", hpack(b"\x7f\0\1x"), connection(COMPRESSION)),
    Case("7541 4.2 a size update behind a field", hpack(b"\x20"), connection(COMPRESSION)),
    Case("7541 4.2 two size updates", hpack(b"", before=b"\x20\x3f\xe1\x1f" + GET_BLOCK), "=1"),
    Case(
        "7541 4.2 three size updates",
        hpack(b"", before=b"\x20" * 3 + GET_BLOCK),
        connection(COMPRESSION),
    ),
    Case("7541 5.1 an integer of 5 octets", hpack(b"\x0f\x80\x80\x80\x80\0\1y"), "=1"),
    Case(
        "7541 5.1 an integer of 6 octets",
        hpack(b"\x0f\x80\x80\x80\x80\x80\0\1y"),
        connection(COMPRESSION),
    ),
    Case("7541 5.1 a cut integer", hpack(b"\xff\x80"), connection(COMPRESSION)),
    Case("7541 5.2 a string beyond its block", hpack(b"\0\1x\5y"), connection(COMPRESSION)),
    Case("7541 5.2 a name without a value", hpack(b"\0\1x"), connection(COMPRESSION)),
    Case(
        "7541 5.2 padding of more than 7 bits", hpack(b"\0\x82\xf8\xff\0"), connection(COMPRESSION)
    ),
    Case("7541 5.2 padding of zeros", hpack(b"\0\x81\x1c\0"), connection(COMPRESSION)),
    Case(
        "7541 5.2 the end-of-string symbol",
        hpack(b"\0\1x\x84\xff\xff\xff\xff"),
        connection(COMPRESSION),
    ),
    Case("7541 6.1 index 0", hpack(b"\x80"), connection(COMPRESSION)),
    Case("7541 6.1 an indexed field", hpack(b"\x90"), "=1"),
    *(
        Case(f"7541 6.2 {kind}, {form}", hpack(bytes((first,)) + rest), "=1")
        for kind, first in (("indexing", 0x40), ("no indexing", 0), ("never indexed", 0x10))
        for form, rest in (
            ("a new name", b"\1x\1y"),
            ("a new name in Huffman's code", b"\x81\xf3\x81\xf5"),
        )
    ),
    *(
        Case(f"7541 6.2 {kind}, {form}", hpack(name + value), "=1")
        for kind, name in (
            ("indexing", b"\x60"),
            ("no indexing", b"\x0f\x11"),
            ("never indexed", b"\x1f\x11"),
        )
        for form, value in (
            ("an indexed name", b"\1y"),
            ("an indexed name, Huffman's code", b"\x81\xf5"),
        )
    ),
    Case(
        "7541 6.3 a size update over the limit",
        hpack(b"", before=b"\x3f\xe2\x1f"),
        connection(COMPRESSION),
    ),
    Case("7541 6.3 a size update", hpack(b"", before=b"\x3f\xe1\x1f" + GET_BLOCK), "=1"),
)
CASES: Final = (
    *SECTION_3, *SECTION_4, *SECTION_5, *SECTION_6_STREAMS, *SECTION_6_CONNECTION, *SECTION_6_10, *SECTION_7,
    *SECTION_8_MESSAGES, *SECTION_8_FIELDS, *SECTION_8_PSEUDO, *HPACK,
)  # fmt: skip
