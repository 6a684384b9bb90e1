"""The address by which a browser reaches the admin port: stated by a trusted proxy, else our own.

Pages do not need it: their links are relative, and work below any path of a proxy.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_BASE_PATH: Final = re.compile(r"(?=.{1,256}\Z)(?:/(?!\.)[A-Za-z0-9._~-]+)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """Base path, scheme and authority as seen by the browser."""

    base_path: str = ""
    """Path that a browser requests before ours, such as `/sidelog`; empty if there is none."""
    is_secure: bool = False
    """True if the browser speaks TLS."""
    authority: str = ""
    """Authority to which the received request was sent."""
    host: str = ""
    """Authority that the browser requested."""
    client: str = ""
    """Address of the client, as the proxy in front names it."""
    has_ignored_prefix: bool = False
    """True if an untrusted sender named a base path, which is ignored."""

    def inner(self, target: str) -> str | None:
        """Return a target without the base path.

        It is empty if no path is left, and None if the target is outside the base path.
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
    """Read the forwarding fields of a trusted sender; else use our own view and settings."""
    proto, host, prefix = (
        headers.get(f"X-Forwarded-{name}", "").partition(",")[0].strip() if is_trusted else ""
        for name in ("Proto", "Host", "Prefix")
    )
    # Only the last address was added by the sender.
    if is_trusted:
        client = headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    else:
        client = ""
    prefix = prefix.rstrip("/")
    return Front(
        base_path=prefix if _BASE_PATH.fullmatch(prefix) else base_path,
        is_secure=proto.lower() == "https" if proto else is_secure,
        authority=authority,
        host=host or authority,
        client=client or sender,
        has_ignored_prefix=not is_trusted and "X-Forwarded-Prefix" in headers,
    )
