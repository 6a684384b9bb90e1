"""Messages with a special form in ProtoJSON, and the messages that describe a gRPC error.

Standards: Protocol Buffers, ProtoJSON Format; google/protobuf/*.proto; google/rpc/status.proto and
error_details.proto.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from proxy.enrich.grpc.descriptors import MESSAGE, Field, Schema

Tree = dict[str, Any]

_PREFIX: Final = "google.protobuf."
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NANOS: Final = 1_000_000_000
_MAX_DURATION_S: Final = 315_576_000_000
"""Limit of `google.protobuf.Duration`, about ten thousand years."""
WRAPPED: Final[dict[str, object]] = {
    "DoubleValue": 0.0,
    "FloatValue": 0.0,
    "Int64Value": 0,
    "UInt64Value": 0,
    "Int32Value": 0,
    "UInt32Value": 0,
    "BoolValue": False,
    "StringValue": "",
    "BytesValue": "",
}
"""Default value of each wrapper."""


def canonical(type_name: str, tree: Tree) -> object:
    """Return a message in its ProtoJSON form; unchanged if it has no special form or is out of
    range.

    `tree` has its fields by name, or by number if the schema does not declare the type. Nested
    messages are already in this form.
    """
    if not type_name.startswith(_PREFIX):
        return tree
    write = _FORMS.get(type_name.removeprefix(_PREFIX))
    if write is None:
        return tree
    return write(tree)


def _value(tree: Tree, name: str, number: int, default: Any) -> Any:
    return tree.get(name, tree.get(str(number), default))


def _whole(tree: Tree, name: str, number: int) -> int | None:
    """Return an integer, which is a string if it is large; None if it is not an integer."""
    try:
        return int(_value(tree, name, number, 0))
    except (TypeError, ValueError):
        return None


def _timestamp(tree: Tree) -> object:
    seconds = _whole(tree, "seconds", 1)
    nanos = _whole(tree, "nanos", 2)
    if seconds is None or nanos is None or not 0 <= nanos < _NANOS:
        return tree

    try:
        moment = _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return tree

    return f"{moment:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + f"{_fraction(nanos)}Z"


def _duration(tree: Tree) -> object:
    seconds = _whole(tree, "seconds", 1)
    nanos = _whole(tree, "nanos", 2)
    if seconds is None or nanos is None or abs(seconds) > _MAX_DURATION_S or abs(nanos) >= _NANOS:
        return tree
    if seconds * nanos < 0:
        return tree

    sign = "-" if seconds < 0 or nanos < 0 else ""
    return f"{sign}{abs(seconds)}{_fraction(abs(nanos))}s"


def _fraction(nanos: int) -> str:
    """Return a fraction of a second with 0, 3, 6 or 9 digits, as few as needed."""
    if not nanos:
        return ""
    digits = f"{nanos:09d}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return f".{digits}"


def _field_mask(tree: Tree) -> object:
    paths = _value(tree, "paths", 1, [])
    paths = [paths] if isinstance(paths, str) else paths
    if not all(isinstance(path, str) for path in paths):
        return tree
    return ",".join(map(_lower_camel, paths))


def _lower_camel(path: str) -> str:
    first, *rest = path.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def _any(tree: Tree) -> object:
    """Return a packed message with its type. A type that the schema does not declare stays as it
    is.
    """
    url = _value(tree, "type_url", 1, "")
    value = _value(tree, "value", 2, {})
    if not url or not isinstance(url, str):
        return tree
    if isinstance(value, dict) and any(map(str.isdecimal, value)):
        return tree
    if isinstance(value, dict) and url.rpartition("/")[2].removeprefix(_PREFIX) not in _FORMS:
        return {"@type": url, **value}

    return {"@type": url, "value": value}


def _struct(tree: Tree) -> object:
    return _value(tree, "fields", 1, {})


def _list(tree: Tree) -> object:
    values = _value(tree, "values", 1, [])
    if isinstance(values, list):
        return values
    return tree


def _variant(tree: Tree) -> object:
    """Return the value of a `Value`, which has one of six members."""
    if len(tree) != 1:
        return tree
    (name, value), *_ = tree.items()
    if name == "null_value":
        return None
    if name.endswith("_value"):
        return value
    return tree


def _unwrapped(default: object) -> Callable[[Tree], object]:
    def unwrap(tree: Tree) -> object:
        return _value(tree, "value", 1, default)

    return unwrap


_FORMS: Final[dict[str, Callable[[Tree], object]]] = {
    "Timestamp": _timestamp,
    "Duration": _duration,
    "FieldMask": _field_mask,
    "Any": _any,
    "Struct": _struct,
    "ListValue": _list,
    "Value": _variant,
    **{name: _unwrapped(default) for name, default in WRAPPED.items()},
}

_TEXT, _INT32, _UINT64 = 9, 5, 4


def _fields(**declared: tuple[int, int | str, bool]) -> dict[int, Field]:
    """Declare fields: number, type or message name, and True if the field repeats."""
    return {
        number: Field(
            name,
            kind if isinstance(kind, int) else MESSAGE,
            "" if isinstance(kind, int) else kind,
            repeats,
        )
        for name, (number, kind, repeats) in declared.items()
    }


def _text_fields(*names: str) -> dict[int, Field]:
    return {number: Field(name, _TEXT, "", False) for number, name in enumerate(names, 1)}


def error_schema() -> Schema:
    """Return the schema of `google.rpc.Status` and of the details that services put into it."""
    rpc = "google.rpc."
    schema = Schema()
    messages: dict[str, dict[int, Field]] = {
        "google.protobuf.Any": _fields(type_url=(1, _TEXT, False), value=(2, 12, False)),
        "google.protobuf.Duration": _fields(seconds=(1, 3, False), nanos=(2, _INT32, False)),
        f"{rpc}Status": _fields(
            code=(1, _INT32, False),
            message=(2, _TEXT, False),
            details=(3, "google.protobuf.Any", True),
        ),
        f"{rpc}ErrorInfo": _fields(
            reason=(1, _TEXT, False),
            domain=(2, _TEXT, False),
            metadata=(3, f"{rpc}ErrorInfo.MetadataEntry", True),
        ),
        f"{rpc}RetryInfo": _fields(retry_delay=(1, "google.protobuf.Duration", False)),
        f"{rpc}DebugInfo": _fields(stack_entries=(1, _TEXT, True), detail=(2, _TEXT, False)),
        f"{rpc}QuotaFailure": _fields(violations=(1, f"{rpc}QuotaFailure.Violation", True)),
        f"{rpc}QuotaFailure.Violation": _text_fields("subject", "description"),
        f"{rpc}PreconditionFailure": _fields(
            violations=(1, f"{rpc}PreconditionFailure.Violation", True)
        ),
        f"{rpc}PreconditionFailure.Violation": _text_fields("type", "subject", "description"),
        f"{rpc}BadRequest": _fields(field_violations=(1, f"{rpc}BadRequest.FieldViolation", True)),
        f"{rpc}BadRequest.FieldViolation": _text_fields("field", "description", "reason"),
        f"{rpc}RequestInfo": _text_fields("request_id", "serving_data"),
        f"{rpc}ResourceInfo": _text_fields(
            "resource_type", "resource_name", "owner", "description"
        ),
        f"{rpc}Help": _fields(links=(1, f"{rpc}Help.Link", True)),
        f"{rpc}Help.Link": _text_fields("description", "url"),
        f"{rpc}LocalizedMessage": _text_fields("locale", "message"),
    }
    for name, fields in messages.items():
        schema.add_message(name, fields, is_map=False)
    schema.add_message(f"{rpc}ErrorInfo.MetadataEntry", _text_fields("key", "value"), is_map=True)
    return schema
