"""Messages of gRPC streams from ring entries to events: what they say, as JSON, redacted, and what
is missing of it.
"""

import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from proxy.enrich.http.bodies import TooLong
from proxy.enrich.records import RecordBuilder
from proxy.ring.message import IN, KIND_GRPC, OUT, CapturedMessage
from proxy.settings.model import CaptureSettings
from storage.record import Record, format_id
from tests.proxy.enrich.exchanges import Collector, descriptor_of, settings
from tests.proxy.enrich.grpc.test_reader import KEY, said
from tests.support.cases import each_of

ID, CALL = bytes(range(16)), bytes(range(16, 32))
TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def captured(
    data: bytes, size: int | None = None, *, coding: bytes = b"", **more: Any
) -> CapturedMessage:
    """Return a message as the collector reads it from a ring."""
    session = b"/shop.Cart/Add\n" + more.pop("content_type", b"application/grpc") + b"\n" + coding
    fields: dict[str, Any] = {
        "direction": OUT,
        "is_compressed": bool(coding),
        "traceparent": b"",
        "access": b"",
    } | more
    return CapturedMessage(
        ID, CALL, 5_000_000, len(data) if size is None else size, 0, 2, data=data, session=session, kind=KIND_GRPC,
        **fields,
    )  # fmt: skip


def event(message: CapturedMessage, **given: Any) -> Record:
    return Collector(**given).hear(message).record


def data_of(message: CapturedMessage, **given: Any) -> Any:
    return json.loads(event(message, **given).data or b"")


def test_a_message_is_an_event_of_the_trace_of_its_call() -> None:
    """Or of one that is named as the call is, where the client named none."""
    record = event(captured(said("hello"), direction=IN))
    assert (record.kind, record.name, record.level, record.started_at_us) == (
        "event",
        "grpc_message",
        "debug",
        5000,
    )
    assert (record.trace_id, record.route_id) == (CALL.hex(), "default")
    assert json.loads(record.data or b"") == {"direction": "in", "size": 7, "text": '{"1":"hello"}'}
    record = event(captured(said("hello"), traceparent=TRACE))
    assert record.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert json.loads(record.data or b"")["exchange_id"] == format_id(CALL)


@each_of(
    ("message", "wanted"),
    [
        (captured(b""), {"size": 0, "text": "{}"}),
        (captured(b"", 300), {"size": 300, "text": None, "omitted": "shed"}),
        (
            captured(b"\x0a\x05hello\x12\x09cut", 90),
            {"text": '{"1":"hello"}', "truncated": True, "kept": 12},
        ),
        (captured(b"\xff\xff"), {"text": '{"base64":"//8="}'}),
        (captured(b"\x08\x05", follows_gap=True), {"text": '{"1":5}', "follows_gap": True}),
        (
            captured(gzip.compress(said("hello")), coding=b"gzip"),
            {"text": '{"1":"hello"}', "compressed": True, "inflated_size": 7},
        ),
        (
            captured(b"junk", coding=b"gzip"),
            {"text": None, "omitted": "coding", "inflated_size": None},
        ),
        (captured(b"junk", coding=b"snappy"), {"text": None, "omitted": "coding"}),
        (captured(b'{"a": [1]}', content_type=b"application/grpc+json"), {"text": '{"a": [1]}'}),
        (
            captured(b'{"a": "b", "c": "d', 90, content_type=b"application/grpc+json"),
            {"text": '{"a": "b", "c": "', "truncated": True, "kept": 18},
        ),
    ],
)
def test_it_says_what_it_has(message: CapturedMessage, wanted: dict[str, Any]) -> None:
    """As a body that is listed does; what is missing is said."""
    assert data_of(message).items() >= wanted.items()


def test_a_compressed_message_is_kept_to_its_limit() -> None:
    """A small one may inflate to much; above the limit of the loop it is left to a thread."""
    bomb = captured(gzip.compress(b"\x08\x01" * 100_000), coding=b"gzip")
    shown = data_of(bomb)
    assert (shown["truncated"], shown["kept"], shown["inflated_size"]) == (True, 4096, None)
    given = msgspec.structs.replace(settings(), capture=CaptureSettings(message_bytes=8192))
    builder = RecordBuilder("i", given)
    with pytest.raises(TooLong):
        builder.message(bomb, descriptor_of(given), 65_536)
    assert b'"kept":8192' in (builder.message(bomb, descriptor_of(given)).record.data or b"")
    assert builder.message(captured(said("hello")), descriptor_of(given), 65_536).record.data


SECRETS = [
    captured(said(f"see {KEY}")),
    captured(b"\x0a\x2a\xff\x00" + KEY.encode()),
    captured(b"\xff\xff" + KEY.encode()),
    captured(gzip.compress(said(KEY)), coding=b"gzip"),
    captured(b'{"password": "%b"}' % KEY.encode(), content_type=b"application/grpc+json"),
    captured(b'{"a": "%b' % KEY[:-3].encode(), 99, content_type=b"application/grpc+json"),
    captured(said(KEY)[:-3], len(said(KEY))),
]


@each_of("message", SECRETS)
def test_secrets_are_taken_out(message: CapturedMessage) -> None:
    """By their form, wherever they stand."""
    assert KEY[:20].encode() not in (event(message).data or b"")


def test_with_a_schema_it_has_names(tmp_path: Path) -> None:
    """Of its direction's type, and loses what is named a secret."""
    file = FileDescriptorProto(name="a.proto", package="shop")
    for name, field in (("Asked", "password"), ("Answer", "user")):
        file.message_type.add(name=name).field.add(name=field, number=1, type=9, label=1)
    service = file.service.add(name="Cart")
    service.method.add(
        name="Add", input_type=".shop.Asked", output_type=".shop.Answer", server_streaming=True
    )
    (tmp_path / "api.pb").write_bytes(FileDescriptorSet(file=[file]).SerializeToString())
    schema = {"protobuf": str(tmp_path / "api.pb")}
    assert (
        data_of(captured(said("hunter2"), direction=IN), **schema)["text"]
        == '{"password":"[REDACTED]"}'
    )
    assert data_of(captured(said("ann")), **schema)["text"] == '{"user":"ann"}'
