"""Headers and paths in JSON bodies as fields of a list: `fields=header.x-tenant,body.user.id`.

Only stored, redacted text is read. A page whose payloads exceed `MAX_PAGE_BYTES` ends early, with a
cursor. Names are those of the search language (`storage.search.cell`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from api.http.errors import BadParameter
from api.http.params import Query
from api.http.responses import ApiObject
from storage.base import Storage
from storage.query import Page
from storage.record import Payload, Record
from storage.relational.blocks.portions import body_bytes, portions
from storage.search.cell import (
    FIELD_ALIASES,
    MAX_FIELD_CHARACTERS,
    Cell,
    Cells,
    State,
    is_cell_field,
)
from storage.search.expression import BODY_FIELDS, HEAD_FIELDS

MAX_FIELDS: Final = 20
MAX_PAGE_BYTES: Final = 32 << 20
"""Size of the heads and bodies read for one page."""
_STEP_RECORDS: Final = 50
"""Number of payloads read at a time; fewer if they are large."""
EXPECTED: Final = (
    "names such as header.x-tenant, response_header.etag, body.user.id or "
    "response_body.choices.0.finish_reason"
)
CELL_FIELD: Final = (
    rf"({'|'.join((*HEAD_FIELDS, *BODY_FIELDS))})\.[^,\s\x00-\x1f\x7f-\x9f]{{1,150}}"
)
"""Pattern of a name, for descriptions; the parser accepts more."""
_NOTES: Final[Mapping[State, str]] = {
    "null": "null",
    "absent": "",
    "not_json": "[not JSON]",
    "cut": "[cut]",
    "not_kept": "[not kept]",
}
"""Text in a file's cell without a value."""


class FieldShown(ApiObject):
    """`value` is null unless the `state` is `known`; `is_cut` says that it is longer."""

    value: str | None
    state: State
    is_cut: bool


def read_fields(query: Query, others: Sequence[str] = ()) -> tuple[str, ...]:
    """Parse names of fields, without duplicates; `others` are allowed as well.

    Raises:
        BadParameter: a name is unknown, or there are too many.
    """
    texts = (part.strip() for part in query.get("fields", "").split(","))
    names = tuple(dict.fromkeys(FIELD_ALIASES.get(text, text) for text in texts if text))
    if len(names) > MAX_FIELDS + len(others):
        raise BadParameter(
            "fields", f"{len(names)} names", f"at most {MAX_FIELDS + len(others)} names"
        )

    for name in names:
        if name not in others and not is_cell_field(name):
            expected = f"{EXPECTED}, of at most {MAX_FIELD_CHARACTERS} characters"
            if others:
                columns = f", or one of {', '.join(others)}"
            else:
                columns = ""
            raise BadParameter("fields", name, expected + columns)

    return names


def fields_shown(
    record: Record, payload: Payload | None, names: Sequence[str]
) -> dict[str, FieldShown]:
    """Return the named fields of one record in the form of the API."""
    return {name: _shown(cell) for name, cell in cells_of(record, payload, names).items()}


def cells_of(record: Record, payload: Payload | None, names: Sequence[str]) -> dict[str, Cell]:
    if record.kind == "event" and payload is None:
        return dict.fromkeys(names, Cell("absent"))
    cells = Cells(payload)
    return {name: cells.cell(name) for name in names}


def text_of(cell: Cell) -> str:
    """Return the text of a file's cell: the value, or in brackets why there is none."""
    if cell.state == "known":
        return cell.text
    return _NOTES[cell.state]


async def with_payloads(storage: Storage, page: Page) -> tuple[Page, dict[int, Payload]]:
    """Read the payloads of a page; an oversized page ends after the record that exceeds the limit."""
    payloads: dict[int, Payload] = {}
    read_bytes = 0
    end = 0

    for step in portions(page.records, _STEP_RECORDS, body_bytes):
        found = await storage.payloads([record.seq for record in step])
        payloads |= found
        read_bytes += sum(map(_size_of, found.values()))

        end += len(step)
        if read_bytes > MAX_PAGE_BYTES and end < len(page.records):
            return replace(
                page, records=page.records[:end], complete=False, next_after=step[-1].seq
            ), payloads

    return page, payloads


def _size_of(payload: Payload) -> int:
    bodies = [body for body in (payload.request_body, payload.response_body) if body is not None]
    windows = sum(len(body.head) + len(body.tail) for body in bodies)
    return len(payload.request_head) + len(payload.response_head) + windows


def _shown(cell: Cell) -> FieldShown:
    return FieldShown(cell.text if cell.state == "known" else None, cell.state, cell.is_cut)
