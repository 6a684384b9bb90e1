"""Messages shown by their schema, judged by Google's own library."""

import base64
import json
import math
from typing import Any

import pytest
from google.protobuf import any_pb2, descriptor_pb2, json_format, message_factory, timestamp_pb2
from google.protobuf.descriptor_pb2 import (
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.grpc.descriptors import Schema, read_schema
from proxy.enrich.grpc.wire_tree import WireReader

INT32, INT64, UINT32 = (
    st.integers(-(1 << 31), (1 << 31) - 1),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.integers(0, (1 << 32) - 1),
)
UINT64, DOUBLE, FLOAT = (
    st.integers(0, (1 << 64) - 1),
    st.floats(),
    st.integers(-999, 999).map(lambda eighths: eighths / 8),
)
METHODS = (("Add", False, False), ("Up", True, False), ("Down", False, True), ("Both", True, True))
SCALARS = {
    "TYPE_DOUBLE": DOUBLE, "TYPE_FLOAT": FLOAT, "TYPE_INT64": INT64, "TYPE_UINT64": UINT64, "TYPE_INT32": INT32,
    "TYPE_FIXED64": UINT64, "TYPE_FIXED32": UINT32, "TYPE_BOOL": st.booleans(), "TYPE_STRING": st.text(max_size=9),
    "TYPE_BYTES": st.binary(max_size=9), "TYPE_UINT32": UINT32, "TYPE_SFIXED32": INT32, "TYPE_SFIXED64": INT64,
    "TYPE_SINT32": INT32, "TYPE_SINT64": INT64, "TYPE_ENUM": st.integers(0, 2),
}  # fmt: skip


def make_file() -> FileDescriptorProto:
    """Declare a message with every type, alone and repeated, a map, and a service with every kind
    of method.
    """
    file = FileDescriptorProto(name="shop.proto", package="shop", syntax="proto3")
    file.dependency.extend(["google/protobuf/any.proto", "google/protobuf/timestamp.proto"])
    enum = file.enum_type.add(name="Colour")
    for number, name in enumerate(("NONE", "RED")):
        enum.value.add(name=name, number=number)
    message = file.message_type.add(name="Order")
    fields: list[tuple[str, Any, str]] = [
        (name.lower(), FieldDescriptorProto.Type.Value(name), "") for name in SCALARS
    ]

    fields += [
        ("inner", 11, ".shop.Order"),
        ("any", 11, ".google.protobuf.Any"),
        ("at", 11, ".google.protobuf.Timestamp"),
    ]
    for number, (name, type_, of) in enumerate(fields, 1):
        type_name = ".shop.Colour" if type_ == 14 else of or None
        message.field.add(name=name, number=number, type=type_, type_name=type_name, label=1)
        message.field.add(
            name=f"{name}s", number=number + 100, type=type_, type_name=type_name, label=3
        )

    entry = message.nested_type.add(name="PriceEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=9, label=1)
    entry.field.add(name="value", number=2, type=5, label=1)
    message.field.add(
        name="price", number=300, type=11, type_name=".shop.Order.PriceEntry", label=3
    )
    service = file.service.add(name="Cart")

    for name, client, server in METHODS:
        method = service.method.add(name=name, input_type=".shop.Order", output_type=".shop.Order")
        method.client_streaming = client
        method.server_streaming = server

    return file


def make_set() -> bytes:
    """Write the set as protoc does, with what it imports."""
    found = FileDescriptorSet(file=[make_file()])
    for module in (any_pb2, timestamp_pb2, descriptor_pb2):
        module.DESCRIPTOR.CopyToProto(found.file.add())
    return found.SerializeToString()


SCHEMA = read_schema(make_set())


def order_class() -> type[Message]:
    """Make the class of Google's library."""
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(make_set()).file[1:]:
        pool.Add(file)
    pool.Add(make_file())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Order"))


ORDER: Any = order_class()
ORDERS = st.builds(
    lambda single, several, prices: ORDER(**single, **several, price=prices),
    st.fixed_dictionaries({}, optional={name.lower(): values for name, values in SCALARS.items()}),
    st.fixed_dictionaries(
        {}, optional={f"{name.lower()}s": st.lists(v, max_size=3) for name, v in SCALARS.items()}
    ),
    st.dictionaries(st.text(max_size=5), INT32, max_size=3),
).map(lambda order: ORDER(inner=order, inners=[order]))
"""Every type alone, repeated and packed, in a map, and within another message."""


def shown(data: bytes, type_name: str = "shop.Order", schema: Schema = SCHEMA) -> Any:
    """Show a message with nothing redacted, as JSON reads it."""
    return json.loads(json.dumps(WireReader(bytes, schema).show(data, type_name)[0]))


def plain(value: Any) -> Any:
    """Bring numbers into one form: Google's library writes those of 64 bits, and infinities, as
    texts.
    """
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return value

    text = {"Infinity": "inf", "-Infinity": "-inf", "NaN": "nan"}.get(str(value), str(value))
    try:
        number = float(text)
    except ValueError:
        return text

    return text if math.isnan(number) else f"{number:.6g}"


@given(ORDERS)
def test_every_type_is_shown_as_googles_library_shows_it(message: Any) -> None:
    """Wherever it stands."""
    expected = json_format.MessageToDict(message, preserving_proto_field_name=True)
    assert plain(shown(message.SerializeToString(deterministic=True))) == plain(expected)


def test_a_message_that_names_its_type_is_shown_by_it() -> None:
    """Of a type that is not known, as without a schema."""
    message = ORDER()
    message.any.Pack(timestamp_pb2.Timestamp(seconds=5))
    known = {
        "@type": "type.googleapis.com/google.protobuf.Timestamp",
        "value": "1970-01-01T00:00:05Z",
    }
    assert shown(message.SerializeToString()) == {"any": known}
    message.any.type_url = "x/unknown.Type"
    assert shown(message.SerializeToString()) == {
        "any": {"type_url": "x/unknown.Type", "value": {"1": 5}}
    }


def test_methods_have_their_kind_and_types() -> None:
    """By the path of their calls."""
    assert [SCHEMA.methods[f"/shop.Cart/{name}"].kind for name, _, _ in METHODS] == [
        "unary",
        "client",
        "server",
        "bidi",
    ]
    assert SCHEMA.methods["/shop.Cart/Add"][:2] == ("shop.Order", "shop.Order")


def test_what_contradicts_the_schema_is_shown_as_without() -> None:
    """Fields that it has not, and those of another wire type."""
    assert shown(b"\xf8\x3f\x05") == {"1023": 5}
    assert shown(b"\x4a\x02\xff\xfe") == {"9": {"base64": base64.b64encode(b"\xff\xfe").decode()}}
    assert shown(b"\x08\x05") == {"1": 5}
    assert shown(b"\x8a\x01\x01\xff") == {"17": {"base64": "/w=="}}
    assert shown(b"\xe2\x12\x01\xff") == {"300": {"base64": "/w=="}}
    assert shown(b"\xea\x06\x01\x80") == {"109": {"base64": "gA=="}}


@given(st.binary(max_size=300), st.sampled_from(sorted(SCHEMA.messages)))
def test_any_octets_are_shown_by_any_type(data: bytes, type_name: str) -> None:
    """Nothing raises."""
    shown(data, type_name)
    WireReader(bytes, SCHEMA).show(data, type_name, is_whole=False)


@given(
    st.binary(max_size=200)
    | st.just(make_set()).flatmap(lambda data: st.integers(0, len(data)).map(lambda at: data[:at]))
)
def test_any_octets_are_a_schema_or_refused(data: bytes) -> None:
    """With one kind of error."""
    try:
        read_schema(data)
    except ValueError:
        pass


@pytest.mark.parametrize(
    "data", [b"", b"junk", b"\x0a\x02\x0a\x00", make_file().SerializeToString()]
)
def test_what_is_no_schema_is_refused(data: bytes) -> None:
    """Nothing at all, something else, and a file that is in no set."""
    with pytest.raises(ValueError, match="set of file descriptors"):
        read_schema(data)
