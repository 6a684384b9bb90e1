"""Calls of gRPC from ring entries to records: status, counts, kind, end, bodies as JSON."""

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.wrappers_pb2 import StringValue

from proxy.enrich.grpc.unsaid import is_past
from proxy.enrich.http.bodies import TooLong
from proxy.http2.errors import ErrorCode
from proxy.ring.exchange import (
    FLAG_BODIES_OFF,
    FLAG_HEADS_OFF,
    FLAG_REQUEST_COMPLETE,
    NOTES_RESPONSE_TRAILERS,
    Exchange,
)
from proxy.ring.http2_notes import BY_CLIENT, BY_UPSTREAM, StreamState
from storage.grpc import Grpc
from storage.record import Body, Entry, Outcome
from tests.proxy.enrich.exchanges import Collector, entry_of, handed_over
from tests.proxy.enrich.exchanges import exchange as exchange_of
from tests.proxy.enrich.grpc.test_messages import framed
from tests.proxy.enrich.grpc.test_well_known import bad_request
from tests.support.cases import each_of

PATH = "/shop.Cart/Add"
GRPC, WEB, TEXT = "application/grpc", "application/grpc-web+proto", "application/grpc-web-text"
KEY = "ghp_" + "aB3dE5gH7jK9" * 3
FINE = b"grpc-status: 0\r\n"


def said(text: str) -> bytes:
    """Write a message with one text."""
    return StringValue(value=text).SerializeToString()


def call(
    asked: bytes = framed(said("ask")),
    answer: bytes = framed(said("reply")),
    trailers: bytes = FINE,
    *,
    content_type: str = GRPC,
    stream: StreamState | None = None,
    flags: int = 0,
    counts: bool = True,
    is_asked: bool = True,
    answer_type: str = "",
    **more: Any,
) -> Entry:
    """Build the record of a call as a worker pushes it: with counts of messages where they are
    gRPC.
    """
    headers = f"Content-Type: {content_type}\r\n" + more.pop("request_headers", "")
    captured = exchange_of(
        PATH, asked, answer, content_type=answer_type or content_type, request_headers="", **more
    )
    made = Exchange(captured.id, b"", 0, captured.started_at_ns, b"10.0.0.1")
    made.route = 0
    made.method = b"POST"
    made.status = captured.status
    made.flags = (FLAG_REQUEST_COMPLETE if is_asked else 0) | flags
    made.outcome = captured.outcome
    made.ended_ns = 9_900_000
    made.request_head = f"POST {PATH} HTTP/2\r\nHost: api.test\r\n{headers}\r\n".encode()
    made.response_head = captured.response_head
    made.request_whole = asked
    made.response_whole = answer

    if counts:
        made.stream = stream or StreamState(1, 1)
        made.stream.count_messages()
        assert made.stream.requests is not None
        assert made.stream.responses is not None
        made.stream.requests.add(asked)
        made.stream.responses.add(answer)

    if trailers:
        made.note_trailers(NOTES_RESPONSE_TRAILERS, trailers, [])
    return Collector().read(handed_over(made))


def grpc_of(entry: Entry) -> Grpc:
    """Return what the record says of its call."""
    assert entry.record.grpc is not None
    return entry.record.grpc


def json_of(body: Body | None) -> Any:
    """Read a stored body."""
    assert body is not None
    return json.loads(body.head)


def test_a_call_is_recorded() -> None:
    """Its status and its counts; the endpoint is the path as it was called."""
    entry = call(request_headers="grpc-timeout: 2S\r\n")
    assert grpc_of(entry) == Grpc(
        0, None, 1, 1, 7, None, 2_000_000, "unary", "trailers", is_stream=False
    )
    record = entry.record
    assert (record.endpoint, record.http_version, record.level, record.error_type) == (
        PATH,
        "2",
        "info",
        None,
    )


