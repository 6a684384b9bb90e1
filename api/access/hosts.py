"""Which Host names the admin port answers to: the guard against DNS rebinding.

Pure. A page of a hostile site may point its own name at this address, and its scripts then count as
same-origin; but its requests carry that name. Loopback names, IP literals, the listen address and
the configured names are ours, any other is answered 421 (RFC 9110 §15.5.20).
"""

import ipaddress
import re
import ssl
from collections.abc import Collection, Sequence
from typing import Final

_AUTHORITY: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]*)?", re.ASCII)
_ABSOLUTE: Final = re.compile(r"[a-z][a-z0-9+.-]*://([^/?#]*)", re.ASCII | re.IGNORECASE)
OPEN_PATHS: Final = frozenset(("/healthz", "/readyz", "/metrics"))
"""Asked by probes and scrapers under whatever name they know; nothing there is worth a rebinding.
"""


def authority_of(target: str, host_fields: Sequence[str]) -> str:
    """Return the authority that a request is sent to: that of an absolute target, else of its Host
    field (RFC 9112 §3.2.2); empty where there is not exactly one.
    """
    absolute = _ABSOLUTE.match(target)
    if absolute is not None:
        return absolute[1]
    return host_fields[0] if len(host_fields) == 1 else ""


def host_name(authority: str) -> str:
    """Cut the port off an authority; lower case, no final dot, IPv6 without brackets;
    empty when odd.
    """
    text = authority.strip().lower()
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        return ""
    return (match[1] or match[2]).rstrip(".")


def remember_server_name(context: ssl.SSLContext | None) -> None:
    """Let the connections of a TLS port know under which name the client asked for them (SNI, RFC
    6066 §3).
    """
    if context is not None:
        context.sni_callback = _keep_name


def _keep_name(
    connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext
) -> None:
    connection.sidelog_server_name = name  # type: ignore[union-attr]  # a note for `server_name_of`


def server_name_of(connection: object) -> str | None:
    """Give the name a TLS client asked for; None without TLS, or when it named none."""
    name = getattr(connection, "sidelog_server_name", None)
    if isinstance(name, str):
        return name.lower().rstrip(".")
    return None


def is_allowed_host(authority: str, listen_host: str, allowed_hosts: Collection[str]) -> bool:
    """Whether an authority names us; an empty one does not."""
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
