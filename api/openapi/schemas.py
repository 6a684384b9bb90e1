"""The shapes of answers, declared for the API's own description. Handlers do not use them; tests hold both together.

Members that are always there have no default; `UNSET` marks those that may be left out. Unknown members are not allowed
where the set is closed, so that an answer that grows has to say so here.
"""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from storage.record import Record

JsonObject = dict[str, Any]


class Shape(msgspec.Struct, forbid_unknown_fields=True):
    """What all shapes are."""


class GatewayRow(Shape):
    """Seed 000: one request."""

    id: str
    timestamp: str
    model: str | None
    provider: str | None
    status: int | None
    latency_ms: int
    input_tokens: int | None
    output_tokens: int | None
    project_id: str | None
    error: str | None


class GatewayPage(Shape):
    """Seed 000: a page of requests."""

    total: int
    limit: int
    offset: int
    data: list[GatewayRow]
    total_capped: bool | UnsetType = UNSET
    complete: bool | UnsetType = UNSET


class GatewayErrorBody(Shape):
    """Seed 000: what went wrong."""

    type: str
    message: str


class GatewayError(Shape):
    """Seed 000: an error."""

    error: GatewayErrorBody


class LogEntry(Shape):
    """Seed 001: one entry."""

    id: int
    traceId: str
    tsMs: int
    tsIso: str
    kind: Literal["request", "response", "event"]
    level: Literal["debug", "info", "warn", "error"]
    projectId: str | None
    containerId: str | None
    serviceName: str | None
    method: str | None
    url: str | None
    clientIp: str | None
    status: int | None
    data: JsonObject
    source: str


class LogEntryPage(Shape):
    """Seed 001: a page of entries."""

    entries: list[LogEntry]
    total: int
    limit: int
    offset: int
    totalCapped: bool | UnsetType = UNSET
    complete: bool | UnsetType = UNSET
    nextAfterId: int | UnsetType | None = UNSET
    nextCursor: str | UnsetType | None = UNSET


class LogStats(Shape):
    """Seed 001: entries by dimension."""

    total: int
    byLevel: dict[str, int]
    byProject: dict[str, int]
    byContainer: dict[str, int]
    byService: dict[str, int]


class LogError(Shape):
    """Seed 001: an error."""

    statusCode: int
    error: str
    message: str


class KeyShown(Shape):
    """Seed 002: what a person knows a key by."""

    id: str
    name: str | None
    last4: str | None


class KeyChoice(KeyShown):
    """Seed 002: a key to filter by."""

    deleted: bool


class RequestLog(Shape):
    """Seed 002: one call."""

    time: str
    api_key: KeyShown | None
    endpoint: str | None
    method: str | None
    status: int | None
    error_code: Literal["missing_token", "invalid_token", "disabled", "expired", "scope_denied", "agent_denied"] | None
    latency_ms: int


class RequestLogPage(Shape):
    """Seed 002: a page of calls."""

    logs: list[RequestLog]
    keys: list[KeyChoice]
    total: int
    next_cursor: str | None
    total_capped: bool | UnsetType = UNSET


class ToolLog(Shape):
    """Seed 003: one tool call."""

    id: str
    timestamp: str
    tool_name: str | None
    server_label: str | None
    virtual_key_id: str | None
    virtual_key_name: str | None
    arguments: Any
    result: Any
    latency: float | None
    cost: float | None
    status: Literal["processing", "success", "error"]
    metadata: JsonObject
    created_at: str
    llm_request_id: str | UnsetType = UNSET
    error_details: Any | UnsetType = UNSET
    virtual_key: KeyShown | UnsetType = UNSET


class ToolStats(Shape):
    """Seed 003: figures of a filter."""

    total_executions: int
    success_rate: float
    average_latency: float
    total_cost: float
    capped: bool | UnsetType = UNSET


class ToolPagination(Shape):
    """Seed 003: which page this is."""

    total_count: int
    limit: int
    offset: int
    sort_by: str
    order: Literal["asc", "desc"]


class ToolLogPage(msgspec.Struct):
    """Seed 003: a page of tool calls."""

    logs: list[ToolLog]
    pagination: ToolPagination
    stats: ToolStats
    has_logs: bool


