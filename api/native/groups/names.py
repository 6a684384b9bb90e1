"""What requests can be grouped by, and how a reader may call it. Pure."""

from typing import Final

from api.http.errors import BadParameter
from storage.aggregates import TOP_FIELDS
from storage.search.cell import is_cell_field
from storage.search.language.words import ALIASES

TOOL: Final = "tool"
"""MCP tools: calls of them are counted, not requests."""
GROUPS: Final = (*TOP_FIELDS, TOOL)
_CALLED: Final = tuple(ALIASES.get(name, name) for name in GROUPS)
"""As help calls them."""
OTHER_NAMES: Final = {word: name for name, word in ALIASES.items() if name in TOP_FIELDS} | {
    name: word for name, word in ALIASES.items() if word in TOP_FIELDS
}
"""As the search language calls them, or the API's parameters."""


def read_group(parameter: str, text: str) -> str:
    """Return what to group by, by its own name."""
    name = OTHER_NAMES.get(text, text)
    if name not in GROUPS and not is_cell_field(name):
        raise BadParameter(
            parameter, text, f"one of {', '.join(_CALLED)}, or a field such as header.x-tenant, body.user.id"
        )
    return name
