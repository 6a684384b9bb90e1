"""The condition that a row is of an endpoint: by its index, then by what else the row says of itself. Pure.

Strategy: names that only some records have an endpoint by stand beside those of all. One condition on the column names
all of them, so that the index finds the rows; a second one leaves out those of other routes and projects. Of rollups
by endpoint, which have the same columns, both can be asked.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from storage.query import Filter

Ids = Mapping[str, Mapping[str, Any]]
"""Column → text → what it is stored as."""
_Place = tuple[tuple[str, str | None], ...]
"""Columns that have one value each; None: they have none."""


class Form(Protocol):
    """What `storage.relational.sql.Dialect` says of conditions."""

    @property
    def unindexed(self) -> str: ...

    @property
    def negated(self) -> str: ...

    @property
    def none(self) -> str: ...


def endpoint_texts(filter: Filter) -> Iterator[tuple[str, tuple[str, ...]]]:
    """List the values that tell an endpoint, by column."""
    for names, place in _alternatives(filter):
        yield "endpoint", names
        yield from ((column, (value,)) for column, value in place if value is not None)


def endpoint_ids(filter: Filter, ids: Ids) -> list[Any]:
    """Return the ids of all names, without those that no record can have that is wanted."""
    return [*dict.fromkeys(number for numbers, _ in _known(filter, ids) for number in numbers)]


def endpoint_places(filter: Filter, ids: Ids, marks: Callable[[Sequence[Any]], str], form: "Form") -> Iterator[str]:
    """Write the alternatives that a row with one of `endpoint_ids` must fulfil one of.

    Args:
        filter: Which endpoints.
        ids: Of `endpoint_texts`.
        marks: Binds parameters, and returns their marks.
        form: How they are written.
    """
    for numbers, place in _known(filter, ids):
        parts = [f"{form.unindexed.format('endpoint')} IN ({marks(numbers)})"]
        for column, value in place:
            if value is None:
                parts.append(form.negated.format(f"{column} <> {form.none}"))
            else:
                parts.append(f"{column} = {marks([ids[column][value]])}")
        yield " AND ".join(parts)


def _alternatives(filter: Filter) -> Iterator[tuple[tuple[str, ...], _Place]]:
    yield filter.endpoints, ()
    for former in filter.former_endpoints:
        yield former.names, (("route_id", former.route), ("project", former.project))


def _known(filter: Filter, ids: Ids) -> Iterator[tuple[list[Any], _Place]]:
    known = ids.get("endpoint", {})
    for names, place in _alternatives(filter):
        numbers = [known[name] for name in names if name in known]
        if numbers and all(value is None or value in ids.get(column, {}) for column, value in place):
            yield numbers, place
