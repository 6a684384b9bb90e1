"""From a filter to SQL: conditions and bound parameters, for every relational backend.

Strategy: repeated text is stored as dictionary ids, so a filter is compiled in two pure steps. `texts` says which
values must be looked up, the backend looks them up, and `conditions` builds the clause from their ids. A value without
an id, or one that no store can hold, matches nothing.

Invariant: identifiers come from the closed tables below, never from a caller; every value is a bound parameter. Bounds
on `seq` and the order are not part of a clause: backends walk a filter in slices of `seq` and add them themselves.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from storage.query import Filter, Scope
from storage.record import LEVELS

DIMENSIONS: Final = (
    "instance", "scheme", "http_version", "upstream", "outcome", "stage", "key_name", "key_last4", "error_type", "host",
    "user_agent", "user_id", "project", "container", "client", "service", "route_id", "key_id", "source", "method",
    "name", "auth_code", "provider", "model", "resolved_model", "usage_state", "price_source",
)  # fmt: skip
"""Columns stored as dictionary ids. The place of a name is its `kind` in the dictionary: append, never reorder."""

TOOL_KINDS: Final = {"tool_name": 200, "server_label": 201}
"""Dictionary kinds of the columns of tool calls, far behind those of records, which grow at their end."""

KINDS: Final = ("exchange", "event")
"""The place of a word is its code in the `kind` column."""

MAX_INT: Final = (1 << 63) - 1
"""What an integer column holds at most; the least is `-MAX_INT - 1`."""

Texts = dict[str, tuple[str, ...]]
"""Column → values that a filter names."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where the SQL of two backends differs."""

    placeholder: Callable[[int], str]
    """From the number of a parameter (from 1) to its mark."""
    path_contains: str
    """Condition that the raw path contains the lower-case text at the mark `{}`, without regard to ASCII case."""
    trace_id: str
    """Condition that the trace id equals the mark `{}`, in the form the partial index on it needs."""
    tool: str = ""
    """Condition that a record holds a call of one of the tools whose ids are the marks `{}`; empty: no tools here."""
    text_in: str = ""
    """Condition that path, error type or a body contains the lower-case text at each `{}`; empty: only the path."""
    schema: str = ""
    """What stands before the name of a table."""
    number: str = "{}"
    """How the mark `{}` of a number is written: some databases must be told how large it may be."""


SQLITE: Final = Dialect(
    placeholder=lambda number: "?",
    path_contains="(path <> 0 AND instr(lower(path), {}) > 0)",
    trace_id="(trace_id <> 0 AND trace_id = {})",
    tool="seq IN (SELECT record_seq FROM tool_calls WHERE tool_name IN ({}))",
    # Bodies last: the other two are cheap. Below the floor of bodies, those still there are not shown.
    text_in="((path <> 0 AND instr(lower(path), {}) > 0) OR error_type IN (SELECT id FROM dictionary WHERE kind = 8 "
    "AND instr(lower(value), {}) > 0) OR (bodies_block <> 0 AND started_at_us >= "
    "(SELECT value FROM meta WHERE name = 'body_floor_us') "
    "AND body_contains(bodies_block, bodies_offset, bodies_length, {})))",
)

POSTGRES: Final = Dialect(
    placeholder=lambda number: f"${number}",
    # The collation makes `lower` leave all but ASCII alone; NULL contains nothing.
    path_contains='(strpos(lower(path COLLATE "C"), {}) > 0)',
    trace_id="(hashtextextended(trace_id, 0) = hashtextextended({0}, 0) AND trace_id = {0})",
    # First by the key of the index on `seq` (storage/postgres/index_keys.py).
    tool="(seq >> 10 IN (SELECT record_seq >> 10 FROM sidelog.tool_calls WHERE tool_name IN ({0})) "
    "AND seq IN (SELECT record_seq FROM sidelog.tool_calls WHERE tool_name IN ({0})))",
    # Text in bodies is looked for outside of SQL: storage/postgres/body_search.py.
    schema="sidelog.",
    number="{}::bigint",
)


