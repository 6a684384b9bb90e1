"""Who the client is, and which of that the upstream receives (P18). Pure.

X-Forwarded-For is appended to. Its earlier entries are believed only when the connection comes from
a trusted proxy; the right-most entry that is not itself a trusted proxy is then the client, unless
such a proxy has a field of its own for it. What it says in Forwarded (RFC 7239) counts where it
sends none of the older fields.
"""

import ipaddress
import re
import socket
from collections.abc import Sequence
from typing import Final, NamedTuple

from proxy.http1.field_lines import name_of
from proxy.http1.request_head import RequestHead

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_PROXIES: Final = 16
"""In a row that are looked for: to look one up costs 20 µs and more, and a head has room for
thousands.
"""
MAX_FORWARDED_BYTES: Final = 4096
"""Of a Forwarded field that is read, four times what so many proxies write; 32 KiB of it took 100
ms.
"""

_MAPPED_BITS: Final = 96
"""What all IPv4-mapped addresses begin with."""
_PAIR: Final = re.compile(
    rb"""([!#$%&'*+.^_`|~0-9A-Za-z-]+)=("(?:[^"\\]|\\.)*"|[^\s;,"]*)[ \t]*([;,]|$)"""
)
_MAPPED: Final = re.compile(rb"(?<![^\s,])::ffff:(?=[0-9.]+(?:[\s,]|$))", re.IGNORECASE)
"""What stands before an address of IPv4 in a chain, where a proxy has a socket for both families.
"""
_WITH_PORT: Final = re.compile(r"(?:\[(?P<six>[^\]]+)\]|(?P<four>[0-9.]+))(?::[0-9]{1,5})?")


class Original(NamedTuple):
    """What the client asked the first proxy for; empty if unknown."""

    client: bytes
    proto: bytes
    host: bytes


class TrustedProxies:
    """The networks whose X-Forwarded-* and Forwarded fields are trusted."""

    def __init__(self, networks: Sequence[str], client_header: str = "") -> None:
        """Read CIDRs, validated by the settings; `client_header` is the field in which proxies name
        the client.
        """
        self._client_header = client_header.lower().encode()
        self._networks: list[Network] = [_network(network) for network in networks]

    def has(self, address: str) -> bool:
        """Return whether an address is in one of the networks; anything that is no address is not."""
        if not self._networks:
            return False
        try:
            ip = ipaddress.ip_address(plain_address(address.strip().strip("[]")))
        except ValueError:
            return False

        return any(ip in network for network in self._networks)

    def original(self, peer: bytes, head: RequestHead) -> Original:
        """Return the request as the proxies behind `peer` saw it; only trusted if `peer` is a
        trusted proxy.
        """
        if not self.has(peer.decode()):
            return Original(peer, b"", b"")
        proto = head.forwarded_proto
        host = head.forwarded_host
        named = self._named_client(head) if self._client_header else b""

        if head.forwarded and not (head.forwarded_for or proto or host):
            found = self._forwarded(peer, head.forwarded)
            if named:
                return Original(named, found.proto, found.host)
            return found

        if not named and head.forwarded_for:
            named = self.client(peer.decode(), head.forwarded_for).encode()
        return Original(named or peer, proto, host)

    def _named_client(self, head: RequestHead) -> bytes:
        """Return the address in the field for it; empty where it is none, or where several may be
        meant.
        """
        values = [
            line.partition(b":")[2] for line in head.lines if name_of(line) == self._client_header
        ]
        if len(values) == 1:
            return _address(values[0].decode("latin-1").strip()).encode()
        return b""

    def _forwarded(self, peer: bytes, value: bytes) -> Original:
        """Read the elements from the right, as `client` reads entries: that of the client has its
        scheme and host.
        """
        found = Original(peer, b"", b"")
        for element in reversed(forwarded_elements(value)[-MAX_PROXIES - 1 :]):
            address = _address(element.get(b"for", b"").decode("latin-1"))
            found = Original(
                address.encode() or found.client,
                element.get(b"proto", b""),
                element.get(b"host", b""),
            )
            if not self.has(address):
                break

        return found

    def client(self, peer: str, forwarded_for: bytes) -> str:
        """Return the client behind `peer`, which must be trusted: the right-most entry that is not.

        Behind more than `MAX_PROXIES` it is the last of those.
        """
        # The rest is no address.
        for entry in reversed(forwarded_for.decode("latin-1").rsplit(",", MAX_PROXIES)):
            if not entry.strip():
                continue
            address = _address(entry.strip())
            if not address:
                return peer
            if not self.has(address):
                return address

            peer = address

        return peer


