"""Who the client is, and what the upstream is told about it (P18). Pure.

X-Forwarded-For is appended to. Its earlier entries are believed only when the connection comes from a trusted proxy;
the right-most entry that is not itself a trusted proxy is then the client.
"""

import ipaddress
from collections.abc import Sequence

from proxy.http1.request_head import RequestHead

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class TrustedProxies:
    """The networks whose X-Forwarded-* fields are believed."""

    def __init__(self, networks: Sequence[str]) -> None:
        """Read CIDRs, validated by the settings."""
        self._networks: list[Network] = [ipaddress.ip_network(network, strict=False) for network in networks]

    def has(self, address: str) -> bool:
        """Return whether an address is in one of the networks; anything that is no address is not."""
        if not self._networks:
            return False
        try:
            ip = ipaddress.ip_address(address.strip().strip("[]"))
        except ValueError:
            return False
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        return any(ip in network for network in self._networks)

    def client(self, peer: str, forwarded_for: bytes) -> str:
        """Return the client behind `peer`, which must be trusted: the right-most entry that is not."""
        for entry in reversed(forwarded_for.decode("latin-1").split(",")):
            address = entry.strip()
            if not address:
                continue
            try:
                ipaddress.ip_address(address.strip("[]"))
            except ValueError:
                return peer
            if not self.has(address):
                return address.strip("[]")
            peer = address
        return peer


def forwarded_lines(head: RequestHead, peer: bytes, scheme: bytes, host: bytes, *, is_trusted: bool) -> bytes:
    """Return the X-Forwarded-* field lines for the upstream, each with its CRLF."""
    chain = head.forwarded_for + b", " + peer if head.forwarded_for else peer
    proto = head.forwarded_proto if is_trusted and head.forwarded_proto else scheme
    original = head.forwarded_host if is_trusted and head.forwarded_host else host
    return b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\n" % (chain, proto, original)
