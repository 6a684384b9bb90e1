"""The PROXY protocol, versions 1 and 2, by which a load balancer names its client.

Standard: https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt. Any deviation makes the
header malformed and the connection useless, because its client is unknown. If a header names no
client (LOCAL, UNKNOWN, another family), the load balancer itself is the client, as for its health
checks.
"""

import ipaddress
import re
from typing import Final

from proxy.http1.forwarded import plain_address

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
MAX_V1_BYTES: Final = 107
MAX_V2_BYTES: Final = 16 + 2048
"""Largest header of version 2. Addresses take 36 bytes; the rest is for extensions, which are
ignored. The protocol allows 65535.
"""

_V1: Final = b"PROXY "
_V2_FIXED: Final = 16
_LINE: Final = re.compile(rb"PROXY (TCP[46]) (\S{1,45}) (\S{1,45}) (\d{1,5}) (\d{1,5})\r\n")
_UNKNOWN: Final = re.compile(rb"PROXY UNKNOWN(?: [^\r\n]*)?\r\n")
_ADDRESS_BYTES: Final = {0x1: 4, 0x2: 16}
"""Family of version 2 → size of an address in bytes."""


class MalformedHeader(Exception):
    """The bytes are not a valid header."""


def header_end(data: bytes) -> tuple[int, bool]:
    """Return the number of bytes that certainly belong to the header, and whether it is complete.

    Raises:
        MalformedHeader: they are not a header, or one that is too long.
    """
    if data[:12] == SIGNATURE[: len(data)]:
        if len(data) < _V2_FIXED:
            return len(data), False
        size = _V2_FIXED + int.from_bytes(data[14:16])
        if size > MAX_V2_BYTES:
            raise MalformedHeader(f"{size} bytes, the limit is {MAX_V2_BYTES}")
        return min(size, len(data)), len(data) >= size

    if data[:6] != _V1[: len(data)]:
        raise MalformedHeader("neither version 1 nor 2")

    end = data.find(b"\n", 0, MAX_V1_BYTES) + 1
    if end:
        return end, True
    if len(data) >= MAX_V1_BYTES:
        raise MalformedHeader(f"no end within {MAX_V1_BYTES} bytes")

    return len(data), False


def read_source(header: bytes) -> bytes:
    """Return the client's address from a complete header; empty if it names none.

    Raises:
        MalformedHeader: it violates the protocol.
    """
    if header.startswith(SIGNATURE):
        return _source_v2(header)
    return _source_v1(header)


def _source_v1(line: bytes) -> bytes:
    if _UNKNOWN.fullmatch(line):
        return b""
    found = _LINE.fullmatch(line)
    if found is None or b"%" in line:  # a zone, which the protocol does not have
        raise MalformedHeader("not a line of version 1")

    family = ipaddress.IPv4Address if found[1] == b"TCP4" else ipaddress.IPv6Address
    try:
        source, _ = (family(address.decode("ascii")) for address in (found[2], found[3]))
    except ValueError as error:
        raise MalformedHeader("not an address of its family") from error

    if max(int(found[4]), int(found[5])) > 65535:
        raise MalformedHeader("a port above 65535")

    return plain_address(str(source)).encode()


def _source_v2(header: bytes) -> bytes:
    version, command = divmod(header[12], 16)
    family, transport = divmod(header[13], 16)
    if version != 2 or command > 1:
        raise MalformedHeader(f"version {version}, command {command}")

    size = _ADDRESS_BYTES.get(family, 0)
    if command == 0 or size == 0 or transport != 1:
        return b""
    if len(header) < _V2_FIXED + 2 * size + 4:
        raise MalformedHeader("too short for its addresses")

    return plain_address(str(ipaddress.ip_address(header[_V2_FIXED : _V2_FIXED + size]))).encode()
