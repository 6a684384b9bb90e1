"""The body of a webhook as an operator wrote it: JSON with field names in braces.

Only a name within braces is a field. JSON has such text nowhere but in strings, so braces need not
be doubled. Values are escaped as JSON strings: a text that a client chose cannot end a string.
"""

import json
import re
from collections.abc import Mapping
from typing import Final

FIELDS: Final = (
    "id",
    "alert",
    "status",
    "group",
    "by",
    "figure",
    "value",
    "number",
    "limit",
    "window",
    "query",
    "search",
    "since",
    "time",
    "link",
    "ids",
    "text",
)
"""Fields of a message; `number` is the bare value or null, all others are texts."""
NUMBER: Final = "number"

_FIELD: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def fill(template: str, fields: Mapping[str, str]) -> str:
    """Replace the fields in the template by those of a message."""

    def written(found: re.Match[str]) -> str:
        return json.dumps(fields[found[1]], ensure_ascii=False)[1:-1]

    return _FIELD.sub(written, template)


def check_template(template: str) -> str:
    """Return the fault of a template, empty if it is valid. The template may hold secrets, so the
    fault does not quote it.
    """
    for name in _FIELD.findall(template):
        if name not in FIELDS:
            return f"expected {', '.join(f'{{{known}}}' for known in FIELDS)}, got {{{name}}}"
    sample = dict.fromkeys(FIELDS, "text") | {NUMBER: "1"}
    try:
        json.loads(fill(template, sample))
    except json.JSONDecodeError as error:
        place = f"{error.msg} at character {error.pos + 1}"
        return f"is not JSON once its fields are filled in: {place}"

    return ""
