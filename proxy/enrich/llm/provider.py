"""The table of one provider: how its calls are recognised and read."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy.enrich.facts import CallUsage
from proxy.enrich.formats.json_parts import amount_of, part_of


def openrouter_cost(counts: dict[str, Any]) -> float | None:
    """Return the amount that OpenRouter charged, in dollars.

    With a caller's own key, the amount that the provider will charge is added.
    """
    amount = amount_of(counts.get("cost"))
    if amount is None or counts.get("is_byok") is not True:
        return amount

    details = part_of(counts, "cost_details")
    return amount + (amount_of(details.get("upstream_inference_cost")) or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """The rules by which calls of one provider, and of compatible APIs, are recognised and read."""

    name: str
    """Provider of the record, unless the upstream's host belongs to another known provider."""
    wanted: re.Pattern[bytes]
    """Matches every frame that `read` needs to see. Compiled by google-re2."""
    read: Callable[[CallUsage, bytes], None]
    """Reads one frame, or one whole response."""
    content: re.Pattern[bytes]
    """Matches the first frame that carries output."""
    members: frozenset[bytes]
    """Members to extract from a response or a frame that is incomplete."""
    reason: bytes
    """Member with the finish reason."""
    choices: bytes = b""
    """Array of the response with the reason in its elements. Empty: the reason is at the top level.
    """
    read_head: Callable[[CallUsage, bytes], None] | None = None
    """Reads the head of a response for values that the body lacks."""
    wrapper: bytes = b""
    """Member of a frame that may hold the response."""
    is_array: bool = False
    """True if a stream may be one array of documents."""
    ends: tuple[str, ...] = ()
    """Suffixes of the paths of calls. Nearly all paths of other services end differently."""
    paths: str = ""
    """Pattern of the ends of these paths."""
    own_paths: str = ""
    """Pattern of paths that belong to no other service. Such a call counts even if its request is
    unreadable or its response has another shape.
    """
    request_members: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)
    """Members by the last segment of the path. A request must have one of them."""
    response_members: tuple[bytes, ...] = ()
    """Members that identify a response: each has one near its beginning or its end."""
    response_members_at: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)
    """Overrides of `response_members` by the last segment of the path."""
    error_members: tuple[bytes, ...] = (b'"error"',)
    """Members that every error has."""
    model_of: Callable[[str], str | None] | None = None
    """Returns the model named by a path."""
    is_model_in_path: bool = False
    """True if the request never names the model."""
    region_of: Callable[[str], str | None] | None = None
    """Returns the region named by a path, if that region has its own price."""
