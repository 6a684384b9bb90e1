"""From a filter to SQL: conditions and bound parameters, for every relational backend.

Strategy: repeated text is stored as dictionary ids (or as itself, where the database makes numbers of it), so a filter
is compiled in two pure steps. `texts` says which values must be looked up, the backend looks them up, and `conditions`
builds the clause from their ids. A value without an id, or one that no store can hold, matches nothing.

Invariant: identifiers come from the closed tables below, never from a caller; every value is a bound parameter. Bounds
on `seq` and the order are not part of a clause: backends walk a filter in slices of `seq` and add them themselves.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from storage.query import Filter, Order, Scope, path_spellings
from storage.record import LEVELS
from storage.relational.by_id import ID_BYTES
from storage.relational.search.endpoints import endpoint_ids, endpoint_places, endpoint_texts
from storage.relational.tools.called import part_of
from storage.search.patterns import is_storable, lower_ascii

DIMENSIONS: Final = (
    "instance", "scheme", "http_version", "upstream", "outcome", "stage", "key_name", "key_last4", "error_type", "host",
    "user_agent", "user_id", "project", "container", "client", "service", "route_id", "key_id", "source", "method",
    "name", "auth_code", "provider", "model", "resolved_model", "usage_state", "price_source", "endpoint",
)  # fmt: skip
"""Columns stored as dictionary ids. The place of a name is its `kind` in the dictionary: append, never reorder."""

TOOL_KINDS: Final = {"tool_name": 200, "server_label": 201}
"""Dictionary kinds of the columns of tool calls, far behind those of records, which grow at their end."""
CALL_KINDS: Final = {"finish_reason": 210, "called_tools": 211}
"""The same of columns that repeat what the `stream` of a record says, for filters and facets."""
_MODELS: Final = ("model", "resolved_model")
KINDS: Final = ("exchange", "event")
EVENT: Final = KINDS.index("event")
CODED: Final[Mapping[str, tuple[str, ...]]] = {"level": LEVELS, "kind": KINDS}
"""Columns of few words, stored as the places of these."""
MAX_INT: Final = (1 << 63) - 1
"""What an integer column holds at most; the least is `-MAX_INT - 1`."""

Texts = dict[str, tuple[str, ...]]
"""Column → values that a filter names."""
Ids = Mapping[str, Mapping[str, Any]]
"""Column → text → its dictionary id, or what else it is stored as."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where the SQL of two databases differs. Their indexes need some conditions in a form of their own."""

    placeholder: Callable[[int], str]
    """From the number of a parameter (from 1) to its mark."""
    path_contains: str
    """Condition that the raw path contains the lower-case text at the mark `{}`, without regard to ASCII case."""
    trace_id: str
    """Condition that the trace id equals the mark `{}`."""
    tool: str = ""
    """Condition that a record holds a call of one of the tools whose ids are the marks `{}`; empty: no tools here."""
    called_tool: str = ""
    """Condition that a record's combination of called tools holds the text `{}`."""
    like: Callable[[str, Sequence[str], Callable[[Any], str]], str] = lambda column, parts, add: "1 = 0"
    """From a column, lower-case parts of a pattern and what binds a parameter to the condition that it matches."""
    in_network: Callable[[str, str, int], str] = lambda first, last, length: "1 = 0"
    """From the marks of two packed addresses, and their length, to the condition that the client's lies between."""
    negated: str = "({} IS NOT TRUE)"
    """Condition that the condition `{}` is not true; null is not."""
    none: str = "0"
    """What a column of repeated text has where there is none."""
    tool_names: str = ""
    """The query of all names of tools, with a condition; empty: repeated text is stored as ids of a dictionary."""
    has_text: str = "{} IS NOT NULL"
    """Condition that a column of text has one."""
    text_columns: Mapping[str, str] = field(default_factory=dict)
    """Columns of text whose stored form is not the text → how the text is written."""
    sum: str = "(coalesce({}, 0) + coalesce({}, 0))"
    """The sum of two columns of numbers, without an end."""
    among: str = ""
    """Condition that the column, the first `{}`, is among the numbers at the mark, the second."""
    number_list: Callable[[list[int]], object] = list
    """From numbers to that parameter."""
    row_key: str = "seq"
    """The column that single rows are looked up by, one of those of records."""
    of_keys: str = ""
    """Condition that a row has one of the keys at the mark `{}`, a parameter of `number_list`."""
    divided: Callable[[str, str], str] = lambda number, by: f"{number} / {by}"
    """The whole part of a quotient of two whole numbers."""
    unindexed: str = "+{}"
    """A column whose index is not to be used."""
    bucket: Callable[[str], str] = str
    """From a column of µs to its bucket of `storage.aggregates.BOUNDS_US`."""
    histograms: str = "sum({})"
    """The sum of a column of histograms."""
    to_counts: Callable[[Any], Mapping[int, int]] = dict
    """From that sum to counts by bucket."""
    tool_text: str = ""
    """Condition that the folded text of a tool call contains the mark `{}`."""
    tool_request: str = ""
    """Condition that the id of a tool call's LLM request equals the mark `{}`."""
    rollups: "Callable[[str, Sequence[str], str, tuple[int | None, int | None]], str] | None" = None
    """From a table of rollups, columns, a condition and hours, half open, None: no bound, to a query; None: a table."""
    rollup_class: str = "status_class"
    """The column of rollups with the first digit of the status."""
    tool_rollups: str = "tool_rollups"
    """The rollups of tool calls: a table, or a query."""
    newest_tool: str = "max(hour), key_name"
    """The order of tools by when they were called last; of one hour's, by when their name was met first."""
    page: Callable[[str, str, str], str] = lambda where, order, limit: f"WHERE {where} {order} {limit}"
    """From conditions, order and limit of records to what follows the name of their table."""
    scan_rows: int = 0
    """Rows that a scan may well begin with, where a statement costs more than some rows; 0: no more than usual."""
    patience: float = 1.0
    """How many times as long as elsewhere a slice of a walk may take before it is wide enough."""
    call_order: Sequence[str] = ("id",)
    """The columns by which tool calls are in the order of storing; rows are walked by the first."""
    joins_ranges: bool = False
    """Whether the conditions on a slice may name several ranges of rows."""
    committed: str = ""
    """Condition on rows of batches, without parameters, that leaves out what is not committed; empty: all rows are."""
    floating: str = "CAST({} AS DOUBLE PRECISION)"
    """A number as one of floating point."""
    schema: str = ""
    """What stands before the name of a table."""
    number: str = "{}"
    """How the mark `{}` of a number is written: some databases must be told how large it may be."""
    record_columns: str = "*"
    """The columns that records are decoded from."""
    by_seq: Callable[[Order], str] = lambda order: f"ORDER BY seq {order}"
    """How rows are ordered by `seq`."""
    has_grouping_sets: bool = False
    """Whether one pass can count the values of several columns, each by itself."""
    has_arrays: bool = False
    """Whether a parameter may be a list of numbers."""
    row_lock: str = ""
    """What follows the query of a row that is then changed."""
    joined: str = ""
    """The texts of a column, one to a line."""
    erasures: str = ""
    """The query how often records were erased, which does not change then until the transaction ends."""
    key_change: str = ""
    """The statement that counts a change of an API key."""
    meta_prefix: str = ""
    """What stands before the names of values that belong to the store as a whole."""
    from_id: Callable[[bytes], object] = bytes
    """From the id of a record, of 16 bytes, to a parameter."""
    to_id: Callable[[Any], bytes] = bytes
    """Back again."""
    to_bytes: Callable[[Any], bytes] = bytes
    """From the stored form of bytes that are no id to what they were."""
    unescape: Callable[[str], str] = str
    """From text as it is stored to what it was; parameters are escaped by the session."""

    @property
    def status_class(self) -> str:
        """The first digit of a record's status; null, or 0, without one."""
        return self.divided("status", "100")

    def mark(self, number: int) -> str:
        return self.number.format(self.placeholder(number))

    def of_commits(self, where: str) -> str:
        """Add to a condition on rows of batches that they are committed."""
        return f"{where} AND {self.committed}" if self.committed else where

    def one_of(self, column: str, numbers: Sequence[int], first_parameter: int) -> "Where":
        """Write a condition that rows of some numbers fulfil, and others may: the reader leaves those out."""
        if self.has_arrays:
            return Where(f"{column} = ANY({self.placeholder(first_parameter)}::bigint[])", (list(numbers),))
        least, most = self.placeholder(first_parameter), self.placeholder(first_parameter + 1)
        return Where(f"{column} BETWEEN {least} AND {most}", (min(numbers), max(numbers)))

    def group_by(self, columns: Sequence[str], *common: str) -> str:
        """Write the grouping that counts values of columns; with grouping sets the others are null in a row of one."""
        if self.has_grouping_sets:
            sets = (f"({', '.join((*common, column))})" for column in columns)
            return f"GROUP BY GROUPING SETS ({', '.join(sets)})"
        return f"GROUP BY {', '.join((*common, *columns))}"


