"""Checks of alerts: a threshold that can be reached, and valid searches, addresses and headers.

Standards: RFC 9110 §5.1 (field names are tokens), §5.5 (values without CR, LF, NUL).
"""

import base64
import binascii
from collections.abc import Iterator
from typing import Final

from proxy.settings.alert_template import check_template
from proxy.settings.check_headers import check_headers
from proxy.settings.check_outgoing import MESSAGE_HEADERS, problem_of
from proxy.settings.model import AlertSettings
from proxy.settings.section import Problem
from storage.aggregates import TOP_FIELDS
from storage.search.cell import is_cell_field
from storage.search.language.errors import SearchError
from storage.search.language.parser import parse_search

_OWN_HEADERS: Final = MESSAGE_HEADERS | {"webhook-id", "webhook-timestamp", "webhook-signature"}
"""Headers that every message sets itself."""
_MARKDOWN: Final = frozenset({"markdown", "x-markdown", "md"})
"""Headers that would make ntfy read text from clients as Markdown."""


def check_alerts(
    alerts: tuple[AlertSettings, ...], own: list[tuple[str, int]]
) -> Iterator[Problem]:
    """Yield the faults of [[alerts]]; `own` are our own addresses."""
    names: set[str] = set()
    for index, alert in enumerate(alerts):
        for setting, text in _check_alert(alert, own):
            yield f"alerts[{index}].{setting}", text
        if alert.name in names:
            yield f"alerts[{index}].name", f"is given twice, got {alert.name!r}"
        names.add(alert.name)


def _check_alert(alert: AlertSettings, own: list[tuple[str, int]]) -> Iterator[Problem]:
    for setting, text in (("query", alert.query), ("of", alert.of)):
        try:
            parse_search(text, 0)
        except SearchError as error:
            yield setting, str(error)

    if bool(alert.of) != (alert.figure == "share"):
        need = "expected the search whose share is taken, such as 'status:5xx', got ''"
        yield (
            "of",
            f"goes with figure = 'share' alone, got figure = {alert.figure!r}"
            if alert.of
            else need,
        )

    yield from _check_threshold(alert)
    yield from _check_way_back(alert)
    if alert.by and alert.by not in TOP_FIELDS and not is_cell_field(alert.by):
        yield (
            "by",
            f"expected one of {', '.join(TOP_FIELDS)}, a header or a place in bodies, got "
            f"{alert.by!r}",
        )

    if alert.by and alert.below is not None:
        yield "by", "cannot be with `below`: values without a request are not known"
    yield from _check_message(alert, own)


def _check_threshold(alert: AlertSettings) -> Iterator[Problem]:
    if (alert.above is None) == (alert.below is None):
        yield "above", "expected either above or below"
    elif alert.figure == "share" and (alert.above or 0) >= 1:
        yield "above", f"is never reached: a share is from 0 to 1, got {alert.above:g}"
    elif alert.below == 0:
        yield "below", "is never reached: no figure is below 0"


def _check_way_back(alert: AlertSettings) -> Iterator[Problem]:
    end = alert.resolve_at
    if end is None:
        return

    if alert.above is not None:
        if end > alert.above:
            yield "resolve_at", f"expected at most above = {alert.above:g}, got {end:g}"
        elif end == 0:
            yield "resolve_at", "is never reached: no figure is below 0"
    elif alert.below is not None:
        if end < alert.below:
            yield "resolve_at", f"expected at least below = {alert.below:g}, got {end:g}"
        elif alert.figure == "share" and end >= 1:
            yield "resolve_at", f"is never reached: a share is from 0 to 1, got {end:g}"


def _check_message(alert: AlertSettings, own: list[tuple[str, int]]) -> Iterator[Problem]:
    if problem := problem_of(alert.url, own, may_ask=True):
        yield "url", problem
    own_headers = _OWN_HEADERS | (_MARKDOWN if alert.format == "ntfy" else frozenset())
    yield from check_headers("headers", alert.headers, own_headers, "the message")
    if alert.body and alert.format != "standard":
        yield "body", f"cannot be with a format, got format = {alert.format!r}"
    elif alert.body and (problem := check_template(alert.body)):
        yield "body", problem

    if alert.format == "pagerduty":
        if not alert.secret:
            yield "secret", "expected the integration key of PagerDuty, got ''"
        return

    try:
        secret_of(alert.secret)
    except ValueError as error:
        yield "secret", str(error)


def secret_of(text: str) -> bytes:
    """Return the signing key; empty if there is none.

    Raises:
        ValueError: the secret is not a valid key.
    """
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise ValueError("expected Base64 behind whsec_") from error

    if text and not 24 <= len(key) <= 64:
        raise ValueError(f"expected a key of 24 to 64 bytes, got {len(key)}")
    return key
