"""The pages ask for what they show and for nothing else: requests are counted, answers are bounded."""

import math
import re
import time
from collections import Counter
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.ui.conftest import Site

ALWAYS = {"/api/ledger": 1, "/api/request-logs": 1, "/api/alerts": 1}
"""The strip above every page, whether the navigation offers the calls of keys, and whether it has a
mark.
"""
STRIP_S = 2.0
"""How often the strip asks for the ledger."""
RENEWED_S = {"/": 10.0, "/?period=1h": 10.0, "/health": 2.0}
"""How often a page asks again; on a busy machine before it is looked at."""
FIRST_VIEWS = {
    "/": {
        "/api/summary": 4, "/api/heatmap": 2, "/api/top": 2, "/api/mcp-logs": 1,
        "/api/request-logs": 1, "/api/endpoints": 1,
    },
    "/?period=1h": {
        "/api/summary": 2, "/api/heatmap": 1, "/api/top": 2, "/api/mcp-logs": 1,
        "/api/request-logs": 1, "/api/endpoints": 1,
    },
    "/requests": {"/api/records": 1, "/api/histogram": 1},
    "/requests?facets=1": {"/api/records": 1, "/api/histogram": 1, "/api/facets": 1, "/api/request-logs": 1},
    "/endpoints": {"/api/top": 1},
    "/endpoints?by=status&open=200": {"/api/top": 3, "/api/heatmap": 1},
    "/conversations": {"/api/conversations": 1},
    "/mcp-logs": {"/api/mcp-logs": 1, "/api/mcp-logs/filterdata": 1},
    "/request-logs": {"/api/request-logs": 1},
    "/keys": {"/api/keys": 1},
    "/health": {"/api/ledger": 1, "/api/status": 1, "/api/records": 2},
}  # fmt: skip
"""What each page asks for at first, beside the ledger of the strip; the overview of a young store
looks closer.
"""


def asked(site: Site) -> Counter[str]:
    """Count what was asked of the API, by path."""
    paths = ["/" + path.partition("?")[0] for path in site.page.requests]
    paths = [re.sub("^/api/records/[0-9a-zA-Z-]{16,}", "/api/records/…", path) for path in paths]
    return Counter(path for path in paths if path.startswith("/api/"))


async def asked_once_quiet(site: Site, expected: Counter[str]) -> Counter[str]:
    """Count what was asked until nothing is, but not before what is expected: a starved page asks
    late.
    """
    for _ in range(100):
        await site.page.quiet(0.3)
        if asked(site) >= expected:
            break
    return asked(site)


@pytest.mark.parametrize("path", FIRST_VIEWS)
async def test_a_first_view_asks_once_for_what_it_shows(site: Site, path: str) -> None:
    """No list is read twice, no detail, facet, key or status unless it is seen, and pages are
    bounded.
    """
    opened_s = time.monotonic()
    await site.open(path)
    expected = Counter(FIRST_VIEWS[path]) + Counter(ALWAYS)
    found = await asked_once_quiet(site, expected)
    waited_s = time.monotonic() - opened_s
    again = Counter({"/api/ledger": int(waited_s / STRIP_S)})
    for _ in range(int(waited_s / RENEWED_S.get(path, math.inf))):
        again += Counter(FIRST_VIEWS[path])
    assert expected <= found <= expected + again, found - expected
    for request in site.page.requests:
        query = parse_qs(urlsplit(request).query)
        if request.startswith(
            ("api/records?", "api/conversations?", "api/mcp-logs?", "api/request-logs?")
        ):
            assert 1 <= int(query["limit"][0]) <= 300, request


@pytest.mark.parametrize("period", ["24h", "7d"])
async def test_long_periods_begin_with_an_hour(site: Site, period: str) -> None:
    """Whole hours are summed up already, so every count of a facet is known and costs no scan."""
    await site.open(f"/requests?period={period}&facets=1")
    await asked_once_quiet(site, Counter({"/api/facets": 1, "/api/records": 1}))
    queries = [parse_qs(urlsplit(path).query) for path in site.page.requests]
    starts = {query["since"][0] for query in queries if "since" in query and "fields" not in query}
    assert [start[13:] for start in starts] == [":00:00.000Z"]
    assert "/api/summary" not in asked(site)


async def test_what_is_opened_is_asked_for_then(site: Site) -> None:
    """Facets, a record, its messages and the stream are each read when they are opened, and only
    they.
    """
    page = site.page
    await site.open("/requests?period=15m")
    await asked_once_quiet(site, Counter(FIRST_VIEWS["/requests"]))

    steps: tuple[tuple[str, dict[str, int]], ...] = (
        ("#filters", {"/api/facets": 1, "/api/request-logs": 1}),
        ("#filters", {}),
        ("#columns", {}),
        ("dialog .primary", {}),
        ("#rows tr[data-id]", {"/api/records/…": 1, "/api/records/…/curl": 1, "/api/replay": 1}),
        ("#tab-facts", {}),
        ("#tab-response", {}),
        ("#live", {"/api/records/stream": 1, "/api/records": 1}),
    )
    for selector, expected in steps:
        # What was asked for has come, but on a busy machine it is not shown yet.
        await page.until(f"document.querySelector('{selector}') !== null")
        page.requests.clear()
        await page.evaluate(f"document.querySelector('{selector}').click()")
        found = await asked_once_quiet(site, Counter(expected))
        del found["/api/ledger"], found["/api/alerts"]
        assert found == Counter(expected), selector


async def test_a_hidden_tab_asks_for_nothing(site: Site) -> None:
    """Polling stops while nobody looks."""
    await site.open("/health")
    await site.page.wait_for(".ledger")
    await asked_once_quiet(site, Counter(FIRST_VIEWS["/health"]))
    await site.page.evaluate("Object.defineProperty(document, 'hidden', { value: true })")
    await site.page.quiet(0.3)
    site.page.requests.clear()
    await site.page.quiet(2.5)
    assert site.page.requests == []
