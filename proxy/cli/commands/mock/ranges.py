"""Applies a request's conditions and ranges to an answer that was recorded without them.

Standard: RFC 9110 §13 (conditions), §14 (ranges). A request for several ranges gets the whole
content, as a server may do (§14.2).
"""

import re
from collections.abc import Mapping
from email.utils import mktime_tz, parsedate_tz
from typing import Final

_RANGE: Final = re.compile(r"bytes=[ \t]*+(\d*+)-(\d*+)[ \t]*+", re.IGNORECASE)

Fields = Mapping[str, str]
"""Values by lower-case name."""
Span = tuple[int, int]
"""First byte, and the one after the last."""


def status_by_conditions(asked: Fields, answered: Fields) -> int | None:
    """Return 304 or 412 if a condition fails (RFC 9110 §13.2.2); None if all hold."""
    etag = answered.get("etag", "")
    modified = _date(answered.get("last-modified", ""))
    if etag and "if-match" in asked and not _lists(asked["if-match"], etag, is_weak=False):
        return 412
    if "if-none-match" in asked:
        if etag and _lists(asked["if-none-match"], etag, is_weak=True):
            return 304
        return None

    since = _date(asked.get("if-modified-since", ""))
    if modified is not None and since is not None and modified <= since:
        return 304

    return None


def _lists(listed: str, etag: str, *, is_weak: bool) -> bool:
    """Whether a list has an entity tag, by weak or strong comparison (RFC 9110 §8.8.3.2)."""
    tags = [tag.strip() for tag in listed.split(",")]
    if is_weak:
        return "*" in tags or etag.removeprefix("W/") in [tag.removeprefix("W/") for tag in tags]
    return "*" in tags or (etag in tags and not etag.startswith("W/"))


def _date(text: str) -> float | None:
    """Return a date in seconds since 1970; None if it is invalid."""
    read = parsedate_tz(text)
    try:
        if read is None:
            return None
        return mktime_tz(read)
    except (ValueError, OverflowError):
        return None


def span_of(asked: Fields, answered: Fields, size: int) -> Span | None:
    """Return the requested bytes: None for all, an empty span for bytes beyond the end."""
    found = _RANGE.fullmatch(asked.get("range", ""))
    if found is None or not _is_current(asked.get("if-range"), answered):
        return None

    first, last = found.groups()
    if not first:
        if last:
            return (max(0, size - int(last)), size)
        return None

    return int(first), min(size, int(last) + 1) if last else size


def _is_current(if_range: str | None, answered: Fields) -> bool:
    """Whether a strong tag, or a date, allows to send a range (RFC 9110 §13.1.5)."""
    if if_range is None:
        return True
    if if_range.startswith('"'):
        return if_range == answered.get("etag")
    return if_range == answered.get("last-modified")
