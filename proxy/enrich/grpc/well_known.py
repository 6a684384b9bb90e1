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

_SCALARS: Final = {"int64": 3, "int32": 5, "string": 9, "bytes": 12}
_ERROR_MESSAGES: Final = """
google.protobuf.Any: string type_url, bytes value
google.protobuf.Duration: int64 seconds, int32 nanos
google.rpc.Status: int32 code, string message, repeated google.protobuf.Any details
google.rpc.ErrorInfo: string reason, string domain, repeated google.rpc.ErrorInfo.MetadataEntry metadata
google.rpc.ErrorInfo.MetadataEntry: string key, string value
google.rpc.RetryInfo: google.protobuf.Duration retry_delay
google.rpc.DebugInfo: repeated string stack_entries, string detail
google.rpc.QuotaFailure: repeated google.rpc.QuotaFailure.Violation violations
google.rpc.QuotaFailure.Violation: string subject, string description
google.rpc.PreconditionFailure: repeated google.rpc.PreconditionFailure.Violation violations
google.rpc.PreconditionFailure.Violation: string type, string subject, string description
google.rpc.BadRequest: repeated google.rpc.BadRequest.FieldViolation field_violations
google.rpc.BadRequest.FieldViolation: string field, string description, string reason
google.rpc.RequestInfo: string request_id, string serving_data
google.rpc.ResourceInfo: string resource_type, string resource_name, string owner, string description
google.rpc.Help: repeated google.rpc.Help.Link links
google.rpc.Help.Link: string description, string url
google.rpc.LocalizedMessage: string locale, string message
"""
"""Messages and their fields, which are numbered from 1 in this order. A name that ends in `Entry`
is an entry of a map.
"""


def error_schema() -> Schema:
    """Return the schema of `google.rpc.Status` and of the details that services put into it."""
    schema = Schema()
    for line in _ERROR_MESSAGES.strip().split("\n"):
        message, _, declared = line.partition(": ")
        fields: dict[int, Field] = {}
        for number, field in enumerate(declared.split(", "), 1):
            *repeated, kind, name = field.split(" ")
            type_ = _SCALARS.get(kind, MESSAGE)
            fields[number] = Field(name, type_, kind if type_ == MESSAGE else "", bool(repeated))
        schema.add_message(message, fields, is_map=message.endswith("Entry"))
    return schema