@each_of(
    ("code", "name", "level"),
    [(1, "CANCELLED", "warn"), (4, "DEADLINE_EXCEEDED", "error"), (7, "PERMISSION_DENIED", "warn"),
     (14, "UNAVAILABLE", "error"), (16, "UNAUTHENTICATED", "warn"), (99, "UNKNOWN", "error")],
)  # fmt: skip
def test_a_status_that_is_not_ok_is_the_reason(code: int, name: str, level: str) -> None:
    """Whether it comes as trailers, or in the head as the only thing; its message is decoded."""
    fields = f"grpc-status: {code}\r\ngrpc-message: no%20one %E2%82%AC\r\n"
    behind = call(answer=b"", trailers=fields.encode())
    only = call(answer=b"", trailers=b"", response_headers=fields)

    assert [grpc_of(entry).end for entry in (behind, only)] == ["trailers", "trailers_only"]
    for entry in (behind, only):
        assert (grpc_of(entry).status, grpc_of(entry).message) == (code, "no one €")
        assert (entry.record.error_type, entry.record.level, entry.record.outcome) == (
            name,
            level,
            "ok",
        )
        assert (grpc_of(entry).kind, grpc_of(entry).response_messages) == (None, 0)
        assert json.loads(entry.record.data or b"") == {"error_message": "no one €"}


def test_nothing_is_claimed_where_nothing_was_said() -> None:
    """A stream that was reset has no status, only the code of the reset."""
    stream = StreamState(1, 1)
    stream.note_reset(ErrorCode.CANCEL, BY_CLIENT)
    entry = call(answer=b"", trailers=b"", stream=stream, outcome=Outcome.CLIENT_CLOSED)
    call_ = grpc_of(entry)
    assert (call_.status, call_.end, call_.reset_code, entry.record.error_type) == (
        None,
        "reset",
        "CANCEL",
        None,
    )
    stream = StreamState(1, 1)
    stream.note_reset(77, BY_UPSTREAM)
    assert (grpc_of(call(stream=stream)).end, grpc_of(call(stream=stream)).reset_code) == (
        "trailers",
        "77",
    )
    lost = call(
        answer=b"",
        trailers=b"",
        outcome=Outcome.CLIENT_CLOSED,
        request_headers="grpc-timeout: 9S\r\n",
    )
    assert (grpc_of(lost).status, lost.record.error_type) == (None, None)


@each_of(
    ("status", "answer_type", "trailers", "headers", "wanted"),
    [
        (200, GRPC, b"", "", ("UNKNOWN", "error", 1)),
        (200, GRPC, b"grpc-status: abc\r\n", "", ("UNKNOWN", "error", 1)),
        (200, GRPC, b"", "grpc-status: -1\r\n", ("UNKNOWN", "error", 1)),
        (200, "text/html", b"", "", ("UNKNOWN", "error", 0)),
        (401, "application/json", b"", "", ("UNAUTHENTICATED", "warn", 0)),
        (403, "text/html", b"", "", ("PERMISSION_DENIED", "warn", 0)),
        (404, "text/html", b"", "", ("UNIMPLEMENTED", "error", 0)),
        (503, "text/html", b"", "", ("UNAVAILABLE", "error", 0)),
    ],
)
def test_an_answer_that_ends_without_a_status_has_that_of_its_client(
    status: int, answer_type: str, trailers: bytes, headers: str, wanted: object
) -> None:
    """By the mapping that clients of gRPC have in common; the end says that nothing was said."""
    entry = call(
        trailers=trailers, status=status, answer_type=answer_type, response_headers=headers
    )
    record = entry.record
    found = grpc_of(entry)
    assert (found.status_name, record.level, found.response_messages) == wanted
    assert (record.error_type, found.end, found.message) == (found.status_name, "none", None)


