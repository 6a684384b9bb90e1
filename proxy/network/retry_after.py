"""How long a server that refuses for now wants to be left alone. Pure.

Standard: RFC 9110 §10.2.3, seconds or a date.
"""

from email.utils import parsedate_to_datetime

_MAX_DIGITS = 9
"""More would be centuries."""


def retry_after_s(text: str, now_s: float) -> float | None:
    """Return seconds from now on, at least 0, of the value of a Retry-After field; None where it
    says nothing.
    """
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS:
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now_s)
    except (ValueError, TypeError, OverflowError):
        return None
