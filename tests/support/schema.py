"""A validator for the part of JSON Schema that the API's description uses; an unknown keyword is an error."""

from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "integer": (int,), "number": (int, float),
    "boolean": (bool,), "null": (type(None),),
}  # fmt: skip
_KNOWN = frozenset(
    (
        *("type", "properties", "required", "additionalProperties", "items", "anyOf", "enum", "$ref", "title"),
        *("description", "default", "minimum", "maximum", "format", "const", "contentEncoding"),
    )
)


def violations(value: object, schema: dict[str, Any], root: dict[str, Any], at: str = "$") -> list[str]:
    """List how a value breaks a schema; empty when it does not."""
    unknown = schema.keys() - _KNOWN
    assert not unknown, f"the validator does not know {unknown}"
    if "$ref" in schema:
        return violations(value, root["components"]["schemas"][schema["$ref"].rpartition("/")[2]], root, at)
    if "anyOf" in schema:
        tries = [violations(value, option, root, at) for option in schema["anyOf"]]
        return [] if any(not found for found in tries) else min(tries, key=len)
    if "enum" in schema and value not in schema["enum"]:
        return [f"{at}: {value!r} is none of {schema['enum']}"]
    kind = schema.get("type")
    if kind is not None and (
        not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind in ("integer", "number"))
    ):
        return [f"{at}: {value!r} is no {kind}"]
    found = []
    if isinstance(value, (int, float)) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        found.append(f"{at}: {value} is out of bounds")
    if isinstance(value, list):
        for number, item in enumerate(value):
            found += violations(item, schema.get("items", {}), root, f"{at}[{number}]")
    if isinstance(value, dict):
        found += _members(value, schema, root, at)
    return found


def _members(value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any], at: str) -> list[str]:
    properties = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    found = [f"{at}: {name} is missing" for name in schema.get("required", ()) if name not in value]
    for name, member in value.items():
        if name in properties:
            found += violations(member, properties[name], root, f"{at}.{name}")
        elif others is False:
            found.append(f"{at}: {name} is not described")
        elif others is not True:
            found += violations(member, others, root, f"{at}.{name}")
    return found