@each_of(
    "outcome", [Outcome.CLIENT_CLOSED, Outcome.UPSTREAM_TIMEOUT, Outcome.TRUNCATED, Outcome.OK]
)
@each_of("timeout", ["5m", "5000u", "10m"])
def test_a_call_that_reached_its_deadline_has_exceeded_it(outcome: Outcome, timeout: str) -> None:
    """Its client has this status whoever ended the stream; clocks may differ by some milliseconds."""
    stream = StreamState(1, 1)
    stream.note_reset(ErrorCode.CANCEL, BY_CLIENT)
    lines = f"grpc-timeout: {timeout}\r\n"
    entry = call(answer=b"", trailers=b"", stream=stream, outcome=outcome, request_headers=lines)
    assert (grpc_of(entry).status_name, entry.record.level) == ("DEADLINE_EXCEEDED", "error")
    assert (entry.record.error_type, entry.record.outcome) == ("DEADLINE_EXCEEDED", outcome.value)
    assert grpc_of(call(outcome=outcome, request_headers=lines)).status == 0, "what was said counts"


def test_the_deadline_of_a_client_is_rounded() -> None:
    """To three digits by some, so that it ends up to a hundredth before what it stated."""
    assert is_past(9_950_000, 10_000_000)
    assert not is_past(9_800_000, 10_000_000)


@each_of(
    ("answer", "windows", "status"),
    [
        (b"", (4096, 512), 2),
        (framed(said("x")), (4096, 512), 2),
        (framed(b"y" * 9000), (0, 0), None),
    ],
)
def test_trailers_of_grpc_web_that_were_not_captured_may_have_a_status(
    answer: bytes, windows: tuple[int, int], status: int | None
) -> None:
    """They are the end of its body; where that is here, a status is missing."""
    entry = entry_of("/x", b"", answer, content_type=WEB, windows=windows)
    assert grpc_of(entry).status == status


def test_a_page_in_the_place_of_an_answer_has_no_messages() -> None:
    """As gateways send it; at every level of capture."""
    for flags in (0, FLAG_HEADS_OFF | FLAG_BODIES_OFF):
        entry = call(
            answer=b"<h1>away</h1>", trailers=b"", status=503, answer_type="text/html", flags=flags
        )
        call_ = grpc_of(entry)
        assert (call_.request_messages, call_.response_messages, call_.largest_bytes) == (1, 0, 5)
        assert (call_.kind, call_.status_name, entry.record.level) == (None, "UNAVAILABLE", "error")


@each_of(
    ("asked", "answered", "kind"),
    [
        (1, 1, "unary"),
        (3, 1, "client"),
        (1, 3, "server"),
        (2, 2, "bidi"),
        (3, 0, None),
        (0, 0, None),
    ],
)
def test_the_kind_is_inferred_from_the_messages(
    asked: int, answered: int, kind: str | None
) -> None:
    """Of a call that failed before an answer it cannot be known."""
    grpc = grpc_of(call(framed(*[b""] * asked), framed(*[b""] * answered)))
    assert (grpc.kind, grpc.request_messages, grpc.response_messages) == (kind, asked, answered)
    cancelled = grpc_of(call(framed(*[b""] * asked), framed(*[b""] * answered), b""))
    assert cancelled.kind == (kind if answered > 1 else None)
    early = grpc_of(call(framed(*[b""] * asked), framed(*[b""] * answered), is_asked=False))
    assert early.kind == (kind if asked > 1 else None), (
        "who was answered early may have had more to send"
    )


def test_bodies_are_lists_of_messages() -> None:
    """In JSON, by field number; the head still says what was sent."""
    payload = call(framed(said("a"), said("b")), framed(said("c"))).payload
    assert payload is not None
    assert json_of(payload.request_body) == [{"1": "a"}, {"1": "b"}]
    assert json_of(payload.response_body) == [{"1": "c"}]
    assert payload.request_body is not None
    assert (
        payload.request_body.size,
        payload.request_body.coding,
        payload.request_body.truncated,
    ) == (
        16,
        "protobuf",
        False,
    )
    assert b"application/grpc" in payload.request_head


