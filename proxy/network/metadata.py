"""Addresses at which a machine learns of itself: clouds give its credentials to whatever asks there.

What asks for others, by names that others choose, is kept from them. Pure.
"""

from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Final

_METADATA: Final = tuple(
    map(
        ip_network,
        ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "100.100.100.200/32", "168.63.129.16/32"),
    )
)
"""Link-local addresses, and those of AWS, Alibaba and Azure beside them."""
_TRANSLATED: Final = tuple(
    map(ip_network, ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48"))
)
"""IPv6 addresses that end in one of IPv4: compatible and mapped (RFC 4291), translated (RFC 2765,
6052, 8215).
"""


def is_metadata(ip: IPv4Address | IPv6Address) -> bool:
    """Return whether an address is link-local or of a metadata service, in whatever form."""
    if isinstance(ip, IPv6Address):
        is_translated = any(ip in network for network in _TRANSLATED)
        if is_translated:
            ip = IPv4Address(int(ip) & 0xFFFFFFFF)
        else:
            ip = ip.sixtofour or ip
    return any(ip in network for network in _METADATA)
