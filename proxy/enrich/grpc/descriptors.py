"""The schema of a service: a set of file descriptors, as `protoc --descriptor_set_out` and reflection give it. Pure.

Only what names the values of a message is read: messages, enums, and the methods of services. Our own reader and not
Google's library, which refuses messages that were cut, bounds nothing, and shows bytes before they can be redacted.

Standard: google/protobuf/descriptor.proto.
"""

from collections import defaultdict
from typing import Final, NamedTuple

from proxy.enrich.grpc.wire import Cut, NotWire, read_field
from storage.grpc import CallKind

ENUM, MESSAGE = 14, 11
"""Types of fields that name another type (`FieldDescriptorProto.Type`)."""
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
    """One method of a service: full names of what is asked and answered, and who sends several."""

    request: str
    response: str
    kind: CallKind | None


class Schema:
    """All that a set of files declares."""

    def __init__(self) -> None:
        self.messages: dict[str, dict[int, Field]] = {}
        self._maps: set[str] = set()
        """Messages that are entries of a map."""
        self.enums: dict[str, dict[int, str]] = {}
        self.methods: dict[str, Method] = {}
        """By the path of their calls."""

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
        ValueError: It is none, or declares nothing.
    """
    schema = Schema()
    try:
        for file in _parts(_values(data), 1):
            _add_file(schema, _values(file))
    except (NotWire, Cut, UnicodeDecodeError) as error:
        raise ValueError("it is no set of file descriptors (protoc --descriptor_set_out)") from error
    if not schema.messages:
        raise ValueError("it declares no message")
    return schema


def _add_file(schema: Schema, file: Values) -> None:
    package = _text(file, 2)
    prefix = f"{package}." if package else ""
    for message in _parts(file, 4):
        _add_message(schema, prefix, _values(message))
    for enum in _parts(file, 5):
        _add_enum(schema, prefix, _values(enum))
    for service in map(_values, _parts(file, 6)):
        for method in map(_values, _parts(service, 2)):
            path = f"/{prefix}{_text(service, 1)}/{_text(method, 1)}"
            kind = _KINDS[bool(_number(method, 5)), bool(_number(method, 6))]
            schema.methods[path] = Method(_text(method, 2).lstrip("."), _text(method, 3).lstrip("."), kind)


def _add_message(schema: Schema, prefix: str, message: Values) -> None:
    name = prefix + _text(message, 1)
    fields = {}
    for field in map(_values, _parts(message, 2)):
        is_repeated = _number(field, 4) == _REPEATED
        fields[_number(field, 3)] = Field(_text(field, 1), _number(field, 5), _text(field, 6).lstrip("."), is_repeated)
    options = [_values(each) for each in _parts(message, 7)]
    schema.add_message(name, fields, is_map=any(_number(each, 7) for each in options))
    for nested in _parts(message, 3):
        _add_message(schema, f"{name}.", _values(nested))
    for enum in _parts(message, 4):
        _add_enum(schema, f"{name}.", _values(enum))


def _add_enum(schema: Schema, prefix: str, enum: Values) -> None:
    values = list(map(_values, _parts(enum, 2)))
    schema.enums[prefix + _text(enum, 1)] = {_number(value, 2): _text(value, 1) for value in values}


def _values(message: bytes) -> Values:
    found: Values = defaultdict(list)
    at = 0
    while at < len(message):
        number, _, value, at = read_field(message, at)
        found[number].append(value)
    return found


def _parts(values: Values, number: int) -> list[bytes]:
    return [value for value in values.get(number, ()) if isinstance(value, bytes)]


def _text(values: Values, number: int) -> str:
    return next((part.decode() for part in reversed(_parts(values, number))), "")


def _number(values: Values, number: int) -> int:
    return next((value for value in reversed(values.get(number, [])) if isinstance(value, int)), 0)
