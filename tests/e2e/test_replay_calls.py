"""Calls of gRPC are sent again over HTTP/2, and judged by their status and their messages."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from google.protobuf import struct_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from api.native.projection import detail_json
from api.replay.suite import header_line
from proxy.enrich.grpc.wire_tree import WireReader
from storage.record import Payload
from storage.varint import varint
from tests.api.samples import make_body, make_record
from tests.e2e.test_replay import ECHOED, assert_clean, call
from tests.support.grpc_secrets import field, frame
from tests.support.http2_upstream import OK, Connection, Http2Upstream, Request
from tests.support.upstream import scripted

PATH: Final = "/shop.Cart/Add"
HEAD: Final = (
    f"POST {PATH} HTTP/2\r\nHost: x\r\nContent-Type: application/grpc\r\nTE: "
    "trailers\r\nX-Tenant: a"
)
ANSWERED: Final = b"HTTP/2 200\r\ncontent-type: application/grpc"
GRPC: Final = (*OK, ("content-type", "application/grpc"))


def message(name: str, *numbers: int) -> bytes:
    """Write a message with a name, and numbers as a field that repeats."""
    return field(name.encode()) + b"".join(b"\x10" + bytes((number,)) for number in numbers)


def written(
    path: Path,
    *shown: Any,
    asked: Sequence[Any] = ({"name": "ann"},),
    size: int = 10,
    status: str = "0",
    said: bytes = b"",
    **more: Any,
) -> Path:
    """Write a suite of one call: a request that names ann, and answers as they are shown."""
    bodies = [
        make_body(json.dumps(each).encode(), coding="protobuf", size=bytes_sent)
        for each, bytes_sent in ((asked, size), (shown, 99))
    ]
    trailers = f"grpc-status: {status}\r\ngrpc-message: so".encode() if status else b""
    payload = Payload(HEAD.encode(), ANSWERED + said, bodies[0], bodies[1] if shown else None)
    payload.response_trailers = trailers
    record = make_record(1, path=PATH, endpoint=PATH, method="POST", status=200, **more)
    path.write_bytes(
        header_line("calls", "", 0) + json.dumps(detail_json(record, payload)).encode() + b"\n"
    )
    return path


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    file = FileDescriptorProto(name="a.proto", package="shop")
    item = file.message_type.add(name="Item")
    item.field.add(name="name", number=1, type=9, label=1)
    item.field.add(name="count", number=2, type=5, label=3)
    method = file.service.add(name="Cart").method
    method.add(name="Add", input_type=".shop.Item", output_type=".shop.Item", server_streaming=True)
    path = tmp_path / "api.pb"
    path.write_bytes(FileDescriptorSet(file=[file]).SerializeToString())
    return path


class Service:
    """Answers each call alike."""

    def __init__(self, *messages: bytes, status: str = "0", said: str = "so") -> None:
        self.upstream = Http2Upstream(self._answer)
        self._said = said
        self._messages = messages
        self._status = status

    def _answer(self, connection: Connection, request: Request) -> None:
        if not request.is_ended:
            return
        ending = (("grpc-status", self._status), ("grpc-message", self._said))
        if self._messages:
            body = b"".join(frame(0, each) for each in self._messages)
            connection.respond(request, body, fields=GRPC, trailers=ending)
        else:
            connection.respond(request, fields=(*GRPC, *ending))


def replayed(suite: Path, service: Service, *words: str, code: int = 0) -> Any:
    with scripted(service.upstream) as url:
        return json.loads(
            call("replay", str(suite), "--against", url, "--unsafe", "--json", *words, code=code)
        )


def changes(found: Any) -> list[str]:
    return [change["text"] for endpoint in found["endpoints"] for change in endpoint["changes"]]


@pytest.mark.parametrize("expect", ["status", "shape", "same"])
def test_a_call_is_sent_and_its_messages_are_judged(
    tmp_path: Path, schema: Path, expect: str
) -> None:
    """As bytes of the schema, with trailers; a stream of answers message by message."""
    suite = written(tmp_path / "suite", {"name": "b", "count": [1, 2]}, {"name": "c", "count": [3]})
    service = Service(message("b", 1, 2), message("c", 3))
    words = ("--protobuf", str(schema), "--expect", expect)
    found = replayed(suite, service, *words)
    assert (found["equal"], found["different"]) == (1, 0)
    [request] = service.upstream.requests
    assert request.body == frame(0, message("ann"))
    sent = {"te": "trailers", "x-tenant": "a", ":path": PATH, "content-type": "application/grpc"}
    assert sent.items() <= request.fields.items()
    now = Service(message("b", 1, 2), message("c"))
    expected = {"status": [], "shape": [".[*].count is gone"], "same": [".[*].count is gone"]}
    assert changes(replayed(suite, now, *words, code=int(expect != "status"))) == expected[expect]


@pytest.mark.parametrize("expect", ["status", "shape", "same"])
def test_another_status_is_said_by_its_name(tmp_path: Path, schema: Path, expect: str) -> None:
    """Whether it stands in the trailers or, of an answer without messages, in the head."""
    words = ("--protobuf", str(schema), "--expect", expect)
    suite = written(tmp_path / "suite", {"name": "b"})
    for now in (Service(message("b"), status="5"), Service(status="5")):
        assert changes(replayed(suite, now, *words, code=1)) == ["answer NOT_FOUND instead of OK"]
    failed = written(
        tmp_path / "failed",
        status="",
        said=b"\r\ngrpc-status: 5\r\ngrpc-message: so",
        response_bytes=0,
    )
    assert replayed(failed, Service(status="5"), *words)["equal"] == 1


def test_no_secret_of_an_answer_is_shown(tmp_path: Path, schema: Path) -> None:
    """Neither in a message, nor in what a service says of a failure: `call` judges what is written."""
    suite = written(tmp_path / "suite", {"name": "b"})
    results = tmp_path / "results.ndjson"
    for number, now in enumerate(
        (Service(message(ECHOED)), Service(message("b"), status="5", said=ECHOED))
    ):
        words = ("--protobuf", str(schema), "--expect", "same", "-o", f"{results}{number}")
        replayed(suite, now, *words, code=number)  # what is redacted is not compared
        assert_clean(Path(f"{results}{number}").read_text())


def assert_exact(tmp_path: Path) -> None:
    """Sends a call with large numbers and a `Struct`, recorded without a schema, by one; byte for
    byte, or not at all.
    """
    file = FileDescriptorProto(
        name="b.proto", package="shop", dependency=["google/protobuf/struct.proto"]
    )
    large = file.message_type.add(name="Large")
    for number, (name, type_, of) in enumerate(
        (("signed", 3, None), ("unsigned", 4, None), ("more", 11, ".google.protobuf.Struct")), 1
    ):
        large.field.add(name=name, number=number, type=type_, type_name=of, label=1)
    file.service.add(name="Cart").method.add(
        name="Add", input_type=".shop.Large", output_type=".shop.Large"
    )
    structs = FileDescriptorProto()
    struct_pb2.DESCRIPTOR.CopyToProto(structs)
    path = tmp_path / "large.pb"
    path.write_bytes(FileDescriptorSet(file=[structs, file]).SerializeToString())

    more = struct_pb2.Struct()
    more.update({"1": "x", "n": 2, "l": [True, None, {"deep": 1.5}]})
    sent = (
        b"\x08"
        + varint(1 << 60)
        + b"\x10"
        + varint((1 << 64) - 1)
        + b"\x1a"
        + field(more.SerializeToString())[1:]
    )
    for said, is_sent in ((sent, True), (sent + b"\x1d\x01\x00\x00\x00", False)):
        shown, _ = WireReader(bytes).show(said)
        suite = written(tmp_path / f"exact-{is_sent}", {}, asked=[shown], size=len(said) + 5)
        service = Service(b"")
        found = replayed(suite, service, "--protobuf", str(path), code=int(not is_sent))
        assert (found["equal"], found["not_sent"]) == (is_sent, not is_sent)
        assert [request.body for request in service.upstream.requests] == [frame(0, said)] * is_sent
        if not is_sent:
            [reason] = found["reasons"]
            assert "cannot be made again as it was recorded, by shop.Large of the schema" in reason


def test_without_a_schema_a_call_is_sent_where_its_bytes_are_known(
    tmp_path: Path, schema: Path
) -> None:
    """By what fits the recorded length; else it is left out with what is missing."""
    suite = written(tmp_path / "suite", {"1": "b", "2": 7}, asked=[{"1": "ann"}])
    service = Service(message("b", 7))
    assert replayed(suite, service)["equal"] == 1
    assert replayed(suite, service, "--protobuf", str(schema))["equal"] == 1
    assert {request.body for request in service.upstream.requests} == {frame(0, message("ann"))}
    assert_exact(tmp_path)
    named = written(tmp_path / "named", {"name": "b"})
    [reason] = replayed(named, Service(message("b")), code=1)["reasons"]
    assert (
        reason == "it is a call of gRPC that cannot be written without its schema: --protobuf FILE"
    )


def test_an_edit_and_a_failure(tmp_path: Path, schema: Path) -> None:
    """A place of a message is edited as one of JSON; a service that is not there is no answer."""
    suite = written(tmp_path / "suite", {"name": "b"})
    service = Service(message("b"))
    words = ("--protobuf", str(schema), "--edit", "body.name=eve")
    assert replayed(suite, service, *words)["equal"] == 1
    assert service.upstream.requests[0].body == frame(0, message("eve"))
    refused = call(
        "replay", str(suite), "--against", "http://127.0.0.1:1", "--unsafe", *words[:2], code=1
    )
    assert "1 of 1 have no answer: " in refused
    (tmp_path / "none").write_bytes(b"x")
    words = ("--against", "http://127.0.0.1:1", "--protobuf", str(tmp_path / "none"))
    assert "--protobuf" in call("replay", str(suite), *words, code=2)
