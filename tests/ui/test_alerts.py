"""The page of alerts: what fires, and what was sent."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from proxy.collector.watch.alerts.alerting import STATE, Alerting
from proxy.collector.watch.alerts.figures import Figure
from proxy.collector.watch.alerts.state import State
from proxy.settings.model import AlertSettings
from storage.record import format_id, now_us
from tests.ui.conftest import Site

HOSTILE = "<img src=x onerror=alert(1)>"
NOW_US = 1_700_000_000_000_000


async def test_what_fires_and_what_was_sent_is_shown(site: Site) -> None:
    """With figures and values as text, wide and narrow; without alerts it says so."""
    page = site.page
    alert = AlertSettings(
        name="spend", url="http://x/", above=5.0, figure="cost", by="key", query="model:gpt-*"
    )
    state = State()
    state.advance(alert, {HOSTILE: Figure(7.25, "path:/a")}, NOW_US)
    figures = {HOSTILE: Figure(8.5, "path:/a"), "k2": Figure(6.0, "path:/b")}
    state.advance(alert, figures, NOW_US + 60_000_000)
    state.settle(state.outbox[0], NOW_US)
    storage = site.world.storage
    site.services = replace(
        site.services, alerts=Alerting((), storage, storage, "side-1", is_shared=False)
    )
    await site.restart()
    await site.open("/alerts")
    await page.wait_for("main", "it gives the lines to paste")
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
    assert "filter=path%3A%2Fa&since=2023-" in await page.evaluate(
        "document.querySelector('tbody a').href"
    )
    assert await page.evaluate(
        "[...document.querySelectorAll('main th')].every((e) => e.textContent.trim())"
    )
    assert await page.evaluate(
        "[...document.querySelectorAll('td div a')].map((e) => "
        "getComputedStyle(e).textDecorationLine)"
    ) == ["underline", "underline"]
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
        (
            {"figure": "count", "below": 1.0, "window_s": 86_400.0},
            0.0,
            "count below 1 over 24\u00a0h",
            "0",
        ),
    ],
)
async def test_a_figure_is_shown_in_its_unit(
    site: Site, settings: dict[str, Any], value: float, figure: str, shown: str
) -> None:
    """A share in percent and of what, a percentile as a duration, the window in the largest unit."""
    alert = AlertSettings(name="watched", url="http://x/", **settings)
    state = State()
    state.advance(alert, {"": Figure(value, "")}, NOW_US)
    storage = site.world.storage
    await storage.put_meta(STATE, msgspec.json.encode(state).decode(), replace=True)
    alerts = Alerting((alert,), storage, storage, "side-1", is_shared=False)
    site.services = replace(site.services, alerts=alerts)
    await site.restart()
    await site.open("/alerts")
    await site.page.wait_for("tbody tr", figure)
    await site.page.wait_for("tbody tr", shown)


async def fire(site: Site, alert: AlertSettings, figures: dict[str, Figure]) -> Alerting:
    """Let values of an alert fire in the running UI, as of now."""
    state = State()
    for message in state.advance(alert, figures, now_us()):
        message.ids = [format_id(record.id) for record in site.records.values()][:3]
        state.settle(message, now_us())
    storage = site.world.storage
    await storage.put_meta(STATE, msgspec.json.encode(state).decode(), replace=True)
    alerts = Alerting((alert,), storage, storage, "side-1", is_shared=False)
    site.services = replace(site.services, alerts=alerts)
    await site.restart()
    return alerts


async def test_what_fires_is_a_mark_in_the_navigation_and_a_line_on_the_overview(
    site: Site,
) -> None:
    """Both lead on; without it neither is there."""
    page = site.page
    await site.open("/")
    await page.until("document.querySelector('.figures dt')")
    assert await page.evaluate("document.querySelector('#firing').getClientRects().length") == 0
    alert = AlertSettings(
        name="spend", url="http://x/", above=0.02, figure="share", of="status:5xx", by="project"
    )
    await fire(site, alert, {HOSTILE: Figure(0.0987654, "status:5xx project:shop")})
    await site.open("/")
    await page.wait_for("#firing", "1")
    await page.wait_for(".firing-lines p", "spend")
    shown = await page.evaluate("document.querySelector('.firing-lines').innerText")
    assert f"spend {HOSTILE}: share of status:5xx 9.88 % above 2.00 %, for " in shown
    assert await page.evaluate("document.querySelectorAll('main img').length") == 0
    assert await page.evaluate("document.querySelector('#firing').title") == "1 alert fires"
    assert (await page.wait_for("#nav a[href=alerts]")).split() == ["Alerts", "1", "firing"]
    await page.evaluate("document.querySelector('.firing-lines a:last-of-type').click()")
    await page.until(
        "new URLSearchParams(location.search).get('filter') === 'status:5xx project:shop'"
    )
    await page.click("#firing")
    await page.wait_for("tbody tr", "spend")


async def test_alerts_are_a_plain_link_where_none_fires(site: Site) -> None:
    """So that one can be made, and silenced before it fires."""
    await site.open("/")
    await site.page.click("#nav a", "Alerts")
    await site.page.wait_for("main", "it gives the lines to paste")
    await fire(site, AlertSettings(name="spend", url="http://x/", above=5.0), {})
    await site.open("/")
    await site.page.click("#nav a", "Alerts")
    await site.page.wait_for("tbody tr", "spend")


@pytest.mark.parametrize("figures", [{}, {"": Figure(8.0, "")}], ids=["quiet", "firing"])
@pytest.mark.parametrize("width", [320, 390, 921, 1024])
async def test_the_mark_fits_into_the_navigation(
    site: Site, width: int, figures: dict[str, Figure]
) -> None:
    """At any width, beside all the links."""
    await site.page.resize(width, 800)
    await fire(site, AlertSettings(name="spend", url="http://x/", above=5.0), figures)
    await site.open("/")
    await site.page.until(
        "!document.getElementById('key-calls').hidden && "
        f"document.getElementById('firing').hidden === {'false' if figures else 'true'}"
    )
    outside = """[...document.querySelectorAll("#nav :is(a, button)")].filter((link) => {
        const { left, right } = link.getBoundingClientRect();
        return left < 0 || right > innerWidth;
    }).length"""
    assert await site.page.evaluate(outside) == 0


async def test_a_message_leads_to_its_requests_and_an_alert_is_silenced(site: Site) -> None:
    """From the page of alerts, and the silence is ended there."""
    page = site.page
    alert = AlertSettings(name="spend", url="http://x/", above=5.0, window_s=900)
    alerts = await fire(site, alert, {"": Figure(8.0, "status:200")})
    await site.open("/alerts")
    await page.wait_for("tbody td a", "1")
    await page.evaluate("document.querySelector('[data-name=\"silence spend\"]').click()")
    await page.wait_for("dialog", "1 hour")
    await page.evaluate(
        "[...document.querySelectorAll('dialog button')].find((b) => b.textContent === '1 "
        "hour').click()"
    )
    await page.wait_for("tbody tr", "silent until")
    assert (await alerts.describe())["alerts"][0]["silenced_until_us"] > now_us()
    await page.evaluate("document.querySelector('[data-name=\"silence spend\"]').click()")
    await page.until("!document.querySelector('tbody').innerText.includes('silent until')")
    await page.evaluate(
        "[...document.querySelectorAll('td a')].find((a) => a.title === 'Show its "
        "requests').click()"
    )
    await page.until("document.querySelectorAll('#rows tr[data-id]').length > 0")
    assert await page.evaluate("new URLSearchParams(location.search).get('filter')") == "status:200"