@dataclass(frozen=True, slots=True)
class Where:
    """A clause without the word WHERE, never empty, and its parameters."""

    text: str
    parameters: tuple[int | str, ...]


def texts(filter: Filter) -> Texts:
    """Name the dictionary values a filter needs, by column; values that no store can hold are left out."""
    wanted: Texts = {}
    for column, values in (*_scope(filter.scope), *_dimensions(filter)):
        if values:
            wanted[column] = wanted.get(column, ()) + tuple(value for value in values if is_storable(value))
    if filter.tools:
        wanted["tool_name"] = tuple(value for value in filter.tools if is_storable(value))
    return wanted


def conditions(
    filter: Filter, ids: Mapping[str, Mapping[str, int]], dialect: Dialect, *, first_parameter: int = 1
) -> Where | None:
    """Build the clause of a filter over the table of records.

    Args:
        filter: What to find.
        ids: Column → text → dictionary id, of every value of `texts(filter)` that the store has.
        dialect: The backend's.
        first_parameter: Number of the first parameter, for dialects that number them.

    Returns:
        None when nothing can match.
    """
    clause = _Clause(dialect, first_parameter)
    clause.dimensions(filter, ids)
    clause.status(filter)
    clause.between("started_at_us", filter.since_us, None if filter.until_us is None else filter.until_us - 1)
    clause.between("duration_us", filter.min_duration_us, filter.max_duration_us)
    clause.tools(filter, ids)
    clause.anywhere(filter.text)
    clause.text(dialect.trace_id, filter.trace_id)
    clause.text(dialect.path_contains, None if filter.path_contains is None else lower_ascii(filter.path_contains))
    return clause.finish()


def rollup_conditions(filter: Filter, ids: Mapping[str, Mapping[str, int]], dialect: Dialect) -> Where | None:
    """Build the clause of a filter, its time apart, over tables of rollups that have all dimensions it restricts."""
    clause = _Clause(dialect, 1)
    clause.dimensions(filter, ids)
    if filter.statuses:
        clause.status(filter)
    elif filter.status_classes:
        clause.among("status_class", [value for value in filter.status_classes if 0 < value <= MAX_INT])
    return clause.finish()


def is_storable(text: str) -> bool:
    """Whether text can be written as UTF-8: lone surrogates cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def lower_ascii(text: str) -> str:
    """Lower A to Z and nothing else, as SQL's `lower` does for plain ASCII."""
    return text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def _scope(scope: Scope) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return ("project", scope.projects), ("container", scope.containers), ("client", scope.clients)


def _dimensions(filter: Filter) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return (
        ("project", filter.projects),
        ("container", filter.containers),
        ("client", filter.clients),
        ("service", filter.services),
        ("route_id", filter.routes),
        ("key_id", filter.keys),
        ("source", filter.sources),
        ("method", filter.methods),
        ("host", filter.hosts),
        ("outcome", filter.outcomes),
        ("error_type", filter.error_types),
        ("provider", filter.providers),
        ("model", filter.models),
    )


