"""Messages of protobuf without their schema, judged by Google's own library."""

import base64
import json
import struct
from typing import Any

import msgspec
from google.protobuf import struct_pb2, wrappers_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.grpc.wire_tree import MAX_FIELDS, WireReader
from tests.support.cases import each_of


def tree_of(data: bytes, *, is_whole: bool = True) -> Any:
    """Show a message with nothing redacted."""
    return WireReader(bytes).show(data, is_whole=is_whole)[0]


def length(data: bytes) -> bytes:
    """Write a short length before data."""
    assert len(data) < 128
    return bytes((len(data),)) + data


def test_numbers_and_texts_are_shown_by_field() -> None:
    """A field that comes again becomes a list."""
    message = DescriptorProto(name="Café", reserved_name=["a", "b", "c"])
    message.field.add(name="id", number=1, json_name="id")
    assert tree_of(message.SerializeToString()) == {
        "1": "Café",
        "2": {"1": "id", "3": 1, "10": "id"},
        "10": ["a", "b", "c"],
    }


@each_of(
    ("message", "wanted"),
    [
        (wrappers_pb2.DoubleValue(value=0.25), 0.25),
        (wrappers_pb2.FloatValue(value=0.1), 0.1),
        (wrappers_pb2.Int64Value(value=-1), -1),
        (wrappers_pb2.UInt64Value(value=(1 << 60) + 1), str((1 << 60) + 1)),
        (wrappers_pb2.BytesValue(value=b"\xff\0"), {"base64": base64.b64encode(b"\xff\0").decode()}),
        (wrappers_pb2.StringValue(value="line\nline"), "line\nline"),
        (wrappers_pb2.StringValue(value="(A"), "(A"),
        (wrappers_pb2.StringValue(value="\n\n"), "\n\n"),
    ],
)
def test_a_value_is_shown_as_what_it_most_likely_is(message: Any, wanted: object) -> None:
    """Large numbers as text, so that no reader rounds them."""
    assert tree_of(message.SerializeToString()) == {"1": wanted}


def test_fixed_numbers_that_are_no_plain_floats_are_whole() -> None:
    """Identifiers, mostly."""
    assert tree_of(b"\x09" + struct.pack("<q", 5) + b"\x15" + struct.pack("<I", 7)) == {"1": 5, "2": 7}


def test_a_message_within_another_is_shown_as_one() -> None:
    """Also where all of its bytes could be a text."""
    inner = b"\n" + length(b"a text of forty letters, more or less ...")
    assert tree_of(b"\x1a" + length(inner)) == {"3": {"1": inner[2:].decode()}}
    file = FileDescriptorProto(name="a.proto", package="p")
    file.message_type.add(name="Outer").nested_type.add(name="Inner")
    assert tree_of(file.SerializeToString()) == {"1": "a.proto", "2": "p", "4": {"1": "Outer", "3": {"1": "Inner"}}}


def test_what_is_no_message_is_shown_as_bytes() -> None:
    """Groups, field 0, numbers without an end."""
    for data in (b"\x0b\x0c", b"\x01\x01", b"\x08" + b"\xff" * 11, b"\x0a\x05abc", b"\xff"):
        assert tree_of(data) == {"base64": base64.b64encode(data).decode()}
    assert tree_of(b"") == {}


def test_bytes_are_redacted_before_they_are_encoded() -> None:
    """Base64 would hide a secret from every later step."""
    reader = WireReader(lambda data: data.replace(b"SECRET", b"***"))
    tree, _ = reader.show(b"\x0a" + length(b"\xff\x00SECRET"))
    assert tree == {"1": {"base64": base64.b64encode(b"\xff\x00***").decode()}}
    tree, _ = reader.show(b"\xffSECRET")
    assert tree == {"base64": base64.b64encode(b"\xff***").decode()}


@given(st.integers(0, 40))
def test_of_a_cut_message_the_field_at_the_cut_is_left_out(at: int) -> None:
    """Half a secret looks like none."""
    message = DescriptorProto(name="a name", reserved_name=["secret-one", "secret-two"]).SerializeToString()
    tree, is_whole = WireReader(bytes).show(message[:at], is_whole=False)
    assert not is_whole
    assert "secret-" not in json.dumps(tree).replace("secret-one", "").replace("secret-two", "")
    assert WireReader(bytes).show(b"\xffab", is_whole=False) == ({"base64": ""}, False)


@given(st.dictionaries(st.text(max_size=8), st.none() | st.booleans() | st.text(max_size=30) | st.floats(), max_size=5))
def test_every_value_that_was_sent_is_there(values: dict[str, Any]) -> None:
    """Its texts, in any message of Google's library."""
    message = struct_pb2.Struct()
    message.update(values)
    shown = repr(tree_of(message.SerializeToString()))
    for name in values:
        if name.isascii() and name.isprintable() and not {"'", "\\"} & set(name):
            assert name in shown


@given(st.binary(max_size=400), st.booleans())
def test_any_octets_are_shown(data: bytes, is_whole: bool) -> None:
    """As JSON, whatever they are, and nothing raises."""
    msgspec.json.encode(tree_of(data, is_whole=is_whole))


def test_depth_and_fields_are_bounded() -> None:
    """What is deeper is bytes, and what is more is left out."""
    data = b"\x08\x01"
    for _ in range(60):
        data = b"\x0a" + (length(data) if len(data) < 128 else bytes((len(data) & 127 | 128, len(data) >> 7)) + data)
    msgspec.json.encode(tree_of(data))
    tree, is_whole = WireReader(bytes).show(b"\x08\x01" * (MAX_FIELDS + 1))
    assert isinstance(tree, dict)
    assert (len(tree["1"]), is_whole) == (MAX_FIELDS, False)
