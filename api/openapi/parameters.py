"""How the query parameters of each operation are described: exactly what is accepted, as JSON Schema.

Pure values. Two rules cannot be said in a schema and stand in the descriptions: numbers above a limit that is clamped
count as the limit, and an empty filter is none. Everything else a schema refuses is a 400, and what it
allows is not: schemathesis holds both against the server.
"""

from typing import Any, Final

from api.http.params import FILTER_PARAMETERS, LIST_PARAMETERS, MAX_INT64, MAX_LIST_VALUES
from api.http.times import EXPECTED, EXPECTED_RELATIVE
from storage.aggregates import FACETS

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
TEXTS: Final[Schema] = {"type": "array", "items": TEXT, "maxItems": MAX_LIST_VALUES}
COMMA_TEXTS: Final[Schema] = TEXT | {"description": "one value, or several separated by commas"}
BOOL: Final[Schema] = {"type": "string", "pattern": "^(?i:true|1|yes|false|0|no|)$", "examples": ["true"]}
_EMPTY: Final[Schema] = {"type": "string", "maxLength": 0}
_TIMES: Final = [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]
_AGE: Final[Schema] = {"type": "string", "pattern": "^[0-9]{1,10}[smhdw]$"}
TIME: Final[Schema] = {"anyOf": [*_TIMES, _EMPTY], "description": EXPECTED}
MOMENT: Final[Schema] = {"anyOf": [*_TIMES, _AGE, _EMPTY], "description": EXPECTED_RELATIVE}
STATUSES: Final[Schema] = {
    "type": "array",
    "items": {"type": "string", "pattern": r"^\s*([1-9][0-9]{2}|[1-5][xX]{2}|)\s*$"},
    "maxItems": MAX_LIST_VALUES,
    "examples": [["404", "5xx"]],
}
LATENCY_MS: Final[Schema] = {"anyOf": [{"type": "number", "minimum": 0}, _EMPTY], "description": "milliseconds"}
_BASE64: Final = "[A-Za-z0-9_-]"
CURSOR: Final[Schema] = {
    "type": "string",
    "pattern": f"^(AQ[ABEF]{_BASE64}{{10}}[AQgw]|)$",
    "description": "opaque: the next_cursor of a response",
}
CURSOR_DOWN: Final[Schema] = CURSOR | {"pattern": f"^(AQ[EF]{_BASE64}{{10}}[AQgw]|)$"}
"""Of a list that goes one way."""
RECEIVED_CURSOR: Final[Schema] = {
    "type": "string",
    "pattern": f"^(A[g-v]{_BASE64}{{20}}[AEIMQUYcgkosw048]|)$",
    "description": "opaque: the nextCursor of a response",
}


def whole(maximum: int = MAX_INT64, default: int | None = None, minimum: int = 0) -> Schema:
    """Return the schema of a whole number; outside of its bounds it is refused."""
    schema: Schema = {"type": "integer", "minimum": minimum, "maximum": maximum}
    return schema if default is None else schema | {"default": default}


def clamped(maximum: int, default: int | None = None) -> Schema:
    """Return the schema of a whole number that counts as `maximum` when it is above."""
    return whole(default=default) | {"description": f"above {maximum} it is {maximum}"}


def one_of(*values: str) -> Schema:
    """Return the schema of one of some words; the first is the default, also when it is empty."""
    return {"type": "string", "enum": [*values, ""], "default": values[0]}


FILTERS: Final[dict[str, Schema]] = {
    name: TEXTS if name in LIST_PARAMETERS else TEXT for name in sorted(FILTER_PARAMETERS)
} | {
    "kind": one_of("exchange", "event", "all"),
    "status": STATUSES,
    "since": MOMENT | {"examples": ["15m"]},
    "until": MOMENT,
    "min_latency_ms": {"anyOf": [whole(MAX_INT64 // 1000), _EMPTY]},
    "max_latency_ms": {"anyOf": [whole(MAX_INT64 // 1000), _EMPTY]},
}
"""The native filters."""

ENTRY_FILTERS: Final[dict[str, Schema]] = {
    "projectId": TEXT, "containerId": TEXT, "serviceName": COMMA_TEXTS, "level": COMMA_TEXTS, "kind": COMMA_TEXTS,
    "method": COMMA_TEXTS, "source": COMMA_TEXTS,
}  # fmt: skip
"""Those of the proxy logs."""

TOOL_FILTERS: Final[dict[str, Schema]] = {
    "tool_names": COMMA_TEXTS, "server_labels": COMMA_TEXTS, "status": COMMA_TEXTS, "virtual_key_ids": COMMA_TEXTS,
    "llm_request_ids": COMMA_TEXTS, "start_time": TIME, "end_time": TIME, "min_latency": LATENCY_MS,
    "max_latency": LATENCY_MS, "content_search": TEXT,
}  # fmt: skip
"""Those of the MCP logs."""

FACET_NAMES: Final[Schema] = {"type": "array", "items": {"type": "string", "enum": list(FACETS)}}
RESUME: Final[dict[str, Schema]] = {"lastEventId": whole()}
