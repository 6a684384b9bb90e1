"""Find the client behind trusted proxies, and write the X-Forwarded-* fields (RULES.md P18).

Fields are believed only if the connection comes from a trusted proxy. The client is then, in this
order: the address in the proxies' own field for it, if the settings name one; the right-most entry
of X-Forwarded-For that is not a trusted proxy; the peer. Forwarded (RFC 7239) is used if a proxy
sends none of the older fields. The upstream gets X-Forwarded-For with the peer appended.
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
"""Longest chain of proxies that is followed. Each costs at least 20 µs to look up, and a head has
room for thousands.
"""
MAX_FORWARDED_BYTES: Final = 4096
"""Longest Forwarded field that is read: four times the size that so many proxies write. 32 KiB took
100 ms.
"""

_MAPPED_BITS: Final = 96
"""The length of the prefix of all IPv4-mapped addresses."""
_PAIR: Final = re.compile(
    rb"""([!#$%&'*+.^_`|~0-9A-Za-z-]+)=("(?:[^"\\]|\\.)*"|[^\s;,"]*)[ \t]*([;,]|$)"""
)
_MAPPED: Final = re.compile(rb"(?<![^\s,])::ffff:(?=[0-9.]+(?:[\s,]|$))", re.IGNORECASE)
"""The prefix of an IPv4 address in a chain, as a socket for both families shows it."""
_WITH_PORT: Final = re.compile(r"(?:\[(?P<six>[^\]]+)\]|(?P<four>[0-9.]+))(?::[0-9]{1,5})?")


class Original(NamedTuple):
    """The client's address, and the scheme and host that it asked the first proxy for; empty if
    unknown.
    """

    client: bytes
    proto: bytes
    host: bytes


class TrustedProxies:
    """The networks of proxies whose X-Forwarded-* and Forwarded fields are trusted."""

    def __init__(self, networks: Sequence[str], client_header: str = "") -> None:
        """Read CIDRs, validated by the settings; `client_header` is the proxies' own field for the
        client, if any.
        """
        self._client_header = client_header.lower().encode()
        self._networks: list[Network] = [_network(network) for network in networks]

    def has(self, address: str) -> bool:
        """Return True if a text is an IP address in one of the networks."""
        if not self._networks:
            return False
        try:
            ip = ipaddress.ip_address(plain_address(address.strip().strip("[]")))
        except ValueError:
            return False

        return any(ip in network for network in self._networks)

    def original(self, peer: bytes, head: RequestHead) -> Original:
        """Return the origin of a request; fields count only if `peer` is a trusted proxy."""
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
        """Return the address in `client_header`; empty if malformed or the field is repeated."""
        values = [
            line.partition(b":")[2] for line in head.lines if name_of(line) == self._client_header
        ]
        if len(values) == 1:
            return _address(values[0].decode("latin-1").strip()).encode()
        return b""

    def _forwarded(self, peer: bytes, value: bytes) -> Original:
        """Return the origin in the right-most element of Forwarded that is not a trusted proxy's."""
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
        """Return the right-most entry that is not a trusted proxy; without one the left-most proxy.

        Of more than `MAX_PROXIES` entries, only the last ones are followed.
        """
        # The first part holds the rest of a longer chain. With its commas it is not an address.
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
    """Return a CIDR as a network. IPv4-mapped addresses become IPv4, as in `plain_address`."""
    network = ipaddress.ip_network(text, strict=False)
    if isinstance(network, ipaddress.IPv6Network):
        mapped = network.network_address.ipv4_mapped
    else:
        mapped = None
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return network

    return ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))


def plain_address(text: str) -> str:
    """Return an address in its canonical form.

    An IPv4-mapped address becomes IPv4 (RFC 4291 §2.5.5.2), any other IPv6 address is shortened
    (RFC 5952), since Java's proxies write `2001:db8:0:0:0:0:0:1`. The zone (RFC 4007 §11) is
    dropped: it has a meaning on one machine only, and may be any text.

    Raises:
        ValueError: a text with a colon is not an IPv6 address. A text without a colon is not
            checked.
    """
    if ":" not in text:
        return text
    ip = ipaddress.IPv6Address(text)
    if ip.ipv4_mapped is None:
        return socket.inet_ntop(socket.AF_INET6, ip.packed)
    return str(ip.ipv4_mapped)


def peer_address(name: object) -> bytes:
    """Return the address in a socket's peer name; empty without one.

    The peer name of a Unix socket is a path: its client is on this machine.
    """
    if isinstance(name, str | bytes):
        return b"127.0.0.1"
    if isinstance(name, tuple) and name:
        return plain_address(str(name[0])).encode()
    return b""


def _address(text: str) -> str:
    """Return the address in an entry, without port and brackets; empty if there is none."""
    found = _WITH_PORT.fullmatch(text)
    if found:
        text = found["six"] or found["four"]
    try:
        address = plain_address(text)
        ipaddress.ip_address(address)
    except ValueError:
        return ""

    return address


def forwarded_elements(value: bytes) -> list[dict[bytes, bytes]]:
    """Return the elements of a Forwarded field (RFC 7239 §4), each a dict by lower-case parameter.

    The list is empty if the field is malformed, or longer than `MAX_FORWARDED_BYTES`.
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
    """Return the X-Forwarded-* lines for the upstream, each with its CRLF.

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
