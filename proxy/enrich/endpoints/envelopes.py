"""Find failures reported under a success status, in the envelopes of common protocols.

Strategy: the media type decides which envelopes are possible, and a search for a few bytes whether
one is present; only then the body is parsed. Invariant: a body of unknown shape is never a failure.

Standards: Connect; JSON-RPC 2.0 §5.1; SOAP 1.1 §4.4 and 1.2 §5.4; XML-RPC; RFC 9457; JSON:API;
WHATWG HTML §9.2 (events named `error`); Amazon's event streams, batches and S3; Elasticsearch's
bulk API; batches of OData 4.01 §11.7.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from html import unescape
from typing import Final, NamedTuple

from proxy.enrich.endpoints.error_documents import (
    ANY,
    MAX_BYTES,
    Failure,
    answer_failure,
    document_failure,
    failure,
    failure_of,
    rpc_failure,
)
from proxy.enrich.formats.aws_events import split_aws
from proxy.enrich.formats.frames import split_events, split_lines, split_of
from proxy.enrich.formats.json_parts import decode, find_text
from proxy.enrich.grpc.messages import last_frame
from proxy.enrich.http.exchange import DecodedBody
from proxy.enrich.http.head_facts import HeadFacts
from storage.grpc import STATUSES

STREAM_ERROR: Final = "stream_error"
_CODES: Final = tuple(name.lower() for name in STATUSES)
_END_STREAM: Final = b"\2\0"
"""Beginning of the last frame of Connect: its flags, and the first byte of a length below 2^24."""
_BEGINNING_BYTES: Final = 160
_BULK: Final = re.compile(
    rb'\s*\{[^\[\]{}]*(?:"errors"\s*:\s*true\b[^\[\]{}]*"items"|"responses"\s*:\s*\[\s*\{)'
)
_FAILED: Final = re.compile(rb'"Failed(?:(?:Record|Put|Entry)Count"\s*:\s*[1-9]|"\s*:\s*\[\s*\{)')
"""Matches partly failed batches of Amazon's services: Kinesis, Firehose and EventBridge; SQS and
SNS.
"""
_STATUS: Final = re.compile(rb'(?:"status"\s*:\s*|\nHTTP/1\.[01] )(\d{3})\b')
_BEFORE_ELEMENT: Final = rb"[^<]*+(?:<\?[^>]*+>\s*+)?"
"""Matches everything before the first element, without reading any of it twice."""
_FAULTS: Final = (
    (
        "soap_fault",
        re.compile(rb"(?s).*?<(?:[\w.-]+:)?Body(?:\s[^<>]*)?>\s*<(?:[\w.-]+:)?Fault[\s/>]"),
    ),
    ("xmlrpc_fault", re.compile(rb"%b<methodResponse>\s*<fault>" % _BEFORE_ELEMENT)),
    (
        "xml_error",
        re.compile(rb"%b<(?:Error(?:Response)?[\s>]|problem\s[^<>]*:rfc:7807)" % _BEFORE_ELEMENT),
    ),
    ("batch_error", re.compile(rb"(?s)%b<DeleteResult[\s>].*?<Error>" % _BEFORE_ELEMENT)),
    # Status of a resource, not of its properties. Not 404, which synchronisation reports for a
    # removed resource (RFC 6578 §3.4).
    (
        "batch_error",
        re.compile(
            rb"(?s)(?>.*?<(?:[\w.-]+:)?multistatus[\s>]).*?</(?:[\w.-]+:)?href>\s*"
            rb"(?=<(?:[\w.-]+:)?status>HTTP/1\.[01] (?:4(?!04)|5))"
        ),
    ),
)
_FAULT_CODE: Final = re.compile(
    rb"<(?:[\w.-]+:)?(?:faultcode|Value|Code|int|i4|status)(?:\s[^<>]*)?>\s*([^<\s][^<]*)<"
)
_FAULT_TEXT: Final = re.compile(
    rb"<(?:[\w.-]+:)?(?:faultstring|Text|Message|string|title)(?:\s[^<>]*)?>([^<]+)<"
)


class _Envelope(NamedTuple):
    judge: Callable[[HeadFacts, DecodedBody], Failure | None]
    marks: tuple[bytes, ...] = (b"",)
    """Texts near the beginning or the end of every failed response. It contains at least one of
    them.
    """


def may_fail(content_type: bytes, head: bytes) -> bool:
    """Return True if a response may report a failure.

    The first bytes of most bodies rule that out.
    """
    # 0.4 µs, while searching the whole body takes 2 (bench/micro, collector).
    if content_type[12:17] in (b"json", b"json;"):
        begin = head[:_BEGINNING_BYTES] + head[-1:]
        return (
            b'"err' in begin or b'"jsonrpc"' in begin or b"\n" in begin or b'"responses"' in begin
        )
    return _envelope_of(content_type) is not None


def failure_behind(facts: HeadFacts, body: DecodedBody) -> Failure | None:
    """Return the failure that a response reports in its head or body; None without one."""
    if may_fail(facts.content_type, body.head):
        envelope = _envelope_of(facts.content_type)
    else:
        envelope = None
    if envelope is None:
        return None

    if envelope in (_JSON, _LINES, _EVENTS):  # the declared type and the actual format may differ
        split = split_of(facts.content_type, body.head)
        if split is split_events:
            envelope = _EVENTS
        else:
            envelope = _LINES if split is split_lines else _JSON
    head = body.head
    tail = body.tail
    if len(head) + len(tail) <= 2 * MAX_BYTES:
        text = head + tail
    else:
        text = head[:MAX_BYTES] + (tail or head)[-MAX_BYTES:]
    if any(map(text.__contains__, envelope.marks)):
        return envelope.judge(facts, body)

    return None


def _connect(_: HeadFacts, body: DecodedBody) -> Failure | None:
    ending = decode(ANY, last_frame(body, _END_STREAM) or b"")
    if isinstance(ending, dict):
        error = ending.get("error")
    else:
        error = None
    if isinstance(error, dict):
        name = str(error.get("code")).replace("canceled", "cancelled")
    else:
        name = ""
    if name:
        return failure(f"connect_{name if name in _CODES else 'unknown'}", error)

    return None


def _json(facts: HeadFacts, body: DecodedBody) -> Failure | None:
    if _BULK.match(body.head, 0, 512) is not None:
        return _batch(facts, body)
    return (None if body.is_truncated else document_failure(body.head)) or _last_line(facts, body)


def _batch(_: HeadFacts, body: DecodedBody) -> Failure | None:
    worst = max(map(int, _STATUS.findall(body.head + body.tail)), default=0)
    said = {"code": worst, "reason": find_text(body.head, b"reason")}
    if worst >= 400:
        return failure("batch_error", said)
    return None


def _mixed(facts: HeadFacts, body: DecodedBody) -> Failure | None:
    """Judge a batch of responses with a status each, or one GraphQL response in parts."""
    if b"HTTP/1." in body.head:
        return _batch(facts, body)
    return failure_of(body)


def _amazon_json(facts: HeadFacts, body: DecodedBody) -> Failure | None:
    if _FAILED.search(body.head) is None:
        return _json(facts, body)
    code, message = (
        find_text(body.head, b"Error" + name) or find_text(body.head, name)
        for name in (b"Code", b"Message")
    )
    return failure("batch_error", {"code": code, "message": message})


def _last_line(_: HeadFacts, body: DecodedBody) -> Failure | None:
    """Judge the last line of a stream of documents."""
    before, _newline, line = (body.tail or body.head).rstrip().rpartition(b"\n")
    if before or line[:1] == b"\x1e":
        return document_failure(line.lstrip(b"\x1e"))
    return None


def _events(_: HeadFacts, body: DecodedBody) -> Failure | None:
    last = b""
    for event, last, _end in body.frames():
        if event == b"error":
            report = decode(ANY, last)
            if not isinstance(report, dict):
                report = {
                    "message": report
                    if isinstance(report, str)
                    else last.decode("utf-8", "replace")
                }

            return failure(STREAM_ERROR, report.get("error"), report)

        failed = rpc_failure(last)
        if failed is None and event == b"next":  # GraphQL over an event stream
            failed = answer_failure(last)
        if failed is not None:
            return failed

    return document_failure(last)


def _xml(_: HeadFacts, body: DecodedBody) -> Failure | None:
    for code, pattern in _FAULTS:
        if (fault := pattern.match(body.head)) is not None:
            found = [each.search(body.head, fault.end()) for each in (_FAULT_CODE, _FAULT_TEXT)]
            texts = [
                each and unescape(each[1].decode("utf-8", "replace").strip()) for each in found
            ]
            return failure(code, dict(zip(("code", "message"), texts, strict=True)))

    return None


def _aws_events(_: HeadFacts, body: DecodedBody) -> Failure | None:
    for event, data, _end in body.frames(split_aws):
        if data.startswith(b'{"%b":' % event):
            report = decode(ANY, data)
        else:
            report = None
        if isinstance(report, dict) and len(report) == 1:
            return failure(
                "aws_exception", {"code": event.decode("utf-8", "replace")}, *report.values()
            )
    return None


_ERROR: Final = (b'"err', b'"ERROR"')
_JSON: Final = _Envelope(_json, _ERROR)
_LINES: Final = _Envelope(_last_line, _ERROR)
_EVENTS: Final = _Envelope(_events, (b"event: error", b"event:error", b"error: {", b'"err'))
_XML: Final = _Envelope(_xml, (b"Fault", b"<fault>", b"<Error", b"<problem", b"multistatus"))
_TYPES: Final = {
    **dict.fromkeys((b"application/json", b"application/json-rpc", b"text/json", b"+json"), _JSON),
    **dict.fromkeys(
        (
            b"application/x-ndjson",
            b"application/ndjson",
            b"application/jsonl",
            b"application/json-seq",
        ),
        _LINES,
    ),
    **dict.fromkeys((b"text/xml", b"application/xml", b"+xml", b"multipart/related"), _XML),
    **dict.fromkeys(
        (b"application/x-amz-json-1.0", b"application/x-amz-json-1.1"), _Envelope(_amazon_json)
    ),
    b"application/connect": _Envelope(_connect, (b'"error"',)),
    b"application/problem+json": _Envelope(_json),
    b"application/graphql-response+json": _Envelope(lambda _, body: failure_of(body)),
    b"application/vnd.amazon.eventstream": _Envelope(
        _aws_events, (b":exception-type", b":error-code")
    ),
    b"multipart/mixed": _Envelope(_mixed, (b"HTTP/1.", b'"errors"')),
    b"text/event-stream": _EVENTS,
}


@lru_cache(maxsize=512)
def _envelope_of(content_type: bytes) -> _Envelope | None:
    kind = content_type.partition(b";")[0].strip().lower()
    base, plus, suffix = kind.rpartition(b"+")
    return _TYPES.get(kind) or _TYPES.get(base) or _TYPES.get(plus + suffix)
