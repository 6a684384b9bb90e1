"""Every route of the admin port in one table: path, handler, who may ask, and the description of its
parameters and its response.

A path that is not here is 404, another method 405. What a description leaves out is read from the
docstring of the handler.
"""

from functools import lru_cache
from typing import Final

import msgspec
from aiohttp import web

from api import health
from api.assets import PAGES, TYPES, load_assets, serve_asset, serve_page, show_run
from api.compare.exchange import MAX_BODY_BYTES
from api.compare.handler import Comparison, compare_records
from api.compare.part import MAX_SHOWN
from api.dialects import client_requests, entries, gateway, mcp, mcp_logs, proxy_logs, request_logs
from api.dialects.mcp import serve_mcp
from api.http.route import HTML, JSON, Operation, Route, Schema
from api.identity.handler import MAX_CANDIDATES, LastSuccess, last_success
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
from api.native.chat.chat import Chat, get_chat
from api.native.chat.transcript import get_transcript
from api.native.files import export
from api.native.files.curl import CurlLine
from api.native.groups import top, words
from api.openapi.document import describe
from api.openapi.parameters import (
    AMOUNT,
    BOOL,
    COLUMNS,
    CURSOR,
    CURSOR_DOWN,
    CURSOR_UP,
    ENTRY_FILTERS,
    FACET_NAMES,
    FIELDS,
    GROUPED_BY,
    PLACES,
    RECEIVED_CURSOR,
    RESUME,
    TEXT,
    TIME,
    TOOL_FILTERS,
    clamped,
    one_of,
    whole,
)
from api.replay import handler
from api.services import FRONT, services_of
from storage.search.view import MAX_VIEW_BYTES, MAX_VIEWS

_FORM: Final = "application/x-www-form-urlencoded"
_LAST_EVENT_ID: Final[dict[str, Schema]] = {"Last-Event-ID": whole()}
_SSE: Final = ("text/event-stream",)
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
    "counts its requests in that many steps."
)
_CLIENT: Final = "/api/clients/{clientId}/proxies/{proxyId}/requests"


async def openapi(request: web.Request) -> web.Response:
    """Return this description of the API, OpenAPI 3.1."""
    body = _description(services_of(request).version, request[FRONT].base_path)
    return web.Response(body=body, content_type="application/json")


@lru_cache(maxsize=4)
def _description(version: str, base_path: str) -> bytes:
    """Encode the OpenAPI description. It takes 5 ms, so the result is cached."""
    return msgspec.json.encode(describe(routes(), version, base_path))


