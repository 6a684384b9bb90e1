"""Which values are made anew for each request."""

from typing import Any

from api.identity.apart import is_drawn, is_loose, without
from tests.support.cases import each_of

UUID = "0192f3c4-0000-7000-8000-000000000001"


@each_of(
    ("name", "value", "drawn", "loose"),
    [
        ("request_id", "a", True, True),
        ("X-Correlation-ID", 7, True, True),
        ("clientMutationId", "1", True, True),
        ("idempotencyKey", "k", True, True),
        ("nonce", "x", True, True),
        ("_", "1718201234567", True, True),
        ("sent_at", 1718201234, True, True),
        ("time", "1718201234.5", True, True),
        ("x", "2026-01-01T00:00:00Z", True, True),
        ("x", "2026-01-01 00:00:00.123+01:00", True, True),
        ("x", "Sat, 28 Nov 2026 10:00:00 GMT", True, True),
        ("order", UUID, False, True),
        ("order", "01ARZ3NDEKTSV4RRFFQ69G5FAV", False, True),
        ("order", "9f86d081884c7d65", False, True),
        ("order", "deadbeefdeadbeef".replace("d", "a"), False, False),
        ("day", "2026-01-01", False, False),
        ("amount", 1718201234, False, False),
        ("at", 7, False, False),
        ("user_id", 7, False, False),
        ("id", "ann", False, False),
        ("request_id", None, False, False),
        ("request_id", True, False, False),
        ("request_id", {"a": 1}, False, False),
    ],
)
def test_a_value_is_judged_by_name_and_look(
    name: str, value: Any, drawn: bool, loose: bool
) -> None:
    """Numbers, words and dates without a time of day say what is asked for."""
    assert (is_drawn(name, value), is_loose(name, value)) == (drawn, loose)


def test_marks_stand_where_values_were() -> None:
    """However deep; elements of an array are judged by its name."""
    value = {"a": [{"nonce": 1, "n": 1}], "timestamp": ["x", "y"], "n": 2}
    mark = "set apart"
    assert without(value, is_drawn) == {
        "a": [{"nonce": mark, "n": 1}],
        "timestamp": [mark, mark],
        "n": 2,
    }
