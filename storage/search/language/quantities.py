"""Parse numbers with units, comparisons and ranges: `>500ms`, `1s..5s`, `<=1MiB`. Pure."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from storage.search.expression import Between

_NUMBER: Final = re.compile(r"(-?(?:(\d{1,40})(?:\.\d{1,18})?|\.\d{1,18})) ?([A-Za-zµ]*)", re.ASCII)
_WHOLE_FLOATS: Final = 1 << 53
"""From here on floating point skips integers, so numbers such as ids are compared as integers."""
_COMPARED: Final = re.compile(r"(>=|<=|>|<|=)?(.*)", re.DOTALL)

DURATIONS: Final = {
    "": 1000, "us": 1, "µs": 1, "ms": 1000, "s": 1_000_000, "m": 60_000_000, "min": 60_000_000, "h": 3_600_000_000,
}  # fmt: skip
"""Unit → µs; milliseconds if there is no unit."""
BYTES: Final = {
    "": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30,
    "k": 10**3, "m": 10**6, "g": 10**9,
}  # fmt: skip
COUNTS: Final = {"": 1, "k": 10**3, "m": 10**6}
PLAIN: Final = {"": 1}


@dataclass(frozen=True, slots=True)
class Measure:
    """Units and limits of a field's values."""

    units: Mapping[str, int]
    """Lower-case unit → its size in the unit of the field."""
    expected: str
    """Description of valid values, for messages."""
    is_whole: bool = True
    """Whether the field holds integers."""
    is_signed: bool = False
    """Whether the field may be negative."""
    max_digits: int = 18
    """Most digits of the integer part; a store keeps no more in 64 bits."""


DURATION: Final = Measure(
    DURATIONS, "a duration such as 500ms or 1.5s, after >, >=, < or <=, or a range 1s..5s"
)
SIZE: Final = Measure(
    BYTES, "a size such as 64KiB or 1MB, after >, >=, < or <=, or a range 1kB..1MB"
)
COUNT: Final = Measure(
    COUNTS, "a number such as 1000 or 2k, after >, >=, < or <=, or a range 100..200"
)
DECIMAL: Final = Measure(
    PLAIN, "a number such as 0.01, after >, >=, < or <=, or a range 0.01..1", is_whole=False
)
NUMBER: Final = Measure(
    PLAIN,
    "a number of at most 40 digits after >, >=, < or <=, or a range -1.5..5; text in quotes",
    is_whole=False,
    is_signed=True,
    max_digits=40,
)


def read_range(field: str, text: str, measure: Measure) -> Between | None:
    """Parse a number, a comparison or a range; None if the text is invalid."""
    low, dots, high = text.partition("..")
    if dots:
        return _between(field, low, high, measure)

    sign, number = _compared(text)
    value = _read(number, measure)
    if value is None:
        return None

    least, most = {
        ">": (_above(value, measure), None), ">=": (_up(value, measure), None),
        "<": (None, _below(value, measure)), "<=": (None, _down(value, measure)),
    }.get(sign, (_up(value, measure), _down(value, measure)))  # fmt: skip
    return Between(field, least, most)


def is_compared(text: str) -> bool:
    """Whether text begins with a comparison sign."""
    return bool(_compared(text)[0])


def _compared(text: str) -> tuple[str, str]:
    found = _COMPARED.fullmatch(text)
    assert found is not None, "bug: everything matches"
    return found[1] or "", found[2]


def _between(field: str, low: str, high: str, measure: Measure) -> Between | None:
    least = _read(low, measure)
    most = _read(high, measure)
    if (low and least is None) or (high and most is None) or not (low or high):
        return None
    if least is not None and most is not None and least > most:
        return None

    return Between(
        field,
        None if least is None else _up(least, measure),
        None if most is None else _down(most, measure),
    )


def _read(text: str, measure: Measure) -> Decimal | None:
    found = _NUMBER.fullmatch(text.strip().removeprefix("$"))
    if (
        found is None
        or found[3].lower() not in measure.units
        or (found[1][0] == "-" and not measure.is_signed)
    ):
        return None
    if len(found[2] or "") > measure.max_digits:
        return None

    return Decimal(found[1]) * measure.units[found[3].lower()]


def _is_whole(value: Decimal, measure: Measure) -> bool:
    return measure.is_whole or abs(value) >= _WHOLE_FLOATS


def _up(value: Decimal, measure: Measure) -> float:
    if _is_whole(value, measure):
        return math.ceil(value)
    return float(value)


def _down(value: Decimal, measure: Measure) -> float:
    if _is_whole(value, measure):
        return math.floor(value)
    return float(value)


def _above(value: Decimal, measure: Measure) -> float:
    if _is_whole(value, measure):
        return math.floor(value) + 1
    return math.nextafter(float(value), math.inf)


def _below(value: Decimal, measure: Measure) -> float:
    if _is_whole(value, measure):
        return math.ceil(value) - 1
    return math.nextafter(float(value), -math.inf)
