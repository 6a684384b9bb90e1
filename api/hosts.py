"""Which Host names the admin port answers to: the guard against DNS rebinding.

Pure. A page of a hostile site may point its own name at this address, and its scripts then count as same-origin; but
its requests carry that name. Loopback names, IP literals, the listen address and the configured names are ours, any
other is answered 421 (RFC 9110 §15.5.20).
"""

import ipaddress
import re
from collections.abc import Collection
from typing import Final

_AUTHORITY: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]*)?", re.ASCII)
OPEN_PATHS: Final = frozenset(("/healthz", "/readyz", "/metrics"))
"""Asked by probes and scrapers under whatever name they know; nothing there is worth a rebinding."""


def host_name(authority: str) -> str:
    """Cut the port off a Host header's value; lower case, no final dot, IPv6 without brackets; empty when odd."""
    text = authority.strip().lower()
    match = _AUTHORITY.fullmatch(text)
    return "" if match is None else (match[1] or match[2]).rstrip(".")


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
