"""Messages that protobuf's JSON writes in a form of their own, and those that describe an error of
gRPC. Pure.

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
"""Some ten thousand years, the limit of `google.protobuf.Duration`."""
_WRAPPED: Final[dict[str, object]] = {
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
"""What each wrapper says where its value is absent."""


def canonical(type_name: str, tree: Tree) -> object:
    """Return a message as ProtoJSON writes it; one without a form of its own, or out of its range,
    as it is.

    `tree` has its fields by name, or by number where the schema does not declare the type; messages
    within it are canonical already.
    """
    if not type_name.startswith(_PREFIX):
        return tree
    write = _FORMS.get(type_name.removeprefix(_PREFIX))
    return tree if write is None else write(tree)


def _value(tree: Tree, name: str, number: int, default: Any) -> Any:
    return tree.get(name, tree.get(str(number), default))


def _whole(tree: Tree, name: str, number: int) -> int | None:
    """Read a whole number, which is a text where it is large."""
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
    """Write a part of a second with 0, 3, 6 or 9 digits, as few as say it."""
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
    """Write a packed message beside its type; one of a type that the schema does not declare stays
    as it is.
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
    return values if isinstance(values, list) else tree


def _variant(tree: Tree) -> object:
    """Write a `Value`, which has one of six members."""
    if len(tree) != 1:
        return tree
    (name, value), *_ = tree.items()
    if name == "null_value":
        return None
    return value if name.endswith("_value") else tree


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
    **{name: _unwrapped(default) for name, default in _WRAPPED.items()},
}

_TEXT, _INT32, _UINT64 = 9, 5, 4


def _fields(**declared: tuple[int, int | str, bool]) -> dict[int, Field]:
    """Declare fields: number, type or name of the message, and whether they repeat."""
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
    """Declare `google.rpc.Status` and the details that services put into it."""
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
