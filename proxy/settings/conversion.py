"""Converts one given value to the type of its setting, or explains what was expected.

msgspec converts. If it refuses a plain value, the explanation is made from the declared type and
its bounds, in the words of the settings file rather than those of Python or JSON.
"""

import re
import types
import typing
from decimal import Decimal
from typing import Any, Final

import msgspec

from proxy.settings.sources import Given, parse_text

_PART: Final = r"(\d{1,18}(?:\.\d{1,6})?) ?([A-Za-z]+)"
_PARTS: Final = re.compile(_PART, re.ASCII)
_WITH_UNITS: Final = re.compile(rf"\s*{_PART}(?: ?{_PART})*\s*", re.ASCII)
_OWN_UNITS: Final = (("bytes", "b"), ("_ms", "ms"), ("_s", "s"), ("_days", "d"))
"""End of a setting's name → its unit."""
_SIZES: Final = {
    "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30,
    "tib": 1 << 40, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30,
    "ti": 1 << 40,
}  # fmt: skip
_TIMES: Final = {
    "ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "min": Decimal(60), "h": Decimal(3600),
    "d": Decimal(86_400), "w": Decimal(604_800),
}  # fmt: skip
_UNITS: Final = {
    True: "a unit of B, kB, MB, GB, TB, KiB, MiB, GiB or TiB, such as '512MiB'",
    False: "a unit of ms, s, m, h, d or w, such as '30s' or '1h30m'",
}
"""Whether the setting is a size → units in which it may be given."""
MAX_NUMBER: Final = 10**9
"""Largest number with a fraction and without a limit of its own: seconds or dollars. As seconds
this is about thirty years.
"""
_WORDS = {bool: "true or false", str: "text in quotes", dict: "a table"}


def convert(name: str, given: Given, kind: Any) -> Any:
    """Convert a value to the declared type.

    Raises:
        ValueError: it does not fit; the message says what was expected.
    """
    if given.is_text and not _is_utf8(str(given.value)):
        raise ValueError("expected text in UTF-8")
    bare, bounds = _taken_apart(kind)
    is_composite = typing.get_origin(bare) in (tuple, dict) or _is_list_beside(bare, given.value)

    if given.is_text and is_composite:
        value = parse_text(str(given.value))
    else:
        value = _in_own_unit(name, given.value)
    try:
        converted = msgspec.convert(value, kind, strict=is_composite or not given.is_text)
    except msgspec.ValidationError:
        raise ValueError(_expected(name, bare, bounds, value)) from None

    if not _is_small_enough(converted):
        raise ValueError(_expected(name, bare, bounds, value))

    return converted


def _is_list_beside(kind: Any, value: object) -> bool:
    """Whether a text is a list, for a setting that may also be a switch."""
    return (
        typing.get_origin(kind) is types.UnionType
        and isinstance(value, str)
        and value.lstrip().startswith("[")
    )


def _in_own_unit(name: str, value: object) -> object:
    """Convert `512MiB`, `1.5 GB`, `30s` or `1h30m` to a number in the setting's own unit; return
    other values unchanged.
    """
    own = _own_unit(name)
    if own is None or not isinstance(value, str) or not _WITH_UNITS.fullmatch(value):
        return value

    units = _SIZES if own == "b" else _TIMES
    parts = [(Decimal(number), units.get(unit.lower())) for number, unit in _PARTS.findall(value)]
    if any(unit is None for _, unit in parts):
        return value

    number = sum(amount * unit for amount, unit in parts if unit is not None) / units[own]
    if number == int(number):
        return int(number)

    return float(number)


def _own_unit(name: str) -> str | None:
    """Return the unit in a setting's name; a rate has none."""
    return next(
        (
            own
            for suffix, own in _OWN_UNITS
            if name.endswith(suffix) and not name.endswith("_per_s")
        ),
        None,
    )


def _is_small_enough(value: object) -> bool:
    """Whether all numbers in a value can be counted by a clock in nanoseconds: TOML allows `inf`
    and 1e308.
    """
    numbers = value.values() if isinstance(value, dict) else (value,)
    return not any(isinstance(number, float) and number > MAX_NUMBER for number in numbers)


def _is_utf8(text: str) -> bool:
    """Whether a text is valid UTF-8, without stand-ins for other bytes of an environment or command
    line.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _taken_apart(kind: Any) -> tuple[Any, msgspec.Meta]:
    if typing.get_origin(kind) is not typing.Annotated:
        return kind, msgspec.Meta()
    bare, bounds, *_ = typing.get_args(kind)
    return bare, bounds


def _expected(name: str, kind: Any, bounds: msgspec.Meta, value: object) -> str:
    """Return a sentence for an error message that says which value of a setting was expected."""
    origin = typing.get_origin(kind)
    inner = typing.get_args(kind)
    if origin is typing.Literal:
        return f"expected one of {_choices(kind)}"
    if origin is tuple:
        return "expected a list" + (f" of {_nouns(inner[0])}" if isinstance(value, list) else "")
    if origin is dict:
        return "expected a table" + (f" of {_nouns(inner[1])}" if isinstance(value, dict) else "")
    if type(None) in inner:  # a limit that a route may have of its own
        return _expected(name, *_taken_apart(inner[0]), value)
    if origin is types.UnionType:
        return (
            f"{_expected(name, inner[0], bounds, value)}, or a list of "
            f"{_nouns(typing.get_args(inner[1])[0])}"
        )

    own = _own_unit(name) if kind in (int, float) else None
    hint = "" if own is None else f", or a text with {_UNITS[own == 'b']}"
    return f"expected {_noun(name, kind)}{_range(kind, bounds)}{hint}"


def _choices(kind: Any) -> str:
    return ", ".join(filter(None, typing.get_args(kind)))


def _nouns(kind: Any) -> str:
    """Return the nouns for the elements of a list or table."""
    bare, bounds = _taken_apart(kind)
    if typing.get_origin(bare) is typing.Literal:
        return f"some of {_choices(bare)}"
    return f"{'texts in quotes' if bare is str else 'numbers'}{_range(bare, bounds)}"


def _noun(name: str, kind: type) -> str:
    if kind in (int, float):
        unit = " of bytes" if name.endswith("bytes") else ""
        return ("a whole number" if kind is int else "a number") + unit
    return _WORDS.get(kind, "another value")


def _range(kind: type, bounds: msgspec.Meta) -> str:
    least = bounds.ge
    most = bounds.le
    unit = ""
    if kind is float and most is None:
        most = MAX_NUMBER
    if kind is str:
        least = bounds.min_length
        most = bounds.max_length
        unit = " characters"

    if kind is str and (least, most) == (1, None):
        return ", not an empty one"
    if least is not None and most is not None:
        return f" from {least} to {most}{unit}"
    if least is not None:
        return f", at least {least}{unit}"

    if most is None:
        return ""
    return f", at most {most}{unit}"
