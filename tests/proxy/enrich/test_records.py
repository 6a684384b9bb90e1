"""From a ring entry to a record: every column, the payload, redaction, own answers, events."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.collector.rings.sources import Source
from proxy.enrich.records import RecordBuilder
from proxy.ring.body_window import Window
from proxy.ring.counters import CounterLayout
from proxy.ring.descriptor import write_descriptor
from proxy.ring.exchange import (
    ERROR_INDEX,
    FLAG_BODIES_OFF,
    FLAG_HEADS_OFF,
    FLAG_HTTP10,
    FLAG_OWN_RESPONSE,
    FLAG_REQUEST_COMPLETE,
    FLAG_TLS,
    NO_ROUTE,
    NOTE_MESSAGE,
    NOTE_MESSAGES_DROPPED,
    NOTE_MESSAGES_UNREADABLE,
    NOTE_REFUSED_HEAD,
    OUTCOME_INDEX,
    SHED_BODIES,
    SHED_TAIL,
    Exchange,
)
from proxy.ring.inflight import InflightWriter
from proxy.ring.segment import Segment
from proxy.ring.timeline import Timeline
from proxy.settings.model import ProxySettings, RedactSettings, RouteSettings, Settings
from storage.record import Entry, Outcome, Position, Record, format_id
from tests.proxy.enrich.exchanges import descriptor_of, handed_over
from tests.support.cases import each_of

S = 1_000_000_000
ID = bytes(range(16))
REQUEST = (
    b"POST /path%2Fx?a=1&token=SECRET HTTP/1.1\r\nHost: a.example\r\nUser-Agent: "
    b"u\r\nAuthorization: SECRET\r\n"
    b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nX-Request-Id: rid\r\n"
    b"X-Mine: SECRET\r\nContent-Type: application/json\r\n\r\n"
)
RESPONSE = b"HTTP/1.1 201 Created\r\nSet-Cookie: SECRET\r\nContent-Type: application/json\r\n\r\n"
SETTINGS = Settings(
    proxy=ProxySettings(source="edge", stage="prod"),
    redact=RedactSettings(headers=("x-mine",), json_keys=("pin",)),
    routes=(
        RouteSettings(id="r0", upstream="http://u"),
        RouteSettings(
            id="r1",
            upstream="http://u",
            service="s",
            container="c",
            project="p",
            client="o",
            provider="none",
        ),
    ),
)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    """A ring with two routes."""
    segment = Segment.create(
        tmp_path,
        write_descriptor(msgspec.to_builtins(SETTINGS)),
        ring_bytes=1 << 16,
        counter_cells=CounterLayout(2).size,
        inflight_slots=4,
    )
    made = Source(segment, Position())
    yield made
    made.close(unlink=True)


DESCRIPTOR = descriptor_of(SETTINGS)
REDACTED = REQUEST.replace(b"SECRET", b"[REDACTED]").removesuffix(b"\r\n\r\n")


def exchange(**fields: Any) -> Exchange:
    made = Exchange(ID, format_id(ID).encode(), 0, 1_700_000_000 * S, b"1.2.3.4")
    made.request_head = REQUEST
    made.response_head = RESPONSE
    made.route = 1
    made.status = 201
    made.ended_ns = 5000
    made.flags = FLAG_REQUEST_COMPLETE
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def build(made: Exchange, pressure: int = 0) -> Entry:
    return RecordBuilder("me", SETTINGS).build(handed_over(made, pressure), DESCRIPTOR)


def columns(record: Record) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in msgspec.structs.fields(Record)}


def test_every_column_of_an_exchange() -> None:
    """The record is what the worker stamped and what the heads say, each value in its own column."""
    made = exchange(
        connect_ns=1_001_000, sent_ns=2_000_000, first_byte_ns=3_000_000, done_ns=4_000_000, ended_ns=5_000_999,
        upstream=b"10.0.0.1:80", request_whole=b'{"pin": "SECRET"}', response_whole=b'{"ok": true}',
        flags=FLAG_REQUEST_COMPLETE | FLAG_TLS,
    )  # fmt: skip
    entry = build(made)
    start_us = 1_700_000_000_000_000
    expected: dict[str, Any] = {
        "seq": 0, "id": ID, "instance": "me", "kind": "exchange", "started_at_us": start_us,
        "ended_at_us": start_us + 5000, "level": "info", "outcome": "ok", "status": 201, "method": "POST",
        "scheme": "https", "host": "a.example", "path": "/path%2Fx", "query": "a=1&token=[REDACTED]",
        "http_version": "1.1", "duration_us": 5000, "connect_us": 1001, "first_byte_us": 3000, "upstream_us": 2000,
        "upstream_sent_at_us": start_us + 2000, "upstream_done_at_us": start_us + 4000, "request_bytes": 17,
        "response_bytes": 12, "request_complete": True, "client_ip": "1.2.3.4", "upstream": "10.0.0.1:80",
        "route_id": "r1", "service": "s", "container": "c", "project": "p", "client": "o", "user_id": None,
        "source": "edge", "stage": "prod", "trace_id": "0af7651916cd43dd8448eb211c80319c", "endpoint": "/path%2Fx",
        "span_id": "b7ad6b7169203331", "request_id": "rid", "user_agent": "u", "error_type": None, "shed": "none",
        "redactions": {"name:token": 1, "name:pin": 1}, "weight": 1.0, "direction": "in",
    }  # fmt: skip
    found = columns(entry.record)
    assert {name: found.pop(name) for name in expected} == expected
    assert set(found.values()) <= {None, False}


def test_the_payload_is_redacted() -> None:
    """Query, heads and bodies are stored without secrets, and otherwise as they came."""
    made = exchange(
        request_whole=b'{"pin": "SECRET", "a": 1}', response_whole=b'{"access_token": "SECRET"}'
    )
    payload = build(made).payload
    assert payload is not None
    assert payload.request_head == REDACTED
    assert payload.response_head == RESPONSE.replace(b"SECRET", b"[REDACTED]").removesuffix(
        b"\r\n\r\n"
    )
    assert payload.request_body is not None
    assert payload.request_body.head == b'{"pin": "[REDACTED]", "a": 1}'
    assert payload.request_body.size == 25
    assert payload.response_body is not None
    assert payload.response_body.head == b'{"access_token": "[REDACTED]"}'
    assert b"SECRET" not in msgspec.msgpack.encode(payload)


def test_coded_bodies_are_stored_decoded() -> None:
    """The copy is decoded; the size is that on the wire, the coding is named."""
    coded = gzip.compress(b'{"a": 1}')
    head = RESPONSE.replace(b"Set-Cookie: SECRET", b"Content-Encoding: gzip")
    payload = build(exchange(response_head=head, response_whole=coded)).payload
    assert payload is not None
    body = payload.response_body
    assert body is not None
    assert (body.head, body.size, body.coding, body.truncated) == (
        b'{"a": 1}',
        len(coded),
        "gzip",
        False,
    )
    assert payload.request_body is None


def test_what_was_not_reached_is_null() -> None:
    """An exchange that ended early has no times, sizes or names that were never known."""
    made = exchange(
        status=0, route=0xFFFF, flags=FLAG_HTTP10, client=b"", outcome=OUTCOME_INDEX[Outcome.CLIENT_CLOSED],
        request_head=b"GET / HTTP/1.0\r\n\r\n", response_head=b"",
    )  # fmt: skip
    found = columns(build(made).record)
    for name in (
        "status", "host", "query", "connect_us", "first_byte_us", "upstream_us", "upstream_sent_at_us",
        "upstream_done_at_us", "client_ip", "upstream", "route_id", "service", "trace_id", "user_agent", "error_type",
    ):  # fmt: skip
        assert found[name] is None

    assert (found["request_complete"], found["http_version"], found["level"]) == (
        False,
        "1.0",
        "warn",
    )
    assert found["request_id"] == format_id(ID)


@each_of(
    ("outcome", "status", "level"),
    [
        (Outcome.OK, 399, "info"),
        (Outcome.OK, 404, "warn"),
        (Outcome.OK, 500, "error"),
        (Outcome.REJECTED, 400, "warn"),
        (Outcome.CLIENT_CLOSED, 200, "warn"),
        (Outcome.SHUTDOWN, 200, "warn"),
        (Outcome.TRUNCATED, 200, "error"),
        (Outcome.UPSTREAM_TIMEOUT, 504, "error"),
        (Outcome.UPSTREAM_ERROR, 502, "error"),
    ],
)
def test_levels(outcome: Outcome, status: int, level: str) -> None:
    """Status and outcome grade an exchange."""
    record = build(exchange(outcome=OUTCOME_INDEX[outcome], status=status)).record
    assert (record.level, record.outcome) == (level, outcome.value)


UNREADABLE = [
    b"", b"\r\n", b"NONSENSE\r\n\r\n", b"GET /?token=SECRET", b"GET /?token=SECRET HTTP/1.1",
    b"GET  /?token=SECRET HTTP/1.1\r\n\r\n", b"GET /?token=SECRET\nHost: a HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\nAuthorization:SECRET\r\n\r\n", b"GET /\nAuthorization:SECRET HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\rAuthorization:SECRET\r\n\r\n", b"GET / HTTP/1.1\r\nAuthorization: SECRET",
    b"GET / HTTP/1.1\r\nAuthorization: x\r\n SECRET\r\n\r\n", b"GET / HTTP/1.1\r\nAuthorization : SECRET\r\n\r\n",
    b"GET http://user:SECRET@host/ HTTP/1.1\r\n\r\n", b"GET /#access_token=SECRET HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\xff\xfe", b"GET /\xff\xfe HTTP/1.1\r\nHost: \xff\r\nUser-Agent: \xff\\\r\n\r\n",
]  # fmt: skip


@each_of("head", UNREADABLE)
def test_a_refused_head_is_stored_without_its_secrets(head: bytes) -> None:
    """Whatever cannot be read stays null, nothing fails, and no secret passes in any disguise."""
    made = exchange(
        request_head=head, response_head=b"HTTP/1.1 400 Bad Request\r\n\r\n", status=400,
        error=ERROR_INDEX["bad_request"], outcome=OUTCOME_INDEX[Outcome.REJECTED], flags=FLAG_OWN_RESPONSE,
        response_whole=b'{"error": {}}', route=0xFFFF,
    )  # fmt: skip
    entry = build(made)
    assert (entry.record.status, entry.record.error_type, entry.record.outcome) == (
        400,
        "bad_request",
        "rejected",
    )
    assert b"SECRET" not in msgspec.msgpack.encode(entry)
    assert entry.payload is not None
    assert entry.payload.response_body is not None
    assert entry.payload.response_body.head == b'{"error": {}}'
    for text in (entry.record.method, entry.record.path, entry.record.query):
        assert text is None or text.isprintable()


@pytest.mark.parametrize(
    ("target", "host", "path", "query"),
    [
        (b"http://other:81/p?q=1", "other:81", "/p", "q=1"),
        (b"HTTPS://other", "other", "/", None),
        (b"http://other?q=1", "other", "/", "q=1"),
        (b"/http://x", "a", "/http://x", None),
        (b"*", "a", "*", None),
    ],
)
def test_the_authority_of_an_absolute_target_is_the_host(
    target: bytes, host: str, path: str, query: str | None
) -> None:
    """The client asked for the authority in its target, whatever Host says; the path is without it."""
    record = build(exchange(request_head=b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target)).record
    assert (record.host, record.path, record.query) == (host, path, query)


@each_of(
    ("line", "host"),
    [
        (b"CONNECT other:443 HTTP/1.1", "other"),
        (b"CONNECT other:4443 HTTP/1.1", "other:4443"),
        (b"CONNECT other:443 HTTP/2", "other"),
        (b"CONNECT [2001:db8::443]:443 HTTP/1.1", "[2001:db8::443]"),
        (b"CONNECT [2001:db8::1]:8443 HTTP/1.1", "[2001:db8::1]:8443"),
        (b"CONNECT u:p@other:443 HTTP/1.1", "a:443"),
        (b"CONNECT /chat HTTP/2", "a:443"),
        (b"GET other:443 HTTP/1.1", "a:443"),
    ],
)
def test_the_host_of_a_connect_is_its_target(line: bytes, host: str) -> None:
    """Without the port of TLS. An extended CONNECT has a path for its target (RFC 8441 §4)."""
    record = build(exchange(request_head=b"%b\r\nHost: a:443\r\n\r\n" % line)).record
    assert record.host == host


@pytest.mark.parametrize(
    ("flags", "pressure", "omitted"),
    [(FLAG_BODIES_OFF, 0, "level"), (0, SHED_BODIES, "shed"), (0, SHED_TAIL, None)],
)
def test_bodies_that_were_not_kept_say_why(flags: int, pressure: int, omitted: str | None) -> None:
    """The size is known in any case, and why the rest is not."""
    kept = 0 if flags else 1 << 16
    window = Window(kept, 0)
    window.add(b"x" * 5000)
    entry = build(exchange(flags=flags, request_body=window, response_body=window), pressure)
    assert entry.payload is not None

    for body in (entry.payload.request_body, entry.payload.response_body):
        assert body is not None
        assert (body.size, body.omitted, body.truncated) == (5000, omitted, True)
        assert body.head == b"x" * len(body.head)
        assert len(body.head) == 0 if omitted else 0 < len(body.head) <= 1024

    assert entry.record.shed == (
        "none" if not pressure else "bodies" if pressure == SHED_BODIES else "tail"
    )


def test_a_level_without_heads_has_no_payload() -> None:
    """At level `meta` only the columns remain."""
    entry = build(exchange(flags=FLAG_HEADS_OFF | FLAG_BODIES_OFF))
    assert entry.payload is None
    assert (entry.record.method, entry.record.host) == ("POST", "a.example")


def test_the_timeline_is_kept() -> None:
    """Chunk times of event streams go with the payload."""
    payload = build(exchange(timeline=Timeline([(3, 10), (6, 20)]))).payload
    assert payload is not None
    assert payload.timeline == [(3, 10), (6, 20)]


def test_running_and_lost_exchanges(source: Source) -> None:
    """What is in flight is shown without an end; what a dead worker left is an error without
    status.
    """
    writer = InflightWriter(source.segment)
    slot = writer.fill(ID, 1_700_000_000_000_000, 1, b"1.2.3.4", REQUEST, b"body")
    builder = RecordBuilder("me", SETTINGS)
    (running,) = source.in_flight()
    shown = builder.running(running, source.descriptor)
    record = shown.record
    assert shown.payload is not None
    assert shown.payload.request_head == REDACTED
    assert (record.method, record.path, record.query) == (
        "POST",
        "/path%2Fx",
        "a=1&token=[REDACTED]",
    )
    assert (record.route_id, record.project, record.status, record.ended_at_us) == (
        "r1",
        "p",
        None,
        0,
    )
    assert (record.client_ip, record.host, record.request_id, record.request_complete) == (
        "1.2.3.4",
        "a.example",
        "rid",
        False,
    )
    writer.note_status(slot, 502)
    begun = builder.running(source.in_flight()[0], source.descriptor).record
    assert (begun.status, begun.level, begun.ended_at_us) == (502, "error", 0)
    (entry,) = builder.lost(source.in_flight(), source.descriptor)
    assert (entry.record.outcome, entry.record.level, entry.record.status) == (
        "worker_lost",
        "error",
        None,
    )
    assert entry.record.id == ID
    assert entry.record.ended_at_us > entry.record.started_at_us
    assert entry.payload is not None
    assert entry.payload.request_head == REDACTED


WHY = 'why \ufffd {"password":"[REDACTED]"}'


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        (0, {"error_message": WHY, "refused_response_head": "SSH\\xe4\nSet-Cookie: [REDACTED]\n"}),
        (FLAG_HEADS_OFF, {"error_message": WHY}),
    ],
    ids=["heads", "no heads"],
)
def test_why_an_exchange_failed_is_in_its_data(flags: int, shown: dict[str, str]) -> None:
    """In words, with the head that was no response head, redacted; where no heads are kept,
    without.
    """
    made = exchange(flags=flags)
    made.note(NOTE_MESSAGE, b'why \xff {"password":"SECRET"}')
    made.note(NOTE_REFUSED_HEAD, b"SSH\xe4\nSet-Cookie: SECRET\n")
    record = build(made).record
    assert json.loads(record.data or b"") == shown


@pytest.mark.parametrize("code", ["http2_unsupported", "tls_on_plain_port"])
def test_an_attempt_at_another_protocol_is_no_fault(code: str) -> None:
    """It has a reason of its own, and alarms nobody."""
    made = exchange(
        error=ERROR_INDEX[code], status=400, outcome=OUTCOME_INDEX[Outcome.REJECTED], route=NO_ROUTE
    )
    record = build(made).record
    assert (record.level, record.error_type, record.outcome) == ("info", code, "rejected")


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/m\xc3\xa9?\xff=1", "/m%C3%A9", "%FF=1"),
        (b"/m%C3%A9", "/m%C3%A9", None),
        (b"/\xe4;\xe4", "/%E4;%E4", None),
    ],
)
def test_raw_bytes_of_a_target_are_recorded_escaped(
    target: bytes, path: str, query: str | None
) -> None:
    """As every URI would write them, so that the same path is found as one."""
    made = exchange(request_head=b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target)
    record = build(made).record
    assert (record.path, record.query) == (path, query)


def test_events() -> None:
    """An event of our own has a name, its data as JSON, and an id in order."""
    builder = RecordBuilder("me", SETTINGS)
    gap, start, other = (
        builder.event(name, {"count": 3}) for name in ("gap", "unclean_start", "other")
    )
    assert [entry.record.level for entry in (gap, start, other)] == ["error", "error", "info"]
    assert gap.record.kind == "event"
    assert (gap.record.name, json.loads(gap.record.data or b"")) == ("gap", {"count": 3})
    assert gap.record.id < start.record.id < other.record.id
    assert gap.payload is None


@given(head=st.binary(max_size=120), body=st.binary(max_size=80))
def test_no_bytes_make_a_record_fail(head: bytes, body: bytes) -> None:
    """Any head and any body become a record that can be encoded."""
    made = exchange(request_head=head, response_head=head, request_whole=body, response_whole=body)
    entry = build(made)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(entry.record))
    assert (entry.record.request_bytes, entry.record.response_bytes) == (len(body), len(body))


@pytest.mark.parametrize(
    ("tag", "noted", "told"),
    [
        (0, b"", {}),
        (NOTE_MESSAGES_DROPPED, b"\3" + bytes(7), {"messages_dropped": 3}),
        (NOTE_MESSAGES_DROPPED, bytes(5) + b"\1\0\0", {"messages_dropped": 1 << 40}),
        (NOTE_MESSAGES_UNREADABLE, b"\1", {"messages_unreadable": "in"}),
        (NOTE_MESSAGES_UNREADABLE, b"\2", {"messages_unreadable": "out"}),
        (NOTE_MESSAGES_UNREADABLE, b"\3", {"messages_unreadable": "both"}),
    ],
)
def test_a_session_says_which_messages_were_not_recorded(tag: int, noted: bytes, told: Any) -> None:
    """Beside the close code, and only where some are missing: how many, or in which direction none
    could be read.
    """
    session = exchange(status=101, close_code=1000)
    if tag:
        session.note(tag, noted)
    data = build(session).record.data
    assert data is not None
    assert json.loads(data) == {"close_code": 1000} | told
