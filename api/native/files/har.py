"""HAR 1.2: an exchange as an entry of an HTTP Archive, as browsers and their tools read it. Pure.

Standard: the HAR 1.2 specification (W3C Web Performance, historical draft). Values are the stored
ones: redacted, and of a cut body both ends with a mark between them, and `comment` says so. Times
are milliseconds, -1 where a phase was not reached. Trailer fields, which HAR has no place for, are
`_trailers` beside `headers`. Messages are those of Chromium for WebSockets; of a gRPC stream they
are `_grpcMessages`. What was taken out is `_redactions` of the entry, and `_weight` is for how many
it stands, where that is more than itself.
"""

from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qsl

from api.http.times import format_time
from api.native.files.cut_bodies import describe_body, joined_text
from api.native.messages import NOTHING_ARCHIVED, Archived
from api.native.projection import latin1_lines_of, split_fields, split_head, value_of
from storage.record import Body, Payload, Record, format_id

_REASON_AT: Final = 2
_HEAD_END_BYTES: Final = 4
"""Size of the last line end and the empty line, which stored heads lack."""
_PAGE: Final = "page_1"
IN_LATIN1: Final = "sent in latin-1"
"""Comment of a header whose octets are not UTF-8."""


def creator(version: str) -> dict[str, str]:
    """Return the `creator` member of a HAR archive, with the version of sidelog."""
    return {"name": "sidelog", "version": version}


def pages(started_at_us: int | None) -> list[dict[str, object]]:
    """Return the page of all entries, without which Firefox opens no archive; empty without
    entries.
    """
    if started_at_us is None:
        return []
    timings = {"onContentLoad": -1, "onLoad": -1}
    started = format_time(started_at_us)
    return [{"startedDateTime": started, "id": _PAGE, "title": "sidelog", "pageTimings": timings}]


def har_entry(
    record: Record, payload: Payload | None, messages: Archived = NOTHING_ARCHIVED
) -> dict[str, object]:
    """Return one exchange as an entry of a HAR archive; without payload, heads are empty and bodies
    absent.
    """
    entry: dict[str, object] = {
        "pageref": _PAGE,
        "startedDateTime": format_time(record.started_at_us),
        "time": record.duration_us / 1000,
        "request": _request(record, payload),
        "response": _response(record, payload),
        "cache": {},
        "timings": _timings(record),
        **_server(record.upstream or ""),
        "connection": "",
        "comment": f"sidelog record {format_id(record.id)}, outcome {record.outcome}",
    }
    entry |= _custom(record, messages)
    if messages.has_more:
        entry["comment"] = f"{entry['comment']}, the first {len(messages.messages)} messages only"
    return entry


def _request(record: Record, payload: Payload | None) -> dict[str, object]:
    head = b"" if payload is None else payload.request_head
    line, headers = split_head(head)
    request: dict[str, object] = {
        "method": record.method or (line or "").partition(" ")[0],
        "url": _url(record),
        "httpVersion": _http_version(record),
        "cookies": _cookies(headers, "cookie"),
        "headers": _headers(headers, head),
        "queryString": [
            {"name": name, "value": value}
            for name, value in parse_qsl(record.query or "", keep_blank_values=True)
        ],
        "headersSize": _headers_size(payload, head),
        "bodySize": record.request_bytes,
    }
    if payload is not None:
        request |= _post_data(payload.request_body, value_of(headers, "content-type"))
        request |= _trailers(payload.request_trailers)
    return request


def _response(record: Record, payload: Payload | None) -> dict[str, object]:
    if payload is None:
        head = b""
    else:
        head = payload.response_head
    line, headers = split_head(head)
    parts = (line or "").split(" ", _REASON_AT)
    response: dict[str, object] = {
        "status": record.status or 0,
        "statusText": parts[_REASON_AT] if len(parts) > _REASON_AT else "",
        "httpVersion": _http_version(record),
        "cookies": _cookies(headers, "set-cookie"),
        "headers": _headers(headers, head),
        "content": _content(record, payload, value_of(headers, "content-type")),
        "redirectURL": value_of(headers, "location"),
        "headersSize": _headers_size(payload, head),
        "bodySize": record.response_bytes,
    }
    if payload is not None:
        response |= _trailers(payload.response_trailers)
    return response


