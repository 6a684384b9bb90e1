"""Beginnings of ids as spans of time."""

from api.http.id_beginnings import digits_of, span_of
from tests.support.cases import each_of


@each_of(
    ("text", "digits"),
    [
        ("01a2", "01a2"),
        (" 01A22617-d14e ", "01a22617d14e"),
        ("", None),
        ("-", None),
        ("req_01", None),
        ("01a2g", None),
    ],
)
def test_digits_are_hexadecimal(text: str, digits: str | None) -> None:
    """Hyphens, blanks around and case do not matter."""
    assert digits_of(text) == digits


def test_a_beginning_is_a_span_of_time() -> None:
    """A whole millisecond from twelve digits on; fewer are more of them."""
    assert span_of("000000000001") == (
        "1970-01-01T00:00:00.001000+00:00",
        "1970-01-01T00:00:00.002000+00:00",
    )
    assert span_of("000000000001ffff") == span_of("000000000001")
    assert span_of("00000000000") == (
        "1970-01-01T00:00:00+00:00",
        "1970-01-01T00:00:00.016000+00:00",
    )
    assert span_of("ffffffffffff") is None
