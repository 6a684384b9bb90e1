"""Numbers with units, comparisons and ranges."""

from storage.search.expression import Between
from storage.search.language.quantities import (
    COUNT,
    DECIMAL,
    DURATION,
    NUMBER,
    SIZE,
    Measure,
    is_compared,
    read_range,
)
from tests.support.cases import each_of


@each_of(
    ("text", "measure", "least", "most"),
    [
        ("500", DURATION, 500_000, 500_000),
        (">1.5s", DURATION, 1_500_001, None),
        (">=2m", DURATION, 120_000_000, None),
        ("<1us", DURATION, None, 0),
        ("..1h", DURATION, None, 3_600_000_000),
        ("1s..", DURATION, 1_000_000, None),
        ("1kB..1KiB", SIZE, 1000, 1024),
        ("<=2M", SIZE, None, 2_000_000),
        ("1.5", COUNT, 2, 1),
        (">1.5", COUNT, 2, None),
        ("=3k", COUNT, 3000, 3000),
        ("$0.25", DECIMAL, 0.25, 0.25),
        (">=.5", DECIMAL, 0.5, None),
        (">=-5", NUMBER, -5.0, None),
        ("-1.5..-.5", NUMBER, -1.5, -0.5),
        ("=-3", NUMBER, -3.0, -3.0),
        (">1234567890123456788", NUMBER, 1234567890123456789, None),
        ("<-1234567890123456788", NUMBER, None, -1234567890123456789),
        ("9007199254740993..", NUMBER, 9007199254740993, None),
    ],
)
def test_ranges(text: str, measure: Measure, least: float | None, most: float | None) -> None:
    """Bounds are inclusive, in units of the field; a fraction of a whole number is between two."""
    assert read_range("x", text, measure) == Between("x", least, most)


def test_strict_bounds_of_fractions() -> None:
    """More than a fraction begins with the next number there is."""
    found = read_range("x", ">0.5", DECIMAL)
    assert found is not None
    assert found.least is not None
    assert 0.5 < found.least < 0.5 + 1e-15


@each_of(
    "text",
    [
        "",
        ">",
        "..",
        "1..x",
        "1 2",
        "1e3",
        "-1",
        "5xs",
        "1" * 19,
        "\u0661",
        ">>1",
        "5s..1s",
        "-5s..1s",
    ],
)
def test_no_ranges(text: str) -> None:
    """Anything else is none."""
    assert read_range("x", text, DURATION) is None


def test_comparisons() -> None:
    """A sign at the beginning is one."""
    assert is_compared(">=1")
    assert not is_compared("1")
