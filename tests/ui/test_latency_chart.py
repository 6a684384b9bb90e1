"""The heat map of latency: shades that tell counts apart in both themes, and cells that lead to
their requests.
"""

import re
from itertools import pairwise
from typing import Any

from tests.support.browser import Page
from tests.ui.conftest import Site
from tests.ui.test_endpoints import call

CHART = "document.querySelector('.latency-chart')"
LABEL = ".latency-chart .brush-label"
ROWS = "document.querySelectorAll('#rows tr[data-id]').length"
DARKEST = """(() => { const path = document.querySelector('.latency-chart .shade-7');
    const [, x1, y1, x2, y2] = path.getAttribute('d').match(/M([0-9.]+),([0-9.]+)H([0-9.]+)V([0-9.]+)/).map(Number);
    const box = document.querySelector('.latency-chart').getBoundingClientRect();
    return [box.left + (x1 + x2) / 2, box.top + (y1 + y2) / 2]; })()"""
LIGHTNESS = """(() => { const spans = [...document.querySelectorAll('.shades .shade')];
    const ground = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const light = (colour) => { ground.fillStyle = colour; ground.fillRect(0, 0, 1, 1);
        const [r, g, b] = ground.getImageData(0, 0, 1, 1).data; return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    return [getComputedStyle(document.body), ...spans.map((e) => getComputedStyle(e))]
        .map((style) => light(style.backgroundColor)); })()"""


async def fill(site: Site) -> None:
    """Store thirty requests of 40 ms in one second, and a slow one a quarter of an hour before."""
    await site.store(
        *(
            call(n, "/quick", 40, started_at_us=call(1, "/", 1).started_at_us + n)
            for n in range(30)
        ),
        call(9_000, "/slow", 8_000),
    )


async def point(page: Page, x: float, y: float, *kinds: str) -> None:
    """Move the mouse to a point, or press and release it there."""
    for kind in kinds:
        buttons: dict[str, Any] = (
            {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
        )
        await page.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **buttons)


async def test_a_cell_says_what_it_counts_and_leads_there(empty_site: Site) -> None:
    """Under the mouse: time, duration and count. A click shows exactly these requests."""
    page = empty_site.page
    await fill(empty_site)
    await empty_site.open("/?period=1h")
    await page.wait_for(".shades", "30 a cell")
    x, y = await page.evaluate(DARKEST)
    await point(page, x, y, "mouseMoved")
    assert "30 requests" in await page.wait_for(LABEL, "\u00a0ms – ")
    await point(page, x, y, "mousePressed", "mouseReleased")
    await page.wait_for("#rows tr[data-id]", "/quick")
    assert await page.evaluate(ROWS) == 30
    search = await page.evaluate("decodeURIComponent(location.search)")
    least, most = map(float, re.findall(r"duration:([0-9.]+)ms\.\.([0-9.]+)ms", search)[0])
    assert least <= 40 <= most < 2 * least
    assert "since=" in search


async def test_cells_can_be_reached_by_keyboard(empty_site: Site) -> None:
    """Arrows begin at the fullest cell, Shift selects more, Enter shows them, Escape gives up; all
    of it is said.
    """
    page = empty_site.page
    await fill(empty_site)
    await empty_site.open("/?period=1h")
    await page.wait_for(".shades", "30 a cell")
    await page.evaluate(f"{CHART}.focus()")
    await page.press("ArrowUp")
    await page.wait_for(LABEL, "30 requests")
    assert (
        await page.evaluate(f"document.querySelector('{LABEL}').getAttribute('role')") == "status"
    )
    await page.press("ArrowUp")
    await page.wait_for(LABEL, "0 requests")
    await page.press("Escape")
    await page.until(f"document.querySelector('{LABEL}').hidden")
    await page.press("ArrowUp")
    left = "new KeyboardEvent('keydown', { key: '%s', shiftKey: true, bubbles: true })"
    for key in ["ArrowLeft"] * 20 + ["ArrowUp"] * 40:
        await page.evaluate(f"{CHART}.dispatchEvent({left % key})")
    await page.wait_for(LABEL, "31 requests")
    await page.press("Enter")
    await page.wait_for("#rows tr[data-id]", "/slow")
    assert await page.evaluate(ROWS) == 31


async def test_a_drag_selects_and_shows(empty_site: Site) -> None:
    """An area stays selected, beyond the next renewal, until its button shows it."""
    page = empty_site.page
    await fill(empty_site)
    await empty_site.open("/?period=1h")
    await page.wait_for(".shades", "30 a cell")
    await page.drag(".latency-chart", 0.1, 0.6)
    await page.wait_for(LABEL, "0 requests")
    await page.click(f"{LABEL} button", "Show")
    await page.wait_for("#foot", "No requests match")
    search = await page.evaluate("decodeURIComponent(location.search)")
    assert "duration:" in search
    assert "until=" in search


async def test_shades_are_told_apart_by_lightness(empty_site: Site) -> None:
    """From the ground on, each is darker than the one before in light, and lighter in dark."""
    page = empty_site.page
    await fill(empty_site)
    await empty_site.open("/?period=1h")

    for scheme, sign in (("light", -1), ("dark", 1)):
        await page.prefer(scheme)
        await page.wait_for(".shades", "30 a cell")
        found = await page.evaluate(LIGHTNESS)
        assert len(found) == 8
        assert all(sign * (after - before) >= 8 for before, after in pairwise(found)), found


async def test_the_chart_is_told_in_a_table(empty_site: Site) -> None:
    """For each step with requests: how many, what most of them took, what the slowest took."""
    await fill(empty_site)
    await empty_site.open("/?period=1h")
    await empty_site.page.wait_for(".shades", "30 a cell")
    table = (
        "[...document.querySelectorAll('.latency-chart table')].find((e) => "
        "e.caption.innerText.startsWith('How'))"
    )
    slow, quick = await empty_site.page.evaluate(
        f"[...{table}.tBodies[0].rows].map((row) => [...row.cells].map((e) => e.innerText))"
    )
    assert slow[1] == "1"
    assert slow[2] == slow[3]
    assert "\u00a0s – " in slow[2]
    assert quick[1] == "30"
    assert "\u00a0ms – " in quick[2]


async def test_a_period_without_requests_has_no_cells(empty_site: Site) -> None:
    """The axis is there, keys and mouse find nothing, and nothing goes wrong."""
    page = empty_site.page
    await fill(empty_site)
    await empty_site.open("/?since=2020-01-01T00:00:00Z&until=2020-01-01T01:00:00Z")
    await page.wait_for(".figures", "0 in total")
    await page.until(f"{CHART}.querySelector('svg')")
    await page.evaluate(f"{CHART}.focus()")
    for key in ("ArrowUp", "Enter", "Escape"):
        await page.press(key)
    await point(page, 1000, 330, "mouseMoved", "mousePressed", "mouseReleased")
    assert await page.evaluate("location.pathname") == "/"
    assert (
        await page.evaluate("document.querySelectorAll('.latency-chart [class^=shade]').length")
        == 0
    )
