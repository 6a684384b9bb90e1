"""The page of alerts: what fires, and what was sent."""

from dataclasses import replace

import msgspec

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
    for text in (f"8.5 {HOSTILE}", "6 k2", "cost above 5 over 600 s by key", "silent until", "firing", "waits"):
        assert text in shown
    assert await page.evaluate("document.querySelectorAll('main img').length") == 0
    assert "filter=model%3Agpt-*" in await page.evaluate("document.querySelector('tbody a').href")
    await page.resize(320, 700)
    assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
