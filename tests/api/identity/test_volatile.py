"""Volatile values of requests, and generated ids."""

from typing import Any

from api.identity.volatile import is_generated_id, is_volatile, masked
from tests.support.cases import each_of

UUID = "0192f3c4-0000-7000-8000-000000000001"


@each_of(
    ("name", "value", "volatile", "generated"),
    [
        ("request_id", "a", True, False),
        ("X-Correlation-ID", 7, True, False),
        ("clientMutationId", "1", True, False),
        ("idempotencyKey", "k", True, False),
        ("nonce", "x", True, False),
        ("_", "1718201234567", True, False),
        ("sent_at", 1718201234, True, False),
        ("time", "1718201234.5", True, False),
        ("x", "2026-01-01T00:00:00Z", True, False),
        ("x", "2026-01-01 00:00:00.123+01:00", True, False),
        ("x", "Sat, 28 Nov 2026 10:00:00 GMT", True, False),
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
    name: str, value: Any, volatile: bool, generated: bool
) -> None:
    """Numbers, words and dates without a time of day are neither: they say what is asked for."""
    assert is_volatile(name, value) is volatile
    assert is_generated_id(name, value) is generated


def test_masks_stand_where_values_were() -> None:
    """However deep; elements of an array are judged by its name."""
    value = {"a": [{"nonce": 1, "n": 1}], "timestamp": ["x", "y"], "n": 2}
    mask = "set apart"
    assert masked(value, is_volatile) == {
        "a": [{"nonce": mask, "n": 1}],
        "timestamp": [mask, mask],
        "n": 2,
    }
