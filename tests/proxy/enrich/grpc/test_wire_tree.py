"""Messages of protobuf without their schema, judged by Google's own library."""

import base64
import json
import struct
from typing import Any, Final

import msgspec
from google.protobuf import struct_pb2, wrappers_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.grpc.descriptors import MESSAGE, Field, Schema
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
        (
            wrappers_pb2.BytesValue(value=b"\xff\0"),
            {"base64": base64.b64encode(b"\xff\0").decode()},
        ),
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
    assert tree_of(b"\x09" + struct.pack("<q", 5) + b"\x15" + struct.pack("<I", 7)) == {
        "1": 5,
        "2": 7,
    }


def test_a_message_within_another_is_shown_as_one() -> None:
    """Also where all of its bytes could be a text."""
    inner = b"\n" + length(b"a text of forty letters, more or less ...")
    assert tree_of(b"\x1a" + length(inner)) == {"3": {"1": inner[2:].decode()}}
    file = FileDescriptorProto(name="a.proto", package="p")
    file.message_type.add(name="Outer").nested_type.add(name="Inner")
    assert tree_of(file.SerializeToString()) == {
        "1": "a.proto",
        "2": "p",
        "4": {"1": "Outer", "3": {"1": "Inner"}},
    }


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


def beginning_of(data: bytes, kept: int, type_name: str = "") -> Any:
    """Show the beginning of a message, of whose cut values the last word is left out."""
    reader = WireReader(bytes, _SCHEMA, redact_cut=lambda piece: piece.rpartition(b" ")[0])
    tree, is_whole = reader.show(data[:kept], type_name, is_whole=False, size=len(data))
    assert not is_whole
    return tree


@given(st.integers(0, 40))
def test_of_a_cut_value_the_last_word_is_left_out(at: int) -> None:
    """Half a secret looks like none."""
    message = DescriptorProto(
        name="a name", reserved_name=["secret-one", "secret-two"]
    ).SerializeToString()
    tree = beginning_of(message, min(at, len(message)))
    assert "secret-" not in json.dumps(tree).replace("secret-one", "").replace("secret-two", "")
    assert WireReader(bytes).show(b"\xffab", is_whole=False) == ({"base64": ""}, False)


def test_of_a_cut_message_all_that_is_here_is_shown() -> None:
    """Text, bytes and messages, without a schema and with one; however deep the cut is."""
    text = "Café au lait " * 10_000
    nested = DescriptorProto(name="a")
    nested.field.add(name="n", json_name=text)

    for message, wanted in (
        (wrappers_pb2.StringValue(value=text), {"1": text[:1000].rpartition(" ")[0]}),
        (wrappers_pb2.StringValue(value="(" + text), {"1": "(" + text[:999].rpartition(" ")[0]}),
        (nested, {"1": "a", "2": {"1": "n", "10": text[:990].rpartition(" ")[0]}}),
    ):  # fmt: skip
        found = beginning_of(message.SerializeToString(), 1090)
        shown = json.dumps(found)
        expected = json.dumps(wanted)
        assert shown[: len(expected) - 40] == expected[: len(expected) - 40], shown[:200]

    image = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR " + bytes(range(256)) * 600
    found = beginning_of(wrappers_pb2.BytesValue(value=image).SerializeToString(), 1000)
    assert base64.b64decode(found["1"]["base64"]) == image[:996].rpartition(b" ")[0]


def test_what_says_that_it_is_longer_than_its_message_is_none() -> None:
    """So that bytes are not shown as messages only because they are cut."""
    inner = b"\x08\x05\x12\xff\x7f" + b"\x80" * 500
    outer = b"\x0a" + _varint(900) + inner
    assert beginning_of(outer + bytes(500), len(outer)) == {}
    assert beginning_of(b"\x0a" + _varint(20_000) + inner + bytes(30_000), len(outer)) == {
        "1": {"1": 5}
    }


def test_of_a_cut_message_with_a_schema_fields_have_their_types() -> None:
    """Numbers that are packed up to the cut, maps, and an `Any` by the type that it names."""
    numbers = b"\x0a" + _varint(300) + b"\x96\x01" * 150
    assert beginning_of(numbers, 24, "test.All") == {"numbers": [150] * 10}
    assert beginning_of(numbers, 3, "test.All") == {}
    doubles = b"\x12" + _varint(80) + struct.pack("<10d", *[0.5] * 10)
    assert beginning_of(doubles, 21, "test.All") == {"doubles": [0.5, 0.5]}
    entry = b"\x0a\x01k\x12" + _varint(495) + b"some words " * 45
    pairs = b"\x1a" + _varint(len(entry)) + entry
    assert beginning_of(pairs, 30, "test.All") == {"pairs": {"k": "some words some"}}
    named = (
        b"\x0a\x0etype/test.Text\x12" + _varint(498) + b"\x0a" + _varint(495) + b"some words " * 45
    )
    shown = beginning_of(b"\x22" + _varint(len(named)) + named, 50, "test.All")
    assert shown == {"any": {"@type": "type/test.Text", "text": "some words some words"}}


_SCHEMA: Final = Schema()
_SCHEMA.add_message(
    "test.All",
    {
        1: Field("numbers", 5, "", True),
        2: Field("doubles", 1, "", True),
        3: Field("pairs", MESSAGE, "test.Pair", True),
        4: Field("any", MESSAGE, "google.protobuf.Any", False),
    },
    is_map=False,
)
_SCHEMA.add_message(
    "test.Pair", {1: Field("key", 9, "", False), 2: Field("value", 9, "", False)}, is_map=True
)
_SCHEMA.add_message("test.Text", {1: Field("text", 9, "", False)}, is_map=False)
_SCHEMA.add_message(
    "google.protobuf.Any",
    {1: Field("type_url", 9, "", False), 2: Field("value", 12, "", False)},
    is_map=False,
)


def _varint(value: int) -> bytes:
    written = b""
    while value >= 0x80:
        written += bytes((value & 0x7F | 0x80,))
        value >>= 7
    return written + bytes((value,))


@given(
    st.dictionaries(
        st.text(max_size=8),
        st.none() | st.booleans() | st.text(max_size=30) | st.floats(),
        max_size=5,
    )
)
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
        data = b"\x0a" + (
            length(data)
            if len(data) < 128
            else bytes((len(data) & 127 | 128, len(data) >> 7)) + data
        )

    msgspec.json.encode(tree_of(data))
    tree, is_whole = WireReader(bytes).show(b"\x08\x01" * (MAX_FIELDS + 1))
    assert isinstance(tree, dict)
    assert (len(tree["1"]), is_whole) == (MAX_FIELDS, False)
