"""The address by which a browser reaches the admin port: as a trusted proxy in front states it,
else our own. Pure.

Pages need none of it: their links are relative, and work below any path of a proxy.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_BASE_PATH: Final = re.compile(r"(?=.{1,256}\Z)(?:/(?!\.)[A-Za-z0-9._~-]+)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """What is in front of the admin port."""

    base_path: str = ""
    """The path that a browser asks for before ours, `/sidelog`; empty: none, or none that was
    named.
    """
    is_secure: bool = False
    """Whether the browser speaks TLS."""
    authority: str = ""
    """What the request that we got was sent to."""
    host: str = ""
    """The authority that the browser asked for."""
    client: str = ""
    """Address of the client, as the proxy in front names it."""
    is_unheard: bool = False
    """Whether the sender named a base path, and is no trusted proxy."""

    def inner(self, target: str) -> str | None:
        """Take the base path off a target; empty where no path is left, None for a target outside
        the base path.
        """
        if not self.base_path or not target.startswith(self.base_path):
            return None
        path, mark, query = target.removeprefix(self.base_path).partition("?")
        if path and (path[0] != "/" or path[1:2] == "/"):  # another name, or the authority of a URL
            return None
        return path and path + mark + query


def front_of(
    headers: Mapping[str, str],
    authority: str,
    *,
    is_trusted: bool,
    is_secure: bool,
    base_path: str,
    sender: str = "",
) -> Front:
    """Read the forwarding fields of a request where its sender `is_trusted`; the rest is our own
    view and settings.
    """
    proto, host, prefix = (
        headers.get(f"X-Forwarded-{name}", "").partition(",")[0].strip() if is_trusted else ""
        for name in ("Proto", "Host", "Prefix")
    )
    # Only the last address was added by the sender.
    client = headers.get("X-Forwarded-For", "").rpartition(",")[2].strip() if is_trusted else ""
    prefix = prefix.rstrip("/")
    return Front(
        base_path=prefix if _BASE_PATH.fullmatch(prefix) else base_path,
        is_secure=proto.lower() == "https" if proto else is_secure,
        authority=authority,
        host=host or authority,
        client=client or sender,
        is_unheard=not is_trusted and "X-Forwarded-Prefix" in headers,
    )
