"""Messages written from how they are shown, judged by Google's own library and by the reader that
shows them.
"""

from contextlib import suppress
from typing import Any

import pytest
from google.protobuf import (
    duration_pb2,
    field_mask_pb2,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from hypothesis import given

from proxy.enrich.grpc.descriptors import Schema, read_schema
from proxy.enrich.grpc.wire_tree import WireReader
from proxy.enrich.grpc.writer import GUESSES, NotWritable, write_guessed, write_message
from tests.proxy.enrich.grpc.test_descriptors import ORDER, ORDERS, SCHEMA, shown
from tests.support.cases import each_of


@given(ORDERS)
def test_every_type_is_written_as_it_is_read(message: Any) -> None:
    """Wherever it stands."""
    said = shown(message.SerializeToString(deterministic=True))
    written = write_message(SCHEMA, "shop.Order", said)
    assert shown(ORDER.FromString(written).SerializeToString(deterministic=True)) == said


def well_known() -> Schema:
    found = FileDescriptorSet()
    for module in (timestamp_pb2, duration_pb2, field_mask_pb2, struct_pb2, wrappers_pb2):
        module.DESCRIPTOR.CopyToProto(found.file.add())
    return read_schema(found.SerializeToString())


WELL_KNOWN = well_known()
STRUCT = struct_pb2.Struct()
STRUCT.update({"a": [1, "x", True, None, {"b": 2.5}], "c": {}})


@each_of(
    "message",
    [
        timestamp_pb2.Timestamp(seconds=1718201234, nanos=50),
        timestamp_pb2.Timestamp(seconds=-62135596800),
        timestamp_pb2.Timestamp(),
        duration_pb2.Duration(seconds=-3, nanos=-500_000_000),
        duration_pb2.Duration(seconds=90),
        field_mask_pb2.FieldMask(paths=["user.display_name", "photo"]),
        STRUCT,
        struct_pb2.Value(null_value=struct_pb2.NULL_VALUE),
        struct_pb2.Value(number_value=2),
        struct_pb2.ListValue(values=[struct_pb2.Value(bool_value=False)]),
        wrappers_pb2.Int64Value(value=-(1 << 62)),
        wrappers_pb2.BytesValue(value=b"\xff\x00"),
        wrappers_pb2.StringValue(value="x"),
    ],
)
def test_types_with_a_form_of_their_own_are_read_back(message: Any) -> None:
    """To an equal message."""
    name = message.DESCRIPTOR.full_name
    said = shown(message.SerializeToString(), name, WELL_KNOWN)
    assert type(message).FromString(write_message(WELL_KNOWN, name, said)) == message


def test_a_packed_message_is_written_by_the_type_it_names() -> None:
    """One that is not declared by what its bytes show."""
    message = ORDER()
    message.any.Pack(timestamp_pb2.Timestamp(seconds=5))
    written = write_message(SCHEMA, "shop.Order", shown(message.SerializeToString()))
    assert ORDER.FromString(written) == message


@each_of(
    ("said", "reason"),
    [
        ({"nothing": 1}, "has no field nothing"),
        ({"type_int32": "x"}, "shop.Order"),
        ({"type_enum": "BLUE"}, "BLUE"),
        ({"type_bytes": "[REDACTED]"}, "is not base64"),
        ({"at": "[REDACTED]"}, "is not a timestamp"),
        ([], "is not a shop.Order"),
        ({"type_string": 5}, "is not a string"),
    ],
)
def test_what_is_no_message_of_its_type_is_refused(said: Any, reason: str) -> None:
    """With the reason."""
    with pytest.raises(NotWritable, match=reason):
        write_message(SCHEMA, "shop.Order", said)


@each_of(
    "message",
    [
        b"\x0a\x03abc\x10\x96\x01",
        b"\x0a\x03abc\x12\x02\x08\x05\x12\x02\x08\x06",
        b"\x11\x00\x00\x00\x00\x00\x00\xf8?",
        b"\x15\x00\x00\xc0?",
        b"\x0a\x02\xff\xfe",
        b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x0a\x1212345678901234567890",
        b"",
    ],
)
def test_without_a_schema_one_of_the_guesses_is_as_it_was(message: bytes) -> None:
    """The only one that is as long."""
    said, _ = WireReader(bytes).show(message)
    written = set()
    for guess in GUESSES:
        with suppress(NotWritable):
            written.add(write_guessed(said, guess))
    assert [each for each in written if len(each) == len(message)] == [message]


@given(ORDERS)
def test_what_was_shown_by_numbers_is_written_by_the_types_of_a_schema(message: Any) -> None:
    """Byte for byte, or not as long: only bytes that look like something else are not known."""
    sent = message.SerializeToString()
    said, _ = WireReader(bytes).show(sent)
    written = write_message(SCHEMA, "shop.Order", said, is_named=False)
    again, _ = WireReader(bytes).show(written)
    assert written == sent or (len(written), again) != (len(sent), said)
