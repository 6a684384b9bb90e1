"""The attributes of a record in OpenTelemetry.

Names follow the semantic conventions: HTTP 1.41 (stable), and GenAI, whose names are still in
development. A field without a conventional name begins with `sidelog.`. Unknown values are left
out, never zero. Secrets cannot appear here, because the store has none. Texts are cut after
`MAX_CHARACTERS`.
"""

from collections.abc import Mapping
from functools import cache
from typing import Final

import msgspec

from storage.grpc import Grpc
from storage.record import Outcome, Record, format_id

Value = str | int | float | list[str]
Attributes = dict[str, Value | None]
"""Attributes by name. None means unknown, and is not sent."""

MAX_CHARACTERS: Final = 4096
"""Limit of one text: a path may have 32 KiB, and receivers have limits of their own."""
_METHODS: Final = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE")
)
"""Methods that the conventions know. All others become `_OTHER`, so that span names stay few."""
OTHER_METHOD: Final = "_OTHER"
_PROVIDERS: Final = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "x-ai": "x_ai",
}
"""Provider names of the conventions that differ from ours."""
_OPERATIONS: Final = (
    ("embed", "embeddings"),
    ("rerank", "rerank"),
    ("moderations", "moderation"),
    ("/ocr", "ocr"),
    ("generatecontent", "generate_content"),
    ("images/", "generate_content"),
    ("audio/", "generate_content"),
    ("chat", "chat"),
    ("completions", "text_completion"),
    ("api/generate", "text_completion"),
)
"""Part of a path → operation. The first match counts; without a match it is `chat`."""


_encode: Final = msgspec.json.Encoder().encode


def encode_attributes(attributes: Mapping[str, Value | None]) -> msgspec.Raw:
    """Return attributes as OTLP JSON: a list of keys with typed values, integers as strings (int64
    of proto3).

    Encoded by hand: objects for each value and its type cost 25 µs a record, this 13 (bench/micro,
    otel).
    """
    return msgspec.Raw(
        b"[%b]"
        % b",".join(
            [_begin(key) + _value(value) for key, value in attributes.items() if value is not None]
        )
    )


@cache
def _begin(key: str) -> bytes:
    """Return the encoded beginning of an attribute with a key, to be followed by the value. The
    keys must be those of this package, because results are cached.
    """
    return b'{"key":%b,"value":' % _encode(key)


def _value(value: Value) -> bytes:
    if isinstance(value, str):
        return b'{"stringValue":%b}}' % _encode(plain(value))
    if isinstance(value, int):
        return b'{"intValue":"%d"}}' % value
    if isinstance(value, float):
        return b'{"doubleValue":%b}}' % _encode(value)

    return b'{"arrayValue":%b}}' % _encode(
        {"values": [{"stringValue": plain(each)} for each in value]}
    )


def plain(text: str) -> str:
    """Return a text fit for JSON: cut, and without unpaired surrogates."""
    text = text[:MAX_CHARACTERS]
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode()


def resource_attributes(service: str, instance: str, stage: str | None) -> Attributes:
    """Return the attributes of the source of telemetry: its service, sidecar and stage."""
    return {
        "service.name": service,
        "service.instance.id": instance,
        "deployment.environment.name": stage or None,
    }


def exchange_attributes(record: Record) -> Attributes:
    """Return all attributes of an exchange's span or log record."""
    shown = _http_attributes(record) | _own_attributes(record)
    if record.grpc is not None:
        shown |= _grpc_attributes(record, record.grpc)
    return shown | (_call_attributes(record) if record.provider else {})


def event_attributes(record: Record) -> Attributes:
    """Return the attributes of an event's log record."""
    return {"sidelog.record.id": format_id(record.id), "sidelog.source": record.source}


def known_method(record: Record) -> str | None:
    if record.method is None or record.method in _METHODS:
        return record.method
    return OTHER_METHOD


def error_type(record: Record) -> str | None:
    """Return the error type of an exchange; None if it succeeded.

    It is the error's own code, else the outcome, else the status from 500 on (from 400 on for
    outgoing calls).
    """
    if record.error_type:
        return record.error_type
    if record.outcome not in (Outcome.OK, Outcome.REJECTED):
        return record.outcome
    # An error of the caller is not an error of a server span, but of a client span (HTTP
    # conventions).
    least = 500 if record.direction == "in" else 400
    if record.status is not None and record.status >= least:
        return str(record.status)

    return None


