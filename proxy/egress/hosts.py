"""Which hosts are read, and which are tunnelled unread. Pure.

A host is decided by its name in CONNECT alone, and once. Names are compared without case and
without a dot at their end; an address is a name like any other here.
"""

import ipaddress
import re
from collections.abc import Collection
from typing import Final

_PATTERN: Final = re.compile(
    r"\*|(?:\*\.)?[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?|[0-9A-Fa-f:.]+"
)


def is_pattern(text: str) -> bool:
    """Return True if a text may be an entry of `[egress] hosts`."""
    return _PATTERN.fullmatch(text) is not None


def plain_host(host: str) -> str:
    """Return a host as it is compared: in lower case, without brackets and the dot at its end, and
    an address in its canonical form.
    """
    plain = host.strip("[]").lower().removesuffix(".")
    try:
        return str(ipaddress.ip_address(plain))
    except ValueError:
        return plain


class HostList:
    """Patterns of hosts: whole names, `*.example.com` for all names below one, `*` for all."""

    def __init__(self, patterns: Collection[str]) -> None:
        """Take patterns as `is_pattern` accepts them."""
        plain = [plain_host(pattern) for pattern in patterns]
        self._has_all = "*" in plain
        self._names = frozenset(plain)
        self._ends = tuple(pattern[1:] for pattern in plain if pattern.startswith("*."))

    def has(self, host: str) -> bool:
        """Return True if a pattern matches a host, given in the form of `plain_host`."""
        return self._has_all or host in self._names or host.endswith(self._ends)

    def names(self, host: str) -> bool:
        """Return True if a host is listed by its own name or address, not only by a wildcard."""
        return host in self._names