class ToolKey(Shape):
    """Seed 003: a key to filter by."""

    id: str
    name: str | None


class ToolFilterData(Shape):
    """Seed 003: values to filter by."""

    tool_names: list[str]
    server_labels: list[str]
    virtual_keys: list[ToolKey]


class ToolErrorBody(Shape):
    """Seed 003: what went wrong."""

    message: str


class ToolError(Shape):
    """Seed 003: an error."""

    is_bifrost_error: bool
    status_code: int
    error: ToolErrorBody


class ProxyData(Shape):
    """Seed 004: the proxy's part of a request."""

    stage: str | None
    method: str | None
    apiPath: str | None
    receivedAt: int
    sentAt: int | None
    duration: float | None
    status: int | None
    message: str
    arnBase: str
    apiHeaders: dict[str, str]
    apiParams: dict[str, str | list[str]]


class TargetData(Shape):
    """Seed 004: the target's part of a request."""

    sentAt: int
    receivedAt: int | None
    duration: float | None
    status: int | None
    location: str | None


class ClientRequest(Shape):
    """Seed 004: one request in the list."""

    pKey: str | None
    sKey: str
    userId: str | None
    clientId: str | None
    parentId: str | None
    processed: bool
    processedAt: int
    TTL: int | None
    proxyData: ProxyData
    targetData: TargetData | None
    validationData: dict[str, bool]


class ClientRequestDetail(ClientRequest):
    """Seed 004: one request in full."""

    method: str | None
    path: str | None
    statusCode: int | None
    duration: int | None
    requestHeaders: dict[str, str] | None
    requestBody: Any
    responseHeaders: dict[str, str] | None
    responseBody: Any


class ClientRequestPage(Shape):
    """Seed 004: the list."""

    message: str
    totalRequests: int
    limitReached: bool
    requests: list[ClientRequest]
    nextCursor: str | UnsetType = UNSET


class ClientRequestDetails(Shape):
    """Seed 004: the detail."""

    message: str
    requests: list[ClientRequestDetail]


class ClientError(Shape):
    """Seed 004: an error."""

    message: str


class Problem(msgspec.Struct):
    """RFC 9457: an error of the native API."""

    title: str
    status: int
    detail: str


def _shown_record() -> Any:
    """Derive the native record from the stored one: ids as text, times also as ISO, the payload of an event parsed."""
    changed: dict[str, Any] = {"seq": int | None, "id": str, "data": Any, "ended_at_us": int | None}
    changed["duration_us"] = int | None
    fields = [(field.name, changed.get(field.name, field.type)) for field in msgspec.structs.fields(Record)]
    times = [(name, str | None) for name in ("started_at", "ended_at", "upstream_sent_at", "upstream_done_at")]
    derived = [("in_flight", bool), ("finish_reason", str | None)]
    return msgspec.defstruct("RecordShown", [*fields, *derived, *times], forbid_unknown_fields=True)


RecordShown: Any = _shown_record()


class RecordPage(Shape):
    """The native list."""

    records: list[RecordShown]
    next_cursor: str | None
    complete: bool


class Receipt(Shape):
    """What was erased."""

    exchanges: int
    events: int
    through_seq: int
    erased_at_ms: int
    filter: dict[str, list[str]]


class ContainerReceipt(Shape):
    """What was forgotten of a container."""

    containerId: str
    exchanges: int
    events: int
    through_seq: int
    erased_at_ms: int


class LedgerShown(Shape):
    """The accounting."""

    received: int
    stored: int
    spooled: int
    waiting: int
    dropped: dict[str, int]
    balanced: bool


class ApiKeyShown(Shape):
    """An API key of the proxied service."""

    id: str
    name: str
    last4: str
    scopes: list[str] | None
    agents: list[str] | str
    expires_at: str | None
    disabled: bool
    project: str | None
    user_id: str | None
    created_at: str
    last_used_at: str | None
    secret: str | UnsetType = UNSET


class ApiKeyList(Shape):
    """All keys."""

    keys: list[ApiKeyShown]
