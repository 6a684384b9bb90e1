"""Failures behind a status that says success, in the envelopes of common protocols. Pure.

Strategy: the media type of an answer says which envelopes there may be, a look for a few bytes whether one is there;
only then it is read. Invariant: what has no known shape is no failure.

Standards: gRPC-Web; Connect; JSON-RPC 2.0 §5.1; SOAP 1.1 §4.4 and 1.2 §5.4; XML-RPC; RFC 9457; JSON:API; WHATWG HTML
§9.2 (events named `error`); Amazon's event streams and S3; Elasticsearch's bulk API; multipart batches.
"""

import re
from binascii import Error, a2b_base64
from collections.abc import Callable
from functools import lru_cache
from html import unescape
from typing import Final, NamedTuple
from urllib.parse import unquote

from proxy.enrich.endpoints.error_documents import ANY, MAX_BYTES, Failure, document_failure, failure, rpc_failure
from proxy.enrich.endpoints.failure import failure_of
from proxy.enrich.formats.aws_events import AwsEventSplitter
from proxy.enrich.formats.frames import LineSplitter, SseSplitter, splitter_of
from proxy.enrich.formats.json_parts import decode, find_text
from proxy.enrich.http.decoded_body import DecodedBody
from proxy.enrich.http.head_facts import HeadFacts

STREAM_ERROR: Final = "stream_error"
_GRPC_CODES: Final = (
    *("ok", "cancelled", "unknown", "invalid_argument", "deadline_exceeded", "not_found", "already_exists"),
    *("permission_denied", "resource_exhausted", "failed_precondition", "aborted", "out_of_range", "unimplemented"),
    *("internal", "unavailable", "data_loss", "unauthenticated"),
)
_TRAILERS, _END_STREAM = b"\x80\0", b"\2\0"
"""How the last frame of gRPC-Web, or of Connect, begins: its flags, and a length of less than 2^24."""
_BEGINNING_BYTES, _END_BYTES = 160, 16_384
_GRPC_STATUS: Final = re.compile(rb"(?i)(?:^|\n)grpc-status:[ \t]*(\d{1,9})")
_GRPC_MESSAGE: Final = re.compile(rb"(?i)(?:^|\n)grpc-message:[ \t]*([^\r\n]+)")
_BULK: Final = re.compile(rb'\s*\{[^\[\]{}]*"errors"\s*:\s*true\b[^\[\]{}]*"items"')
_STATUS: Final = re.compile(rb'(?:"status"\s*:\s*|\nHTTP/1\.[01] )(\d{3})\b')
_FAULTS: Final = (
    ("soap_fault", re.compile(rb"(?s).*?<(?:[\w.-]+:)?Body(?:\s[^<>]*)?>\s*<(?:[\w.-]+:)?Fault[\s/>]")),
    ("xmlrpc_fault", re.compile(rb"[^<]*(?:<\?[^>]*>)?\s*<methodResponse>\s*<fault>")),
    ("xml_error", re.compile(rb"[^<]*(?:<\?[^>]*>)?\s*<Error(?:Response)?[\s>]")),
)
_FAULT_CODE: Final = re.compile(rb"<(?:[\w.-]+:)?(?:faultcode|Value|Code|int|i4)(?:\s[^<>]*)?>\s*([^<\s][^<]*)<")
_FAULT_TEXT: Final = re.compile(rb"<(?:[\w.-]+:)?(?:faultstring|Text|Message|string)(?:\s[^<>]*)?>([^<]+)<")


class _Envelope(NamedTuple):
    judge: Callable[[HeadFacts, DecodedBody], Failure | None]
    marks: tuple[bytes, ...] = (b"",)
    """One of these is in each answer that failed, near its beginning or its end."""


def may_fail(content_type: bytes, head: bytes) -> bool:
    """Whether an answer may report a failure; most are documents whose first bytes rule that out."""
    if content_type[12:17] in (b"json", b"json;"):  # 0.3 us, where a look at all of it takes 2 (bench/micro, collector)
        at = _BEGINNING_BYTES
        return head.find(b'"err', 0, at) >= 0 or head.find(b'"jsonrpc"', 0, at) >= 0 or head.find(b"\n", 0, at) >= 0
    return _envelope_of(content_type) is not None


def failure_behind(facts: HeadFacts, body: DecodedBody) -> Failure | None:
    """Find the failure that an answer reports in its head or body; None without one."""
    envelope = _envelope_of(facts.content_type) if may_fail(facts.content_type, body.head) else None
    if envelope is None:
        return None
    if envelope in (_JSON, _LINES, _EVENTS):  # what it is sent as, and what it is, are two things
        splitter = splitter_of(facts.content_type, body.head)
        envelope = _EVENTS if splitter is SseSplitter else _LINES if splitter is LineSplitter else _JSON
    head, tail = body.head, body.tail
    text = head + tail if len(head) + len(tail) <= 2 * MAX_BYTES else head[:MAX_BYTES] + (tail or head)[-MAX_BYTES:]
    return envelope.judge(facts, body) if any(map(text.__contains__, envelope.marks)) else None


