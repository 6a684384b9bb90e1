"""Alerts that are made of a search: what the dialog gives to paste works, and draws what it would
have seen.
"""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from proxy.collector.watch.alerts.alerting import Alerting
from proxy.settings.load import load
from tests.proxy.collector.watch.alerts.test_alerting import receiving
from tests.ui.conftest import Site

RUNBOOK = [
    ("status:5xx", {"figure": "count"}, {"above": 0}),
    ("path:/v1", {"figure": "share", "of": "status:4xx,5xx", "format": "slack"}, {"above": 0}),
    ("", {"figure": "p95", "format": "discord"}, {"above": 0}),
    ("method:POST", {"figure": "p50", "window": "3600", "format": "teams"}, {"above": 0}),
    ("", {"figure": "p99", "format": "ntfy", "for": "300"}, {"above": 0}),
    ("status:200", {"figure": "count", "by": "path", "format": "pagerduty"}, {"above": 0}),
    ("", {"figure": "count", "side": "below", "format": "alertmanager"}, {"below": 1e6}),
    ("model:*", {"figure": "cost", "window": "86400"}, {"above": 0}),
    ('text:"a \\"quoted\\" word" or path:/v1', {"figure": "count"}, {"above": 0}),
    ("min_latency_ms:1 status:200", {"figure": "change"}, {"above": 0}),
]
"""Filters of the list, what is chosen in the dialog, and the threshold that is typed."""


async def choose(site: Site, name: str, value: str) -> None:
    """Set a field of the dialog, as a person would."""
    await site.page.evaluate(f"""(() => {{
        const field = document.querySelector('#alert-{name}');
        field.value = {value!r};
        for (const kind of ['input', 'change']) field.dispatchEvent(new Event(kind, {{ bubbles: true }}));
    }})()""")


async def open_dialog(site: Site, filter: str) -> None:
    """Open the dialog on a search."""
    await site.open("/requests?period=15m")
    await site.page.evaluate(f"""(() => {{
        const state = new URLSearchParams({{ period: '15m', filter: {filter!r} }});
        history.replaceState(null, '', 'requests?' + state);
        dispatchEvent(new PopStateEvent('popstate'));
    }})()""")
    await site.page.click("#alert")
    await site.page.until("document.querySelector('dialog .course svg')")


@pytest.mark.parametrize(("filter", "chosen", "limit"), RUNBOOK)
async def test_what_is_pasted_is_an_alert_that_works(
    site: Site, tmp_path: Path, filter: str, chosen: dict[str, str], limit: dict[str, float]
) -> None:
    """Read by the loader of the settings, evaluated over the records, and taken by a receiver."""
    page = site.page
    await open_dialog(site, filter)
    [side] = limit
    for name, value in chosen.items():
        await choose(site, name, value)
    await choose(site, "limit", str(limit[side]))
    await choose(site, "name", "mine & <b>")
    await page.until(
        "document.querySelector('dialog .course svg') && !document.querySelector('dialog "
        ".bad').textContent"
    )
    text = await page.evaluate("document.querySelector('#alert-toml').textContent")
    [given] = tomllib.loads(text)["alerts"]
    assert given["name"] == "mine & <b>"
    config = tmp_path / "sidelog.toml"
    config.write_text(f'[proxy]\nupstream = "http://127.0.0.1:3000"\n\n{text}')

    async with receiving() as receiver, ClientSession() as http:
        environ = {"ALERT_URL": receiver.url, "ALERT_KEY": "k" * 32}
        settings = load({}, environ, config)
        [alert] = settings.alerts
        assert (alert.figure, alert.url, getattr(alert, side)) == (
            chosen["figure"],
            receiver.url,
            limit[side],
        )
        assert alert.query == filter
        storage = site.world.storage
        alerts = Alerting(settings.alerts, storage, storage, "side-1", is_shared=False)
        await alerts.look(http)
        found = await alerts.test(alert.name)
        assert found["problem"] is None
        assert len(receiver.calls) >= 1


async def test_the_course_of_the_figure_is_drawn_with_the_threshold_in_it(site: Site) -> None:
    """A threshold is offered that was not crossed; a lower one says how often it would have fired."""
    page = site.page
    await open_dialog(site, "status:200")
    await page.wait_for("dialog [role=status]", "it would have fired 0 times")
    offered = float(await page.evaluate("document.querySelector('#alert-limit').value"))
    drawn: Any = "document.querySelectorAll('dialog .threshold, dialog [class^=line-]').length"
    assert await page.evaluate(drawn) == 2
    await choose(site, "limit", str(offered / 1000))
    await page.until("document.querySelectorAll('dialog .beyond').length > 0")
    await page.wait_for("dialog [role=status]", "it would have fired 1 time.")
    await choose(site, "for", "3600")
    await page.wait_for("dialog [role=status]", "it would have fired 0 times.")
    await choose(site, "by", "path")
    await page.until("document.querySelectorAll('dialog .legend > span').length > 1")
    assert await page.evaluate("document.querySelector('#alert-side').disabled")
    await choose(site, "of", "colour:red")
    await choose(site, "figure", "share")
    await page.wait_for("dialog .bad", "colour")
    await page.resize(320, 700)
    assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    end = "dialog.lastElementChild.offsetTop + dialog.lastElementChild.offsetHeight"
    beyond = await page.evaluate(
        f"(() => {{ const dialog = document.querySelector('dialog'); return dialog.scrollHeight - ({end}); }})()"
    )
    assert beyond < 50
    page.problems.clear()  # the refused search
