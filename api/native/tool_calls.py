"""Tool calls as the MCP logs and the record detail show them. Pure."""

from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from api.http.responses import ApiObject, JsonObject, filled
from api.http.times import format_time
from storage.record import ToolCall, ToolStatus, format_id

US_PER_MS: Final = 1000


class KeyShown(ApiObject):
    """What a person knows a key by."""

    id: str
    name: str | None
    last4: str | None


class ToolLog(ApiObject):
    """One tool call; what may be left out is, when there is nothing to say."""

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
    status: ToolStatus
    metadata: JsonObject
    created_at: str
    llm_request_id: str | UnsetType = UNSET
    error_details: Any | UnsetType = UNSET
    virtual_key: KeyShown | UnsetType = UNSET


def call_id(call: ToolCall) -> str:
    """Return a call's id: its record's and, where it is not the first of its batch, a dot and its
    position.
    """
    return format_id(call.record_id) + (f".{call.position}" if call.position else "")


def project_call(call: ToolCall) -> ToolLog:
    """Return one tool call in the form of the API."""
    return filled(
        ToolLog,
        call,
        id=call_id(call),
        timestamp=format_time(call.started_at_us),
        virtual_key_id=call.key_id,
        virtual_key_name=call.key_name,
        arguments=_raw(call.arguments),
        result=_raw(call.result),
        latency=None if call.latency_us is None else call.latency_us / US_PER_MS,
        cost=call.cost_usd,
        metadata=msgspec.json.decode(call.metadata) | {"record_id": format_id(call.record_id)},
        created_at=format_time(call.created_at_us),
        llm_request_id=UNSET if call.llm_request_id is None else call.llm_request_id,
        error_details=UNSET if call.error_details is None else _raw(call.error_details),
        virtual_key=UNSET
        if call.key_id is None
        else KeyShown(call.key_id, call.key_name, call.key_last4),
    )


def _raw(value: bytes | None) -> msgspec.Raw | None:
    if value is None:
        return None
    return msgspec.Raw(value)
