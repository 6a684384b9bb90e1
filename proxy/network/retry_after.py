"""The `Retry-After` field: how long a server wants to be left alone.

Standard: RFC 9110 §10.2.3, seconds or a date.
"""

from email.utils import parsedate_to_datetime

_MAX_DIGITS = 9
"""Largest number of digits; more would be centuries."""


def retry_after_s(text: str, now_s: float) -> float | None:
    """Return the seconds from now on, at least 0; None if the value is invalid."""
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS:
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now_s)
    except (ValueError, TypeError, OverflowError):
        return None
