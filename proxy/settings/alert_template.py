"""The body of a webhook as an operator wrote it: JSON with names in braces for fields. Pure.

Strategy: only a name within braces is a field, which JSON has nowhere but in texts, so that no
brace need be doubled. Values are written as JSON escapes them: a text that a client chose ends no
string.
"""

import json
import re
from collections.abc import Mapping
from typing import Final

FIELDS: Final = (
    *("id", "alert", "status", "group", "by", "figure", "value", "number", "limit", "window"),
    *("query", "search", "since", "time", "link", "ids", "text"),
)
"""What a message has; `number` is the bare figure, or null, all others are texts."""
NUMBER: Final = "number"

_FIELD: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def fill(template: str, fields: Mapping[str, str]) -> str:
    """Put the fields of a message, by name, into the template."""

    def written(found: re.Match[str]) -> str:
        return json.dumps(fields[found[1]], ensure_ascii=False)[1:-1]

    return _FIELD.sub(written, template)


def check_template(template: str) -> str:
    """Return what is wrong with a template, empty if nothing is; as a secret it is not repeated."""
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
