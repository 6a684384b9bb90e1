"""What a record says of a header or of a place in a JSON body, as one text of a bounded length, or
why it says nothing.

Strategy: searches ask whether some value is what is wanted (`storage.search.subject`); lists and
groups need one text a record. Several values of one field are joined with commas, objects and lists
are compact JSON, and a place inside of a list without a number stands for that place in each of its
items.

Invariant: only what is stored is read, which is redacted; a body that was cut says so, and is not
guessed at.
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
"""Of several bodies, the first that one of them is in counts."""

MAX_CELL_CHARACTERS: Final = 200
"""Of a value; what is longer is cut, and says so."""
FIELD_ALIASES: Final = {"error_message": "message"}
"""Names under which a record shows in full what a field has in short."""
MAX_FIELD_CHARACTERS: Final = 200
"""Of the name of a field."""
_CUT_MARK: Final = "…"
_MAX_ITEMS: Final = 100
"""Values of one field that are joined before the text is cut anyway."""


@dataclass(frozen=True, slots=True)
class Cell:
    state: State
    text: str = ""
    """The value where it is known, at most `MAX_CELL_CHARACTERS` and the mark."""
    is_cut: bool = False
    """Whether the value is longer."""


def is_cell_field(name: str) -> bool:
    """Whether a name is that of a header or of a place in a body: `header.x-tenant`,
    `response_body.choices.0.text`.
    """
    kind, dot, rest = name.partition(".")
    return (
        bool(dot and rest)
        and kind in (*HEAD_FIELDS, *BODY_FIELDS)
        and len(name) <= MAX_FIELD_CHARACTERS
    )


class Cells:
    """Reads fields of one payload; each body is parsed at most once."""

    def __init__(self, payload: Payload | None) -> None:
        """Take the heads and bodies of an exchange; None where nothing of them is stored (any
        more).
        """
        self._payload = payload
        self._documents: dict[str, Any] = {}

    def cell(self, field: str) -> Cell:
        """Read a field that `is_cell_field`."""
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
        return _known(values) if values else Cell("absent")

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
    """Name the group of a record: the text of a field, None without one, and the state of it."""
    cell = Cells(payload).cell(field)
    return (cell.text if cell.state == "known" else None), cell.state


class _NoJson:
    """What stands for a body that is no JSON: None is a document, too."""


_NO_JSON: Final = _NoJson()


def _document(head: bytes) -> Any:
    try:
        return read_json(head)
    except ValueError:
        return _NO_JSON


def _text(value: Any) -> str:
    if isinstance(value, dict | list):
        return "".join(islice(_pieces(value), MAX_CELL_CHARACTERS + 1))
    return value if isinstance(value, str) else write_scalar(value)


def _pieces(value: Any) -> Iterator[str]:
    """Write JSON piece by piece, each a character at least: as deep as what is taken of it is long."""
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
    """Return what both bodies say together."""
    known = [cell for cell in cells if cell.state == "known"]
    if len(known) > 1:
        joined = _known(
            [cell.text.removesuffix(_CUT_MARK) if cell.is_cut else cell.text for cell in known]
        )
        if joined.is_cut:
            return joined
        return Cell("known", joined.text, any(cell.is_cut for cell in known))

    return min(cells, key=lambda cell: STATES.index(cell.state))
