"""The page of alerts: what fires, and what was sent."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from proxy.collector.watch.alerts.alerting import STATE, Alerting
from proxy.collector.watch.alerts.state import State
from proxy.settings.outgoing_model import AlertSettings
from tests.ui.conftest import Site

HOSTILE = "<img src=x onerror=alert(1)>"
NOW_US = 1_700_000_000_000_000


async def test_what_fires_and_what_was_sent_is_shown(site: Site) -> None:
    """With figures and values as text, wide and narrow; without alerts it says so."""
    page = site.page
    alert = AlertSettings(name="spend", url="http://x/", above=5.0, figure="cost", by="key", query="model:gpt-*")
    state = State()
    state.advance(alert, {HOSTILE: 7.25}, NOW_US)
    state.advance(alert, {HOSTILE: 8.5, "k2": 6.0}, NOW_US + 60_000_000)
    state.settle(state.outbox[0], NOW_US)
    storage = site.world.storage
    site.services = replace(site.services, alerts=Alerting((), storage, storage, "side-1", is_shared=False))
    await site.restart()
    await site.open("/alerts")
    await page.wait_for("main", "None are configured")
    await storage.put_meta(STATE, msgspec.json.encode(state).decode(), replace=True)
    alerts = Alerting((alert,), storage, storage, "side-1", is_shared=False)
    await alerts.silence("spend", 3600)
    site.services = replace(site.services, alerts=alerts)
    await site.restart()
    await site.open("/alerts")
    await page.wait_for("tbody tr", "spend")
    shown = await page.evaluate("document.querySelector('main').innerText")
    for text in (
        f"$8.50 {HOSTILE}",
        "$6.00 k2",
        "cost above $5.00 over 10\u00a0min by key",
        "silent until",
        "firing",
        "waits",
    ):
        assert text in shown
    assert await page.evaluate("document.querySelectorAll('main img').length") == 0
    assert "filter=model%3Agpt-*" in await page.evaluate("document.querySelector('tbody a').href")
    await page.resize(320, 700)
    assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


@pytest.mark.parametrize(
    ("settings", "value", "figure", "shown"),
    [
        (
            {"figure": "share", "of": "status:5xx", "above": 0.05},
            0.0689064,
            "share of status:5xx above 5.00 %",
            "6.89 %",
        ),
        ({"figure": "p95", "above": 1500.0}, 2000.0, "p95 above 1.50\u00a0s", "2.00\u00a0s"),
        ({"figure": "count", "below": 1.0, "window_s": 86_400.0}, 0.0, "count below 1 over 24\u00a0h", "0"),
    ],
)
async def test_a_figure_is_shown_in_its_unit(
    site: Site, settings: dict[str, Any], value: float, figure: str, shown: str
) -> None:
    """A share in percent and of what, a percentile as a duration, the window in the largest unit."""
    alert = AlertSettings(name="watched", url="http://x/", **settings)
    state = State()
    state.advance(alert, {"": value}, NOW_US)
    storage = site.world.storage
    await storage.put_meta(STATE, msgspec.json.encode(state).decode(), replace=True)
    alerts = Alerting((alert,), storage, storage, "side-1", is_shared=False)
    site.services = replace(site.services, alerts=alerts)
    await site.restart()
    await site.open("/alerts")
    await site.page.wait_for("tbody tr", figure)
    await site.page.wait_for("tbody tr", shown)
