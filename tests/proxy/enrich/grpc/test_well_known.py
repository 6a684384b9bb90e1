"""Types with a JSON form of their own, judged by Google's parser of JSON; and what services say of
errors.
"""

import json
from typing import Any

from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    field_mask_pb2,
    json_format,
    message_factory,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.grpc.descriptors import read_schema
from proxy.enrich.grpc.well_known import canonical, error_schema
from proxy.enrich.grpc.wire_tree import WireReader
from tests.support.cases import each_of

FILES = (any_pb2, duration_pb2, field_mask_pb2, struct_pb2, timestamp_pb2, wrappers_pb2)
TYPES = {
    "at": "Timestamp",
    "took": "Duration",
    "mask": "FieldMask",
    "detail": "Any",
    "fields": "Struct",
    "value": "Value",
    "values": "ListValue",
    "number": "Int64Value",
    "share": "DoubleValue",
    "is_on": "BoolValue",
    "name": "StringValue",
    "raw": "BytesValue",
}
"""Fields of the message that is shown, and their types."""


def declare() -> tuple[Any, Any]:
    """Declare a message with a field of each type, and with a map by a bool; return its class and
    our schema.
    """
    file = descriptor_pb2.FileDescriptorProto(name="shown.proto", package="shown", syntax="proto3")
    file.dependency.extend(each.DESCRIPTOR.name for each in FILES)
    message = file.message_type.add(name="M")

    for number, (name, type_name) in enumerate(TYPES.items(), 1):
        message.field.add(
            name=name, number=number, label=1, type=11, type_name=f".google.protobuf.{type_name}"
        )

    entry = message.nested_type.add(name="FlagsEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=1, type=8)
    entry.field.add(name="value", number=2, label=1, type=9)
    message.field.add(name="flags", number=20, label=3, type=11, type_name=".shown.M.FlagsEntry")
    message.field.add(name="far", number=21, label=1, type=1)

    pool = descriptor_pool.Default()
    pool.Add(file)
    files = [
        descriptor_pb2.FileDescriptorProto.FromString(each.DESCRIPTOR.serialized_pb)
        for each in FILES
    ]
    whole = descriptor_pb2.FileDescriptorSet(file=[*files, file])
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("shown.M")), read_schema(
        whole.SerializeToString()
    )


M, SCHEMA = declare()


def shown(message: Any) -> Any:
    """Show a message by its schema."""
    return WireReader(bytes, SCHEMA).show(message.SerializeToString(), "shown.M")[0]


def test_what_is_shown_is_read_by_the_parser_of_protobuf() -> None:
    """It is what `grpcurl -d` takes; each type has the form that people know."""
    message = M()
    message.at.FromJsonString("2026-11-29T06:32:53.25Z")
    message.took.FromJsonString("-1.000000001s")
    message.mask.FromJsonString("user.displayName,photo")
    message.detail.Pack(timestamp_pb2.Timestamp(seconds=1))
    message.fields.update({"a": 1.5, "b": ["x", None, True], "c": {"d": "e"}})
    message.value.string_value = "v"
    message.values.extend([1.0, "two"])
    message.number.value = -(1 << 60)
    message.share.SetInParent()
    message.is_on.value = True
    message.name.value = "n"
    message.raw.value = b"\xff\0"
    message.flags[True] = "yes"
    message.far = float("-inf")

    tree = shown(message)
    assert tree["at"] == "2026-11-29T06:32:53.250Z"
    assert tree["took"] == "-1.000000001s"
    assert tree["mask"] == "user.displayName,photo"
    assert tree["detail"] == {
        "@type": "type.googleapis.com/google.protobuf.Timestamp",
        "value": "1970-01-01T00:00:01Z",
    }
    assert tree["fields"] == {"a": 1.5, "b": ["x", None, True], "c": {"d": "e"}}
    assert (tree["share"], tree["flags"], tree["far"]) == (0.0, {"true": "yes"}, "-Infinity")
    assert json_format.ParseDict(json.loads(json.dumps(tree)), M()) == message


@given(
    st.integers(-62_135_596_800, 253_402_300_799),
    st.integers(0, 999_999_999),
    st.integers(0, 315_576_000_000),
    st.sampled_from((1, -1)),
)
def test_every_moment_and_duration_is_read_back(
    seconds: int, nanos: int, length_s: int, sign: int
) -> None:
    """Years before 1000, and the last nanosecond, too."""
    message = M()
    message.at.seconds = seconds
    message.at.nanos = nanos
    message.took.seconds = sign * length_s
    message.took.nanos = sign * nanos
    assert json_format.ParseDict(shown(message), M()) == message


@each_of(
    ("type_name", "tree"),
    [
        ("Timestamp", {"seconds": 1 << 60}),
        ("Timestamp", {"nanos": -1}),
        ("Timestamp", {"seconds": "many"}),
        ("Duration", {"seconds": 1, "nanos": -1}),
        ("Duration", {"seconds": 1 << 60}),
        ("FieldMask", {"paths": [1]}),
        ("Value", {}),
        ("Any", {"value": {}}),
        ("Empty", {}),
    ],
)
def test_what_has_no_such_form_stays_as_it_is(type_name: str, tree: dict[str, Any]) -> None:
    """Out of range, or not what its type says."""
    assert canonical(f"google.protobuf.{type_name}", dict(tree)) == tree
    assert canonical(f"shop.{type_name}", dict(tree)) == tree


def test_types_that_the_schema_does_not_declare_are_known_by_number() -> None:
    """As where a set of descriptors was made without imports."""
    assert (
        canonical("google.protobuf.Timestamp", {"1": 1, "2": 500_000_000})
        == "1970-01-01T00:00:01.500Z"
    )


def part(number: int, data: bytes) -> bytes:
    """Write a field that has a length."""
    return bytes((number << 3 | 2, len(data))) + data


def bad_request(said: bytes) -> bytes:
    """Write a BadRequest within a Status, as services send it."""
    violation = part(1, b"email") + part(2, said)
    packed = part(1, b"type.googleapis.com/google.rpc.BadRequest") + part(2, part(1, violation))
    return b"\x08\x03" + part(2, b"bad") + part(3, packed)


def test_details_of_an_error_are_shown_by_name() -> None:
    """And by the type that each of them names."""
    status = bad_request(b"is no address")
    assert WireReader(bytes, error_schema()).show(status, "google.rpc.Status")[0] == {
        "code": 3,
        "message": "bad",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "field_violations": [{"field": "email", "description": "is no address"}],
            }
        ],
    }
