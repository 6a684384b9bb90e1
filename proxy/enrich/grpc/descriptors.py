"""The schema of a service: file descriptors as `protoc --descriptor_set_out` and reflection return
them.

Only the parts that give values their names are read: messages, enums, and the methods of services.
Google's library is not used: it rejects messages that were cut, bounds nothing, and shows bytes
before they can be redacted.
Standard: google/protobuf/descriptor.proto.
"""

from collections import defaultdict
from typing import Final, NamedTuple

from proxy.enrich.grpc.wire import Cut, NotWire, read_field
from storage.grpc import CallKind

ENUM, MESSAGE = 14, 11
"""Types of fields with a named type (`FieldDescriptorProto.Type`)."""
_REPEATED: Final = 3
_KINDS: Final[dict[tuple[bool, bool], CallKind]] = {
    (False, False): "unary", (True, False): "client", (False, True): "server", (True, True): "bidi",
}  # fmt: skip

Values = dict[int, list[int | bytes]]


class Field(NamedTuple):
    """One field of a message."""

    name: str
    type: int
    of: str
    """Full name of its message or enum."""
    is_repeated: bool


class Method(NamedTuple):
    """A method: full names of request and response type, and the sides that send several messages."""

    request: str
    response: str
    kind: CallKind | None


class Schema:
    """All declarations of a set of files."""

    def __init__(self) -> None:
        self.messages: dict[str, dict[int, Field]] = {}
        self._maps: set[str] = set()
        """Messages that are entries of a map."""
        self.enums: dict[str, dict[int, str]] = {}
        self.methods: dict[str, Method] = {}
        """Methods by the path of their calls."""

    def fields_of(self, message: str) -> dict[int, Field]:
        return self.messages.get(message, {})

    def is_map(self, message: str) -> bool:
        return message in self._maps

    def add_message(self, name: str, fields: dict[int, Field], *, is_map: bool) -> None:
        self.messages[name] = fields
        if is_map:
            self._maps.add(name)


NO_SCHEMA: Final = Schema()
NO_METHOD: Final = Method("", "", None)


def read_schema(data: bytes) -> Schema:
    """Read a FileDescriptorSet.

    Raises:
        ValueError: `data` is not one, or declares no message.
    """
    schema = Schema()
    try:
        for file in parts_of(values_of(data), 1):
            _add_file(schema, values_of(file))
    except (NotWire, Cut, UnicodeDecodeError) as error:
        raise ValueError(
            "not a set of file descriptors, as protoc --descriptor_set_out writes it"
        ) from error

    if not schema.messages:
        raise ValueError("the set of file descriptors declares no message")

    return schema


def _add_file(schema: Schema, file: Values) -> None:
    package = text_of(file, 2)
    prefix = f"{package}." if package else ""
    for message in parts_of(file, 4):
        _add_message(schema, prefix, values_of(message))
    for enum in parts_of(file, 5):
        _add_enum(schema, prefix, values_of(enum))
    for service in map(values_of, parts_of(file, 6)):
        for method in map(values_of, parts_of(service, 2)):
            path = f"/{prefix}{text_of(service, 1)}/{text_of(method, 1)}"
            kind = _KINDS[bool(_number(method, 5)), bool(_number(method, 6))]
            schema.methods[path] = Method(
                text_of(method, 2).lstrip("."), text_of(method, 3).lstrip("."), kind
            )


def _add_message(schema: Schema, prefix: str, message: Values) -> None:
    name = prefix + text_of(message, 1)
    fields = {}
    for field in map(values_of, parts_of(message, 2)):
        is_repeated = _number(field, 4) == _REPEATED
        fields[_number(field, 3)] = Field(
            text_of(field, 1), _number(field, 5), text_of(field, 6).lstrip("."), is_repeated
        )

    options = [values_of(each) for each in parts_of(message, 7)]
    schema.add_message(name, fields, is_map=any(_number(each, 7) for each in options))
    for nested in parts_of(message, 3):
        _add_message(schema, f"{name}.", values_of(nested))
    for enum in parts_of(message, 4):
        _add_enum(schema, f"{name}.", values_of(enum))


def _add_enum(schema: Schema, prefix: str, enum: Values) -> None:
    values = list(map(values_of, parts_of(enum, 2)))
    schema.enums[prefix + text_of(enum, 1)] = {
        _number(value, 2): text_of(value, 1) for value in values
    }


def values_of(message: bytes) -> Values:
    found: Values = defaultdict(list)
    at = 0
    while at < len(message):
        number, _, value, at = read_field(message, at)
        found[number].append(value)
    return found


def parts_of(values: Values, number: int) -> list[bytes]:
    return [value for value in values.get(number, ()) if isinstance(value, bytes)]


def text_of(values: Values, number: int) -> str:
    return next((part.decode() for part in reversed(parts_of(values, number))), "")


def _number(values: Values, number: int) -> int:
    return next((value for value in reversed(values.get(number, [])) if isinstance(value, int)), 0)