def test_compressed_messages_and_those_in_json_are_shown() -> None:
    """By the encoding and the type of the call."""
    body = framed(gzip.compress(said("x" * 40), mtime=0), flags=1)
    entry = call(body, request_headers="grpc-encoding: gzip\r\n")
    assert entry.payload is not None
    assert json_of(entry.payload.request_body) == [{"1": "x" * 40}]
    assert (grpc_of(entry).encoding, entry.payload.request_body and entry.payload.request_body.coding) == (
        "gzip", "gzip, protobuf",
    )  # fmt: skip
    entry = call(framed(b'{"password": "p", "user": "ann"}'), content_type=GRPC + "+json")
    assert entry.payload is not None
    assert json_of(entry.payload.request_body) == [{"password": "[REDACTED]", "user": "ann"}]


def test_what_is_no_message_stays_as_it_came() -> None:
    """Whatever the type says."""
    entry = call(b"not grpc at all", counts=False)
    assert entry.payload is not None
    assert entry.payload.request_body is not None
    assert entry.payload.request_body.head == b"not grpc at all"


def test_secrets_are_in_no_part_of_a_record() -> None:
    """In texts, in bytes, in metadata that is base64, in the message of the status, percent-encoded
    or not.
    """
    hidden = "".join(f"%{byte:02X}" for byte in KEY.encode())
    binary = base64.b64encode(b"\x0a\x28" + KEY.encode()).rstrip(b"=").decode()
    body = (
        framed(said(f"key {KEY}"))
        + framed(b"\x12\x2a\xff\x00" + KEY.encode())
        + framed(b"\xff" + KEY.encode())
    )
    trailers = (
        f"grpc-status: 2\r\ngrpc-message: {KEY} {hidden}\r\ngrpc-status-details-bin: "
        f"{binary}\r\nx: {KEY}\r\n"
    )
    entry = call(
        body,
        body,
        trailers.encode(),
        request_headers=f"x-blob-bin: {binary}\r\nx-b-bin: AAAA,{binary}==\r\n",
    )
    stored = msgspec.json.encode(entry) + msgspec.msgpack.encode(entry) + repr(entry).encode()
    assert entry.payload is not None
    stored += b"".join(
        map(
            base64.b64decode,
            [m["base64"] for m in json_of(entry.payload.request_body) if "base64" in m],
        )
    )
    stored += base64.b64decode(json_of(entry.payload.request_body)[1]["2"]["base64"])
    for secret in (KEY, hidden, binary, base64.b64encode(KEY.encode()).decode()):
        assert secret.encode() not in stored
        assert base64.b64encode(secret.encode()) not in stored


def test_levels_of_capture_keep_what_they_say() -> None:
    """Without heads the status stays, without its message; without bodies there are none."""
    failed = b"grpc-status: 9\r\ngrpc-message: said\r\n"
    entry = call(trailers=failed, flags=FLAG_HEADS_OFF | FLAG_BODIES_OFF)
    assert (entry.payload, grpc_of(entry).status, grpc_of(entry).message) == (None, 9, None)
    assert grpc_of(entry).request_messages == 1
    entry = call(trailers=failed, flags=FLAG_BODIES_OFF)
    assert grpc_of(entry).message == "said"
    assert entry.payload is not None
    assert entry.payload.request_body is not None
    assert entry.payload.request_body.omitted == "level"


def as_text(*parts: bytes) -> bytes:
    """Encode parts as gRPC-Web's text, each with its own padding."""
    return b"".join(map(base64.b64encode, parts))


MESSAGE = framed(said("hello"))
TRAILER = framed(b"grpc-status: 13\r\ngrpc-message: out%20of%20memory\r\n", flags=0x80)