@dataclass(frozen=True, slots=True)
class Where:
    """A clause without the word WHERE, never empty, and its parameters."""

    text: str
    parameters: tuple[Any, ...]


def texts(filter: Filter) -> Texts:
    """Name the dictionary values a filter needs, by column; values that no store can hold are left out."""
    wanted: Texts = {}
    others = ("tool_name", filter.tools), *endpoint_texts(filter), *((column, filter.models) for column in _MODELS)
    for column, values in (*_scope(filter.scope), *_dimensions(filter), *others):
        if values:
            wanted[column] = wanted.get(column, ()) + tuple(value for value in values if is_storable(value))
    return wanted


def conditions(filter: Filter, ids: Ids, dialect: Dialect, *, first_parameter: int = 1) -> Where | None:
    """Build the clause of a filter over the table of records; None when nothing can match.

    Ids are by column and text, of every value of `texts(filter)` that the store has. Dialects that number their
    parameters begin with the given one.
    """
    clause = Clause(dialect, first_parameter)
    clause.dimensions(filter, ids)
    clause.status(filter)
    clause.between("started_at_us", filter.since_us, None if filter.until_us is None else filter.until_us - 1)
    clause.between("duration_us", filter.min_duration_us, filter.max_duration_us)
    clause.tools(filter, ids)
    clause.called_tools(filter.called_tools)
    clause.conversations(filter.conversations)
    clause.text(dialect.trace_id, filter.trace_id)
    clause.path(filter.path_contains)
    return clause.finish()


