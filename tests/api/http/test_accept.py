"""Weights of what a client takes."""

from api.http.accept import by_weight, prefers, weights
from tests.support.cases import each_of


def test_names_have_weights() -> None:
    """1 when none is given, 0 when it cannot be read; parameters and case do not matter."""
    header = (
        "text/HTML;level=1, a/b ; q=0.5,c/d;q=0, e/f;Q=1.000;x=y, g/h;q=2, i/j;q=x, k/l;q=, a/b;q=1"
    )
    assert weights(header) == {
        "text/html": 1.0, "a/b": 0.5, "c/d": 0.0, "e/f": 1.0, "g/h": 0.0, "i/j": 0.0, "k/l": 0.0,
    }  # fmt: skip


@each_of(
    ("header", "is_preferred"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("application/x-ndjson", True),
        ("application/json, application/x-ndjson", True),
        ("application/x-ndjson;q=0", False),
        ("application/x-ndjson;q=0.4, application/json;q=0.5", False),
        ("application/x-ndjson;q=0.4, */*", True),
        ("x-application/x-ndjson", False),
    ],
)
def test_a_type_is_preferred_where_it_is_named_and_weighs_enough(
    header: str, is_preferred: bool
) -> None:
    """Nothing that weighs 0 is sent."""
    assert prefers(header, "application/x-ndjson", "application/json") is is_preferred


def test_a_header_is_rewritten_by_weight() -> None:
    """Heaviest first, parameters kept, what weighs 0 left out."""
    header = "a/b;v=1;q=0.3, c/d;q=0, e/f;version=0.0.4;q=0.9"
    assert by_weight(header) == "e/f;version=0.0.4, a/b;v=1"


def test_blanks_take_no_time() -> None:
    """Anybody may send them; where a header was looked at from each of them on, these took more
    than half an hour.
    """
    header = f"a/b{' ' * 500_000}x, c/d{' ' * 500_000};q=0.5"
    assert weights(header) == {f"a/b{' ' * 500_000}x": 1.0, "c/d": 0.5}
    assert by_weight(header).endswith("x, c/d")
