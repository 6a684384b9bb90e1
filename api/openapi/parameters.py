"""Schemas of query parameters, for the API's description.

Parameters are described exactly as they are accepted. Two rules cannot be expressed in a schema and
are in descriptions: numbers above a clamped limit count as the limit, and an empty filter is no
filter. Any other value that a schema refuses is a 400, and any value it allows is accepted:
schemathesis verifies both against the server.
"""

from typing import Final, get_args

from api.compare.ignored import MAX_PLACES
from api.dialects import entries
from api.http.params import MAX_INT64, MAX_LIST_VALUES
from api.http.route import Schema
from api.native import (
    fields,
)
from api.native.files import csv_rows
from api.native.groups.words import GROUPS, OTHER_NAMES
from storage.aggregates import FACETS
from storage.grpc import STATUSES as GRPC_STATUSES
from storage.record import LEVELS, ToolStatus
from storage.search.language.moments import EXPECTED, EXPECTED_RELATIVE
from storage.search.language.parameters import LISTS, PARAMETERS, SEARCH
from storage.search.language.words import SOURCES, WORDS, find_word

TEXT: Final[Schema] = {"type": "string"}
TEXTS: Final[Schema] = {"type": "array", "items": TEXT, "maxItems": MAX_LIST_VALUES}
COMMA_TEXTS: Final[Schema] = TEXT | {"description": "one value, or several separated by commas"}
BOOL: Final[Schema] = {
    "type": "string",
    "pattern": "^(?i:true|1|yes|false|0|no|)$",
    "examples": ["true"],
}
_EMPTY: Final[Schema] = {"type": "string", "maxLength": 0}
_TIMES: Final = [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]
_LATE: Final[Schema] = {
    "type": "string",
    "format": "date-time",
    "examples": ["2038-01-01T00:00:00Z"],
}
"""A time for the end of a period. Its example is late, since a period must not end before it
begins.
"""
_AGE: Final[Schema] = {"type": "string", "pattern": "^[0-9]{1,10}[smhdw]$"}
_DAY: Final[Schema] = {"enum": ["today", "yesterday"]}
TIME: Final[Schema] = {"anyOf": [*_TIMES, _EMPTY], "description": EXPECTED}
MOMENT: Final[Schema] = {"anyOf": [*_TIMES, _AGE, _DAY, _EMPTY], "description": EXPECTED_RELATIVE}
AMOUNT: Final[Schema] = {
    "type": "string",
    "pattern": r"^([0-9]{1,9}(\.[0-9]{1,9})?|)$",
    "examples": ["0.25"],
}
LATENCY_MS: Final[Schema] = {
    "anyOf": [{"type": "number", "minimum": 0}, _EMPTY],
    "description": "milliseconds",
}
_BASE64: Final = "[A-Za-z0-9_-]"
CURSOR: Final[Schema] = {
    "type": "string",
    "pattern": f"^(AQ[ABEF]{_BASE64}{{10}}[AQgw]|)$",
    "description": "opaque: the next_cursor of a response",
}
CURSOR_DOWN: Final[Schema] = CURSOR | {"pattern": f"^(AQ[EF]{_BASE64}{{10}}[AQgw]|)$"}
"""Cursor of a list in descending order."""
CURSOR_UP: Final[Schema] = CURSOR | {"pattern": f"^(AQ[AB]{_BASE64}{{10}}[AQgw]|)$"}
"""Cursor of a list in ascending order."""
RECEIVED_CURSOR: Final[Schema] = {
    "type": "string",
    "pattern": f"^(A[g-v]{_BASE64}{{20}}[AEIMQUYcgkosw048]|)$",
    "description": "opaque: the nextCursor of a response",
}


def whole(maximum: int = MAX_INT64, default: int | None = None, minimum: int = 0) -> Schema:
    """Return the schema of an integer. Values outside the bounds are refused."""
    schema: Schema = {"type": "integer", "minimum": minimum, "maximum": maximum}
    if default is None:
        return schema
    return schema | {"default": default}


def clamped(maximum: int, default: int | None = None) -> Schema:
    """Return the schema of an integer that is reduced to `maximum` if above."""
    return whole(default=default) | {"description": f"above {maximum} it is {maximum}"}


def one_of(*values: str) -> Schema:
    """Return the schema of one of some words. The first is the default, also for an empty value."""
    return {"type": "string", "enum": [*values, ""], "default": values[0]}


def some_words(*values: str) -> Schema:
    """Return the schema of several words or patterns in one text.

    Items may contain commas as well.
    """
    word = rf"\s*({'|'.join(values)}|)\s*"
    return {
        "type": "string",
        "pattern": f"^{word}(,{word}){{0,{MAX_LIST_VALUES - 1}}}$",
        "examples": [values[0]],
    }


STATUSES: Final = some_words(
    "[1-5][0-9]{2}", "[1-5][xX]{2}", "[<>]=?[1-9][0-9]{2}", r"[1-9][0-9]{2}\.\.[1-9][0-9]{2}"
) | {"examples": ["404,5xx"]}


