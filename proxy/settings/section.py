"""Base of all sections, and the declaration of a setting."""

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

REDACTED: Final = "[REDACTED]"

Hide = Callable[[str], str]
"""Returns what is shown of a secret."""


def hidden(text: str) -> str:
    """Hide a text as a whole, unless it is empty."""
    return text and REDACTED


def hidden_path(url: str) -> str:
    """Hide the path of an address: that of a webhook is often its secret."""
    address = urlsplit(url)
    return f"{address.scheme}://{address.netloc}/{REDACTED}"


def about(
    description: str, *, hide: Hide | None = None, reads_environment: bool = False, **bounds: Any
) -> Meta:
    """Return the help of a setting, and the bounds of its value.

    Args:
        description: The help.
        hide: Hides a secret where settings are shown; no message repeats its value.
        reads_environment: Whether the text `env:NAME` stands for a variable of the environment.
        bounds: Bounds as `msgspec.Meta` has them.
    """
    extra = {"hide": hide, "reads_environment": reads_environment}
    return Meta(description=description, extra=extra, **bounds)


def how_hidden(kind: Any) -> Hide | None:
    """Return the function that hides a setting of a declared type; None if it is not a secret."""
    hide: Hide | None = _declared(kind, "hide")
    return hide


def reads_environment(kind: Any) -> bool:
    """Return whether a setting of a declared type may name a variable of the environment."""
    return bool(_declared(kind, "reads_environment"))


def _declared(kind: Any, name: str) -> Any:
    metas = getattr(kind, "__metadata__", ())
    return next((meta.extra[name] for meta in metas if meta.extra), None)


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of settings."""
