"""Messages have the facts of their connection: of a WebSocket, of a session with a model, of a gRPC
stream.
"""

import json
import time
from typing import Any

from proxy.enrich.connections import Connection, Connections
from proxy.enrich.records import RecordBuilder
from proxy.http1.websocket_frames import Opcode
from proxy.ring.exchange import (
    ACCESS,
    FLAG_BODIES_OFF,
    FLAG_HEADS_OFF,
    NO_KEY,
    Exchange,
)
from proxy.ring.handshake import pack_handshake
from proxy.ring.inflight import Caller, InflightExchange
from proxy.ring.message import IN, KIND_GRPC, OUT, CapturedMessage
from storage.record import Entry, new_id
from tests.proxy.enrich import exchanges
from tests.proxy.enrich.live.test_calls import answered, asked
from tests.storage.samples import make_record

HEAD = (
    b"GET /v1/responses?v=2 HTTP/1.1\r\nHost: codex.test\r\nUser-Agent: codex/1\r\n"
    b"Authorization: Bearer sk-1\r\nX-Request-Id: r-1\r\nX-Tenant: acme\r\nX-Project: red\r\n"
    b"X-User: ann\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"
)
ANSWER = b"HTTP/1.1 101 Switching Protocols\r\nX-Server: s1\r\nUpgrade: websocket\r\n\r\n"
SETTINGS = exchanges.settings(project_header="x-project", user_header="x-user", project="green")
DESCRIPTOR = exchanges.descriptor_of(SETTINGS)
TRUSTED = ACCESS.pack(True, NO_KEY)
EXPECTED = {
    "status": 101, "method": "GET", "scheme": "http", "host": "codex.test", "path": "/v1/responses", "query": "v=2",
    "endpoint": "/v1/responses", "client_ip": "10.0.0.7", "upstream": "api.test:443", "user_agent": "codex/1",
    "request_id": "r-1", "project": "red", "user_id": "ann", "http_version": "1.1",
}  # fmt: skip


def connection(head: bytes = HEAD, answer: bytes = ANSWER, status: int = 101) -> Exchange:
    """Make an exchange as it is when its first message comes."""
    made = Exchange(new_id(time.time_ns(), 7, 1), b"", 0, time.time_ns(), b"10.0.0.7")
    made.route = 0
    made.status = status
    made.upstream = b"api.test:443"
    made.request_head = head
    made.response_head = answer
    made.access = TRUSTED
    return made


def handshake_of(made: Exchange) -> dict[str, Any]:
    """Return what a session with a model says in each message."""
    return {"session": pack_handshake(made.upstream, made.request_head)}


def say(
    builder: RecordBuilder, of: Exchange, what: object, direction: int = OUT, **more: Any
) -> Entry:
    """Read one message of a connection."""
    data = what if isinstance(what, bytes) else json.dumps(what).encode()
    message = CapturedMessage(
        new_id(time.time_ns(), 6, 1), of.id, time.time_ns(), len(data), 0, Opcode.TEXT, direction, False, b"", data,
        access=TRUSTED, **more,
    )  # fmt: skip
    return builder.message(message, DESCRIPTOR)


def facts_of(entry: Entry, names: Any = EXPECTED) -> dict[str, object]:
    return {name: getattr(entry.record, name) for name in names}


def test_messages_have_the_facts_of_their_connection() -> None:
    """Each of them, as long as it lasts; it stays an event, with a level and a time of its own."""
    builder = RecordBuilder("i", SETTINGS)
    chat, other = connection(), connection()
    for opening in (chat.encode_opening(), b""):
        entry = say(builder, chat, b"hello", opening=opening)
        assert facts_of(entry) == EXPECTED
        record = entry.record
        assert (record.kind, record.level, record.has_messages) == ("event", "debug", False)
        assert (record.request_bytes, record.duration_us, entry.payload) == (0, 0, None)

    record = say(builder, other, b"hello").record
    assert (record.path, record.status, record.project) == (None, None, None)

    assert facts_of(builder.build(exchanges.handed_over(chat), DESCRIPTOR)) == EXPECTED
    assert say(builder, chat, b"late").record.path is None


