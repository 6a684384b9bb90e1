"""Which Host names the admin port answers to: the guard against DNS rebinding.

Pure. A page of a hostile site may point its own name at this address, and its scripts then count as same-origin; but
its requests carry that name. Loopback names, IP literals, the listen address and the configured names are ours, any
other is answered 421 (RFC 9110 §15.5.20).
"""

import ipaddress
from collections.abc import Collection

OPEN_PATHS = frozenset(("/healthz", "/readyz", "/metrics"))
"""Asked by probes and scrapers under whatever name they know; nothing there is worth a rebinding."""


def host_name(authority: str) -> str:
    """Cut the port off a Host header's value; lower case, without a final dot, IPv6 without brackets."""
    text = authority.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    name, _, port = text.rpartition(":")
    return (name if name and port.isdigit() else text).rstrip(".")


def is_allowed_host(authority: str, listen_host: str, allowed_hosts: Collection[str]) -> bool:
    """Tell whether a Host header names us; an empty one does not."""
    name = host_name(authority)
    if not name:
        return False
    if name == "localhost" or name.endswith(".localhost") or name == listen_host.lower():
        return True
    if name in {allowed.lower().rstrip(".") for allowed in allowed_hosts}:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
