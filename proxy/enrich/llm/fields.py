"""Declarative readers: a table of response members, for APIs without special cases.

Dots name nested members: `usage.input_tokens`. In an array, the first element with the member
counts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from proxy.enrich.facts import CallUsage
from proxy.enrich.formats.json_parts import (
    first_count,
    members_of,
    text_of,
    value_at,
    values_at,
)

Members = dict[str, msgspec.Raw]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """Members of a response or a frame. Of several names, the first with a value counts."""

    model: str = "model"
    reason: tuple[str, ...]
    """Reason for the end of the output."""
    end: tuple[str, object] = ("", True)
    """Member and value that mark the last frame. An empty name means there is no such member."""
    input: tuple[str, ...] = ()
    output: tuple[str, ...] = ()
    cache_read: tuple[str, ...] = ()
    cache_write: tuple[str, ...] = ()
    reasoning: tuple[str, ...] = ()
    is_end_final: bool = False
    """True if counts are exact once the last frame was seen, even if the client left."""
    is_cache_apart: bool = False
    """True if the input count excludes cache reads and writes. Ours includes them."""
    is_reasoning_apart: bool = False
    """True if the output count excludes reasoning tokens. Ours includes them."""
    error: str = "error"
    """Member with a value other than null after a failure. Empty: there is no such member."""
    error_types: tuple[str, ...] = ()
    """Names of the error, the most specific first."""
    tools: str = ""
    """Names of the tools that the model called."""


def reader_of(fields: Fields) -> Callable[[CallUsage, bytes], None]:
    """Return a function that reads one frame, or one whole response."""
    tools = tuple(fields.tools.split("."))

    def read(usage: CallUsage, data: bytes) -> None:
        document = members_of(data)
        usage.set_texts(
            resolved_model=_value(document, fields.model),
            finish_reason=_first_text(document, fields.reason),
        )
        if _value(document, fields.error) is not None:
            usage.fail(*(_value(document, name) for name in fields.error_types))
        _count(usage, fields, document)

        name, value = fields.end
        if _value(document, name) == value:
            usage.is_finished = True
            usage.is_settled |= fields.is_end_final and usage.has_usage
        if tools[0] and tools[0] in document:
            usage.add_tools(values_at(document[tools[0]], *tools[1:]))

    return read


def _count(usage: CallUsage, fields: Fields, document: Members) -> None:
    given = _first_count(document, fields.input)
    output = _first_count(document, fields.output)
    cache_read = _first_count(document, fields.cache_read)
    cache_write = _first_count(document, fields.cache_write)
    reasoning = _first_count(document, fields.reasoning)
    if given is not None and fields.is_cache_apart:
        given += (cache_read or 0) + (cache_write or 0)
    if output is not None and fields.is_reasoning_apart:
        output += reasoning or 0

    usage.update(
        input_tokens=given,
        output_tokens=output,
        cache_read_tokens=cache_read,
        cache_write_tokens=cache_write,
        reasoning_tokens=reasoning,
    )


def _first_text(document: Members, names: tuple[str, ...]) -> str | None:
    return next(filter(None, (text_of(_value(document, name)) for name in names)), None)


def _first_count(document: Members, names: tuple[str, ...]) -> int | None:
    return first_count(*(_value(document, name) for name in names))


def _value(document: Members, name: str) -> Any:
    first, *rest = name.split(".")
    if first in document:
        return value_at(document[first], *rest)
    return None
