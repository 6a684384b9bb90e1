"""Which addresses outgoing calls may reach.

A name is judged by the address that it leads to, just before a connection is opened. The resolver
reads the decimal and hex forms of an address, so they are judged alike. Two kinds are refused: the
ports of this sidelog, since calls would go in a circle or show its log to any program, and
link-local addresses, where clouds give out the credentials of a machine. Link-local addresses that
the settings list are allowed.
"""

import socket
from collections.abc import Iterable
from contextlib import closing
from ipaddress import IPv4Address, IPv6Address

from proxy.egress.hosts import HostList
from proxy.http1.errors import Denied
from proxy.network.dial import Address, is_metadata
from proxy.settings.addresses import ip_of, is_loopback


class Reach:
    """Judges addresses."""

    def __init__(self, own: Iterable[tuple[str, int]], listed: HostList) -> None:
        """Refuse our `own` listeners, given as host and port; `listed` names allowed addresses."""
        self._own = frozenset(own)
        self._ports = frozenset(port for _, port in self._own)
        self._listed = listed

    def judge(self, address: Address) -> None:
        """Do nothing about an address that may be reached.

        Raises:
            Denied: it may not.
        """
        ip, port = _place_of(address)
        if self._is_own(ip, port):
            raise Denied(f"{ip} port {port} is a port of this sidelog")
        if is_metadata(ip) and not self._listed.names(str(ip)):
            raise Denied(
                f"{ip} is a link-local or metadata address: list it in [egress] hosts or tunnel to "
                "allow it"
            )

    def judge_proxy(self, address: Address) -> None:
        """Refuse the address of a proxy on the way if it is ours, since a call would come back
        without end. The settings name the proxy, so any other address is allowed.

        Raises:
            Denied: it is ours.
        """
        ip, port = _place_of(address)
        if self._is_own(ip, port):
            raise Denied(f"the proxy on the way (via) is this sidelog: {ip} port {port}")

    def _is_own(self, ip: IPv4Address | IPv6Address, port: int) -> bool:
        return port in self._ports and any(
            port == own_port and _is_at(ip, host) for host, own_port in self._own
        )


def _place_of(address: Address) -> tuple[IPv4Address | IPv6Address, int]:
    """Return the IP address and the port that a name was resolved to."""
    text, port = address[1][:2]
    ip = ip_of(str(text).partition("%")[0])
    assert ip is not None, f"{text!r} was resolved"
    return ip, port


def _is_at(ip: IPv4Address | IPv6Address, host: str) -> bool:
    """Return whether a listener on `host` takes connections to an address."""
    own = ip_of(host)
    if ip.is_unspecified or (own is None and is_loopback(host)):
        return ip.is_unspecified or ip.is_loopback
    # What another name leads to is not known here: any address of this machine may be meant.
    is_any = own is None or own.is_unspecified
    return ip == own or (is_any and _is_of_this_machine(ip))


def _is_of_this_machine(ip: IPv4Address | IPv6Address) -> bool:
    """Return whether an address is ours: then a socket can be bound to it."""
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    with closing(socket.socket(family, socket.SOCK_DGRAM)) as probe:
        try:
            probe.bind((str(ip), 0))
        except OSError:
            return False
    return True
