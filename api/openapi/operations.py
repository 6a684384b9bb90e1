"""The parameters and the response of each route, for the API's description, in route table order.

Parameters are described exactly as they are accepted. Two rules cannot be expressed in a schema and
are in descriptions: numbers above a clamped limit count as the limit, and an empty filter is no
filter. Any other value that a schema refuses is a 400, and any value it allows is accepted:
schemathesis verifies both against the server. A route that is missing here fails a test; at run
time only its handler's docstring describes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, get_args

from api import health
from api.assets import TYPES
from api.compare.exchange import MAX_BODY_BYTES
from api.compare.handler import Comparison
from api.compare.ignored import MAX_PLACES
from api.compare.part import MAX_SHOWN
from api.dialects import client_requests, entries, gateway, mcp, mcp_logs, proxy_logs, request_logs
from api.http.params import MAX_INT64, MAX_LIST_VALUES
from api.identity.handler import MAX_CANDIDATES, LastSuccess
from api.native import (
    aggregates,
    conversations,
    erase,
    fields,
    keys,
    login,
    messages,
    records,
    run,
    tool_calls,
    views,
)
from api.native.chat import transcript
from api.native.chat.chat import Chat
from api.native.files import csv_rows
from api.native.files.curl import CurlLine
from api.native.groups import top, words
from api.native.groups.words import GROUPS, OTHER_NAMES
from api.replay import handler
from storage.aggregates import FACETS
from storage.grpc import STATUSES as GRPC_STATUSES
from storage.record import LEVELS, ToolStatus
from storage.search.language.moments import EXPECTED, EXPECTED_RELATIVE
from storage.search.language.parameters import LISTS, PARAMETERS, SEARCH
from storage.search.language.words import SOURCES, WORDS, find_word
from storage.search.view import MAX_VIEW_BYTES, MAX_VIEWS

Schema = dict[str, Any]

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

JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Operation:
    """The description of one operation."""

    answer: Any = None
    """Type of the JSON response; None if it is not JSON, or has no fixed members."""
    parameters: Mapping[str, Schema] = field(default_factory=dict)
    """Query parameters of this operation alone."""
    has_filters: bool = False
    """True if it accepts the native filters as well."""
    repeated: frozenset[str] = frozenset()
    """Lists whose values are given only by repeating the parameter: they may contain commas."""
    media_types: tuple[str, ...] = (JSON,)
    status: int = 200
    errors: tuple[int, ...] = (400,)
    """Besides 401, 403 and 503."""
    body: Any = None
    """Type of the body of a request."""
    body_types: tuple[str, ...] = (JSON,)
    """Media types of that body; plain text is described as text."""
    headers: Mapping[str, Schema] = field(default_factory=dict)
    """Request headers that mean something here."""
    is_maybe_empty: bool = False
    """Whether some requests need no response, and get 202."""
    notes: str = ""
    """Facts that a reader needs and that are not in the schema or the summary."""


_LAST_EVENT_ID: Final[dict[str, Schema]] = {"Last-Event-ID": whole()}
_SSE: Final = ("text/event-stream",)
_HTML: Final = ("text/html",)
PAGE: Final = Operation(media_types=_HTML, errors=())
"""Pages of the UI."""
_FILE: Final = Operation(media_types=tuple(sorted(set(TYPES.values()))), errors=(404,))
"""Files of the UI."""

_TOP: Final = {
    "limit": whole(top.MAX_ROWS, top.DEFAULT_ROWS, minimum=1),
    "before": BOOL,
    "buckets": whole(top.MAX_BUCKETS, 0),
    "sort": one_of(*top.SORTS),
}
_NEWEST: Final = (
    "The newest records are counted, as many as the time budget allows: `seen` is their number, "
    "and `complete` is true if these were all. With `before`, or sorted by `slower` or `failing`, "
    "a row has its figures of the period of the same length before `since`, or null if the log "
    "does not reach back that far. With `buckets`, which needs a time range, `series` of a row "
    "counts its requests in that many "
    "steps."
)
_CLIENT: Final = "/api/clients/{clientId}/proxies/{proxyId}/requests"

OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    ("GET", "/v1/requests"): Operation(
        gateway.GatewayPage,
        parameters={
            "limit": clamped(500, 50),
            "offset": whole(),
            "project_id": TEXT,
            "max_seq": whole(),
            "llm_only": BOOL,
        },
        notes="Newest first by receipt. Pages shift while requests arrive, unless `max_seq` is the `X-Max-Seq` of the "
        "first response. `total_capped` marks a total that its time budget cut: a lower bound.",
    ),
    ("GET", "/api/proxy-logs/_logs"): Operation(
        entries.LogEntryPage,
        parameters={
            **ENTRY_FILTERS,
            "limit": clamped(1000, 200),
            "offset": whole(),
            "last": clamped(1000),
            "afterId": whole(),
            "includeRequestBody": BOOL,
            "includeResponseBody": BOOL,
            "cursor": TEXT,
            "max_seq": whole(),
            "order": one_of("asc", "desc"),
        },
        errors=(400, 410),
    ),
    ("GET", "/api/proxy-logs/_logs/stats"): Operation(proxy_logs.LogStats, errors=()),
    ("GET", "/api/proxy-logs/_logs/stream"): Operation(
        parameters={**ENTRY_FILTERS, **RESUME},
        media_types=_SSE,
        errors=(400, 429),
        headers=_LAST_EVENT_ID,
    ),
    ("GET", "/api/request-logs"): Operation(
        request_logs.RequestLogPage,
        parameters={
            "status": {"type": "string", "pattern": "^(?i:all|[2-5]xx|)$", "examples": ["5xx"]},
            "key": TEXT,
            "endpoint": TEXT,
            "limit": clamped(200, 50),
            "cursor": CURSOR_DOWN,
        },
        notes="The calls of the last 30 days, or of a shorter retention. `total` is exact; where counting "
        "takes longer than the time budget it is a lower bound, and `total_capped` is true.",
    ),
    ("GET", "/api/mcp-logs"): Operation(
        mcp_logs.ToolLogPage,
        parameters={
            **TOOL_FILTERS,
            "limit": whole(1000, 50, minimum=1),
            "offset": whole(),
            "sort_by": one_of("timestamp", "latency", "cost"),
            "order": one_of("desc", "asc"),
        },
    ),
    ("GET", "/api/mcp-logs/stats"): Operation(mcp_logs.ToolTotals, parameters=TOOL_FILTERS),
    ("GET", "/api/mcp-logs/filterdata"): Operation(mcp_logs.ToolFilterData, errors=()),
    ("GET", "/api/mcp-logs/{id}"): Operation(tool_calls.ToolLog, errors=(404,)),
    ("POST", "/mcp"): Operation(
        errors=(400, 413),
        body=mcp.Message,
        is_maybe_empty=True,
        notes=(
            "The Model Context Protocol, streamable HTTP without sessions: docs/guides/agents.md. "
            "Reads only."
        ),
    ),
    ("GET", _CLIENT): Operation(
        client_requests.ClientRequestPage,
        parameters={
            "limit": clamped(1000, 1000),
            "processedAfter": TIME,
            "processedBefore": TIME,
            "cursor": RECEIVED_CURSOR,
        },
        errors=(400, 404),
        notes="Newest first by receipt. Requests in flight on this sidecar are among them, `processed: false`; their "
        "place, and so their page, is the same when they end.",
    ),
    ("GET", _CLIENT + "/{requestId}"): Operation(
        client_requests.ClientRequestDetails, errors=(404,)
    ),
    ("GET", "/api/facets"): Operation(
        aggregates.FacetsShown, parameters={"name": FACET_NAMES}, has_filters=True
    ),
    ("GET", "/api/histogram"): Operation(
        aggregates.HistogramShown,
        parameters={"buckets": whole(500, 60, minimum=1)},
        has_filters=True,
        notes=(
            "`since` must be before `until`, which is now, or an hour after a `since` that lies "
            "ahead."
        ),
    ),
    ("GET", "/api/heatmap"): Operation(
        aggregates.HeatMapShown,
        parameters={"columns": whole(120, 60, minimum=1), "rows": whole(60, 30, minimum=1)},
        has_filters=True,
        notes=(
            "`since` and `until` as for a histogram; steps of whole hours may be one more than "
            "`columns`."
        ),
    ),
    ("GET", "/api/summary"): Operation(
        aggregates.SummaryShown,
        parameters={"totals": BOOL},
        has_filters=True,
        notes=(
            "With `totals`, which is little more than half the work, `top` is empty and `usage` "
            "null."
        ),
    ),
    ("GET", "/api/endpoints"): Operation(
        top.TopShown, parameters=_TOP, has_filters=True, notes=_NEWEST
    ),
    ("GET", "/api/top"): Operation(
        top.TopShown, parameters={**_TOP, "by": GROUPED_BY}, has_filters=True, notes=_NEWEST
    ),
    ("GET", "/api/words"): Operation(words.WordsShown),
    ("GET", "/api/export"): Operation(
        parameters={
            "format": one_of("ndjson", "csv", "har"),
            "order": one_of("asc", "desc"),
            "cursor": CURSOR,
            "bodies": BOOL,
            # Examples hold together: of the first format, `true` is a 400.
            "bom": BOOL | {"examples": ["false"]},
            "fields": COLUMNS,
        },
        has_filters=True,
        notes="`order`, when given, must be that of the cursor. An archive (`har`) has exchanges only, without "
        "`fields`. `bom` begins CSV with a byte order mark, for Excel; of other formats it is a 400.",
        media_types=("application/x-ndjson", "text/csv", JSON),
    ),
    ("GET", "/api/conversations"): Operation(
        conversations.ConversationPage,
        parameters={
            "min_turns": whole(conversations.MAX_TURNS, 1, minimum=1),
            "sort": one_of(*conversations.SORTS),
            "min_failed": whole(conversations.MAX_TURNS, 0),
            "min_cost_usd": AMOUNT,
            "limit": whole(conversations.MAX_LIMIT, conversations.DEFAULT_LIMIT, minimum=1),
            "cursor": CURSOR_DOWN,
        },
        has_filters=True,
        notes="A conversation is listed if one of its calls matches; its sums are those of all its calls. "
        "Sorted by a metric, or with a minimum of failures or cost, the first `limit` of all "
        "are one page; `complete` says whether there was time to compare them all, or else the "
        "newest.",
    ),
    ("GET", "/api/conversations/{id}"): Operation(
        conversations.ConversationDetail,
        parameters={
            "limit": whole(1000, conversations.DEFAULT_CALLS, minimum=1),
            "cursor": CURSOR_UP,
        },
        errors=(400, 404),
    ),
    ("GET", "/api/conversations/{id}/run"): Operation(
        run.Run,
        parameters={
            "limit": whole(run.MAX_STEPS, run.DEFAULT_STEPS, minimum=1),
            "cursor": CURSOR_UP,
        },
        errors=(400, 404),
    ),
    ("GET", "/api/conversations/{id}/transcript"): Operation(
        transcript.Transcript,
        parameters={
            "characters": whole(
                transcript.MAX_CHARACTERS,
                transcript.DEFAULT_CHARACTERS,
                minimum=transcript.LEAST_CHARACTERS,
            ),
            "cursor": CURSOR_UP,
        },
        notes="Each call is shown with its new messages only. Failures are kept whole first; other texts "
        "are cut in their middle.",
        errors=(400, 404),
    ),
    ("GET", "/api/conversations/{id}/file"): Operation(media_types=_HTML, errors=(400, 404)),
    ("GET", "/conversations/{id}"): Operation(media_types=(), status=307, errors=()),
    ("GET", "/api/records"): Operation(
        records.RecordPage,
        parameters={
            "limit": whole(1000, 100, minimum=1),
            "order": one_of("desc", "asc"),
            "cursor": CURSOR,
            "in_flight": BOOL,
            "fields": FIELDS,
        },
        has_filters=True,
        notes="`order`, when given, must be that of the cursor. With `fields` a page may end early: what is read of "
        f"heads and bodies for it has at most {fields.MAX_PAGE_BYTES >> 20} MiB.",
    ),
    ("DELETE", "/api/records"): Operation(
        erase.Receipt,
        parameters={"wait_s": whole(erase.MAX_WAIT_S, 0)},
        has_filters=True,
        notes="At least one filter is needed. Where `finished` is false, the records are already hidden from all "
        "readers, and the store is still deleting them; `wait_s` waits for that, and "
        "`erasing_records` of `/api/status` counts what is left.",
    ),
    ("GET", "/api/records/stream"): Operation(
        parameters={**RESUME, "fields": FIELDS},
        has_filters=True,
        media_types=_SSE,
        errors=(400, 429),
        headers=_LAST_EVENT_ID,
    ),
    ("GET", "/api/records/{id}"): Operation(errors=(404,)),
    ("GET", "/api/records/{a}/compare/{b}"): Operation(
        Comparison,
        parameters={"ignore": PLACES},
        repeated=frozenset(("ignore",)),
        errors=(400, 404),
        notes=f"At most {MAX_SHOWN} changes of a part are shown, `more` counts the rest; of a body the first "
        f"{MAX_BODY_BYTES >> 20} MiB are compared. Paths of JSON are jq's. See docs/compare.md.",
    ),
    ("GET", "/api/records/{id}/last-success"): Operation(
        LastSuccess,
        errors=(404,),
        notes=f"Of the newest {MAX_CANDIDATES} requests of the same route, method and endpoint with a status below 400 "
        "and outcome `ok`. See docs/compare.md.",
    ),
    ("POST", "/api/records/{id}/send"): Operation(
        handler.Sent,
        body=handler.Again,
        errors=(400, 403, 404, 409, 413, 502),
        notes="For tokens of role `operate` or `admin`, where `[replay] enabled` is set. Redacted values must "
        "be given or left out. Redirects are not followed. See docs/replay.md.",
    ),
    ("GET", "/api/records/{id}/chat"): Operation(Chat, errors=(404,)),
    ("GET", "/api/records/{id}/curl"): Operation(CurlLine, errors=(404,)),
    ("GET", "/api/records/{id}/har"): Operation(errors=(404,)),
    ("GET", "/api/records/{id}/messages"): Operation(
        messages.MessagePage,
        parameters={"limit": whole(1000, 100, minimum=1), "cursor": CURSOR_UP},
        errors=(400, 404),
        notes=(
            "In the order they passed. A page may be short, even empty, while there is a "
            "`next_cursor`."
        ),
    ),
    ("GET", "/api/records/{id}/request-body"): Operation(
        media_types=("application/octet-stream",), errors=(404,)
    ),
    ("GET", "/api/records/{id}/response-body"): Operation(
        media_types=("application/octet-stream",), errors=(404,)
    ),
    ("DELETE", "/api/scopes/containers/{id}"): Operation(erase.ContainerReceipt, errors=()),
    ("GET", "/api/views"): Operation(views.ViewList, errors=()),
    ("PUT", "/api/views"): Operation(
        views.ViewShown,
        errors=(400, 404, 409, 413),
        body=views.ViewGiven,
        notes=f"At most {MAX_VIEWS} in a scope, of {MAX_VIEW_BYTES} bytes each. `since` and `until` are ages, such as "
        "24h, or times. Fields of `columns` and `group_by` are columns and fields of records, of "
        "heads and of bodies.",
    ),
    ("DELETE", "/api/views/{view}"): Operation(media_types=(), status=204, errors=(404,)),
    ("GET", "/api/replay"): Operation(handler.Sending),
    ("GET", "/api/ledger"): Operation(health.LedgerShown, errors=()),
    ("GET", "/api/status"): Operation(health.StatusShown, errors=()),
    ("GET", "/api/alerts"): Operation(health.AlertsShown, errors=()),
    ("POST", "/api/alerts/{alert}/test"): Operation(errors=(404,)),
    ("PUT", "/api/alerts/{alert}/silence"): Operation(
        media_types=(), status=204, errors=(400, 404, 413), body=health.Silence
    ),
    ("POST", "/logout"): Operation(media_types=(), status=204, errors=()),
    ("GET", "/api/keys"): Operation(keys.ApiKeyList, errors=()),
    ("POST", "/api/keys"): Operation(
        keys.ApiKeyShown, status=201, errors=(400, 409, 413), body=keys.KeyCreation
    ),
    ("PATCH", "/api/keys/{id}"): Operation(
        keys.ApiKeyShown, errors=(400, 404, 413), body=keys.KeyChange
    ),
    ("DELETE", "/api/keys/{id}"): Operation(media_types=(), status=204, errors=(404,)),
    ("GET", "/healthz"): Operation(errors=()),
    ("GET", "/readyz"): Operation(errors=()),
    ("GET", "/metrics"): Operation(
        media_types=("text/plain", "application/openmetrics-text"), errors=()
    ),
    ("POST", "/login"): Operation(
        media_types=(),
        status=204,
        errors=(400, 413),
        body=login.Login,
        body_types=(JSON, _FORM, "text/plain"),
    ),
    ("GET", "/ui/{name}"): _FILE,
    ("GET", "/ui/{version}/{name}"): _FILE,
    ("GET", "/ui/{version}/{folder}/{name}"): _FILE,
    ("GET", "/openapi.json"): Operation(errors=()),
}
"""Method and path → operation; pages of the UI are not listed."""
