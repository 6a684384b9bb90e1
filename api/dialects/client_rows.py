"""Rows of the Requests API: the list's nested blocks, and the detail's additional flat fields.

Times are Unix milliseconds. In the nested blocks durations are seconds with three decimals, in the
detail whole milliseconds. Sensitive headers, stored redacted, are left out of the list and marked
in the detail. The twenty checks follow from route, key and outcome. See `api/dialects/README.md`.
"""

from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
import orjson
from msgspec import UNSET, UnsetType

from api.http.responses import ApiObject
from api.native.files.cut_bodies import Kept, joined_text, kept_of
from api.native.projection import split_fields, split_head
from storage.record import Body, Outcome, Payload, Record, format_id

REDACTED: Final = "[REDACTED]"
_NOT_AUTHENTICATED: Final = frozenset(("missing_token", "invalid_token", "disabled", "expired"))
_NO_CREDENTIAL: Final = frozenset(("missing_token", "invalid_token"))
_INACTIVE: Final = frozenset(("disabled", "expired"))
_SYSTEM_ERRORS: Final = frozenset(("overloaded", "keys_unavailable"))
_SYSTEM_OUTCOMES: Final = frozenset((Outcome.WORKER_LOST.value, Outcome.SHUTDOWN.value))
_CONFIG_ERRORS: Final = frozenset(("loop_detected", "upstream_unresolved", "upstream_untrusted"))


class ProxyData(ApiObject):
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


class TargetData(ApiObject):
    sentAt: int | None
    """Null while the exchange runs: its times are known only at its end."""
    receivedAt: int | None
    duration: float | None
    status: int | None
    location: str | None


class ClientRequest(ApiObject):
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


class ClientRequestDetail(ApiObject):
    """One request in full: flat members, and the blocks of the list."""

    pKey: str | None
    sKey: str
    method: str | None
    path: str | None
    statusCode: int | None
    duration: int | None
    processedAt: int
    requestHeaders: dict[str, str] | None
    requestBody: Any
    responseHeaders: dict[str, str] | None
    responseBody: Any
    userId: str | None
    clientId: str | None
    parentId: str | None
    processed: bool
    TTL: int | None
    proxyData: ProxyData
    targetData: TargetData | None
    validationData: dict[str, bool]
    requestBodyCut: Kept | UnsetType = UNSET
    responseBodyCut: Kept | UnsetType = UNSET
    requestTrailers: dict[str, str] | UnsetType = UNSET
    responseTrailers: dict[str, str] | UnsetType = UNSET


def project_row(record: Record, payload: Payload | None, retention_s: int | None) -> ClientRequest:
    """Return one request in the form of the list. `retention_s` None means that records are kept
    without limit.
    """
    received_ms = record.started_at_us // 1000
    sent_ms = _sent_ms(record)
    return ClientRequest(
        pKey=record.route_id,
        sKey=format_id(record.id),
        userId=record.user_id,
        clientId=record.client,
        parentId=record.client,
        processed=not record.is_in_flight,
        processedAt=received_ms,
        TTL=None if sent_ms is None or retention_s is None else sent_ms // 1000 + retention_s,
        proxyData=ProxyData(
            stage=record.stage,
            method=record.method,
            apiPath=record.path,
            receivedAt=received_ms,
            sentAt=sent_ms,
            duration=_seconds(received_ms, sent_ms),
            status=record.status,
            message=message_of(record),
            arnBase="",
            apiHeaders={}
            if payload is None
            else headers_of(payload.request_head, shows_redacted=False),
            apiParams=parameters_of(record.query),
        ),
        targetData=target_of(record),
        validationData=checks_of(record),
    )


def project_detail(
    record: Record, payload: Payload | None, retention_s: int | None
) -> ClientRequestDetail:
    """Return one request in full."""
    row = project_row(record, payload, retention_s)
    sent_ms = row.proxyData.sentAt
    content: dict[str, Any] = dict.fromkeys(
        ("requestHeaders", "requestBody", "responseHeaders", "responseBody")
    )
    if payload is not None:
        content = {
            "requestHeaders": headers_of(payload.request_head, shows_redacted=True),
            "requestBody": body_of(payload.request_body, payload.request_head),
            "requestBodyCut": _cut_of(payload.request_body),
            "requestTrailers": _trailers_of(payload.request_trailers),
            "responseHeaders": headers_of(payload.response_head, shows_redacted=True),
            "responseBody": body_of(payload.response_body, payload.response_head),
            "responseBodyCut": _cut_of(payload.response_body),
            "responseTrailers": _trailers_of(payload.response_trailers),
        }
    return ClientRequestDetail(
        method=record.method,
        path=record.path,
        statusCode=record.status,
        duration=None if sent_ms is None else sent_ms - row.processedAt,
        **content,
        **msgspec.structs.asdict(row),
    )