_DIALECTS: Final = (
    Route(
        "GET",
        "/v1/requests",
        gateway.list_requests,
        Operation(
            gateway.GatewayPage,
            parameters={
                "limit": clamped(500, 50),
                "offset": whole(),
                "project_id": TEXT,
                "max_seq": whole(),
                "llm_only": BOOL,
            },
            notes="Newest first by receipt. Pages shift while requests arrive, unless `max_seq` is the `X-Max-Seq` "
            "of the first response. `total_capped` marks a total that its time budget cut: a lower bound.",
        ),
    ),
    Route(
        "GET",
        "/api/proxy-logs/_logs",
        proxy_logs.list_entries,
        Operation(
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
    ),
    Route(
        "GET",
        "/api/proxy-logs/_logs/stats",
        proxy_logs.stats,
        Operation(proxy_logs.LogStats, errors=()),
    ),
    Route(
        "GET",
        "/api/proxy-logs/_logs/stream",
        proxy_logs.stream,
        Operation(
            parameters={**ENTRY_FILTERS, **RESUME},
            media_types=_SSE,
            errors=(400, 429),
            headers=_LAST_EVENT_ID,
        ),
    ),
    Route(
        "GET",
        "/api/request-logs",
        request_logs.list_requests,
        Operation(
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
    ),
    Route(
        "GET",
        _CLIENT,
        client_requests.list_requests,
        Operation(
            client_requests.ClientRequestPage,
            parameters={
                "limit": clamped(1000, 1000),
                "processedAfter": TIME,
                "processedBefore": TIME,
                "cursor": RECEIVED_CURSOR,
            },
            errors=(400, 404),
            notes="Newest first by receipt. Requests in flight on this sidecar are among them, `processed: false`; "
            "their place, and so their page, is the same when they end.",
        ),
    ),
    Route(
        "GET",
        _CLIENT + "/{requestId}",
        client_requests.get_request,
        Operation(client_requests.ClientRequestDetails, errors=(404,)),
    ),
    Route(
        "GET",
        "/api/mcp-logs",
        mcp_logs.list_calls,
        Operation(
            mcp_logs.ToolLogPage,
            parameters={
                **TOOL_FILTERS,
                "limit": whole(1000, 50, minimum=1),
                "offset": whole(),
                "sort_by": one_of("timestamp", "latency", "cost"),
                "order": one_of("desc", "asc"),
            },
        ),
    ),
    Route(
        "GET",
        "/api/mcp-logs/stats",
        mcp_logs.stats,
        Operation(mcp_logs.ToolTotals, parameters=TOOL_FILTERS),
    ),
    Route(
        "GET",
        "/api/mcp-logs/filterdata",
        mcp_logs.filter_data,
        Operation(mcp_logs.ToolFilterData, errors=()),
    ),
    Route(
        "GET", "/api/mcp-logs/{id}", mcp_logs.get_call, Operation(tool_calls.ToolLog, errors=(404,))
    ),
    Route(
        "POST",
        "/mcp",
        serve_mcp,
        Operation(
            errors=(400, 413),
            body=mcp.Message,
            is_maybe_empty=True,
            notes=(
                "The Model Context Protocol, streamable HTTP without sessions: docs/guides/agents.md. "
                "Reads only."
            ),
        ),
        for_readers=True,
    ),
)
"""Log APIs that others have published, and the tools for agents."""

_CONVERSATIONS: Final = (
    Route(
        "GET",
        "/api/conversations",
        conversations.list_conversations,
        Operation(
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
    ),
    Route(
        "GET",
        "/api/conversations/{id}",
        conversations.get_conversation,
        Operation(
            conversations.ConversationDetail,
            parameters={
                "limit": whole(1000, conversations.DEFAULT_CALLS, minimum=1),
                "cursor": CURSOR_UP,
            },
            errors=(400, 404),
        ),
    ),
    Route(
        "GET",
        "/api/conversations/{id}/run",
        run.get_run,
        Operation(
            run.Run,
            parameters={
                "limit": whole(run.MAX_STEPS, run.DEFAULT_STEPS, minimum=1),
                "cursor": CURSOR_UP,
            },
            errors=(400, 404),
        ),
    ),
    Route(
        "GET",
        "/api/conversations/{id}/transcript",
        get_transcript,
        Operation(
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
    ),
    Route(
        "GET",
        "/api/conversations/{id}/file",
        run.download_run,
        Operation(media_types=HTML, errors=(400, 404)),
    ),
)

_NATIVE: Final = (
    Route(
        "GET",
        "/api/facets",
        aggregates.facets,
        Operation(aggregates.FacetsShown, parameters={"name": FACET_NAMES}, has_filters=True),
    ),
    Route(
        "GET",
        "/api/histogram",
        aggregates.histogram,
        Operation(
            aggregates.HistogramShown,
            parameters={"buckets": whole(500, 60, minimum=1)},
            has_filters=True,
            notes=(
                "`since` must be before `until`, which is now, or an hour after a `since` that lies "
                "ahead."
            ),
        ),
    ),
    Route(
        "GET",
        "/api/heatmap",
        aggregates.heatmap,
        Operation(
            aggregates.HeatMapShown,
            parameters={"columns": whole(120, 60, minimum=1), "rows": whole(60, 30, minimum=1)},
            has_filters=True,
            notes=(
                "`since` and `until` as for a histogram; steps of whole hours may be one more than "
                "`columns`."
            ),
        ),
    ),
    Route(
        "GET",
        "/api/summary",
        aggregates.summary,
        Operation(
            aggregates.SummaryShown,
            parameters={"totals": BOOL},
            has_filters=True,
            notes=(
                "With `totals`, which is little more than half the work, `top` is empty and `usage` "
                "null."
            ),
        ),
    ),
    Route(
        "GET",
        "/api/endpoints",
        top.endpoints,
        Operation(top.TopShown, parameters=_TOP, has_filters=True, notes=_NEWEST),
    ),
    Route(
        "GET",
        "/api/top",
        top.top,
        Operation(
            top.TopShown, parameters={**_TOP, "by": GROUPED_BY}, has_filters=True, notes=_NEWEST
        ),
    ),
    Route("GET", "/api/words", words.list_words, Operation(words.WordsShown)),
    Route(
        "GET",
        "/api/export",
        export.export,
        Operation(
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
    ),
    Route(
        "GET",
        "/api/records",
        records.list_records,
        Operation(
            records.RecordPage,
            parameters={
                "limit": whole(1000, 100, minimum=1),
                "order": one_of("desc", "asc"),
                "cursor": CURSOR,
                "in_flight": BOOL,
                "fields": FIELDS,
            },
            has_filters=True,
            notes="`order`, when given, must be that of the cursor. With `fields` a page may end early: what is "
            f"read of heads and bodies for it has at most {fields.MAX_PAGE_BYTES >> 20} MiB.",
        ),
    ),
    Route(
        "DELETE",
        "/api/records",
        erase.erase_records,
        Operation(
            erase.Receipt,
            parameters={"wait_s": whole(erase.MAX_WAIT_S, 0)},
            has_filters=True,
            notes="At least one filter is needed. Unlike other requests this one takes events, too, unless a filter "
            "names a `kind`: messages of a WebSocket are events. Where `finished` is false, the records are "
            "already hidden from all readers, and the store is still deleting them; `wait_s` waits for that, and "
            "`erasing_records` of `/api/status` counts what is left.",
        ),
    ),
    Route(
        "GET",
        "/api/records/stream",
        records.stream,
        Operation(
            parameters={**RESUME, "fields": FIELDS},
            has_filters=True,
            media_types=_SSE,
            errors=(400, 429),
            headers=_LAST_EVENT_ID,
        ),
    ),
    Route("GET", "/api/records/{id}", records.get_record, Operation(errors=(404,))),
    Route(
        "GET",
        "/api/records/{a}/compare/{b}",
        compare_records,
        Operation(
            Comparison,
            parameters={"ignore": PLACES},
            repeated=frozenset(("ignore",)),
            errors=(400, 404),
            notes=f"At most {MAX_SHOWN} changes of a part are shown, `more` counts the rest; of a body the first "
            f"{MAX_BODY_BYTES >> 20} MiB are compared. Paths of JSON are jq's. See docs/compare.md.",
        ),
    ),
    Route(
        "GET",
        "/api/records/{id}/last-success",
        last_success,
        Operation(
            LastSuccess,
            errors=(404,),
            notes=f"Of the newest {MAX_CANDIDATES} requests of the same route, method and endpoint with a status "
            "below 400 and outcome `ok`. See docs/compare.md.",
        ),
    ),
    Route(
        "POST",
        "/api/records/{id}/send",
        handler.send_record,
        Operation(
            handler.Sent,
            body=handler.Again,
            errors=(400, 403, 404, 409, 413, 502),
            notes="For tokens of role `operate` or `admin`, where `[replay] enabled` is set. Redacted values must "
            "be given or left out. Redirects are not followed. See docs/replay.md.",
        ),
        for_readers=True,
    ),
    Route("GET", "/api/records/{id}/chat", get_chat, Operation(Chat, errors=(404,))),
    Route("GET", "/api/records/{id}/curl", records.get_curl, Operation(CurlLine, errors=(404,))),
    Route("GET", "/api/records/{id}/har", records.download_har, Operation(errors=(404,))),
    Route(
        "GET",
        "/api/records/{id}/messages",
        messages.list_messages,
        Operation(
            messages.MessagePage,
            parameters={"limit": whole(1000, 100, minimum=1), "cursor": CURSOR_UP},
            errors=(400, 404),
            notes=(
                "In the order they passed. A page may be short, even empty, while there is a "
                "`next_cursor`."
            ),
        ),
    ),
    Route(
        "GET",
        "/api/records/{id}/request-body",
        records.download_request_body,
        Operation(media_types=("application/octet-stream",), errors=(404,)),
    ),
    Route(
        "GET",
        "/api/records/{id}/response-body",
        records.download_response_body,
        Operation(media_types=("application/octet-stream",), errors=(404,)),
    ),
    Route(
        "DELETE",
        "/api/scopes/containers/{id}",
        erase.destroy_container,
        Operation(erase.ContainerReceipt, errors=()),
    ),
    Route("GET", "/api/views", views.list_views, Operation(views.ViewList, errors=())),
    Route(
        "PUT",
        "/api/views",
        views.put_view,
        Operation(
            views.ViewShown,
            errors=(400, 404, 409, 413),
            body=views.ViewGiven,
            notes=f"At most {MAX_VIEWS} in a scope, of {MAX_VIEW_BYTES} bytes each. `since` and `until` are ages, "
            "such as 24h, or times. Fields of `columns` and `group_by` are columns and fields of records, of "
            "heads and of bodies.",
        ),
        for_readers=True,
    ),
    Route(
        "DELETE",
        "/api/views/{view}",
        views.delete_view,
        Operation(media_types=(), status=204, errors=(404,)),
        for_readers=True,
    ),
    Route("GET", "/api/replay", handler.describe_replay, Operation(handler.Sending)),
    Route(
        "GET",
        "/api/ledger",
        health.ledger,
        Operation(health.LedgerShown, errors=()),
        is_global=True,
    ),
    Route(
        "GET",
        "/api/status",
        health.status,
        Operation(health.StatusShown, errors=()),
        is_global=True,
    ),
    Route(
        "GET",
        "/api/alerts",
        health.list_alerts,
        Operation(health.AlertsShown, errors=()),
        is_global=True,
    ),
    Route("POST", "/api/alerts/{alert}/test", health.test_alert, Operation(errors=(404,))),
    Route(
        "PUT",
        "/api/alerts/{alert}/silence",
        health.silence_alert,
        Operation(media_types=(), status=204, errors=(400, 404, 413), body=health.Silence),
    ),
    Route(
        "POST",
        "/logout",
        login.logout,
        Operation(media_types=(), status=204, errors=()),
        for_readers=True,
    ),
    Route(
        "GET", "/api/keys", keys.list_keys, Operation(keys.ApiKeyList, errors=()), for_readers=False
    ),
    Route(
        "POST",
        "/api/keys",
        keys.create_key,
        Operation(keys.ApiKeyShown, status=201, errors=(400, 409, 413), body=keys.KeyCreation),
    ),
    Route(
        "PATCH",
        "/api/keys/{id}",
        keys.change_key,
        Operation(keys.ApiKeyShown, errors=(400, 404, 413), body=keys.KeyChange),
    ),
    Route(
        "DELETE",
        "/api/keys/{id}",
        keys.delete_key,
        Operation(media_types=(), status=204, errors=(404,)),
    ),
    Route("GET", "/openapi.json", openapi, Operation(errors=()), is_open=True),
    Route("GET", "/healthz", health.healthz, Operation(errors=()), is_open=True),
    Route("GET", "/readyz", health.readyz, Operation(errors=()), is_open=True),
    Route(
        "GET",
        "/metrics",
        health.metrics,
        Operation(media_types=("text/plain", "application/openmetrics-text"), errors=()),
        is_open=True,
    ),
    Route(
        "POST",
        "/login",
        login.login,
        Operation(
            media_types=(),
            status=204,
            errors=(400, 413),
            body=login.Login,
            body_types=(JSON, _FORM, "text/plain"),
        ),
        is_open=True,
    ),
)


@lru_cache(maxsize=1)
def _pages() -> tuple[Route, ...]:
    """Return the routes of the UI: its pages, and the files that they need."""
    assets = load_assets()
    return (
        Route("GET", "/docs", serve_page(assets.shell("docs.html", "pages/docs.js")), is_open=True),
        Route(
            "GET", "/login", serve_page(assets.shell("login.html", "pages/login.js")), is_open=True
        ),
        *(
            Route(
                "GET", path, serve_page(assets.shell("index.html", "app.js", module)), is_open=True
            )
            for path, module in PAGES.items()
        ),
        Route(
            "GET",
            "/conversations/{id}",
            show_run,
            Operation(media_types=(), status=307, errors=()),
            is_open=True,
        ),
        *(
            Route("GET", path, serve_asset(assets), _FILE, is_open=True)
            for path in (
                "/ui/{name}",
                "/ui/{version}/{name}",
                "/ui/{version}/{folder}/{name}",
            )
        ),
    )


def routes() -> tuple[Route, ...]:
    """Return every route, in the order of the description."""
    return (*_DIALECTS, *_CONVERSATIONS, *_NATIVE, *_pages())
