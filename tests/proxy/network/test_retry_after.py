"""How long a server wants to be left alone: seconds or a date (RFC 9110 §10.2.3)."""

from proxy.network.retry_after import retry_after_s
from tests.support.cases import each_of

NOW_S = 784_111_777.0
"""Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110's examples."""


@each_of(
    ("text", "seconds"),
    [
        ("45", 45.0),
        (" 0 ", 0.0),
        ("999999999", 999_999_999.0),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60.0),
        ("Sun, 06 Nov 1994 08:49:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("\u0665", None),
        ("9" * 400, None),
    ],
)
def test_seconds_and_dates_are_read(text: str, seconds: float | None) -> None:
    """What says nothing is None, what is over is 0."""
    assert retry_after_s(text, NOW_S) == seconds
