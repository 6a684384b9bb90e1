"""Compiles a filter to SQL: conditions and bound parameters, over the table of records or over
rollups.

Strategy: repeated text is stored as dictionary ids (or as itself, where the database makes numbers
of it), so a filter is compiled in two pure steps. `texts` lists the values to be looked up, the
backend looks them up, and `conditions` builds the clause from their ids. SQL expresses conditions
on columns, but not those on headers, bodies and words: a part of a search that has such is widened
to a superset (`sql_superset`) and kept as a `residual`. A condition that must hold as a whole is
written with the literal conditions of the partial indexes that can serve it. Null is never true and
`IS NOT TRUE` is never null, so that `not` is an exact complement.

Invariant: identifiers come from the closed tables below, never from a caller; every value is a
bound parameter. A value without an id, or one that no store can hold, matches nothing. Clauses have
no bounds on `seq` and no order: backends walk a filter in slices of `seq` and add them.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from storage.query import Filter, Scope
from storage.record import LEVELS, parse_id
from storage.relational import sql, weights
from storage.relational.combinations import part_of, parts_of
from storage.search.expression import (
    And,
    Between,
    Expression,
    Has,
    InNetwork,
    Is,
    Leaf,
    Like,
    Not,
    Or,
    Substring,
    Text,
    asked_values,
    conjuncts,
    fields,
    joined,
    leaf_field,
    leaves,
)
from storage.search.meaning import NUMBERS
from storage.search.patterns import is_like, is_storable, lower_ascii

_DICTIONARY: Final = frozenset((*sql.DIMENSIONS, "tool", "finish_reason", "grpc_status"))
EITHER: Final = {"any_model": ("model", "resolved_model")}
"""Fields that are several columns."""
_PACKED: Final = frozenset(("scheme", "http_version", "upstream", "key_name", "key_last4"))
"""Columns that some backend packs with others."""
_PLAIN: Final = frozenset(("path", "query", "trace_id", "span_id", "request_id", "client_ip"))
_IDS: Final = ("id", "conversation")
_SUMS: Final = {
    "bytes": ("request_bytes", "response_bytes"),
    "tokens": ("input_tokens", "output_tokens"),
}
_LEAST: Final = {"status": 1}
"""The least value that is one, where that is not 0."""
_INDEXED: Final = (
    "project", "service", "key_id", "finish_reason", "endpoint", "called_tool", "grpc_status", "redacted",
    "tool_error", "message",
)  # fmt: skip
"""Fields whose column has a partial index of the rows that have a text."""
_NEVER: Final = "1 = 0"
_COLUMNS: Final = {"tool": "tool_name"} | sql.COMBINATIONS
_QUIET: Final = frozenset(LEVELS[: LEVELS.index("warn")])


def scope_parts(scope: Scope) -> tuple[Expression, ...]:
    """Return the restrictions of a scope as expressions."""
    return conjuncts(
        fields(project=scope.projects, container=scope.containers, client=scope.clients)
    )


def sql_parts(filter: Filter) -> tuple[Expression, ...]:
    """List the conditions of a filter that SQL can express as a whole, its kind and bounds apart."""
    return (
        *scope_parts(filter.scope),
        *(part for part in conjuncts(filter.where) if is_sql_expressible(part)),
    )


def asked_fields(filter: Filter) -> frozenset[str]:
    """Name the fields in which a record must have one of some values, those of its scope included."""
    return frozenset(part.field for part in sql_parts(filter) if isinstance(part, Is))


def texts(filter: Filter) -> sql.Texts:
    """Name the dictionary values that a filter needs, by column."""
    wanted: sql.Texts = {}
    for part in (*scope_parts(filter.scope), *conjuncts(filter.where)):
        for leaf in leaves(part):
            if not isinstance(leaf, Is):
                continue
            for field in EITHER.get(leaf.field, (leaf.field,)):
                if field in _DICTIONARY - _PACKED:
                    column = column_of(field)
                    values = tuple(value for value in leaf.values if is_storable(value))
                    wanted[column] = wanted.get(column, ()) + values

    return wanted


def conditions(filter: Filter, ids: sql.Ids, dialect: sql.Dialect) -> sql.Where | None:
    """Build the clause of a filter (`sql_parts`) over the table of records; None when nothing can
    match.

    Ids are by column and text, of every value of `texts` that the store has.
    """
    writer = Writer(ids, dialect, 1)
    parts = [writer.whole(part, filter.kind) for part in sql_parts(filter)]
    parts.append(writer.kind(filter))
    if filter.since_us is not None or filter.until_us is not None:
        until_us = None if filter.until_us is None else filter.until_us - 1
        parts.append(writer.write(Between("started_at_us", filter.since_us, until_us)))
    return writer.where(parts)


def rollup_conditions(filter: Filter, ids: sql.Ids, dialect: sql.Dialect) -> sql.Where | None:
    """Build the clause of a filter, its time apart, over tables of rollups that have all columns it
    asks.
    """
    # Tables of rollups hold committed records only; a query in their place has this condition
    # itself.
    writer = Writer(ids, replace(dialect, committed=""), 1, class_column=dialect.rollup_class)
    return writer.where([*(writer.write(part) for part in sql_parts(filter)), writer.kind(filter)])


def sql_superset(expression: Expression | None) -> Expression | None:
    """Drop the parts that SQL cannot express; every record that fulfils the whole fulfils the rest.
    None: all do.
    """
    match expression:
        case And(parts):
            return joined(tuple(wide for part in parts if (wide := sql_superset(part)) is not None))
        case Or(parts):
            some = tuple(wide for part in parts if (wide := sql_superset(part)) is not None)
            return Or(some) if len(some) == len(parts) else None
        case Like(field) if field in sql.COMBINATIONS:
            return expression  # of several names, what a pattern looks for may be in two
        case None:
            return None
        case _:
            if is_sql_expressible(expression):
                return expression
            return None


def residual(expression: Expression | None) -> Expression | None:
    """Return the part of a search that SQL cannot express; None when SQL expresses all of it."""
    return joined(tuple(part for part in conjuncts(expression) if not is_sql_expressible(part)))


def is_sql_expressible(expression: Expression) -> bool:
    """Whether SQL can express all of it."""
    for leaf in leaves(expression):
        field = leaf_field(leaf)
        if isinstance(leaf, Text | Substring) or "." in field or field in _PACKED:
            return False
        if isinstance(leaf, Like) and field in sql.COMBINATIONS:
            return False  # `sql_superset` says the nearest

    return True


def search_condition(
    expression: Expression, ids: sql.Ids, dialect: sql.Dialect, first_parameter: int
) -> sql.Where:
    """Write the condition of a search that `sql_superset` returned, its parameters numbered from
    the first one.

    Ids are by column and text, of every value of `texts` that the store has.
    """
    writer = Writer(ids, dialect, first_parameter)
    return sql.Where(writer.write(expression), tuple(writer.parameters))


def classes_of(part: Between) -> list[int]:
    """List the status classes that make up a range; none where it begins or ends within a class."""
    least = part.least
    most = part.most
    if (
        part.field != "status"
        or least is None
        or most is None
        or least < 100
        or least % 100
        or most % 100 != 99
    ):
        return []

    return list(range(int(least) // 100, int(most) // 100 + 1))


class Writer:
    """Writes conditions and gathers their parameters."""

    def __init__(
        self,
        ids: sql.Ids,
        dialect: sql.Dialect,
        first_parameter: int,
        class_column: str | None = None,
    ) -> None:
        self.parameters: list[Any] = []
        self._ids = ids
        self._dialect = dialect
        self._first = first_parameter
        self._class = class_column or dialect.status_class

    def where(self, parts: Sequence[str]) -> sql.Where | None:
        """Put conditions together that must all hold; None when one of them never does."""
        if _NEVER in parts:
            return None
        text = " AND ".join(part for part in parts if part) or "1 = 1"
        return sql.Where(self._dialect.of_commits(text), tuple(self.parameters))

    def kind(self, filter: Filter) -> str:
        # Literals: they are conditions of the partial index of events.
        if filter.kind == "event":
            levels = [
                part.values
                for part in conjuncts(filter.where)
                if isinstance(part, Is) and part.field == "level"
            ]
            if any("debug" not in values for values in levels):
                return "kind = 1 AND level >= 1"
            return "kind = 1"

        if filter.kind == "all":
            return ""
        return f"kind = {self._number(sql.KINDS.index(filter.kind))}"

    def whole(self, part: Expression, kind: str) -> str:
        """Write a condition that must hold as a whole, with the literal condition of a partial
        index that serves it.
        """
        match part:
            case Is("level", values) if kind == "event":
                # Not from the index of failed exchanges: events have their own.
                return self._coded("level", values, unindexed=True)
            case Is("level", values) if _QUIET.isdisjoint(values):
                return self._and(["level >= 2", self._coded("level", values)])
            case Is(field) if field in _INDEXED:
                return self._and([self.write(part), self._has(field)])
            case Or(parts):
                return self._and([*self._failed(parts), *self._common(parts), self.write(part)])
            case Between("status"):
                return self._and([*self._failed((part,)), self.write(part)])
            case _:
                return self.write(part)

    def _failed(self, parts: Sequence[Expression]) -> list[str]:
        """Write the conditions of the index of failed exchanges, where the alternatives imply them."""
        classes: set[int] = set()
        for part in parts:
            if not isinstance(part, Between) or part.field != "status" or (part.most or 1000) > 999:
                return []
            classes.update(range(int(part.least or 0) // 100, int(part.most or 0) // 100 + 1))

        if classes and min(classes) >= 4:
            return ["status >= 400", self.among(self._class, sorted(classes))]

        return []

    def _common(self, parts: Sequence[Expression]) -> list[str]:
        """Write that a column has one of some ids, where each alternative requires one."""
        for field in _INDEXED:
            some = [asked_values(part, field) for part in parts]
            if all(some):
                values = tuple(dict.fromkeys(value for each in some for value in each))
                return [self.write(Is(field, values)), self._has(field)]
        return []

    def write(self, expression: Expression, *, is_nested: bool = False) -> str:
        start = len(self.parameters)
        text = self._write(expression, is_nested)
        if text == _NEVER:
            del self.parameters[start:]
        return text

    def _write(self, expression: Expression, is_nested: bool) -> str:
        match expression:
            case And(parts):
                return self._and([self.write(part, is_nested=True) for part in parts], "({})")
            case Or(parts):
                some = [
                    text for part in parts if (text := self.write(part, is_nested=True)) != _NEVER
                ]
                return f"({' OR '.join(some)})" if some else _NEVER
            case Not(part):
                return self._dialect.negated.format(self.write(part, is_nested=True))
            case _:
                return self._leaf(expression, is_nested)

    def _and(self, parts: Sequence[str], form: str = "{}") -> str:
        if _NEVER in parts:
            return _NEVER
        return form.format(" AND ".join(parts))

    def _leaf(self, expression: Leaf, is_nested: bool) -> str:
        match expression:
            case Is(field) | Like(field) | Has(field) if field in EITHER:
                return self._either(
                    [replace(expression, field=each) for each in EITHER[field]], is_nested
                )
            case Is(field, values):
                return self._is(field, [value for value in values if is_storable(value)], is_nested)
            case Like(field, parts):
                return self._like(field, parts)
            case Has(field):
                return self._has(field)
            case Between("status") if classes := classes_of(expression):
                return self.among(self._class, classes)
            case Between(weights.COLUMN, least, most):
                return self._weight(least, most)
            case Between(field, least, most):
                return self._between(field, least, most)
            case InNetwork(first, last):
                return self._dialect.in_network(self._add(first), self._add(last), len(first))
            case Text() | Substring():
                raise AssertionError(f"bug: {expression} is no condition of SQL")

    def _either(self, leaves: Sequence[Is | Like | Has], is_nested: bool) -> str:
        """Write that one of two columns fulfils a leaf, each with the literal of its own partial
        index.
        """
        some = [
            self._and([self._has(leaf.field), self.write(leaf, is_nested=is_nested)], "({})")
            for leaf in leaves
        ]
        if known := [text for text in some if text != _NEVER]:
            return f"({' OR '.join(known)})"
        return _NEVER

    def _is(self, field: str, values: Sequence[str], is_nested: bool) -> str:
        if field in sql.CODED:
            return self._coded(field, values)
        if field in _IDS:
            ids = [parsed for value in values if (parsed := parse_id(value)) is not None]
            return self.among(field, [self._dialect.from_id(each) for each in ids])
        if field == "trace_id":
            return self.either(self._dialect.trace_id, values)

        if field in sql.COMBINATIONS:
            column = column_of(field)
            marks = [self._add(part_of(value)) for value in values]
            if marks:
                return self._dialect.combination(column, sql.DICTIONARY_KINDS[column], marks)
            return _NEVER

        if field in _PLAIN:
            return self.among(self._dialect.text_columns.get(field, field), values)

        known = self._ids.get(column_of(field), {})
        found = [known[value] for value in values if value in known]
        if field == "tool":
            if found:
                return self._dialect.tool.format(self._marks(found))
            return _NEVER

        return self.among(self._dialect.unindexed.format(field) if is_nested else field, found)

    def _coded(self, column: str, values: Sequence[str], *, unindexed: bool = False) -> str:
        codes = [code for code, word in enumerate(sql.CODED[column]) if word in values]
        return self.among(self._dialect.unindexed.format(column) if unindexed else column, codes)

    def _like(self, field: str, parts: Sequence[str]) -> str:
        if not all(map(is_storable, parts)):
            return _NEVER
        is_combined = field in sql.COMBINATIONS
        parts = [lower_ascii(part) for part in (parts_of(parts) if is_combined else parts)]
        if field in sql.CODED:
            return self._coded(field, [word for word in sql.CODED[field] if is_like(word, parts)])
        if field in _PLAIN:
            return self._dialect.like(
                self._dialect.text_columns.get(field, field), parts, self._add
            )
        if not self._dialect.has_dictionary and field != "tool":
            return (
                f"({self._has(field)} AND {self._dialect.like(column_of(field), parts, self._add)})"
            )

        name = "value" if self._dialect.has_dictionary else column_of(field)
        ids = self._names(field, self._dialect.like(name, parts, self._add))
        if field == "tool":
            found = self._dialect.tool.format(ids)
        else:
            found = f"{column_of(field)} IN ({ids})"
        if is_combined:
            return f"({self._has(field)} AND {found})"

        return found

    def _names(self, field: str, condition: str = "1 = 1") -> str:
        """Write the query of the stored forms of a field's texts that fulfil a condition."""
        if not self._dialect.has_dictionary:
            return f"{self._dialect.tool_names} AND {condition}"
        kind = sql.DICTIONARY_KINDS[column_of(field)]
        return (
            f"SELECT id FROM {self._dialect.schema}dictionary WHERE kind = {kind} AND {condition}"
        )

    def _has(self, field: str) -> str:
        if field in sql.CODED or field == "id":
            return "1 = 1"
        if field == weights.COLUMN:
            return "1 = 1"
        if field in NUMBERS:
            return self._between(field, None, None)
        if field == "conversation":
            return "conversation IS NOT NULL"
        if field == "keyed":
            return "keyed = 1"
        if field in _PLAIN:
            return self._dialect.has_text.format(field)
        if field == "tool":
            return self._dialect.tool.format(self._names(field))

        return f"{column_of(field)} <> {self._dialect.none}"

    def _between(self, field: str, least: float | None, most: float | None) -> str:
        low = max(_LEAST.get(field, 0), least or 0)
        if low > sql.MAX_INT or (most is not None and most < low):
            return _NEVER
        if low == most and field not in _SUMS:
            return self.among(self._dialect.unindexed.format(field), [low])

        columns = _SUMS.get(field)
        if columns is None:
            number = field
        else:
            number = self._dialect.sum.format(*columns)
        if columns is None:
            bounds = []
        else:
            bounds = [f"({' OR '.join(f'{column} IS NOT NULL' for column in columns)})"]
        # Below, some backends say that there is none.
        bounds.append(f"{number} >= {self._number(low)}")
        if most is not None:
            bounds.append(f"{number} <= {self._number(most)}")
        return f"({' AND '.join(bounds)})"

    def _weight(self, least: float | None, most: float | None) -> str:
        first = 0 if least is None else weights.first_code(least)
        last = None if most is None else weights.last_code(most)
        if last is not None and last < first:
            return _NEVER
        return f"({self.bounds(f'coalesce({weights.COLUMN}, 0)', first, last)})"

    def bounds(self, column: str, least: int | None, most: int | None) -> str:
        """Write that a number lies between two; empty without any."""
        if (least or 0) > sql.MAX_INT or (most or 0) < -sql.MAX_INT:
            return _NEVER
        signs = ((">=", least), ("<=", most))
        return " AND ".join(
            f"{column} {sign} {self._number(bound)}" for sign, bound in signs if bound is not None
        )

    def either(self, form: str, values: Sequence[str]) -> str:
        """Write that a condition holds for one of some texts."""
        if values:
            return f"({' OR '.join(form.format(self._add(value)) for value in values)})"
        return _NEVER

    def among(self, column: str, values: Sequence[Any]) -> str:
        """Write that a column has one of some values."""
        if not values:
            return _NEVER
        if len(values) == 1:
            return f"{column} = {self._marks(values)}"
        return f"{column} IN ({self._marks(values)})"

    def _marks(self, values: Sequence[Any]) -> str:
        return ", ".join(
            [self._number(each) if isinstance(each, int) else self._add(each) for each in values]
        )

    def _number(self, value: float) -> str:
        if isinstance(value, int):
            return self._dialect.number.format(
                self._add(max(min(value, sql.MAX_INT), -sql.MAX_INT))
            )
        return self._add(value)

    def _add(self, value: Any) -> str:
        """Bind a parameter, and return its mark. Call it in the order of the marks in the text."""
        self.parameters.append(value)
        return self._dialect.placeholder(self._first + len(self.parameters) - 1)


def column_of(field: str) -> str:
    """Name the column of a field that is one."""
    return _COLUMNS.get(field, field)
