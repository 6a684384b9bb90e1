"""The value of a header or of a JSON path as one bounded text per record, or the reason why it is
missing.

Strategy: searches ask whether any value matches (`storage.search.subject`); lists and groups need
one text per record. Several values of a field are joined with commas, objects and lists are compact
JSON, and a list without an index in the path stands for each of its items.

Invariant: only stored, and so redacted, text is read. A truncated body is reported as such and
never guessed at.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Literal

from storage.json_text import read_json, write_scalar
from storage.record import Body, Payload
from storage.search.expression import BODY_FIELDS, HEAD_FIELDS
from storage.search.subject import BODY_SIDES, header_values, steps_of, values_at

State = Literal["known", "null", "absent", "not_json", "cut", "not_kept"]
STATES: Final[tuple[State, ...]] = ("known", "null", "cut", "not_json", "not_kept", "absent")
"""If the bodies differ in state, the first of these that one of them has."""

MAX_CELL_CHARACTERS: Final = 200
"""Longest value; a longer one is cut and flagged."""
FIELD_ALIASES: Final = {"error_message": "message"}
"""Name of a record's full text → the field that has it in short form."""
MAX_FIELD_CHARACTERS: Final = 200
"""Longest name of a field."""
_CUT_MARK: Final = "…"
_MAX_ITEMS: Final = 100
"""Most values of one field that are joined, as the text is cut anyway."""


@dataclass(frozen=True, slots=True)
class Cell:
    state: State
    text: str = ""
    """The value if it is known, up to `MAX_CELL_CHARACTERS` and an ellipsis."""
    is_cut: bool = False
    """Whether the value is longer."""


def is_cell_field(name: str) -> bool:
    """Whether a name is a field of headers or bodies: `header.x-tenant`,
    `response_body.choices.0.text`.
    """
    kind, dot, rest = name.partition(".")
    return (
        bool(dot and rest)
        and kind in (*HEAD_FIELDS, *BODY_FIELDS)
        and len(name) <= MAX_FIELD_CHARACTERS
    )


class Cells:
    """Reads fields of one payload, parsing each body at most once."""

    def __init__(self, payload: Payload | None) -> None:
        """Take the heads and bodies of an exchange; None if they are not stored (any more)."""
        self._payload = payload
        self._documents: dict[str, Any] = {}

    def cell(self, field: str) -> Cell:
        """Return the value of a field, for which `is_cell_field` holds."""
        if self._payload is None:
            return Cell("not_kept")
        kind, _, key = field.partition(".")
        if kind in HEAD_FIELDS:
            return self._header(self._payload, kind, key.lower())

        path = steps_of(key)
        return _joined(
            [self._place(side, getattr(self._payload, side), path) for side in BODY_SIDES[kind]]
        )

    def _header(self, payload: Payload, kind: str, name: str) -> Cell:
        heads = {"request_header": payload.request_head, "response_header": payload.response_head}
        chosen = heads.values() if kind == "header" else (heads[kind],)
        values = [value for head in chosen for value in header_values(head, name)]
        if values:
            return _known(values)
        return Cell("absent")

    def _place(self, side: str, body: Body | None, path: Sequence[str]) -> Cell:
        if body is None:
            return Cell("absent")
        if body.omitted is not None:
            return Cell("not_kept")
        if body.truncated:
            return Cell("cut")

        if side not in self._documents:
            self._documents[side] = _document(body.head)
        document = self._documents[side]
        if document is _NO_JSON:
            return Cell("not_json")

        values = list(islice(values_at(document, path), _MAX_ITEMS))
        if not values:
            return Cell("absent")
        if all(value is None for value in values):
            return Cell("null")

        return _known([_text(value) for value in values])


def group_names(payload: Payload | None, field: str) -> tuple[str | None, str]:
    """Return the group of a record: the text of a field, None if it is missing, and its state."""
    cell = Cells(payload).cell(field)
    return (cell.text if cell.state == "known" else None), cell.state


class _NoJson:
    """Marks a body that is not JSON; None would be the document `null`."""


_NO_JSON: Final = _NoJson()


def _document(head: bytes) -> Any:
    try:
        return read_json(head)
    except ValueError:
        return _NO_JSON


def _text(value: Any) -> str:
    if isinstance(value, dict | list):
        return "".join(islice(_pieces(value), MAX_CELL_CHARACTERS + 1))
    if isinstance(value, str):
        return value
    return write_scalar(value)


def _pieces(value: Any) -> Iterator[str]:
    """Yield compact JSON in pieces of at least one character, so that only as much is written as is
    read.
    """
    if isinstance(value, dict) and value:
        for number, (name, member) in enumerate(value.items()):
            yield f"{',' if number else '{'}{write_scalar(name)}:"
            yield from _pieces(member)
        yield "}"
    elif isinstance(value, list) and value:
        for number, item in enumerate(value):
            yield "," if number else "["
            yield from _pieces(item)
        yield "]"
    else:
        yield write_scalar(value)


def _known(values: Sequence[str]) -> Cell:
    text = ", ".join(values)
    if len(text) <= MAX_CELL_CHARACTERS:
        return Cell("known", text)
    return Cell("known", text[:MAX_CELL_CHARACTERS] + _CUT_MARK, is_cut=True)


def _joined(cells: Sequence[Cell]) -> Cell:
    """Return the combined value of both bodies."""
    known = [cell for cell in cells if cell.state == "known"]
    if len(known) > 1:
        joined = _known(
            [cell.text.removesuffix(_CUT_MARK) if cell.is_cut else cell.text for cell in known]
        )
        if joined.is_cut:
            return joined
        return Cell("known", joined.text, any(cell.is_cut for cell in known))

    return min(cells, key=lambda cell: STATES.index(cell.state))