@each_of(
    ("answer", "content_type", "headers", "wanted"),
    [
        (
            b"",
            WEB,
            "grpc-status: 7\r\ngrpc-message: no\r\n",
            ("PERMISSION_DENIED", "warn", "no", 0),
        ),
        (b"", "application/grpc-web", "Grpc-Status: 14\r\n", ("UNAVAILABLE", "error", None, 0)),
        (MESSAGE + TRAILER, WEB, "", ("INTERNAL", "error", "out of memory", 1)),
        (as_text(MESSAGE, TRAILER), TEXT, "", ("INTERNAL", "error", "out of memory", 1)),
        (
            as_text(MESSAGE + TRAILER),
            TEXT + "+proto",
            "",
            ("INTERNAL", "error", "out of memory", 1),
        ),
        (framed(b"GRPC-Status: 99\r\n", flags=0x80), WEB, "", ("UNKNOWN", "error", None, 0)),
        (MESSAGE + framed(b"grpc-status:0\r\n", flags=0x80), WEB, "", (None, "info", None, 1)),
        (b"", WEB, "grpc-status: 0\r\n", (None, "info", None, 0)),
        (MESSAGE + framed(b"grpc-status: 13"), WEB, "", ("UNKNOWN", "error", None, 2)),
        (b"\x80", WEB, "", ("UNKNOWN", "error", None, None)),
        (b"=a=", TEXT, "", ("UNKNOWN", "error", None, None)),
    ],
)
def test_grpc_web(answer: bytes, content_type: str, headers: str, wanted: object) -> None:
    """The status stands in the head, or in the frame that ends the body."""
    entry = call(
        b"", answer, b"", content_type=content_type, response_headers=headers, counts=False
    )
    grpc = grpc_of(entry)
    assert (
        entry.record.error_type,
        entry.record.level,
        grpc.message,
        grpc.response_messages,
    ) == wanted


@pytest.mark.parametrize("answer", [MESSAGE * 9000 + TRAILER, as_text(*[MESSAGE] * 9000, TRAILER)])
def test_the_end_of_a_long_body_of_grpc_web_is_read(answer: bytes) -> None:
    """Also where its middle was not captured, or there are more messages than are listed."""
    for windows in ((4096, 512), (1 << 20, 512)):
        content_type = WEB if answer[:1] == b"\0" else TEXT
        entry = entry_of("/x", b"", answer, content_type=content_type, windows=windows)
        assert (entry.record.error_type, grpc_of(entry).response_messages) == ("INTERNAL", None)
        assert entry.payload is not None
        assert entry.payload.response_trailers.startswith(b"grpc-status: 13")


def test_with_a_schema_messages_have_names_and_lose_named_secrets(tmp_path: Path) -> None:
    """The kind of a call is then known, whatever was seen of it."""
    file = FileDescriptorProto(name="a.proto", package="shop")
    message = file.message_type.add(name="Login")
    for number, name in enumerate(("user", "password"), 1):
        message.field.add(name=name, number=number, type=9, label=1)
    service = file.service.add(name="Cart")
    service.method.add(
        name="Add", input_type=".shop.Login", output_type=".shop.Login", server_streaming=True
    )
    (tmp_path / "api.pb").write_bytes(FileDescriptorSet(file=[file]).SerializeToString())
    login = framed(b"\x0a\x03ann\x12\x07hunter2")
    for schema, wanted in (
        ("api.pb", {"user": "ann", "password": "[REDACTED]"}),
        ("none", {"1": "ann", "2": "hunter2"}),
    ):
        route = {"protobuf": str(tmp_path / schema)}
        entry = entry_of(PATH, login, login, request_type=GRPC, content_type=GRPC, route=route)
        assert entry.payload is not None
        assert (
            json_of(entry.payload.request_body) == json_of(entry.payload.response_body) == [wanted]
        )
        assert grpc_of(entry).kind == ("server" if schema == "api.pb" else None)


def test_a_long_call_is_left_to_a_thread() -> None:
    """Messages of many fields would hold up the collector's loop."""
    collector = Collector()
    many = framed(b"\x08\x01" * 4000)
    captured = exchange_of(PATH, many, many, request_type=GRPC, content_type=GRPC)
    with pytest.raises(TooLong):
        collector.builder.build(captured, collector.descriptor, 65_536)
    assert grpc_of(collector.read(captured)).request_messages == 1


