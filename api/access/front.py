"""Where a browser sees the admin port: as a trusted proxy in front of it says, else as we do. Pure.

The pages need none of it: their addresses are relative, and so hold under whatever path a proxy puts them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_BASE_PATH: Final = re.compile(r"(?:/(?!\.)[A-Za-z0-9._~-]+){1,16}")
MAX_BASE_PATH_CHARACTERS: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """What is in front of the admin port."""

    base_path: str = ""
    """The path that a browser asks for before ours, `/sidelog`; empty: none, or none that was named."""
    is_secure: bool = False
    """Whether the browser speaks TLS."""
    host: str = ""
    """The authority that it asked for."""

    def own_path(self, target: str) -> str | None:
        """Take the base path off a request's target; None where it does not begin with it, or asks for nothing else."""
        rest = target.removeprefix(self.base_path)
        return rest if self.base_path and rest != target and rest[:1] == "/" != rest[1:2] else None

    def asks_bare(self, target: str) -> bool:
        """Whether a target is the base path without its last slash: relative addresses would miss it."""
        return bool(self.base_path) and target.partition("?")[0] == self.base_path


def front_of(headers: Mapping[str, str], *, is_trusted: bool, is_secure: bool, base_path: str) -> Front:
    """Read what a request says of its front, if that is trusted.

    Args:
        headers: of the request.
        is_trusted: whether its peer is a trusted proxy.
        is_secure: whether our own port speaks TLS.
        base_path: of the settings; a valid X-Forwarded-Prefix of a trusted proxy takes its place.
    """
    if not is_trusted:
        return Front(base_path=base_path, is_secure=is_secure, host=headers.get("Host", ""))
    proto, host, prefix = (
        headers.get(f"X-Forwarded-{name}", "").partition(",")[0].strip() for name in ("Proto", "Host", "Prefix")
    )
    prefix = prefix.rstrip("/")
    is_path = len(prefix) <= MAX_BASE_PATH_CHARACTERS and _BASE_PATH.fullmatch(prefix) is not None
    return Front(
        base_path=prefix if is_path else base_path,
        is_secure=proto.lower() == "https" if proto else is_secure,
        host=host or headers.get("Host", ""),
    )
