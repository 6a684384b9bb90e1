"""Where a browser sees the admin port: as a trusted proxy in front of it says, else as we do. Pure.

The pages need none of it: their addresses are relative, and so hold under whatever path a proxy puts them.
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
    """The path that a browser asks for before ours, `/sidelog`; empty: none, or none that was named."""
    is_secure: bool = False
    """Whether the browser speaks TLS."""
    host: str = ""
    """The authority that it asked for."""

    def inner(self, target: str) -> str | None:
        """Take the base path off a target; empty where nothing is left, None where it does not begin with it."""
        path, mark, query = target.partition("?")
        rest = path.removeprefix(self.base_path)
        is_below = self.base_path and rest != path and (not rest or rest[0] == "/" != rest[1:2])
        return rest and rest + mark + query if is_below else None


def front_of(headers: Mapping[str, str], *, is_trusted: bool, is_secure: bool, base_path: str) -> Front:
    """Read what a request says about the proxy in front if that `is_trusted`; else use our view and the settings."""
    proto, host, prefix = (
        headers.get(f"X-Forwarded-{name}", "").partition(",")[0].strip() if is_trusted else ""
        for name in ("Proto", "Host", "Prefix")
    )
    prefix = prefix.rstrip("/")
    return Front(
        base_path=prefix if _BASE_PATH.fullmatch(prefix) else base_path,
        is_secure=proto.lower() == "https" if proto else is_secure,
        host=host or headers.get("Host", ""),
    )
