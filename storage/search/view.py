"""Views: searches that were given a name, as a store keeps them. Values only.

A view belongs to the scope of who saved it and is seen with exactly that scope. It is a question,
not an answer: it is asked anew when it is opened, within the scope they have then, so it widens
nothing.
"""

from typing import Final, Literal

import msgspec

MAX_VIEWS: Final = 200
"""Of one scope."""
MAX_VIEW_BYTES: Final = 16_384
"""Of one view as JSON."""

Order = Literal["desc", "asc"]
PutView = Literal["stored", "full", "taken", "missing"]
"""What became of a view: there are too many; another has its new name; the one to be replaced is
not there.
"""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """One view."""

    name: str
    """Unique within its scope."""
    query: str = ""
    """A search, as docs/search.md describes it."""
    columns: tuple[str, ...] = ()
    """Columns of the list, in their order; empty: as ever."""
    since: str | None = None
    """An age (`24h`), which moves on with the clock, or a time; null: says nothing of it."""
    until: str | None = None
    order: Order = "desc"
    group_by: str | None = None
    """Field by which the records are grouped instead of listed."""
    changed_at_us: int = 0
    """When it was saved."""
