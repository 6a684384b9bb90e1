"""Answers of HTTP servers to our own requests: when to ask again (`Retry-After`, RFC 9110 §10.2.3),
and why there was no answer, for the logs of webhooks and receivers.
"""

from email.utils import parsedate_to_datetime

import aiohttp

from proxy.http1.errors import why_unreached

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


def why_unanswered(error: aiohttp.ClientError | OSError) -> str:
    """Return the reason, with the address if the connection failed."""
    why = why_unreached(error) or type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect to {error.host}:{error.port}: {why}"
    return why