def _network(text: str) -> Network:
    """Read a CIDR; that of mapped addresses is one of IPv4, as addresses that are compared with it
    are.
    """
    network = ipaddress.ip_network(text, strict=False)
    if isinstance(network, ipaddress.IPv6Network):
        mapped = network.network_address.ipv4_mapped
    else:
        mapped = None
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return network

    return ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))


def plain_address(text: str) -> str:
    """Return an address as others write it.

    Of IPv4 where a socket for both families maps it (RFC 4291 §2.5.5.2), else of IPv6 in its short
    form (RFC 5952): Java's proxies say `2001:db8:0:0:0:0:0:1`. Without its zone (RFC 4007 §11),
    which means something on one machine only, and may be any text.

    Raises:
        ValueError: it is none of IPv6; whether one without a colon is of IPv4 is not looked at.
    """
    if ":" not in text:
        return text
    ip = ipaddress.IPv6Address(text)
    if ip.ipv4_mapped is None:
        return socket.inet_ntop(socket.AF_INET6, ip.packed)
    return str(ip.ipv4_mapped)


def peer_address(name: object) -> bytes:
    """Return the address in the name of a socket's other end; empty where there is none.

    A client of a Unix socket, whose name is a path, rarely one that says anything, is on this
    machine.
    """
    if isinstance(name, str | bytes):
        return b"127.0.0.1"
    if isinstance(name, tuple) and name:
        return plain_address(str(name[0])).encode()
    return b""


def _address(text: str) -> str:
    """Return the address in an entry, which may have a port or brackets; empty if there is none."""
    found = _WITH_PORT.fullmatch(text)
    try:
        address = plain_address((found["six"] or found["four"]) if found else text)
        ipaddress.ip_address(address)
    except ValueError:
        return ""

    return address


def forwarded_elements(value: bytes) -> list[dict[bytes, bytes]]:
    """Read a Forwarded field (RFC 7239 §4): lower-case parameter → value, for each hop.

    None if it is malformed, or longer than `MAX_FORWARDED_BYTES`.
    """
    if len(value) > MAX_FORWARDED_BYTES:
        return []
    elements: list[dict[bytes, bytes]] = [{}]
    place = 0
    while place < len(value):
        if value[place] in b" \t,;":
            if value[place] == ord(","):
                elements.append({})
            place += 1
            continue

        found = _PAIR.match(value, place)
        if found is None:
            return []

        text = found[2]
        if text.startswith(b'"'):
            text = re.sub(rb"\\(.)", rb"\1", text[1:-1], flags=re.DOTALL)
        elements[-1][found[1].lower()] = text
        place = found.end(2)

    return [element for element in elements if element]


def forwarded_lines(
    head: RequestHead, peer: bytes, scheme: bytes, host: bytes, original: Original
) -> bytes:
    """Return the X-Forwarded-* field lines for the upstream, each with its CRLF.

    An empty host is left out: services take an empty value for their own name, and refuse the
    request.
    """
    if head.forwarded_for:
        chain = head.forwarded_for + b", " + peer
    else:
        chain = peer
    if b":" in head.forwarded_for:
        chain = _MAPPED.sub(b"", chain)
    host = original.host or host
    host_line = b"X-Forwarded-Host: %b\r\n" % host if host else b""
    return b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\n%b" % (
        chain,
        original.proto or scheme,
        host_line,
    )