def _http_version(record: Record) -> str:
    return f"HTTP/{record.http_version or '1.1'}"


def _headers_size(payload: Payload | None, head: bytes) -> int:
    """Return the size of a head with its empty line; -1 if the payload is unknown."""
    if payload is None:
        return -1
    return len(head) + _HEAD_END_BYTES


def _server(upstream: str) -> dict[str, str]:
    """Return the address of the connection; empty if only a name is known."""
    try:
        return {"serverIPAddress": str(ip_address(upstream.rpartition(":")[0].strip("[]")))}
    except ValueError:
        return {}


def _custom(record: Record, messages: Archived) -> dict[str, object]:
    """Return members beyond the specification: redactions, weight and messages."""
    shown: dict[str, object] = (
        {} if record.redactions is None else {"_redactions": record.redactions}
    )
    if record.weight != 1:
        shown["_weight"] = record.weight
    if not messages.messages:
        return shown
    if record.grpc is not None:
        return shown | {"_grpcMessages": messages.messages}

    return shown | {"_resourceType": "websocket", "_webSocketMessages": messages.messages}


def _url(record: Record) -> str:
    return url_of(record.scheme, record.host or "unknown", record.path, record.query)


def url_of(scheme: str | None, host: str, path: str | None, query: str | None) -> str:
    """Return the URL; a target that is not a path, such as that of `OPTIONS *`, is left out."""
    if path is not None and not path.startswith("/"):
        path = None
        query = None
    return f"{scheme or 'http'}://{host}{path or '/'}{'' if query is None else f'?{query}'}"


def _headers(headers: list[list[str]], head: bytes) -> list[dict[str, str]]:
    pairs = _pairs(headers)
    for number in latin1_lines_of(head):
        if number:
            pairs[number - 1]["comment"] = IN_LATIN1
    return pairs


def _pairs(headers: list[list[str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in headers]


def _cookies(headers: list[list[str]], field: str) -> list[dict[str, str]]:
    """Return cookies by name and value, with secrets redacted (RFC 6265 §4)."""
    values = [value for key, value in headers if key.lower() == field]
    pairs = [
        pair for value in values for pair in value.split(";")[: None if field == "cookie" else 1]
    ]
    parts = (pair.partition("=") for pair in pairs)
    return [
        {"name": name.strip(), "value": value.strip()} for name, equals, value in parts if equals
    ]


def _trailers(lines: bytes) -> dict[str, object]:
    if lines:
        return {"_trailers": _pairs(split_fields(lines))}
    return {}


def _post_data(body: Body | None, media_type: str) -> dict[str, object]:
    if body is None:
        return {}
    encoding, text = joined_text(body)
    notes = [
        note for note in (describe_body(body), encoding if encoding == "base64" else "") if note
    ]
    data: dict[str, object] = {"mimeType": media_type, "params": [], "text": text}
    return {"postData": {**data, "comment": ", ".join(notes)} if notes else data}


def _content(record: Record, payload: Payload | None, media_type: str) -> dict[str, object]:
    content: dict[str, object] = {
        "size": record.response_bytes,
        "mimeType": media_type or "x-unknown",
    }
    if payload is None:
        body = None
    else:
        body = payload.response_body
    if body is None:
        return content

    encoding, content["text"] = joined_text(body)
    if body.coding is not None and not body.truncated and body.omitted is None:
        content["size"] = len(body.head)
        content["compression"] = len(body.head) - record.response_bytes
    if encoding == "base64":
        content["encoding"] = encoding
    if loss := describe_body(body):
        content["comment"] = loss
    return content


def _timings(record: Record) -> dict[str, float]:
    """Return the durations of the reached phases; they add up to the total."""
    if record.first_byte_us is None:
        first_us = record.duration_us
    else:
        first_us = min(record.first_byte_us, record.duration_us)
    if record.connect_us is None:
        connect_us = None
    else:
        connect_us = min(record.connect_us, first_us)
    return {
        "blocked": -1,
        "dns": -1,
        "connect": -1 if connect_us is None else connect_us / 1000,
        "send": 0,
        "wait": (first_us - (connect_us or 0)) / 1000,
        "receive": (record.duration_us - first_us) / 1000,
    }