_SOME: Final[dict[str, Schema]] = {
    "kind": one_of(*WORDS["kind"].values),
    "status": STATUSES,
    **{name: some_words(*WORDS[name].values) for name in ("source", "direction", "outcome")},
    "level": some_words(*(f"(?:[<>]=?)?{level}" for level in LEVELS))
    | {"examples": ["warn,error"]},
    "grpc_status": some_words("!?[0-9]{1,9}", *(f"!?{name}" for name in GRPC_STATUSES))
    | {"examples": ["!OK"]},
    "since": MOMENT | {"examples": ["15m"]},
    "until": MOMENT | {"anyOf": [_LATE, *MOMENT["anyOf"]]},
    SEARCH: TEXT
    | {
        "description": "a search, as in docs/search.md; an invalid one is a 400 with the `position` and `length` of "
        "the error, and what was `expected`",
        "examples": ["status:5xx path:/api/* -method:GET"],
    },
    "q": TEXT
    | {"description": "a part of the text in path, query, error, heads, bodies and messages"},
    "redacted": TEXTS
    | {
        "description": "ids of redaction rules, or `name:` and the name of the redacted value",
        "examples": [["github-token", "name:password"]],
    },
    "client": TEXTS | {"description": "client of the route"},
    "client_ip": TEXTS | {"description": "addresses or networks, such as 10.0.0.0/8"},
    "header": {
        "anyOf": [{"type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+:"}, _EMPTY],
        "description": "a header of request or response and a part of its value, such as x-tenant:acme",
    },
    **{
        name: {"anyOf": [whole(MAX_INT64 // 1000), _EMPTY], "description": f"duration, at {bound}"}
        for name, bound in (("min_latency_ms", "least"), ("max_latency_ms", "most"))
    },
}
"""Filters with restricted values, or with a description of their own."""


def _filter(name: str) -> Schema:
    """Return the schema of a filter, described like its word of the search."""
    schema = _SOME.get(name, TEXTS if name in LISTS else TEXT)
    word = find_word(name)
    if word is None:
        return schema
    return {"description": word.help} | schema


FILTERS: Final[dict[str, Schema]] = {name: _filter(name) for name in sorted((SEARCH, *PARAMETERS))}
"""The native filters, each a term of the search language; described once, as shared components."""

ENTRY_FILTERS: Final[dict[str, Schema]] = {
    "projectId": TEXT, "containerId": TEXT, "serviceName": COMMA_TEXTS, "level": some_words(*LEVELS),
    "kind": some_words(*entries.ENTRY_KINDS), "method": COMMA_TEXTS, "source": some_words(*SOURCES),
}  # fmt: skip
"""Filters of the proxy logs."""

TOOL_FILTERS: Final[dict[str, Schema]] = {
    "tool_names": COMMA_TEXTS, "server_labels": COMMA_TEXTS, "virtual_key_ids": COMMA_TEXTS,
    "status": some_words(*get_args(ToolStatus)),
    "llm_request_ids": COMMA_TEXTS, "start_time": TIME, "end_time": TIME, "min_latency": LATENCY_MS,
    "max_latency": LATENCY_MS, "content_search": TEXT, "max_seq": whole(),
}  # fmt: skip
"""Filters of the MCP logs."""

PLACES: Final = TEXTS | {
    "maxItems": MAX_PLACES,
    "description": (
        "ignored paths, such as `items[*].id` or `header:x-runtime`, each in a parameter of its "
        "own; an invalid one is a 400"
    ),
    "examples": [["items[*].id", "header:x-runtime"]],
}
FACET_NAMES: Final = some_words(*FACETS)
FIELDS: Final = {
    "type": "string",
    "pattern": f"^({fields.CELL_FIELD}(,{fields.CELL_FIELD}){{0,{fields.MAX_FIELDS - 1}}}|)$",
    "description": "headers and paths in JSON bodies, shown in `fields` of each record",
    "examples": ["header.x-tenant,response_body.choices.0.finish_reason"],
}
_COLUMN: Final = f"({'|'.join(csv_rows.COLUMNS)}|{fields.CELL_FIELD})"
COLUMNS: Final = FIELDS | {
    "pattern": f"^({_COLUMN}(,{_COLUMN}){{0,{fields.MAX_FIELDS - 1}}}|)$",
    "description": "the columns of CSV, or the members of a line of NDJSON, in their order; those of heads and bodies "
    "are in its `fields`",
    "examples": ["started_at,status,path,body.user.id"],
}
GROUPED_BY: Final[Schema] = {
    "anyOf": [
        one_of(*GROUPS, *OTHER_NAMES),
        {"type": "string", "pattern": f"^{fields.CELL_FIELD}$"},
    ],
    "default": "endpoint",
    "description": "a field, a header, or a path in JSON bodies; `tool` counts calls of MCP tools, which can be "
    "filtered by since, until, key and tool only",
    "examples": ["header.x-tenant"],
}
RESUME: Final[dict[str, Schema]] = {"lastEventId": whole()}
