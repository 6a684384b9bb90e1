"""From a search to SQL: a condition that every row fulfilling it fulfils, and what is left to be looked at row by row.

Strategy: what a row says of itself is a condition; headers, bodies and words are not. A part of a search that needs
those is widened until it is one (`widened`), and stands among what is left (`unsaid`). Null is never true and `IS NOT
TRUE` is never null, so that `not` is the complement of what it stands before.

Invariant: identifiers come from the closed tables below, never from a caller; every value is a bound parameter.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from storage.record import parse_id
from storage.relational import sql
from storage.relational.tools.called import part_of
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
    conjuncts,
    field_of,
    joined,
    leaves,
)
from storage.search.patterns import is_like, is_storable, lower_ascii

Add = Callable[[Any], str]
"""Takes a parameter, returns its mark. To be called in the order in which the marks stand in the text."""

_DICTIONARY: Final = frozenset((*sql.DIMENSIONS, "tool", "finish_reason"))
_EITHER: Final = {"any_model": ("model", "resolved_model")}
"""Fields that are several columns."""
_PACKED: Final = frozenset(("scheme", "http_version", "upstream", "key_name", "key_last4"))
"""Columns that some backend packs with others."""
_PLAIN: Final = frozenset(("path", "query", "trace_id", "span_id", "request_id", "client_ip"))
_IDS: Final = ("id", "conversation")
_NUMBERS: Final = {
    name: name
    for name in (
        *("status", "duration_us", "first_byte_us", "request_bytes", "response_bytes", "started_at_us", "seq"),
        *("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "cost_usd"),
    )
}
"""Field → column."""
_SUMS: Final = {"bytes": ("request_bytes", "response_bytes"), "tokens": ("input_tokens", "output_tokens")}
_LEAST: Final = {"status": 1}
"""The least value that is one: below, some backends say that there is none."""
_KINDS: Final = {column: kind for kind, column in enumerate(sql.DIMENSIONS)} | sql.TOOL_KINDS | sql.CALL_KINDS


def texts(expression: Expression | None) -> sql.Texts:
    """Name the dictionary values that a search needs, by column."""
    wanted: sql.Texts = {}
    for leaf in leaves(expression):
        if not isinstance(leaf, Is):
            continue
        for field in _EITHER.get(leaf.field, (leaf.field,)):
            if field in _DICTIONARY - _PACKED:
                column = _column(field)
                wanted[column] = wanted.get(column, ()) + tuple(value for value in leaf.values if is_storable(value))
    return wanted


def widened(expression: Expression | None) -> Expression | None:
    """Leave out what no condition can say; what is left holds for every record that fulfils the whole. None: all do."""
    match expression:
        case And(parts):
            return joined(tuple(wide for part in parts if (wide := widened(part)) is not None))
        case Or(parts):
            some = tuple(wide for part in parts if (wide := widened(part)) is not None)
            return Or(some) if len(some) == len(parts) else None
        case None:
            return None
        case _:
            return expression if can_be_said(expression) else None


def unsaid(expression: Expression | None) -> Expression | None:
    """Return what records must fulfil beside the condition; None when it says everything."""
    return joined(tuple(part for part in conjuncts(expression) if not can_be_said(part)))


def can_be_said(expression: Expression) -> bool:
    """Whether a condition says all of it."""
    for leaf in leaves(expression):
        field = field_of(leaf)
        if isinstance(leaf, Text | Substring) or "." in field or field in _PACKED:
            return False
        if isinstance(leaf, Like) and field == "called_tool":
            return False  # a combination of tools is one text
    return True


def condition(expression: Expression, ids: sql.Ids, dialect: sql.Dialect, first_parameter: int) -> sql.Where:
    """Write the condition of a search that `widened` returned, its parameters numbered from the first one.

    Ids are by column and text, of every value of `texts` that the store has.
    """
    parameters: list[Any] = []

    def add(value: Any) -> str:
        parameters.append(value)
        return dialect.placeholder(first_parameter + len(parameters) - 1)

    text = _Writer(ids, dialect, add).write(expression)
    return sql.Where(text, tuple(parameters))


class _Writer:
    def __init__(self, ids: sql.Ids, dialect: sql.Dialect, add: Add) -> None:
        self._ids = ids
        self._dialect = dialect
        self._add = add

    def write(self, expression: Expression) -> str:
        match expression:
            case And(parts):
                return f"({' AND '.join([self.write(part) for part in parts])})"
            case Or(parts):
                return f"({' OR '.join([self.write(part) for part in parts])})"
            case Not(part):
                return self._dialect.negated.format(self.write(part))
            case _:
                return self._leaf(expression)

    def _leaf(self, expression: Leaf) -> str:
        match expression:
            case Is(field) | Like(field) | Has(field) if field in _EITHER:
                return self.write(Or(tuple(replace(expression, field=each) for each in _EITHER[field])))
            case Is(field, values):
                return self._is(field, [value for value in values if is_storable(value)])
            case Like(field, parts):
                return self._like(field, [lower_ascii(part) for part in parts]) if _are_storable(parts) else _NEVER
            case Has(field):
                return self._has(field)
            case Between(field, least, most):
                return self._between(field, least, most)
            case InNetwork(first, last):
                return self._dialect.in_network(self._add(first), self._add(last), len(first))
            case Text() | Substring():
                raise AssertionError(f"bug: {expression} cannot be said")

    def _is(self, field: str, values: Sequence[str]) -> str:
        if field in sql.CODED:
            return _one_of(field, [sql.CODED[field].index(value) for value in values if value in sql.CODED[field]])
        if field in _IDS:
            ids = [parsed for value in values if (parsed := parse_id(value)) is not None]
            return self._among(field, [self._dialect.from_id(each) for each in ids])
        if field == "called_tool":
            either = [self._dialect.called_tool.format(self._add(part_of(value))) for value in values]
            return f"({' OR '.join(either)})" if either else _NEVER
        if field in _PLAIN:
            return self._among(self._dialect.text_columns.get(field, field), values)
        known = self._ids.get(_column(field), {})
        return self._coded(field, ", ".join([self._mark(known[value]) for value in values if value in known]))

    def _like(self, field: str, parts: Sequence[str]) -> str:
        if field in sql.CODED:
            return _one_of(field, [code for code, word in enumerate(sql.CODED[field]) if is_like(word, parts)])
        if field in _PLAIN:
            return self._dialect.like(self._dialect.text_columns.get(field, field), parts, self._add)
        if self._dialect.tool_names and field != "tool":
            return f"({self._has(field)} AND {self._dialect.like(field, parts, self._add)})"
        name = _column(field) if self._dialect.tool_names else "value"
        return self._coded(field, self._names(field, self._dialect.like(name, parts, self._add)))

    def _names(self, field: str, condition: str = "1 = 1") -> str:
        """Write the query of what the texts of a field are stored as that fulfil a condition."""
        if self._dialect.tool_names:
            return f"{self._dialect.tool_names} AND {condition}"
        kind = _KINDS[_column(field)]
        return f"SELECT id FROM {self._dialect.schema}dictionary WHERE kind = {kind} AND {condition}"

    def _coded(self, field: str, ids: str) -> str:
        """Write that a dictionary column has one of some ids, given as marks or as a query."""
        if not ids:
            return _NEVER
        return self._dialect.tool.format(ids) if field == "tool" else f"{field} IN ({ids})"

    def _has(self, field: str) -> str:
        if field in sql.CODED or field == "id":
            return "1 = 1"
        if field in _NUMBERS or field in _SUMS:
            return self._between(field, None, None)
        if field == "conversation":
            return "conversation IS NOT NULL"
        if field in _PLAIN:
            return self._dialect.has_text.format(field)
        if field == "tool":
            return self._dialect.tool.format(self._names(field))
        return f"{_column(field)} <> {self._dialect.none}"

    def _between(self, field: str, least: float | None, most: float | None) -> str:
        low = max(_LEAST.get(field, 0), -sql.MAX_INT if least is None else least)
        columns = _SUMS.get(field)
        number = _NUMBERS[field] if columns is None else self._dialect.sum.format(*columns)
        known = "" if columns is None else f"({' OR '.join(f'{column} IS NOT NULL' for column in columns)}) AND "
        bounds = [f"{number} >= {self._number(low)}"]
        if most is not None:
            bounds.append(f"{number} <= {self._number(most)}")
        return f"({known}{' AND '.join(bounds)})"

    def _among(self, column: str, values: Sequence[Any]) -> str:
        marks = ", ".join([self._add(value) for value in values])
        return f"{column} IN ({marks})" if marks else _NEVER

    def _mark(self, value: Any) -> str:
        return self._number(value) if isinstance(value, int) else self._add(value)

    def _number(self, value: float) -> str:
        if isinstance(value, int):
            return self._dialect.number.format(self._add(max(min(value, sql.MAX_INT), -sql.MAX_INT)))
        return self._add(value)


_NEVER: Final = "1 = 0"
_COLUMNS: Final = {"tool": "tool_name", "called_tool": "called_tools"}


def _one_of(column: str, codes: Sequence[int]) -> str:
    return f"{column} IN ({', '.join(map(str, codes))})" if codes else _NEVER


def _column(field: str) -> str:
    return _COLUMNS.get(field, field)


def _are_storable(parts: Sequence[str]) -> bool:
    return all(map(is_storable, parts))