class _Clause:
    """Conditions that must all hold, gathered one by one."""

    def __init__(self, dialect: Dialect, first_parameter: int) -> None:
        self._dialect = dialect
        self._first = first_parameter
        self._conditions: list[str] = []
        self._parameters: list[int | str] = []
        self._impossible = False

    def finish(self) -> Where | None:
        if self._impossible:
            return None
        return Where(" AND ".join(self._conditions) or "1 = 1", tuple(self._parameters))

    def dimensions(self, filter: Filter, ids: Mapping[str, Mapping[str, int]]) -> None:
        for column, values in (*_scope(filter.scope), *_dimensions(filter)):
            if values:
                known = ids.get(column, {})
                self.among(column, [known[value] for value in values if value in known])
                if column == "key_id":
                    self._conditions.append("key_id <> 0")  # Literal: it is the condition of the partial index.
        self._levels(filter)
        if filter.keyed:
            self._conditions.append("keyed = 1")  # Literal: it is the condition of the partial index.
        if filter.is_llm:
            self._conditions.append("provider <> 0")
        self._kind(filter)

    def _levels(self, filter: Filter) -> None:
        codes = [LEVELS.index(level) for level in LEVELS if level in filter.levels]
        if not filter.levels:
            return
        if filter.kind == "event":
            self.among("+level", codes)  # The sign keeps from the index of failed exchanges: events have their own.
            return
        if codes and codes[0] >= LEVELS.index("warn"):
            self._conditions.append("level >= 2")  # Literal: it is the condition of the partial index.
        self.among("level", codes)

    def _kind(self, filter: Filter) -> None:
        if filter.kind == "event":
            self._conditions.append("kind = 1")  # Literal: it is the condition of the partial index.
            if filter.levels and "debug" not in filter.levels:
                self._conditions.append("level >= 1")
        elif filter.kind != "all":
            self.among("kind", [KINDS.index(filter.kind)])

    def status(self, filter: Filter) -> None:
        exact = [status for status in filter.statuses if 0 < status <= MAX_INT]
        classes = [value for value in filter.status_classes if 0 < value <= MAX_INT]
        if not filter.statuses and not filter.status_classes:
            return
        everything = {*classes, *(status // 100 for status in exact)}
        if everything and min(everything) >= 4:
            self._conditions.append("status >= 400")  # Literal: it is the condition of the partial index.
            self.among("status / 100", sorted(everything))
        if exact and classes:
            self._conditions.append(f"(status IN ({self._marks(exact)}) OR status / 100 IN ({self._marks(classes)}))")
        elif classes:
            self.among("status / 100", classes)
        else:
            # The plus keeps SQLite from putting the constant into `status / 100`, which would hide the partial index.
            self.among("+status", exact)

    def among(self, expression: str, values: Sequence[int]) -> None:
        if not values:
            self._impossible = True
        elif len(values) == 1:
            self._conditions.append(f"{expression} = {self._marks(values)}")
        else:
            self._conditions.append(f"{expression} IN ({self._marks(values)})")

    def between(self, column: str, least: int | None, most: int | None) -> None:
        if least is not None and least > -MAX_INT:
            self._impossible |= least > MAX_INT
            self._conditions.append(f"{column} >= {self._marks([least])}")
        if most is not None and most < MAX_INT:
            self._impossible |= most < -MAX_INT
            self._conditions.append(f"{column} <= {self._marks([most])}")

    def text(self, condition: str, value: str | None) -> None:
        if value is not None:
            self._impossible |= not is_storable(value)
            self._conditions.append(condition.format(self._marks([value])))

    def tools(self, filter: Filter, ids: Mapping[str, Mapping[str, int]]) -> None:
        if filter.tools:
            known = ids.get("tool_name", {})
            found = [known[value] for value in filter.tools if value in known]
            if found and self._dialect.tool:
                self._conditions.append(self._dialect.tool.format(self._marks(found)))
            else:
                self._impossible = True

    def anywhere(self, text: str | None) -> None:
        if text:
            self._impossible |= not is_storable(text)
            condition, lowered = self._dialect.text_in or self._dialect.path_contains, lower_ascii(text)
            marks = [self._marks([lowered]) for _ in range(condition.count("{}"))]
            self._conditions.append(condition.format(*marks))

    def _marks(self, values: Sequence[int] | Sequence[str]) -> str:
        first = self._first + len(self._parameters)
        self._parameters.extend(values)
        form = self._dialect.number if isinstance(values[0], int) else "{}"
        return ", ".join(form.format(self._dialect.placeholder(first + place)) for place in range(len(values)))