def test_a_call_over_a_websocket_has_the_heads_of_its_connection() -> None:
    """Redacted, for a search for headers to find it; its bodies are those of the call."""
    builder = RecordBuilder("i", SETTINGS)
    codex = connection()
    session = handshake_of(codex)
    say(builder, codex, asked(input=[]), IN, opening=codex.encode_opening(), **session)
    entry = say(builder, codex, answered(), **session)
    assert (facts_of(entry), entry.record.input_tokens) == (EXPECTED, 3)
    assert entry.payload is not None
    assert b"X-Tenant: acme" in entry.payload.request_head
    assert b"sk-1" not in entry.payload.request_head
    assert b"X-Server: s1" in entry.payload.response_head
    assert entry.payload.response_body is not None

    for flags, has_heads in ((FLAG_BODIES_OFF, True), (FLAG_BODIES_OFF | FLAG_HEADS_OFF, False)):
        codex = connection()
        codex.flags = flags
        opening = codex.encode_opening()
        say(builder, codex, asked(input=[]), IN, keeps_text=False, opening=opening, **session)
        payload = say(builder, codex, answered(), keeps_text=False, **session).payload
        assert (payload is not None) == has_heads
        if payload is not None:
            assert b"X-Tenant: acme" in payload.request_head
            assert (payload.request_body, payload.response_body) == (None, None)


def test_a_failed_call_over_a_websocket_says_what_failed() -> None:
    """As a call that was posted does."""
    builder = RecordBuilder("i", SETTINGS)
    codex = connection()
    session = handshake_of(codex)
    say(builder, codex, asked(input=[]), IN, opening=codex.encode_opening(), **session)
    error = {"code": "server_error", "message": "The server had an error 42"}
    record = say(builder, codex, {"type": "error", "error": error}, **session).record
    assert (record.level, record.error_type) == ("error", "server_error")
    assert record.message == "The server had an error …"


def test_messages_of_a_grpc_stream_have_the_facts_of_their_call() -> None:
    """All that is known when the first message comes: the answer may not have begun."""
    builder = RecordBuilder("i", SETTINGS)
    head = HEAD.replace(b"GET /v1/responses?v=2 HTTP/1.1", b"POST /shop.Cart/Watch HTTP/2")
    call = connection(head.replace(b"Upgrade:", b"Content-Type: application/grpc\r\nX-U:"), b"", 0)
    session = b"/shop.Cart/Watch\napplication/grpc\n"
    entry = say(
        builder,
        call,
        b"\x08\x05",
        IN,
        kind=KIND_GRPC,
        session=session,
        opening=call.encode_opening(),
    )
    expected = EXPECTED | {
        "status": None,
        "method": "POST",
        "path": "/shop.Cart/Watch",
        "query": None,
    }
    expected |= {"endpoint": "/shop.Cart/Watch", "http_version": "2"}
    assert facts_of(entry) == expected
    assert entry.record.grpc is None


def test_a_new_collector_knows_the_connections_that_run() -> None:
    """By what workers show of them: those whose first message was read before."""
    builder = RecordBuilder("i", SETTINGS)
    codex = connection()
    running = InflightExchange(
        record_id=codex.id, started_at_us=1, route=0, client_ip=b"10.0.0.7", head=HEAD, head_truncated=False,
        body=b"", caller=Caller(TRUSTED, b"red", b"ann"), status=101,
    )  # fmt: skip
    builder.know_connections([running], DESCRIPTOR)
    session = handshake_of(codex)
    say(builder, codex, asked(input=[]), IN, **session)
    entry = say(builder, codex, answered(), **session)
    assert facts_of(entry) == EXPECTED | {"upstream": None}
    assert entry.payload is not None
    assert b"X-Tenant: acme" in entry.payload.request_head


def test_connections_are_bounded() -> None:
    """The one least recently heard is forgotten first, and counted; one that has ended is not."""
    one = Connection.of(make_record(path="/" * 1000), (b"", b""))
    known = Connections(max_bytes=3 * one.size_bytes)
    for name in b"a", b"b", b"c":
        known.add(name, one)
    assert known.get(b"a") is one
    known.add(b"d", one)
    assert (known.get(b"b"), known.get(b"a"), known.evictions) == (None, one, 1)
    known.forget(b"a")
    known.add(b"e", one)
    assert (known.get(b"c"), known.evictions) == (one, 1)
