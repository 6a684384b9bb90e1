"""The page of endpoints: a row each with its shape and what moved, sortable, leading to its
requests and its view.
"""

from collections.abc import Sequence
from typing import Any

import pytest

from storage.query import Filter
from storage.relational.reads.aggregate import Sums
from tests.ui.conftest import Site
from tests.ui.world import record_of

NAMES = "[...document.querySelectorAll('#endpoints .name')].map((e) => e.innerText)"
CELLS = """[...document.querySelectorAll('#endpoints tr')].map((row) => Object.fromEntries(
    [...row.querySelectorAll('[data-column]')].map((e) => [e.dataset.column, e.innerText.replace(/\\s+/g, ' ')])))"""
FRAMED = "document.documentElement.scrollWidth - innerWidth"
HOUR = 36_000
"""In steps of the samples, 100 ms."""


def call(number: int, endpoint: str, duration_ms: int, **changes: Any) -> Any:
    """Make a request of an endpoint, so many steps ago."""
    return record_of(
        number,
        **{
            "endpoint": endpoint,
            "path": endpoint,
            "duration_us": duration_ms * 1000,
            "method": "GET",
        }
        | changes,
    )


async def fill(site: Site) -> None:
    """Store two endpoints: one that came to fail and to be slow within the hour, one that is as it
    was.
    """
    await site.store(
        *(call(n, "/users/{id}", 400, status=500 if n % 4 == 0 else 200) for n in range(8)),
        *(call(HOUR + n, "/users/{id}", 100) for n in range(4)),
        *(call(100 + n, "/health", 2) for n in range(4)),
        *(call(HOUR + 100 + n, "/health", 2) for n in range(4)),
        call(200, "/new,one", 50, method="POST"),
        call(2 * HOUR + 600, "/before", 1),
    )


async def test_rows_say_what_moved_since_the_period_before(empty_site: Site) -> None:
    """Requests, share of 5xx and p95, each with its change in words and an arrow, and a line over
    time.
    """
    await fill(empty_site)
    await empty_site.open("/endpoints?period=1h")
    await empty_site.page.wait_for("#endpoints tr", "/health")
    assert await empty_site.page.evaluate(NAMES) == [
        "GET /users/{id}",
        "GET /health",
        "POST /new,one",
    ]
    users, health, new = await empty_site.page.evaluate(CELLS)
    assert (users["requests"], users["requests_change"]) == ("8", "▲ 100 %")
    assert (users["server_errors"], users["server_errors_change"]) == ("25.0 %", "▲ 25.0 pt")
    assert users["p95_change"].startswith("▲ ")
    assert [health[f"{name}_change"] for name in ("requests", "server_errors", "p95")] == [
        "steady"
    ] * 3
    assert [new[f"{name}_change"] for name in ("requests", "server_errors", "p95")] == [
        "new",
        "–",
        "–",
    ]
    drawn = (
        "[...document.querySelectorAll('#endpoints .spark path')].filter((e) => "
        "/V[0-9]/.test(e.getAttribute('d')))"
    )
    assert await empty_site.page.evaluate(f"{drawn}.length") == 3
    assert len([one for one in empty_site.page.requests if one.startswith("api/top")]) == 1


async def test_figures_of_a_row_are_whole_and_side_by_side_on_a_narrow_screen(
    empty_site: Site,
) -> None:
    """None is cut or alone on a line."""
    await fill(empty_site)
    await empty_site.page.resize(390, 800)
    await empty_site.open("/endpoints?period=1h")
    await empty_site.page.wait_for(".endpoints td.name", "/users")
    places = await empty_site.page.evaluate(
        "[...document.querySelectorAll('.endpoints tbody tr')].map((row) => "
        "[...row.querySelectorAll('td.figure')]"
        ".filter((e) => e.getClientRects().length)"
        ".map((e) => [e.getBoundingClientRect().y, e.scrollWidth <= e.clientWidth]))"
    )
    assert places
    assert [len({y for y, _ in row}) for row in places] == [1] * len(places)
    assert all(is_whole for row in places for _, is_whole in row)


