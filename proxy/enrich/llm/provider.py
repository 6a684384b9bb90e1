"""The table of one provider of language models: how its calls are recognised and read."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy.enrich.facts import CallUsage
from proxy.enrich.formats.json_parts import amount_of, part_of


def openrouter_cost(counts: dict[str, Any]) -> float | None:
    """Return the amount that OpenRouter charged; with a caller's own key, add what the provider
    will charge.
    """
    amount = amount_of(counts.get("cost"))
    if amount is None or counts.get("is_byok") is not True:
        return amount

    details = part_of(counts, "cost_details")
    return amount + (amount_of(details.get("upstream_inference_cost")) or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """How calls of one provider, and of all compatible ones, are recognised and read."""

    name: str
    """Provider of the record, unless the upstream's host is known to be another's."""
    wanted: re.Pattern[bytes]
    """Matches every frame in which `read` finds anything; compiled by google-re2."""
    read: Callable[[CallUsage, bytes], None]
    """Reads one frame, or one whole response."""
    content: re.Pattern[bytes]
    """Matches the first frame that carries output."""
    members: frozenset[bytes]
    """Members to extract from a response, or a frame, of which a part is missing."""
    reason: bytes
    """Member with the reason why the output ended."""
    choices: bytes = b""
    """Array of the response whose elements have the reason; empty: the response has it itself."""
    read_head: Callable[[CallUsage, bytes], None] | None = None
    """Reads the head of a response, where it may have what the body lacks."""
    wrapper: bytes = b""
    """Member of a frame that may hold the response."""
    is_array: bool = False
    """Whether a stream may be one array of documents."""
    ends: tuple[str, ...] = ()
    """Ends of the paths of calls: nearly all paths of other services end in something else."""
    paths: str = ""
    """Pattern of the ends of these paths."""
    own_paths: str = ""
    """Pattern of the paths that no other service has. Such a call needs neither a readable request
    nor a response of the right shape.
    """
    request_members: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)
    """Members by the last segment of the path; a request must have one of them."""
    response_members: tuple[bytes, ...] = ()
    """Members of which every response has one near its beginning or its end."""
    response_members_at: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)
    """The same by the last segment of a path whose responses differ."""
    error_members: tuple[bytes, ...] = (b'"error"',)
    """Members that every error has."""
    model_of: Callable[[str], str | None] | None = None
    """Reads the model from a path."""
    is_model_in_path: bool = False
    """Whether the request never names the model."""
    region_of: Callable[[str], str | None] | None = None
    """Reads from a path the region that serves the call, if that has a price of its own."""
