"""From a search to a filter: what indexes and rollups know goes into the filter's own fields. Pure.

Invariant: the filter matches what it matched before, as far as it fulfils the search. Only what must hold as a whole is
moved, and only into fields that were free; so nothing a search says can loosen what a parameter or a scope has said.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from storage.query import Filter, path_spellings
from storage.record import parse_id
from storage.search.expression import (
    And,
    Between,
    Expression,
    Has,
    Is,
    Like,
    Or,
    Substring,
    Text,
    conjuncts,
    field_of,
    joined,
    leaves,
)

_LISTS: Final = {
    "method": "methods", "host": "hosts", "route_id": "routes", "service": "services", "project": "projects",
    "container": "containers", "client": "clients", "key_id": "keys", "level": "levels", "source": "sources",
    "outcome": "outcomes", "error_type": "error_types", "provider": "providers", "any_model": "models", "tool": "tools",
    "finish_reason": "finish_reasons", "called_tool": "called_tools", "endpoint": "endpoints",
}  # fmt: skip
"""Field → alternatives of a filter."""
_BOUNDS: Final = {
    "duration_us": ("min_duration_us", "max_duration_us", 0),
    "started_at_us": ("since_us", "until_us", 1),
}
"""Field → its bounds in a filter, and what an inclusive upper one lacks of that."""
_KIND_FIELDS: Final = ("kind", "conversation")


def lifted(filter: Filter, search: Expression | None, *, has_kind: bool) -> Filter:
    """Put a search on a filter.

    With `has_kind` a parameter has said which kinds of records; else a search that says it decides, and who asks for a
    conversation, or for words, asks for all that has them: over a WebSocket those are events.
    """
    left: list[Expression] = []
    says_kind = bool(filter.conversations) or any(field_of(leaf) in _KIND_FIELDS for leaf in leaves(search))
    if (says_kind or _needs_words(search)) and not has_kind:
        filter = replace(filter, kind="all")
    for part in conjuncts(search):
        moved = _moved(filter, part)
        if moved is None:
            left.append(part)
        else:
            filter = moved
    return replace(filter, where=joined(tuple(left)))


def _needs_words(search: Expression | None) -> bool:
    """Whether only a record with some words can fulfil a search."""
    match search:
        case And(parts):
            return any(map(_needs_words, parts))
        case Or(parts):
            return all(map(_needs_words, parts))
        case _:
            return isinstance(search, Text | Substring)


def _moved(filter: Filter, part: Expression) -> Filter | None:
    """Put one condition into a filter's own fields; None when it has none for it, or they are taken."""
    for move in _MOVES:
        moved = move(filter, part)
        if moved is not None:
            return moved
    return None


def _list(filter: Filter, part: Expression) -> Filter | None:
    if not isinstance(part, Is) or not part.values:  # `level:>error`: of a filter, no values are no condition
        return None
    if part.field == "kind" and filter.kind == "all" and len(part.values) == 1:
        return _with(filter, kind=part.values[0])
    if part.field == "trace_id" and filter.trace_id is None and len(part.values) == 1:
        return replace(filter, trace_id=part.values[0])
    if part.field == "conversation" and not filter.conversations:
        return replace(filter, conversations=tuple(parse_id(value) or b"" for value in part.values))
    name = _LISTS.get(part.field)
    return None if name is None or getattr(filter, name) else _with(filter, **{name: part.values})


def _status(filter: Filter, part: Expression) -> Filter | None:
    among = part.parts if isinstance(part, Or) else (part,)
    if filter.statuses or filter.status_classes:
        return None
    exact: list[int] = []
    classes: list[int] = []
    for each in among:
        if not isinstance(each, Between) or each.field != "status" or each.least is None or each.most is None:
            return None
        least, most = int(each.least), int(each.most)
        if least == most:
            exact.append(least)
        elif least % 100 == 0 and most == least + 99:
            classes.append(least // 100)
        else:
            return None
    return replace(filter, statuses=tuple(exact), status_classes=tuple(classes))


def _bound(filter: Filter, part: Expression) -> Filter | None:
    if not isinstance(part, Between) or part.field not in _BOUNDS:
        return None
    low, high, gap = _BOUNDS[part.field]
    bounds: dict[str, int] = {}
    if part.least is not None:
        before = getattr(filter, low)
        bounds[low] = int(part.least) if before is None else max(before, int(part.least))
    if part.most is not None:
        before, most = getattr(filter, high), int(part.most) + gap
        bounds[high] = most if before is None else min(before, most)
    return _with(filter, **bounds)


def _path(filter: Filter, part: Expression) -> Filter | None:
    match part:
        case Like("path", ("", text, "")) if filter.path_contains is None and len(path_spellings(text)) == 1:
            return replace(filter, path_contains=text)
        case Or((Like("path", ("", text, "")), Like("path", ("", other, "")))):
            # Two spellings of one text, not two texts: a filter looks for both by itself.
            is_one = path_spellings(text) == [text, other] and filter.path_contains is None
            return replace(filter, path_contains=text) if is_one else None
        case _:
            return None


def _llm(filter: Filter, part: Expression) -> Filter | None:
    return replace(filter, is_llm=True) if part == Has("provider") else None


_MOVES: Final[tuple[Callable[[Filter, Expression], Filter | None], ...]] = (_list, _status, _bound, _path, _llm)


def _with(filter: Filter, **changes: Any) -> Filter:
    return replace(filter, **changes)
