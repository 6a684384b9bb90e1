"""Base of all sections, and the declaration of a setting."""

from typing import Any, Literal

import msgspec
from msgspec import Meta

CaptureLevel = Literal["none", "meta", "usage", "headers", "body"]

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def about(description: str, **bounds: Any) -> Meta:
    """Return the help of a setting, and the bounds of its value."""
    return Meta(description=description, **bounds)


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of settings."""