def cut_over_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is counted step by step, and only that, say that its time was over."""
    add_rows = Sums.add_rows

    async def newest(sums: Sums, filters: Sequence[Filter]) -> bool:
        return await add_rows(sums, filters) and sums.steps is None

    monkeypatch.setattr(Sums, "add_rows", newest)


async def test_the_note_says_what_is_not_counted(
    empty_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines over time that have only the newest requests, and figures that do, say so; on the
    overview, too.
    """
    await fill(empty_site)
    note = "document.querySelector('.filters [role=status]').innerText"
    cut_over_time(monkeypatch)
    await empty_site.open("/endpoints?period=1h")
    await empty_site.page.wait_for(".filters [role=status]", "no more time")
    assert (
        await empty_site.page.evaluate(note)
        == "3 endpoints in 13 requests: over time only the newest of them, there was no more time"
    )
    monkeypatch.setattr("storage.relational.reads.top.MAX_GROUPS", 1)
    await empty_site.open("/endpoints?period=1h&by=path")
    await empty_site.page.wait_for(
        ".filters [role=status]", ": only the newest requests of the period, there was no more"
    )
    await empty_site.open("/?period=1h")
    await empty_site.page.wait_for(".endpoints-most h2", "of the newest 13 requests")


async def test_charts_say_what_is_not_counted(
    empty_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of an endpoint, and those of the overview, whose figures are whole."""
    await fill(empty_site)
    cut_over_time(monkeypatch)
    await empty_site.open("/endpoints?period=1h&open=GET+/health")
    await empty_site.page.wait_for(".endpoint-view .bad", "Only the newest requests are drawn")
    await empty_site.open("/?period=1h")
    await empty_site.page.wait_for("main .bad", "Some records were not counted")


async def test_every_column_sorts(empty_site: Site) -> None:
    """A click sorts, another turns it round, and the address keeps it; nothing is asked for anew."""
    await fill(empty_site)
    page = empty_site.page
    await empty_site.open("/endpoints?period=1h")
    await page.wait_for("#endpoints tr", "/health")
    page.requests.clear()

    heads = await page.evaluate("[...document.querySelectorAll('.sort')].length")
    for number in range(heads):
        await page.evaluate(f"document.querySelectorAll('.sort')[{number}].click()")
        sorts = await page.evaluate(
            "[...document.querySelectorAll('thead th')].map((e) => e.ariaSort)"
        )
        assert len([sort for sort in sorts if sort in ("ascending", "descending")]) == 1

    await page.click(".sort", "p95")
    assert await page.evaluate(NAMES) == ["GET /users/{id}", "POST /new,one", "GET /health"]
    await page.click(".sort", "p95")
    assert await page.evaluate(NAMES) == ["GET /health", "POST /new,one", "GET /users/{id}"]
    assert "sort=p95+asc" in await page.evaluate("location.search")
    assert not [one for one in page.requests if one.startswith("api/top")]


async def test_a_name_leads_to_its_requests(empty_site: Site) -> None:
    """Of the same period, those of method and template and no others, whatever characters the
    template has.
    """
    await fill(empty_site)
    await empty_site.open("/endpoints?period=1h")
    await empty_site.page.click("#endpoints a", "/new,one")
    await empty_site.page.wait_for("#rows tr[data-id]", "/new,one")
    assert (
        await empty_site.page.evaluate("document.querySelectorAll('#rows tr[data-id]').length") == 1
    )
    assert "period=1h" in await empty_site.page.evaluate("location.search")
    await empty_site.open("/endpoints?period=1h&by=path")
    await empty_site.page.click("#endpoints a", "/health")
    await empty_site.page.wait_for("#rows tr[data-id]", "/health")
    assert (
        await empty_site.page.evaluate("document.querySelectorAll('#rows tr[data-id]').length") == 4
    )


async def test_paths_without_an_endpoint_are_said_in_words(empty_site: Site) -> None:
    """The name that stands for them is in the title, and in the search that the words lead to."""
    page = empty_site.page
    await empty_site.store(
        call(1, "{unknown}", 5, path="/wp-login.php", status=404), call(2, "{other}", 5, path="/x")
    )
    await empty_site.open("/endpoints?period=1h")
    await page.wait_for("#endpoints td.name[title^='{unknown}']", "GET unknown paths")
    await page.wait_for("#endpoints td.name[title='{other}']", "GET others")
    await page.click("#endpoints a", "unknown paths")
    await page.wait_for("#rows tr[data-id]", "/wp-login.php")
    assert await page.evaluate("document.querySelectorAll('#rows tr[data-id]').length") == 1


async def test_the_line_of_a_row_opens_its_view(empty_site: Site) -> None:
    """Figures with what moved, and both charts; the address names it, Escape closes it."""
    await fill(empty_site)
    page = empty_site.page
    await empty_site.open("/endpoints?period=1h")
    await page.click("#endpoints tr:first-child .over-time")
    await page.wait_for(".endpoint-view h2", "/users/{id}")
    await page.wait_for(".endpoint-view .figures", "▲ 100 % vs before")
    await page.until("document.querySelectorAll('.endpoint-view .chart svg').length === 2")
    assert await page.evaluate("document.activeElement.tagName") == "H2"
    assert "open=GET+%2Fusers%2F%7Bid%7D" in await page.evaluate("location.search")
    asked = [one for one in page.requests if one.startswith("api/heatmap")]
    assert len(asked) == 1
    assert "query=method%3AGET+endpoint%3A%2Fusers%2F%7Bid%7D&" in asked[0]
    await page.press("Escape")
    await page.until("document.querySelector('.endpoint-view').hidden")


async def test_the_view_shows_failures_and_callers_and_the_period_before(empty_site: Site) -> None:
    """Each reason and caller with what moved, and leading to its requests; the p95 of before is a
    line in the chart.
    """
    await fill(empty_site)
    await empty_site.store(
        *(call(300 + n, "/users/{id}", 900, client_ip="10.0.0.7") for n in range(3)),
        call(HOUR + 300, "/users/{id}", 90, client_ip="10.0.0.7"),
    )
    page = empty_site.page
    await empty_site.open("/endpoints?period=1h&open=GET+%2Fusers%2F%7Bid%7D")
    parts = """[...document.querySelectorAll('.parts')].map((part) => [...part.querySelectorAll('tbody tr')]
        .map((row) => [...row.cells].map((cell) => cell.innerText.replace(/\\s+/g, ' ').trim())))"""
    await page.until(f"{parts}.every((rows) => rows.length)")
    failures, callers = await page.evaluate(parts)
    assert [(row[0], *row[2:]) for row in failures] == [("http_500", "2", "new")]
    one = next(row for row in callers if row[0] == "10.0.0.7")
    assert one[2:4] == ["3", "▲ 200 %"]
    assert one[-1].startswith("▲ ")
    assert await page.evaluate("!!document.querySelector('.endpoint-view .line-before')")
    await page.click(".parts a", "10.0.0.7")
    await page.wait_for("#rows tr[data-id]", "/users/{id}")
    assert await page.evaluate("document.querySelectorAll('#rows tr[data-id]').length") == 3

    await empty_site.open("/endpoints?period=1h&open=GET+%2Fusers%2F%7Bid%7D")
    await page.click(".parts a", "http_500")
    await page.wait_for("#rows tr[data-id]", "/users/{id}")
    assert await page.evaluate("document.querySelectorAll('#rows tr[data-id]').length") == 2


async def test_a_filter_narrows_the_rows_and_what_they_lead_to(empty_site: Site) -> None:
    """What is in the box is part of every row and link; what matches nothing says so and offers the
    way out.
    """
    await fill(empty_site)
    page = empty_site.page
    await empty_site.open("/endpoints?period=1h&filter=status:5xx")
    await page.wait_for("#endpoints tr", "/users/{id}")
    assert await page.evaluate(NAMES) == ["GET /users/{id}"]
    await page.click("#endpoints a")
    await page.wait_for("#rows tr[data-id]", "500")
    assert await page.evaluate("document.querySelectorAll('#rows tr[data-id]').length") == 2
    await empty_site.open("/endpoints?period=1h&filter=status:501")
    await page.click("#endpoints button", "Clear filters")
    await page.wait_for("#endpoints tr", "/health")


async def test_it_fits_every_width(empty_site: Site) -> None:
    """With the view open, wide, narrow and in between, in light and in dark."""
    await fill(empty_site)
    long = "/a/very/long/path/that/goes/on/and/on/{id}/" + "x" * 120
    await empty_site.store(*(call(300 + n, long, 50) for n in range(20)))
    await empty_site.open(
        "/endpoints?period=1h&open=GET+" + long.replace("{", "%7B").replace("}", "%7D")
    )

    for width, scheme in (
        (2560, "dark"),
        (1400, "light"),
        (900, "dark"),
        (641, "light"),
        (375, "dark"),
    ):
        await empty_site.page.prefer(scheme)
        await empty_site.page.resize(width, 900)
        await empty_site.page.wait_for(".endpoint-view .figures", "20")
        assert await empty_site.page.evaluate(FRAMED) <= 0, width