def rollup_conditions(filter: Filter, ids: Ids, dialect: Dialect) -> Where | None:
    """Build the clause of a filter, its time apart, over tables of rollups that have all dimensions it restricts."""
    clause = Clause(replace(dialect, committed=""))  # of sums and rows, the dialect knows which count
    clause.dimensions(filter, ids)
    if filter.statuses:
        clause.status(filter)
    elif filter.status_classes:
        clause.among(dialect.rollup_class, [value for value in filter.status_classes if 0 < value <= MAX_INT])
    return clause.finish()


def _scope(scope: Scope) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return ("project", scope.projects), ("container", scope.containers), ("client", scope.clients)


def _dimensions(filter: Filter) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return (
        ("project", filter.projects), ("container", filter.containers), ("client", filter.clients),
        ("service", filter.services), ("route_id", filter.routes), ("key_id", filter.keys), ("source", filter.sources),
        ("method", filter.methods), ("host", filter.hosts), ("outcome", filter.outcomes),
        ("error_type", filter.error_types), ("provider", filter.providers), ("finish_reason", filter.finish_reasons),
    )  # fmt: skip


class Clause:
    """Conditions that must all hold, gathered one by one."""

    def __init__(self, dialect: Dialect, first_parameter: int = 1) -> None:
        self._dialect = dialect
        self._first = first_parameter
        self._conditions: list[str] = []
        self._parameters: list[object] = []
        self._impossible = False

    def finish(self) -> Where | None:
        if self._impossible:
            return None
        return Where(self._dialect.of_commits(" AND ".join(self._conditions) or "1 = 1"), tuple(self._parameters))

    def dimensions(self, filter: Filter, ids: Ids) -> None:
        for column, values in (*_scope(filter.scope), *_dimensions(filter)):
            if values:
                known = ids.get(column, {})
                self.among(column, [known[value] for value in values if value in known])
                if column in ("project", "service", "key_id", "finish_reason"):
                    self._has(column)
        if filter.endpoints or filter.former_endpoints:
            self._endpoints(filter, ids)
        self._models(filter.models, ids)
        self._levels(filter)
        if filter.keyed:
            self._conditions.append("keyed = 1")  # Literal: it is the condition of the partial index.
        if filter.is_llm:
            self._has("provider")
        self._kind(filter)

    def _has(self, column: str) -> None:
        """Want a text, in the literal form that is the condition of a partial index."""
        self._conditions.append(f"{column} <> {self._dialect.none}")

    def _endpoints(self, filter: Filter, ids: Ids) -> None:
        self.among("endpoint", endpoint_ids(filter, ids))
        self._has("endpoint")
        if filter.former_endpoints and not self._impossible:
            either = endpoint_places(filter, ids, self._marks, self._dialect)
            self._conditions.append(f"({' OR '.join(f'({each})' for each in either)})")

    def _models(self, models: Sequence[str], ids: Ids) -> None:
        """Want a model as requested or as resolved: an index each, so the literals of both partial ones are there."""
        if not models:
            return
        found = {column: [ids[column][value] for value in models if value in ids.get(column, {})] for column in _MODELS}
        none = self._dialect.none
        either = [f"({name} <> {none} AND {name} IN ({self._marks(known)}))" for name, known in found.items() if known]
        self._impossible |= not either
        self._conditions.append(f"({' OR '.join(either)})")

    def _levels(self, filter: Filter) -> None:
        if not filter.levels:
            return
        codes = [code for code, level in enumerate(LEVELS) if level in filter.levels]
        if filter.kind == "event":
            # Not from the index of failed exchanges: events have their own.
            self.among(self._dialect.unindexed.format("level"), codes)
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
        class_ = self._dialect.status_class
        exact = [status for status in filter.statuses if 0 < status <= MAX_INT]
        classes = [value for value in filter.status_classes if 0 < value <= MAX_INT]
        if not filter.statuses and not filter.status_classes:
            return
        everything = {*classes, *(status // 100 for status in exact)}
        if everything and min(everything) >= 4:
            self._conditions.append("status >= 400")  # Literal: it is the condition of the partial index.
            self.among(class_, sorted(everything))
        if exact and classes:
            self._conditions.append(f"(status IN ({self._marks(exact)}) OR {class_} IN ({self._marks(classes)}))")
        elif classes:
            self.among(class_, classes)
        else:
            # The plus keeps SQLite from putting the constant into `status / 100`, which would hide the partial index.
            self.among(self._dialect.unindexed.format("status"), exact)

    def among(self, expression: str, values: Sequence[Any]) -> None:
        if not values:
            self._impossible = True
        elif len(values) == 1:
            self._conditions.append(f"{expression} = {self._marks(values)}")
        else:
            self._conditions.append(f"{expression} IN ({self._marks(values)})")

    def either(self, condition: str, values: Sequence[object]) -> None:
        """Want the condition to hold for one of some values."""
        self._impossible |= not values
        either = [condition.format(self._marks([value])) for value in values]
        self._conditions.append(either[0] if len(either) == 1 else f"({' OR '.join(either)})")

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

    def path(self, text: str | None) -> None:
        if text is None or not is_storable(text):
            self._impossible |= text is not None
            return
        self.either(self._dialect.path_contains, [lower_ascii(spelling) for spelling in path_spellings(text)])

    def tools(self, filter: Filter, ids: Ids) -> None:
        if filter.tools:
            known = ids.get("tool_name", {})
            found = [known[value] for value in filter.tools if value in known]
            self._impossible |= not found or not self._dialect.tool
            if found:
                self._conditions.append(self._dialect.tool.format(self._marks(found)))

    def called_tools(self, names: Sequence[str]) -> None:
        if not names:
            return
        self._has("called_tools")
        self.either(self._dialect.called_tool, [part_of(name) for name in names if is_storable(name)])

    def conversations(self, ids: Sequence[bytes]) -> None:
        if ids:
            known = [self._dialect.from_id(value) for value in ids if len(value) == ID_BYTES]
            self._impossible |= not known
            self._conditions.append(f"conversation IN ({self._marks(known) if known else 'NULL'})")

    def _marks(self, values: Sequence[object]) -> str:
        first = self._first + len(self._parameters)
        self._parameters.extend(values)
        form = self._dialect.number if isinstance(values[0], int) else "{}"
        return ", ".join(form.format(self._dialect.placeholder(first + place)) for place in range(len(values)))
