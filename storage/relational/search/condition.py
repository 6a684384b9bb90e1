"""Compiles a filter to SQL: conditions and bound parameters, over records or over rollups. Pure.

Strategy: repeated text is stored as dictionary ids (or as itself, where the database does so by
itself), so a filter is compiled in two steps. `texts` lists the values to be looked up, the backend
looks them up, and `conditions` builds the clause from their ids.

SQL expresses conditions on columns, but not those on headers, bodies and words. A part of a search
that has such is widened to a superset (`sql_superset`) and kept as the `residual`. A part that SQL
expresses and that every record must fulfil ("top level" below) is written together with the literal
condition of a partial index, so that the database can use that index.

Null is never true and `IS NOT TRUE` is never null, so `not` is an exact complement.

Invariant: identifiers come from the closed tables below, never from a caller; every value is a
bound parameter. A value without an id, or one that no store can hold, matches nothing. Clauses have
no bounds on `seq` and no order: backends walk a filter in slices of `seq` and add them.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
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
"""Field that asks several columns → these; one of them must fulfil the condition."""
_PACKED: Final = frozenset(("scheme", "http_version", "upstream", "key_name", "key_last4"))
"""Columns that some backend packs with others."""
_PLAIN: Final = frozenset(("path", "query", "trace_id", "span_id", "request_id", "client_ip"))
"""Columns of text that is not repeated, and has no dictionary ids."""
_IDS: Final = ("id", "conversation")
_SUMS: Final = {
    "bytes": ("request_bytes", "response_bytes"),
    "tokens": ("input_tokens", "output_tokens"),
}
_MINIMA: Final = {"status": 1}
"""Column of numbers → its least value, where that is not 0; less stands for none."""
_INDEXED: Final = (
    "project", "service", "key_id", "finish_reason", "endpoint", "called_tool", "grpc_status", "redacted",
    "tool_error", "message",
)  # fmt: skip
"""Fields with a partial index of the rows that have a value."""
_NEVER: Final = "1 = 0"
_COLUMNS: Final = {"tool": "tool_name"} | sql.COMBINATIONS
_QUIET: Final = frozenset(LEVELS[: LEVELS.index("warn")])
"""Levels that are not in the partial index of failed exchanges."""


def scope_parts(scope: Scope) -> tuple[Expression, ...]:
    """Return the restrictions of a scope as expressions."""
    return conjuncts(
        fields(project=scope.projects, container=scope.containers, client=scope.clients)
    )


def sql_parts(filter: Filter) -> tuple[Expression, ...]:
    """List the top-level conditions that SQL can express, without kind and bounds."""
    return (
        *scope_parts(filter.scope),
        *(part for part in conjuncts(filter.where) if is_sql_expressible(part)),
    )


def asked_fields(filter: Filter) -> frozenset[str]:
    """Name the fields of which a filter, or its scope, lists the values at top level."""
    return frozenset(part.field for part in sql_parts(filter) if isinstance(part, Is))


def texts(filter: Filter) -> sql.Texts:
    """List the dictionary values to be looked up for a filter, by column."""
    wanted: sql.Texts = {}
    for part in (*scope_parts(filter.scope), *conjuncts(filter.where)):
        for leaf in leaves(part):
            if not isinstance(leaf, Is):
                continue

            values = tuple(value for value in leaf.values if is_storable(value))
            for field in EITHER.get(leaf.field, (leaf.field,)):
                if field in _DICTIONARY - _PACKED:
                    column = column_of(field)
                    wanted[column] = wanted.get(column, ()) + values

    return wanted


def conditions(filter: Filter, ids: sql.Ids, dialect: sql.Dialect) -> sql.Where | None:
    """Build the clause of a filter's `sql_parts` over records; None when nothing can match.

    `ids` has those values of `texts` that the store has.
    """
    writer = Writer(ids, dialect, 1)
    parts = [writer.top_level(part, filter.kind) for part in sql_parts(filter)]
    parts.append(writer.kind(filter))
    if filter.since_us is not None or filter.until_us is not None:
        if filter.until_us is None:
            until_us = None
        else:
            until_us = filter.until_us - 1
        parts.append(writer.write(Between("started_at_us", filter.since_us, until_us)))
    return writer.where(parts)


def rollup_conditions(filter: Filter, ids: sql.Ids, dialect: sql.Dialect) -> sql.Where | None:
    """Build the clause of a filter over rollups that have all of its columns, without its time."""
    # Rollup tables hold committed records only, and the queries that stand for them leave out
    # others themselves.
    writer = Writer(ids, replace(dialect, committed=""), 1, class_column=dialect.rollup_class)
    parts = [writer.write(part) for part in sql_parts(filter)]
    parts.append(writer.kind(filter))
    return writer.where(parts)


def sql_superset(expression: Expression | None) -> Expression | None:
    """Drop the parts that SQL cannot express; None when that leaves no condition.

    Every record that fulfils the expression fulfils the superset.
    """
    match expression:
        case None:
            return None
        case And(parts):
            return joined(_supersets(parts))
        case Or(parts):
            # One alternative without a condition is fulfilled by all records.
            supersets = _supersets(parts)
            if len(supersets) == len(parts):
                return Or(supersets)
            return None
        case Like(field) if field in sql.COMBINATIONS:
            # Several names are stored as one text: a pattern may match across two of them.
            return expression
        case _:
            if is_sql_expressible(expression):
                return expression
            return None


def _supersets(parts: Sequence[Expression]) -> tuple[Expression, ...]:
    return tuple(each for part in parts if (each := sql_superset(part)) is not None)


def residual(expression: Expression | None) -> Expression | None:
    """Return the conditions that SQL cannot express; None when it expresses all."""
    return joined(tuple(part for part in conjuncts(expression) if not is_sql_expressible(part)))


def is_sql_expressible(expression: Expression) -> bool:
    """Whether SQL can express all of an expression."""
    for leaf in leaves(expression):
        field = leaf_field(leaf)
        if isinstance(leaf, Text | Substring) or "." in field or field in _PACKED:
            return False
        if isinstance(leaf, Like) and field in sql.COMBINATIONS:
            return False  # `sql_superset` has the reason.

    return True


def search_condition(
    expression: Expression, ids: sql.Ids, dialect: sql.Dialect, first_parameter: int
) -> sql.Where:
    """Write the condition of an `sql_superset`, its parameters numbered from the first one.

    `ids` has those values of `texts` that the store has.
    """
    writer = Writer(ids, dialect, first_parameter)
    return sql.Where(writer.write(expression), tuple(writer.parameters))


def classes_of(part: Between) -> list[int]:
    """List the status classes that make up a range; none unless it consists of whole classes."""
    least = part.least
    most = part.most
    if part.field != "status" or least is None or most is None:
        return []
    if least < 100 or least % 100 or most % 100 != 99:
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
        """Join conditions that must all hold, without empty ones; None when one never holds."""
        if _NEVER in parts:
            return None

        text = " AND ".join(part for part in parts if part) or "1 = 1"
        return sql.Where(self._dialect.of_commits(text), tuple(self.parameters))

    def kind(self, filter: Filter) -> str:
        """Write the condition on the kind of records; empty for all."""
        if filter.kind == "all":
            return ""
        if filter.kind == "exchange":
            return f"kind = {self._number(sql.KINDS.index(filter.kind))}"

        # Literals, as in the conditions of the partial indexes of events.
        for part in conjuncts(filter.where):
            if isinstance(part, Is) and part.field == "level" and "debug" not in part.values:
                return "kind = 1 AND level >= 1"
        return "kind = 1"

    def top_level(self, part: Expression, kind: str) -> str:
        """Write a condition that every record must fulfil, with the literal condition of a partial
        index that serves it.
        """
        match part:
            case Is("level", values) if kind == "event":
                # Events have an index of their own: that of failed exchanges is not to be used.
                return self._coded("level", values, is_unindexed=True)
            case Is("level", values) if _QUIET.isdisjoint(values):
                return self._and(["level >= 2", self._coded("level", values)])
            case Is("direction", ("out",)):
                return "direction = 1"
            case Is(field) if field in _INDEXED:
                return self._and([self.write(part), self._has(field)])
            case Or(parts):
                implied = [*self._implied_failure(parts), *self._implied_values(parts)]
                return self._and([*implied, self.write(part)])
            case Between("status"):
                return self._and([*self._implied_failure((part,)), self.write(part)])
            case _:
                return self.write(part)

    def _implied_failure(self, parts: Sequence[Expression]) -> list[str]:
        """Write the conditions of the index of failed exchanges if all alternatives imply them."""
        classes: set[int] = set()
        for part in parts:
            if not isinstance(part, Between) or part.field != "status":
                return []
            if not part.most or part.most > 999:
                return []
            classes.update(range(int(part.least or 0) // 100, int(part.most) // 100 + 1))

        if classes and min(classes) >= 4:
            return ["status >= 400", self.among(self._class, sorted(classes))]
        return []

    def _implied_values(self, parts: Sequence[Expression]) -> list[str]:
        """Write the conditions of a column's index if all alternatives list values of it."""
        for field in _INDEXED:
            values_of_each = [asked_values(part, field) for part in parts]
            if all(values_of_each):
                values = tuple(dict.fromkeys(chain.from_iterable(values_of_each)))
                return [self.write(Is(field, values)), self._has(field)]

        return []

    def write(self, expression: Expression, *, is_nested: bool = False) -> str:
        """Write the condition of an expression; with `is_nested` a database may use no index."""
        start = len(self.parameters)
        text = self._write(expression, is_nested)
        if text == _NEVER:
            # Parts may have bound parameters before another turned out never to hold.
            del self.parameters[start:]
        return text

    def _write(self, expression: Expression, is_nested: bool) -> str:
        match expression:
            case And(parts):
                return self._and([self.write(part, is_nested=True) for part in parts], "({})")
            case Or(parts):
                return self._or([self.write(part, is_nested=True) for part in parts])
            case Not(part):
                return self._dialect.negated.format(self.write(part, is_nested=True))
            case _:
                return self._leaf(expression, is_nested)

    def _and(self, parts: Sequence[str], form: str = "{}") -> str:
        if _NEVER in parts:
            return _NEVER
        return form.format(" AND ".join(parts))

    def _or(self, parts: Sequence[str]) -> str:
        possible = [part for part in parts if part != _NEVER]
        if possible:
            return f"({' OR '.join(possible)})"
        return _NEVER

    def _leaf(self, expression: Leaf, is_nested: bool) -> str:
        match expression:
            case Is(field) | Like(field) | Has(field) if field in EITHER:
                leaves = [replace(expression, field=column) for column in EITHER[field]]
                return self._either(leaves, is_nested)
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
        """Write that a column of several fulfils a leaf, each with the literal of its index."""
        return self._or(
            [
                self._and([self._has(leaf.field), self.write(leaf, is_nested=is_nested)], "({})")
                for leaf in leaves
            ]
        )

    def _is(self, field: str, values: Sequence[str], is_nested: bool) -> str:
        if field in sql.CODED:
            return self._coded(field, values)
        if field in _IDS:
            parsed = [number for number in map(parse_id, values) if number is not None]
            return self.among(field, parsed)
        if field == "trace_id":
            return self.either(self._dialect.trace_id, values)

        if field in sql.COMBINATIONS:
            if not values:
                return _NEVER
            column = column_of(field)
            marks = [self._add(part_of(value)) for value in values]
            return self._dialect.combination(column, sql.DICTIONARY_KINDS[column], marks)

        if field in _PLAIN:
            return self.among(self._dialect.text_columns.get(field, field), values)

        known = self._ids.get(column_of(field), {})
        ids = [known[value] for value in values if value in known]
        if field == "tool":
            if ids:
                return self._dialect.tool.format(self._marks(ids))
            return _NEVER
        return self.among(self._dialect.unindexed.format(field) if is_nested else field, ids)

    def _coded(self, column: str, words: Sequence[str], *, is_unindexed: bool = False) -> str:
        codes = [code for code, word in enumerate(sql.CODED[column]) if word in words]
        return self.among(self._dialect.unindexed.format(column) if is_unindexed else column, codes)

    def _like(self, field: str, parts: Sequence[str]) -> str:
        if not all(map(is_storable, parts)):
            return _NEVER

        dialect = self._dialect
        column = column_of(field)
        is_combined = field in sql.COMBINATIONS
        parts = [lower_ascii(part) for part in (parts_of(parts) if is_combined else parts)]
        if field in sql.CODED:
            return self._coded(field, [word for word in sql.CODED[field] if is_like(word, parts)])
        if field in _PLAIN or not (dialect.has_dictionary or field == "tool"):
            stored_text = dialect.text_columns.get(field, column)
            return f"({self._has(field)} AND {dialect.like(stored_text, parts, self._add)})"

        text = "value" if dialect.has_dictionary else column
        ids = self._stored_texts(field, dialect.like(text, parts, self._add))
        if field == "tool":
            return dialect.tool.format(ids)
        if is_combined:
            return f"({self._has(field)} AND {column} IN ({ids}))"
        return f"{column} IN ({ids})"

    def _stored_texts(self, field: str, condition: str = "1 = 1") -> str:
        """Write the query of the ids of a field's texts, or of these where there are no ids."""
        if not self._dialect.has_dictionary:
            return f"{self._dialect.tool_names} AND {condition}"
        kind = sql.DICTIONARY_KINDS[column_of(field)]
        return (
            f"SELECT id FROM {self._dialect.schema}dictionary WHERE kind = {kind} AND {condition}"
        )

    def _has(self, field: str) -> str:
        if field in sql.CODED or field in ("id", weights.COLUMN):
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
            return self._dialect.tool.format(self._stored_texts(field))

        return f"{column_of(field)} <> {self._dialect.none}"

    def _between(self, field: str, least: float | None, most: float | None) -> str:
        low = max(_MINIMA.get(field, 0), least or 0)
        if low > sql.MAX_INT or (most is not None and most < low):
            return _NEVER

        number = field
        bounds = []
        columns = _SUMS.get(field)
        if columns is not None:
            number = self._dialect.sum.format(*columns)
            bounds.append(f"({' OR '.join(f'{column} IS NOT NULL' for column in columns)})")
        elif low == most:
            return self.among(self._dialect.unindexed.format(field), [low])

        # The lower bound is always written: some backends store less where there is no number.
        bounds.append(f"{number} >= {self._number(low)}")
        if most is not None:
            bounds.append(f"{number} <= {self._number(most)}")
        return f"({' AND '.join(bounds)})"

    def _weight(self, least: float | None, most: float | None) -> str:
        if least is None:
            first = 0
        else:
            first = weights.first_code(least)
        if most is None:
            last = None
        else:
            last = weights.last_code(most)
        if last is not None and last < first:
            return _NEVER
        return f"({self.bounds(f'coalesce({weights.COLUMN}, 0)', first, last)})"

    def bounds(self, column: str, least: int | None, most: int | None) -> str:
        """Write that a number lies between two bounds; empty without any."""
        if (least or 0) > sql.MAX_INT or (most or 0) < -sql.MAX_INT:
            return _NEVER
        signs = ((">=", least), ("<=", most))
        return " AND ".join(
            f"{column} {sign} {self._number(bound)}" for sign, bound in signs if bound is not None
        )

    def either(self, form: str, values: Sequence[str]) -> str:
        """Write that a condition, of the mark `{}`, holds for one of some texts."""
        return self._or([form.format(self._add(value)) for value in values])

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
            mark = self._add(max(min(value, sql.MAX_INT), -sql.MAX_INT))
            return self._dialect.number.format(mark)
        return self._add(value)

    def _add(self, value: Any) -> str:
        """Bind a parameter and return its mark. Calls are in the order of the marks in the text."""
        self.parameters.append(value)
        return self._dialect.placeholder(self._first + len(self.parameters) - 1)


def column_of(field: str) -> str:
    """Return the column of a field that has one."""
    return _COLUMNS.get(field, field)