def _grpc(facts: HeadFacts, body: DecodedBody) -> Failure | None:
    for fields in (facts.redacted, _last_frame(facts, body, _TRAILERS)):
        if (status := _GRPC_STATUS.search(fields)) is not None:
            number, message = int(status[1]), _GRPC_MESSAGE.search(fields)
            name = _GRPC_CODES[number if number < len(_GRPC_CODES) else 2]
            said = {"code": number, "message": message and unquote(message[1].decode("latin-1"))}
            return failure(f"grpc_{name}", said) if number else None
    return None


def _connect(facts: HeadFacts, body: DecodedBody) -> Failure | None:
    ending = decode(ANY, _last_frame(facts, body, _END_STREAM))
    error = ending.get("error") if isinstance(ending, dict) else None
    name = str(error.get("code")).replace("canceled", "cancelled") if isinstance(error, dict) else ""
    return failure(f"connect_{name if name in _GRPC_CODES else 'unknown'}", error) if name else None


def _last_frame(facts: HeadFacts, body: DecodedBody, begins: bytes) -> bytes:
    """Return the content of the frame that begins so and ends the body; empty without one."""
    data = (body.tail or body.head)[-_END_BYTES:] if body.has_end else b""
    if b"-text" in facts.content_type:  # groups of four characters, each message with padding of its own
        try:
            data = b"".join(map(a2b_base64, re.findall(rb"[^=]+=*", data[len(data) % 4 :])))
        except Error:
            return b""
    at = data.find(begins)
    while at >= 0 and int.from_bytes(data[at + 1 : at + 5], "big") != len(data) - at - 5:
        at = data.find(begins, at + 1)
    return data[at + 5 :] if at >= 0 else b""


def _json(facts: HeadFacts, body: DecodedBody) -> Failure | None:
    if _BULK.match(body.head, 0, 512) is not None:
        return _batch(facts, body)
    return (None if body.is_truncated else document_failure(body.head)) or _last_line(facts, body)


def _batch(_: HeadFacts, body: DecodedBody) -> Failure | None:
    worst = max(map(int, _STATUS.findall(body.head + body.tail)), default=0)
    said = {"code": worst, "reason": find_text(body.head, b"reason")}
    return failure("batch_error", said) if worst >= 400 else None


def _last_line(_: HeadFacts, body: DecodedBody) -> Failure | None:
    """Judge the line that a stream of documents ends with."""
    before, _newline, line = (body.tail or body.head).rstrip().rpartition(b"\n")
    return document_failure(line) if before else None


def _events(_: HeadFacts, body: DecodedBody) -> Failure | None:
    last = b""
    for event, last, _end in body.frames():
        if event == b"error":
            report = decode(ANY, last)
            if not isinstance(report, dict):
                report = {"message": report if isinstance(report, str) else last.decode("utf-8", "replace")}
            return failure(STREAM_ERROR, report.get("error"), report)
        if (failed := rpc_failure(last)) is not None:
            return failed
    return document_failure(last)


def _xml(_: HeadFacts, body: DecodedBody) -> Failure | None:
    for code, pattern in _FAULTS:
        if (fault := pattern.match(body.head)) is not None:
            found = [each.search(body.head, fault.end()) for each in (_FAULT_CODE, _FAULT_TEXT)]
            texts = [each and unescape(each[1].decode("utf-8", "replace").strip()) for each in found]
            return failure(code, dict(zip(("code", "message"), texts, strict=True)))
    return None


def _aws_events(_: HeadFacts, body: DecodedBody) -> Failure | None:
    for event, data, _end in body.frames(AwsEventSplitter):
        report = decode(ANY, data) if data.startswith(b'{"%b":' % event) else None
        if isinstance(report, dict) and len(report) == 1:
            return failure("aws_exception", {"code": event.decode("utf-8", "replace")}, *report.values())
    return None


_ERROR: Final = (b'"err',)
_JSON: Final = _Envelope(_json, _ERROR)
_LINES: Final = _Envelope(_last_line, _ERROR)
_EVENTS: Final = _Envelope(_events, (b"event: error", b"event:error", b'"err'))
_XML: Final = _Envelope(_xml, (b"Fault", b"<fault>", b"<Error"))
_TYPES: Final = {
    **dict.fromkeys((b"application/json", b"application/json-rpc", b"text/json", b"+json"), _JSON),
    **dict.fromkeys((b"application/x-ndjson", b"application/ndjson", b"application/jsonl"), _LINES),
    **dict.fromkeys((b"text/xml", b"application/xml", b"+xml"), _XML),
    **dict.fromkeys((b"application/x-amz-json-1.0", b"application/x-amz-json-1.1"), _Envelope(_json)),
    **dict.fromkeys((b"application/grpc-web", b"application/grpc-web-text"), _Envelope(_grpc)),
    b"application/connect": _Envelope(_connect, (b'"error"',)),
    b"application/problem+json": _Envelope(_json),
    b"application/graphql-response+json": _Envelope(lambda _, body: failure_of(body)),
    b"application/vnd.amazon.eventstream": _Envelope(_aws_events, (b":exception-type",)),
    b"multipart/mixed": _Envelope(_batch, (b"HTTP/1.",)),
    b"text/event-stream": _EVENTS,
}


@lru_cache(maxsize=512)
def _envelope_of(content_type: bytes) -> _Envelope | None:
    kind = content_type.partition(b";")[0].strip().lower()
    base, plus, suffix = kind.rpartition(b"+")
    return _TYPES.get(kind) or _TYPES.get(base) or _TYPES.get(plus + suffix)