def operation_of(record: Record) -> str:
    """Return the operation of an LLM call, named as in the conventions."""
    path = (record.path or "").lower()
    return next((operation for part, operation in _OPERATIONS if part in path), "chat")


def _http_attributes(record: Record) -> Attributes:
    method = known_method(record)
    host, port = _split_host(record.host)
    is_outgoing = record.direction == "out"
    return {
        "http.request.method": method,
        "http.request.method_original": record.method if method == OTHER_METHOD else None,
        "url.scheme": record.scheme,
        "url.path": record.path,
        "url.query": record.query,
        "url.full": record.target if is_outgoing else None,
        "url.template": record.endpoint if is_outgoing else None,
        "http.route": None if is_outgoing else record.endpoint,
        "http.response.status_code": record.status,
        "server.address": host,
        "server.port": port,
        "client.address": record.client_ip,
        "network.protocol.name": "http",
        "network.protocol.version": record.http_version,
        "user_agent.original": record.user_agent,
        "http.request.body.size": record.request_bytes,
        "http.response.body.size": record.response_bytes,
        "user.id": record.user_id,
        "error.type": error_type(record),
    }


def _own_attributes(record: Record) -> Attributes:
    return {
        "sidelog.record.id": format_id(record.id),
        "sidelog.outcome": record.outcome,
        "sidelog.source": record.source,
        "sidelog.route": record.route_id,
        "sidelog.container": record.container,
        "sidelog.project": record.project,
        "sidelog.client": record.client,
        "sidelog.request_id": record.request_id,
        "sidelog.key.id": record.key_id,
        "sidelog.key.name": record.key_name,
        "sidelog.auth.code": record.auth_code,
        "sidelog.upstream.address": record.upstream,
        "sidelog.upstream.connect_s": _seconds(record.connect_us),
        "sidelog.upstream.first_byte_s": _seconds(record.first_byte_us),
        "sidelog.upstream.duration_s": _seconds(record.upstream_us),
        "sidelog.redactions": None if record.redactions is None else [*record.redactions],
    }


def _grpc_attributes(record: Record, grpc: Grpc) -> Attributes:
    service, _, method = (record.path or "").removeprefix("/").rpartition("/")
    return {
        "rpc.system": "grpc",
        "rpc.service": service or None,
        "rpc.method": method or None,
        "rpc.grpc.status_code": grpc.status,
        "sidelog.grpc.request_messages": grpc.request_messages,
        "sidelog.grpc.response_messages": grpc.response_messages,
    }


def _call_attributes(record: Record) -> Attributes:
    stream = record.stream
    is_streamed = stream is not None and not stream.is_document
    if stream is None:
        reason = None
    else:
        reason = stream.finish_reason
    return {
        "gen_ai.operation.name": operation_of(record),
        "gen_ai.provider.name": _PROVIDERS.get(record.provider or "", record.provider),
        "gen_ai.request.model": record.model,
        "gen_ai.response.model": record.resolved_model,
        "gen_ai.response.finish_reasons": None if reason is None else [reason],
        "gen_ai.response.time_to_first_chunk": _seconds(stream.first_content_us)
        if stream and is_streamed
        else None,
        "gen_ai.conversation.id": None
        if record.conversation is None
        else format_id(record.conversation),
        "gen_ai.usage.input_tokens": record.input_tokens,
        "gen_ai.usage.output_tokens": record.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": record.cache_read_tokens,
        "gen_ai.usage.cache_creation.input_tokens": record.cache_write_tokens,
        "gen_ai.usage.reasoning.output_tokens": record.reasoning_tokens,
        "sidelog.cost_usd": record.cost_usd,
    }


def _split_host(host: str | None) -> tuple[str | None, int | None]:
    """Split an authority into name and port, without the brackets of an IPv6 address (RFC 3986
    §3.2.2).
    """
    if not host:
        return None, None
    name, colon, port = host.rpartition(":")
    if (
        not colon
        or host.endswith("]")
        or not (port.isascii() and port.isdigit() and len(port) <= 5)
    ):
        name = host
        port = ""

    return name.removeprefix("[").removesuffix("]"), int(port) if port else None


def _seconds(duration_us: int | None) -> float | None:
    if duration_us is None:
        return None
    return duration_us / 1e6
