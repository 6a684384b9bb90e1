"""Texts of messages: values as a person reads them, texts of traffic on one line."""

from collections.abc import Callable, Mapping
from typing import Final

from proxy.settings.model import AlertSettings

MAX_GROUP_CHARACTERS: Final = 200
MAX_QUERY_CHARACTERS: Final = 300
"""Longest search that is shown. The payload of our own format has all of it."""
_SPANS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))


def value_text(figure: str, value: float | None, *, sampled: bool = False) -> str:
    """Return a value with its unit: `9.88 %`, `1.53 s`, `$7.25`, `1,204`. An estimate from sampled
    records is marked.
    """
    if value is None:
        return "unknown"
    text = _VALUES.get(figure, _number)(value)
    if sampled:
        return f"{text} (estimated of a sample)"
    return text


def limit_text(alert: AlertSettings) -> str:
    """Return the threshold of an alert as text, such as `above 5 %`."""
    if alert.above is not None:
        return f"above {value_text(alert.figure, alert.above)}"
    return f"below {value_text(alert.figure, alert.below)}"


def span_text(seconds: float) -> str:
    """Return a time span in the largest unit that needs no fraction: `10 min`, `90 s`."""
    for unit_s, unit in _SPANS:
        if seconds >= unit_s and seconds % unit_s == 0:
            return f"{seconds / unit_s:g} {unit}"
    return f"{seconds:g} s"


def title_of(alert: AlertSettings, status: str, group: str) -> str:
    """Return the title of a message: `[firing] spend (key k1)`."""
    title = f"[{status}] {alert.name}"
    if group:
        title += f" ({alert.by} {line_of(group, MAX_GROUP_CHARACTERS)})"
    return title


def about(alert: AlertSettings, value: float | None, *, sampled: bool = False) -> str:
    """Return the sentence on a value: `cost over 10 min is $7.25, the limit is above $5.00`."""
    name: str = alert.figure
    if alert.of:
        name = f"share of {line_of(alert.of, MAX_QUERY_CHARACTERS)}"
    window = span_text(alert.window_s)
    shown = value_text(alert.figure, value, sampled=sampled)
    return f"{name} over {window} is {shown}, the limit is {limit_text(alert)}"


def query_text(alert: AlertSettings) -> str:
    """Return the search of an alert on one line; empty if the alert covers all requests."""
    return line_of(alert.query, MAX_QUERY_CHARACTERS)


def line_of(text: str, max_characters: int) -> str:
    """Return a text as one line of bounded length, without control and direction characters."""
    begin = text[: max_characters + 1]
    shown = "".join(character if character.isprintable() else " " for character in begin)
    if len(text) <= max_characters:
        return shown
    return f"{shown[: max_characters - 1]}…"


def _number(value: float) -> str:
    if value == int(value):
        return f"{value:,.0f}"
    return _rounded(value)


def _rounded(value: float) -> str:
    """Return a number with three significant digits, without an exponent."""
    return f"{float(f'{value:.3g}'):,.12g}"


def _share(value: float) -> str:
    return f"{_rounded(100 * value)} %"


def _duration(ms: float) -> str:
    if ms < 1000:
        return f"{_rounded(ms)} ms"
    if ms < 120_000:
        return f"{_rounded(ms / 1000)} s"
    return f"{_rounded(ms / 60_000)} min"


def _money(usd: float) -> str:
    if 0 < usd < 0.1:
        return f"${usd:,.4f}"
    return f"${usd:,.2f}"


def _times(value: float) -> str:
    return f"{_rounded(value)} times the window before"


_VALUES: Final[Mapping[str, Callable[[float], str]]] = {
    "share": _share,
    "p50": _duration,
    "p95": _duration,
    "p99": _duration,
    "cost": _money,
    "change": _times,
}
