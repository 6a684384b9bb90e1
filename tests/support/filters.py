"""Filters by the fields that tests ask for most, each with one value or some."""

from collections.abc import Sequence
from typing import Any, Final

from storage.conversations import in_conversations
from storage.query import Filter
from storage.search.expression import (
    Between,
    Expression,
    Has,
    both,
    fields,
    status_among,
)
from storage.search.language.terms import path_contains

_FIELDS: Final = {
    "methods": "method", "hosts": "host", "routes": "route_id", "services": "service",
    "projects": "project", "containers": "container", "clients": "client", "keys": "key_id", "levels": "level",
    "sources": "source", "directions": "direction", "outcomes": "outcome", "error_types": "error_type",
    "providers": "provider", "models": "any_model", "finish_reasons": "finish_reason",
    "called_tools": "called_tool", "tools": "tool",
    "grpc_statuses": "grpc_status", "redacted": "redacted", "tool_errors": "tool_error",
}  # fmt: skip


def make_filter(
    *,
    statuses: Sequence[int] = (),
    status_classes: Sequence[int] = (),
    path_contains: str | None = None,
    trace_id: str | None = None,
    conversations: Sequence[bytes] | None = None,
    keyed: bool = False,
    is_llm: bool = False,
    min_duration_us: int | None = None,
    max_duration_us: int | None = None,
    endpoints: Sequence[str] = (),
    where: Expression | None = None,
    **others: Any,
) -> Filter:
    """Make a filter of what a record must have; other names are those of `Filter`."""
    values = {field: others.pop(name) for name, field in _FIELDS.items() if name in others}
    has_bound = min_duration_us is not None or max_duration_us is not None
    asked = both(
        fields(**values, endpoint=endpoints),
        status_among(statuses, status_classes),
        None if path_contains is None else _path(path_contains),
        None if trace_id is None else fields(trace_id=(trace_id,)),
        in_conversations(conversations) if conversations else None,
        Has("keyed") if keyed else None,
        Has("provider") if is_llm else None,
        Between("duration_us", min_duration_us, max_duration_us) if has_bound else None,
        where,
    )
    return Filter(where=asked, **others)


_path = path_contains
