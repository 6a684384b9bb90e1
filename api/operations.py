"""What each route takes and answers, for the API's description: one line an operation, in the order of the route table.

A route that is missing here fails a test; at run time it is described by its handler's docstring alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from api import schemas, status_shape
from api.params import FILTER_PARAMETERS, LIST_PARAMETERS

Schema = dict[str, Any]
JSON: Final = "application/json"
TEXT: Final[Schema] = {"type": "string"}
BOOL: Final[Schema] = {"type": "boolean"}


def whole(maximum: int | None = None, default: int | None = None) -> Schema:
    """Describe a whole number from 0."""
    bounds = {"maximum": maximum, "default": default}
    return {"type": "integer", "minimum": 0} | {name: value for name, value in bounds.items() if value is not None}


def one_of(*values: str) -> Schema:
    """Describe one of some words; the first is the default."""
    return {"type": "string", "enum": list(values), "default": values[0]}


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation."""

    parameters: Mapping[str, Schema]
    """Query parameters."""
    answer: Any = None
    """Type of the JSON answer; None when it is no JSON, or has no fixed members."""
    media_types: tuple[str, ...] = (JSON,)
    status: int = 200
    errors: tuple[int, ...] = (400,)
    """Besides 401, 403 and 503."""
    body: Any = None
    """Type of the JSON body of a request."""


_FILTERS: Final[dict[str, Schema]] = {
    name: {"type": "array", "items": TEXT} if name in LIST_PARAMETERS else TEXT for name in sorted(FILTER_PARAMETERS)
} | {"kind": one_of("exchange", "event", "all"), "min_latency_ms": whole(), "max_latency_ms": whole()}
_ENTRY_FILTERS: Final[dict[str, Schema]] = {
    "projectId": TEXT, "containerId": TEXT, "serviceName": TEXT, "level": TEXT, "kind": TEXT, "method": TEXT,
    "source": TEXT,
}  # fmt: skip
_TOOL_FILTERS: Final[dict[str, Schema]] = {
    "tool_names": TEXT, "server_labels": TEXT, "status": TEXT, "virtual_key_ids": TEXT, "llm_request_ids": TEXT,
    "start_time": TEXT, "end_time": TEXT, "min_latency": {"type": "number"}, "max_latency": {"type": "number"},
    "content_search": TEXT,
}  # fmt: skip
_RESUME: Final[dict[str, Schema]] = {"lastEventId": whole()}
_SSE: Final = ("text/event-stream",)
_HTML: Final = ("text/html",)
PAGE: Final = Operation({}, media_types=_HTML, errors=())
"""Pages and files of the UI."""

_CLIENT: Final = "/api/clients/{clientId}/proxies/{proxyId}/requests"

OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    ("GET", "/v1/requests"): Operation(
        {"limit": whole(500, 50), "offset": whole(), "project_id": TEXT, "max_seq": whole(), "llm_only": BOOL},
        schemas.GatewayPage,
    ),
    ("GET", "/api/proxy-logs/_logs"): Operation(
        {
            **_ENTRY_FILTERS,
            **{"limit": whole(1000, 200), "offset": whole(), "last": whole(1000), "afterId": whole()},
            **{"includeRequestBody": BOOL, "includeResponseBody": BOOL, "cursor": TEXT, "max_seq": whole()},
            "order": one_of("asc", "desc"),
        },
        schemas.LogEntryPage,
        errors=(400, 410),
    ),
    ("GET", "/api/proxy-logs/_logs/stats"): Operation({}, schemas.LogStats, errors=()),
    ("GET", "/api/proxy-logs/_logs/stream"): Operation(
        {**_ENTRY_FILTERS, **_RESUME}, media_types=_SSE, errors=(400, 429)
    ),
    ("GET", "/api/request-logs"): Operation(
        {
            "status": one_of("all", "2xx", "3xx", "4xx", "5xx"),
            **{"key": TEXT, "endpoint": TEXT, "limit": whole(200, 50), "cursor": TEXT},
        },
        schemas.RequestLogPage,
    ),
    ("GET", "/api/mcp-logs"): Operation(
        {
            **_TOOL_FILTERS,
            **{"limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50}, "offset": whole()},
            **{"sort_by": one_of("timestamp", "latency", "cost"), "order": one_of("desc", "asc")},
        },
        schemas.ToolLogPage,
    ),
    ("GET", "/api/mcp-logs/stats"): Operation(_TOOL_FILTERS, schemas.ToolStats),
    ("GET", "/api/mcp-logs/filterdata"): Operation({}, schemas.ToolFilterData, errors=()),
    ("GET", "/api/mcp-logs/{id}"): Operation({}, schemas.ToolLog, errors=(404,)),
    ("GET", _CLIENT): Operation(
        {"limit": whole(1000, 1000), "processedAfter": TEXT, "processedBefore": TEXT, "cursor": TEXT},
        schemas.ClientRequestPage,
        errors=(400, 404),
    ),
    ("GET", _CLIENT + "/{requestId}"): Operation({}, schemas.ClientRequestDetails, errors=(404,)),
    ("GET", "/api/facets"): Operation({**_FILTERS, "name": {"type": "array", "items": TEXT}}),
    ("GET", "/api/histogram"): Operation({**_FILTERS, "buckets": whole(500, 60)}),
    ("GET", "/api/summary"): Operation(_FILTERS),
    ("GET", "/api/export"): Operation(
        {
            **_FILTERS,
            **{
                "format": one_of("ndjson", "csv", "har"),
                "order": one_of("asc", "desc"),
                "cursor": TEXT,
                "bodies": BOOL,
            },
        },
        media_types=("application/x-ndjson", "text/csv", JSON),
    ),
    ("GET", "/api/records"): Operation(
        {
            **_FILTERS,
            "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
            **{"order": one_of("desc", "asc"), "cursor": TEXT, "in_flight": BOOL},
        },
        schemas.RecordPage,
    ),
    ("DELETE", "/api/records"): Operation(_FILTERS, schemas.Receipt),
    ("GET", "/api/records/stream"): Operation({**_FILTERS, **_RESUME}, media_types=_SSE, errors=(400, 429)),
    ("GET", "/api/records/{id}"): Operation({}, errors=(404,)),
    ("GET", "/api/records/{id}/har"): Operation({}, errors=(404,)),
    ("GET", "/api/records/{id}/request-body"): Operation({}, media_types=("application/octet-stream",), errors=(404,)),
    ("GET", "/api/records/{id}/response-body"): Operation({}, media_types=("application/octet-stream",), errors=(404,)),
    ("DELETE", "/api/scopes/containers/{id}"): Operation({}, schemas.ContainerReceipt, errors=()),
    ("GET", "/api/ledger"): Operation({}, schemas.LedgerShown, errors=()),
    ("GET", "/api/status"): Operation({}, status_shape.StatusShown, errors=()),
    ("POST", "/logout"): Operation({}, media_types=(), status=204, errors=()),
    ("GET", "/api/keys"): Operation({}, schemas.ApiKeyList, errors=()),
    ("POST", "/api/keys"): Operation({}, schemas.ApiKeyShown, status=201, errors=(400, 409, 413), body=dict[str, Any]),
    ("PATCH", "/api/keys/{id}"): Operation({}, schemas.ApiKeyShown, errors=(400, 404, 413), body=dict[str, Any]),
    ("DELETE", "/api/keys/{id}"): Operation({}, media_types=(), status=204, errors=(404,)),
    ("GET", "/healthz"): Operation({}, errors=()),
    ("GET", "/readyz"): Operation({}, errors=()),
    ("GET", "/metrics"): Operation({}, media_types=("text/plain", "application/openmetrics-text"), errors=()),
    ("POST", "/login"): Operation({}, media_types=(), status=204, errors=(400, 413), body=dict[str, str]),
    ("GET", "/openapi.json"): Operation({}, errors=()),
}
"""Method and path → operation; pages of the UI are not listed."""
