"""Base of all sections, and the declaration of a setting."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from proxy.settings.forms import Form

REDACTED: Final = "[REDACTED]"

Hide = Callable[[str], str]
"""Returns what is shown of a secret."""
Problem = tuple[str, str]
"""A dotted setting, and what is wrong with it."""


def hidden(text: str) -> str:
    """Hide a text as a whole, unless it is empty."""
    return text and REDACTED


def hidden_path(url: str) -> str:
    """Hide the path of an address: the path of a webhook is often its secret."""
    address = urlsplit(url)
    return f"{address.scheme}://{address.netloc}/{REDACTED}"


class Traits(NamedTuple):
    """The declaration of a setting, besides its type, bounds and help."""

    form: Form | None = None
    """The form of its value, or of each value of its list."""
    hide: Hide | None = None
    """Hides a secret where settings are shown; no message repeats its value."""
    reads_environment: bool = False
    """Whether the text `env:NAME` stands for a variable of the environment."""


def about(
    description: str,
    *,
    form: Form | None = None,
    hide: Hide | None = None,
    reads_environment: bool = False,
    **bounds: Any,
) -> Meta:
    """Return the help of a setting, its traits, and the bounds of its value."""
    traits = Traits(form, hide, reads_environment)
    return Meta(description=description, extra={"traits": traits}, **bounds)


def traits_of(kind: Any) -> Traits:
    """Return the traits of a setting by its declared type."""
    metas = getattr(kind, "__metadata__", ())
    return next((meta.extra["traits"] for meta in metas if meta.extra), Traits())


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of settings."""
