"""Views: searches with a name, as a store keeps them. Values only.

A view belongs to the scope of its creator and is seen with exactly that scope. It stores the
question, not the answer: it is evaluated whenever it is opened, within the reader's scope at that
time, so it widens no access.
"""

from collections.abc import Collection
from typing import Final, Literal

import msgspec

MAX_VIEWS: Final = 200
"""Most views of one scope."""
MAX_VIEW_BYTES: Final = 16_384
"""Largest size of one view as JSON."""

Order = Literal["desc", "asc"]
PutView = Literal["stored", "full", "taken", "missing"]
"""Result of storing a view. `full`: the scope has too many; `taken`: another view has the new name;
`missing`: the view to replace does not exist.
"""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A named search with the way its results are listed."""

    name: str
    """Unique within its scope."""
    query: str = ""
    """A search, as docs/search.md describes it."""
    columns: tuple[str, ...] = ()
    """Columns of the list, in order; empty: the default."""
    since: str | None = None
    """An age (`24h`), relative to when the view is opened, or a time; null: unrestricted."""
    until: str | None = None
    order: Order = "desc"
    group_by: str | None = None
    """Field by which the records are grouped instead of listed."""
    changed_at_us: int = 0
    """When it was saved, Unix µs."""


def put_result(names: Collection[str], name: str, replaced: str | None) -> PutView:
    """Decide whether a view can be stored among those of its scope: in the place of the view
    `replaced`, or of one with the same name.
    """
    if replaced is not None and replaced not in names:
        return "missing"
    if replaced not in (None, name) and name in names:
        return "taken"

    is_new = replaced is None and name not in names
    if is_new and len(names) >= MAX_VIEWS:
        return "full"
    return "stored"
