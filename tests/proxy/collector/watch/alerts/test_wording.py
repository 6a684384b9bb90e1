"""What messages of alerts say in words."""

import pytest

from proxy.collector.watch.alerts.wording import (
    limit_text,
    line_of,
    span_text,
    title_of,
    value_text,
)
from proxy.settings.model import AlertSettings
from tests.support.cases import each_of


@each_of(
    ("figure", "value", "shown"),
    [
        ("share", 0.0987654, "9.88 %"),
        ("share", 0.05, "5 %"),
        ("share", 1.0, "100 %"),
        ("p95", 0.25, "0.25 ms"),
        ("p95", 999.6, "1,000 ms"),
        ("p95", 1533.4, "1.53 s"),
        ("p95", 1_234_567.0, "20.6 min"),
        ("cost", 7.25, "$7.25"),
        ("cost", 0.0042, "$0.0042"),
        ("cost", 12345.678, "$12,345.68"),
        ("count", 1204.0, "1,204"),
        ("count", 1234567890.0, "1,234,567,890"),
        ("change", 2.345678, "2.35 times the window before"),
        ("count", None, "unknown"),
        ("", 0.333333, "0.333"),
    ],
)
def test_a_figure_is_rounded_and_has_its_unit(figure: str, value: float | None, shown: str) -> None:
    """To what a person reads, without exponents."""
    assert value_text(figure, value) == shown
    mark = "" if value is None else " (estimated of a sample)"
    assert value_text(figure, value, sampled=True) == shown + mark


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(10, "10 s"), (90, "90 s"), (600, "10 min"), (5400, "90 min"), (3600, "1 h"), (172800, "2 d")],
)
def test_a_span_is_whole(seconds: float, shown: str) -> None:
    """In the largest unit."""
    assert span_text(seconds) == shown


def test_a_threshold_says_its_side() -> None:
    """Above or below."""
    alert = AlertSettings(name="a", url="http://x/", below=0.5, figure="share", of="status:5xx")
    assert limit_text(alert) == "below 50 %"


def test_what_came_from_traffic_is_one_line() -> None:
    """Without controls, marks that turn the direction, or an end of its own."""
    alert = AlertSettings(name="a", url="http://x/", above=1, by="header.x")
    assert title_of(alert, "firing", "a\r\nb\u202ec\x1b[31m") == "[firing] a (header.x a  b c [31m)"
    assert line_of("x" * 300, 200) == "x" * 199 + "…"
