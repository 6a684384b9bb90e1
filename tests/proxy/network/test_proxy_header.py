"""PROXY headers as the protocol's document has them, whole, in pieces, and wrong in every place."""

import socket

import pytest

from proxy.network.proxy_header import (
    MAX_V1_BYTES,
    MAX_V2_BYTES,
    SIGNATURE,
    MalformedHeader,
    header_end,
    read_source,
)
from tests.support.cases import each_of

V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"


def v2(
    command: int = 1,
    family: int = 0x11,
    body: bytes | None = None,
    tail: bytes = b"",
    version: int = 2,
) -> bytes:
    """Make a header of version 2; by default of a TCP connection over IPv4."""
    if body is None:
        body = (
            socket.inet_aton("192.0.2.7") + socket.inet_aton("198.51.100.1") + b"\xdc\x04\x01\xbb"
        )
    body += tail
    return SIGNATURE + bytes((version << 4 | command, family)) + len(body).to_bytes(2) + body


SIX = socket.inet_pton(socket.AF_INET6, "2001:db8::7") * 2 + b"\x00\x01\x00\x02"
WELL = [
    (V1, b"192.0.2.7"),
    (b"PROXY TCP6 2001:db8::7 2001:DB8::1 1 65535\r\n", b"2001:db8::7"),
    (b"PROXY UNKNOWN\r\n", b""),
    (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", b""),
    (v2(), b"192.0.2.7"),
    (v2(family=0x21, body=SIX), b"2001:db8::7"),
    (v2(family=0x21, body=bytes(10) + b"\xff\xff\xc0\x00\x02\x07" + SIX[16:]), b"192.0.2.7"),
    (b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:192.0.2.1 4711 80\r\n", b"192.0.2.7"),
    (v2(tail=b"\x03\x00\x04abcd" * 20), b"192.0.2.7"),
    (v2(command=0), b""),
    (v2(command=0, body=b""), b""),
    (v2(family=0x00, body=b"?"), b""),
    (v2(family=0x31, body=b"/" * 216), b""),
    (v2(family=0x12), b""),
]


@each_of(("header", "source"), WELL)
def test_a_header_names_its_client_and_ends_where_it_ends(header: bytes, source: bytes) -> None:
    """However much of it is there, nothing behind it is taken for a part of it."""
    assert read_source(header) == source
    assert header_end(header + b"GET / HTTP/1.1\r\n") == (len(header), True)
    for size in range(1, len(header)):
        assert header_end(header[:size]) == (size, False)


@each_of(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        b"\x16\x03\x01",
        b"PROXY " + b"x" * MAX_V1_BYTES,
        SIGNATURE[:11] + b"x",
        SIGNATURE + b"\x21\x11" + (MAX_V2_BYTES - 15).to_bytes(2),
    ],
)
def test_what_begins_no_header_is_malformed_at_once(data: bytes) -> None:
    """No more of it is waited for."""
    with pytest.raises(MalformedHeader):
        header_end(data)


@each_of(
    "header",
    [
        b"PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n", b"PROXY TCP4 192.0.2.7  198.51.100.1 1 2\r\n",
        b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n", b"PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n",
        b"PROXY TCP6 fe80::1%<b> 2001:db8::1 1 2\r\n", b"PROXY TCP4 192.0.2.777 198.51.100.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.7 \xff 1 2\r\n", b"PROXY TCP4 192.0.2.7 198.51.100.1 1 65536\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n", b"PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n",
        b"PROXY UNKNOWNS\r\n", v2(version=1), v2(command=2), v2(body=b"12345678901"), v2(family=0x21),
    ],
)  # fmt: skip
def test_a_header_that_is_not_as_documented_names_nobody(header: bytes) -> None:
    """It is complete, and of no use."""
    assert header_end(header) == (len(header), True)
    with pytest.raises(MalformedHeader):
        read_source(header)
