"""Read a tool's arguments by its JSON Schema, as parameters of the native API.

Standard: JSON Schema 2020-12, as far as our tools use it: `string`, `integer`, `enum`, `minimum`,
`maximum`, `default`, `required`, and no additional properties. The API checks the meaning of the
values.
"""

from collections.abc import Mapping
from typing import Any

from api.http.errors import BadParameter

Schema = Mapping[str, Any]


def read_arguments(
    takes: Mapping[str, Schema], needs: tuple[str, ...], given: Mapping[str, Any]
) -> dict[str, str]:
    """Return parameters by name, defaults included. A null argument counts as absent.

    Raises:
        BadParameter: an argument is unknown or missing, or its value does not fit its schema.
    """
    found = {name: str(schema["default"]) for name, schema in takes.items() if "default" in schema}
    for name, value in given.items():
        if name not in takes:
            raise BadParameter(name, str(value), f"no such argument: there are {', '.join(takes)}")
        if value is not None:
            found[name] = _read(name, takes[name], value)

    for name in needs:
        if not found.get(name):
            raise BadParameter(name, "", "a value")
    return found


def _read(name: str, schema: Schema, value: object) -> str:
    if schema["type"] == "integer":
        return str(_read_integer(name, schema, value))
    if not isinstance(value, str):
        raise BadParameter(name, str(value), "a string")
    if "enum" in schema and value not in schema["enum"]:
        raise BadParameter(name, value, f"one of {', '.join(schema['enum'])}")
    return value


def _read_integer(name: str, schema: Schema, value: object) -> int:
    """Read an integer. 5.0 is one (JSON Schema §6.1.1), and models write "5" as well."""
    minimum = schema["minimum"]
    maximum = schema["maximum"]
    expected = f"a whole number from {minimum} to {maximum}"

    if (
        isinstance(value, str)
        and value.removeprefix("-").isdecimal()
        and len(value) < len(str(maximum)) + 2
    ):
        value = int(value)

    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise BadParameter(name, str(value), expected)
    if not minimum <= value <= maximum:
        raise BadParameter(name, str(value), expected)

    return int(value)