def test_of_a_message_larger_than_what_is_kept_its_beginning_is_shown() -> None:
    """Of 140 KB what was captured, in protobuf and in JSON; the key at the cut is not half shown,
    nor is it whole.
    """
    kept = 65_536
    text = "all of it, " * 13_000
    at = text.rindex(" ", 0, kept - 30)

    text = f"{text[:at]} {KEY} {text[at:]}"
    for content_type, message, wanted in (
        (GRPC, said(text), '[{"1":"all of it, all'),
        (GRPC + "+json", json.dumps({"a": text}).encode(), '["{\\"a\\": \\"all of it, all'),
    ):
        body = framed(message)
        types: dict[str, Any] = {"request_type": content_type, "content_type": content_type}
        payload = entry_of(PATH, body, body, windows=(kept, 0), **types).payload
        assert payload is not None

        for stored in (payload.request_body, payload.response_body):
            assert stored is not None
            shown = stored.head.decode()
            assert (stored.truncated, stored.size, shown[: len(wanted)]) == (
                True,
                len(body),
                wanted,
            )
            assert len(shown) > kept - 200
            assert KEY[:10] not in shown


LONG = KEY + "x" * 17
"""As long as a digit of ASCII is as a number."""


@each_of(
    "message",
    [
        b"\x12" + bytes((2 + len(LONG),)) + b"2" + bytes((len(LONG),)) + LONG.encode(),
        b"\x12" + bytes((3 + len(LONG),)) + b"\xff:" + bytes((len(LONG),)) + LONG.encode(),
        b"\x0a\x16\x0a\x08password\x12\x0ahunter2-Zq",
        b"\x0a\x19\x0a\x0bx-api-token\x12\x0ahunter2-Zq",
    ],
)
def test_secrets_of_a_message_without_a_schema(message: bytes) -> None:
    """Behind a length that is a digit, also in bytes; and values of maps, by the names that are
    their keys.
    """
    payload = call(framed(message)).payload
    assert payload is not None
    assert payload.request_body is not None
    (shown,) = json_of(payload.request_body)
    (value,) = shown.values()
    said = base64.b64decode(value["base64"]) if "base64" in value else str(value).encode()
    assert b"[REDACTED]" in said
    assert LONG.encode() not in said
    assert b"hunter2" not in said


@each_of("content_type", ["Application/gRPC-Web-Text", "application/grpc-web-text; charset=utf-8"])
@each_of("cut", [0, 1, 2, 3])
def test_text_of_grpc_web_is_read_however_it_is_written(content_type: str, cut: int) -> None:
    """In any case, in pieces of any size, and where its end is missing."""
    body = framed(said(KEY)) + framed(f"grpc-status: 2\r\nx: {KEY}\r\n".encode(), flags=0x80)
    text = as_text(*(body[at : at + 8] for at in range(0, len(body), 8)))
    entry = call(
        text[: len(text) - cut],
        text[: len(text) - cut],
        b"",
        content_type=content_type,
        counts=False,
    )
    assert entry.payload is not None
    assert json_of(entry.payload.request_body) == [{"1": "[REDACTED]"}]
    assert cut or grpc_of(entry).status == 2


def test_details_of_an_error_are_data_and_redacted() -> None:
    """So that a search finds the field that was wrong; with or without padding, in trailers or a
    head alone.
    """
    details = base64.b64encode(bad_request(b"got " + KEY.encode())).rstrip(b"=")
    trailers = b"grpc-status: 3\r\ngrpc-status-details-bin: %b\r\n" % details
    data = json.loads(call(trailers=trailers).record.data or b"")
    [shown] = data["error_details"]
    assert shown["@type"].endswith("BadRequest")
    assert shown["field_violations"] == [{"field": "email", "description": "got [REDACTED]"}]
    assert "error_details" not in json.loads(
        call(trailers=b"grpc-status: 3\r\n").record.data or b"{}"
    )
    broken = b"grpc-status: 3\r\ngrpc-status-details-bin: AAAAA\r\n"
    assert "error_details" not in json.loads(call(trailers=broken).record.data or b"{}")
