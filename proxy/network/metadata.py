"""Metadata addresses, at which clouds give a machine's credentials to any process that asks.

Requests to addresses that others choose are kept away from them.
"""

from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Final

_METADATA: Final = tuple(
    map(
        ip_network,
        ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "100.100.100.200/32", "168.63.129.16/32"),
    )
)
"""Link-local addresses, and the metadata addresses of AWS, Alibaba and Azure."""
_TRANSLATED: Final = tuple(
    map(ip_network, ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48"))
)
"""IPv6 addresses that embed an IPv4 address: compatible and mapped (RFC 4291), translated (RFC
2765, 6052, 8215).
"""


def is_metadata(ip: IPv4Address | IPv6Address) -> bool:
    """Return whether an address, in whatever form, is link-local or belongs to a metadata service."""
    if isinstance(ip, IPv6Address):
        is_translated = any(ip in network for network in _TRANSLATED)
        if is_translated:
            ip = IPv4Address(int(ip) & 0xFFFFFFFF)
        else:
            ip = ip.sixtofour or ip
    return any(ip in network for network in _METADATA)