def message_of(record: Record) -> str:
    """Return a sentence for a reader that describes the outcome of an exchange."""
    if record.is_in_flight:
        return "Request in progress"
    failure = (
        record.auth_code
        or record.error_type
        or (None if record.outcome == Outcome.OK else record.outcome)
    )
    if failure is None:
        return "Request logged"

    return failure.replace("_", " ").capitalize()


def target_of(record: Record) -> TargetData | None:
    """Return times and status of the upstream's side of an exchange; None if nothing is known to
    have been sent to the upstream.
    """
    sent_us = record.upstream_sent_at_us
    done_us = record.upstream_done_at_us
    if sent_us is None and not _is_begun(record):
        return None

    sent_ms = None if sent_us is None else sent_us // 1000
    done_ms = None if done_us is None else done_us // 1000
    return TargetData(
        sentAt=sent_ms,
        receivedAt=done_ms,
        duration=None if sent_ms is None else _seconds(sent_ms, done_ms),
        status=record.status if record.first_byte_us is not None or _is_begun(record) else None,
        location=None,
    )


def checks_of(record: Record) -> dict[str, bool]:
    """Return the twenty named checks of the client dialect and whether an exchange passed each."""
    code = record.auth_code
    error = record.error_type
    has_credential = code not in _NO_CREDENTIAL
    return {
        "proxyExists": record.route_id is not None,
        "proxyActive": record.route_id is not None,
        "proxyAuthenticated": code not in _NOT_AUTHENTICATED,
        "proxyCredentialExists": has_credential,
        "proxyCredentialActive": code not in _INACTIVE,
        "proxyCredentialRelationship": has_credential,
        "proxyCredentialScopeValid": code != "scope_denied",
        "proxyScopeValid": code != "scope_denied",
        "targetExists": record.route_id is not None,
        "targetRelationship": record.route_id is not None,
        "targetScopeValid": code != "agent_denied",
        "targetCredentialExists": True,
        "targetCredentialActive": True,
        "targetCredentialRelationship": True,
        "targetCredentialScopeValid": True,
        "requestValid": code is None and record.outcome != Outcome.REJECTED,
        "requestSent": record.upstream_sent_at_us is not None or _is_begun(record),
        "responseReceived": record.first_byte_us is not None or _is_begun(record),
        "systemError": error in _SYSTEM_ERRORS or record.outcome in _SYSTEM_OUTCOMES,
        "requestConfigError": error in _CONFIG_ERRORS,
    }


def _is_begun(record: Record) -> bool:
    """Return True if the response of an exchange in flight has begun.

    Only its status shows that.
    """
    return record.is_in_flight and record.status is not None


def headers_of(head: bytes, *, shows_redacted: bool) -> dict[str, str]:
    """Return a stored head by lower-case name, repeated fields joined as in RFC 9110 §5.3."""
    return _joined(split_head(head)[1], shows_redacted=shows_redacted)


def _trailers_of(lines: bytes) -> dict[str, str] | UnsetType:
    if lines:
        return _joined(split_fields(lines), shows_redacted=True)
    return UNSET


def _joined(fields: list[list[str]], *, shows_redacted: bool) -> dict[str, str]:
    shown: dict[str, str] = {}
    for name, value in fields:
        if shows_redacted or REDACTED not in value:
            name = name.lower()
            shown[name] = f"{shown[name]}, {value}" if name in shown else value
    return shown


def parameters_of(query: str | None) -> dict[str, str | list[str]]:
    """Return query parameters: a string each, a list for a repeated name."""
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(query or "", keep_blank_values=True, errors="backslashreplace"):
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def body_of(body: Body | None, head: bytes) -> object:
    """Return a body: whole JSON unchanged, text as text, else base64; None if it was not kept."""
    if body is None or body.omitted is not None:
        return None
    media_type = headers_of(head, shows_redacted=True).get("content-type", "")
    whole = body.head + body.tail
    if not body.truncated and ("json" in media_type.lower() or not media_type) and _is_json(whole):
        return msgspec.Raw(whole)  # not parsed, so that numbers keep every digit

    encoding, text = joined_text(body)
    if encoding == "base64":
        return {"encoding": encoding, "data": text}

    return text


def _cut_of(body: Body | None) -> Kept | UnsetType:
    if body is not None and body.truncated and body.omitted is None:
        return kept_of(body)
    return UNSET


def _is_json(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _sent_ms(record: Record) -> int | None:
    if record.is_in_flight:
        return None
    return record.ended_at_us // 1000


def _seconds(since_ms: int, until_ms: int | None) -> float | None:
    if until_ms is None:
        return None
    return round((until_ms - since_ms) / 1000, 3)
