"""Host names that the admin port accepts: the guard against DNS rebinding.

A page of a hostile site may point its own name at this address, and its scripts then count as
same-origin; but its requests carry that name. Loopback names, IP literals, the listen address and
the configured names are accepted, any other gets 421 (RFC 9110 §15.5.20).
"""

import ipaddress
import re
import ssl
from collections.abc import Collection, Sequence
from typing import Final

_AUTHORITY: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]*)?", re.ASCII)
_ABSOLUTE: Final = re.compile(r"[a-z][a-z0-9+.-]*://([^/?#]*)", re.ASCII | re.IGNORECASE)
OPEN_PATHS: Final = frozenset(("/healthz", "/readyz", "/metrics"))
"""Paths of probes and scrapers, accepted under any name. They reveal nothing worth a rebinding."""


def authority_of(target: str, host_fields: Sequence[str]) -> str:
    """Return the authority of a request: from an absolute target, else from its Host field.

    Empty unless there is exactly one (RFC 9112 §3.2.2).
    """
    absolute = _ABSOLUTE.match(target)
    if absolute is not None:
        return absolute[1]
    if len(host_fields) == 1:
        return host_fields[0]
    return ""


def host_name(authority: str) -> str:
    """Return the host of an authority: lower case, no final dot, IPv6 without brackets.

    Empty if the authority is malformed.
    """
    text = authority.strip().lower()
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        return ""
    return (match[1] or match[2]).rstrip(".")


def remember_server_name(context: ssl.SSLContext | None) -> None:
    """Make the connections of a TLS port remember the requested server name (SNI, RFC 6066 §3)."""
    if context is not None:
        context.sni_callback = _keep_name


def _keep_name(
    connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext
) -> None:
    connection.sidelog_server_name = name  # type: ignore[union-attr]  # a note for `server_name_of`


def server_name_of(connection: object) -> str | None:
    """Return the server name requested by a TLS client; None without TLS, or without a name."""
    name = getattr(connection, "sidelog_server_name", None)
    if isinstance(name, str):
        return name.lower().rstrip(".")
    return None


def is_allowed_host(authority: str, listen_host: str, allowed_hosts: Collection[str]) -> bool:
    """Return True if an authority names this server; False if it is empty."""
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
