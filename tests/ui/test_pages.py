"""Every page renders with data, in both themes and at both widths, and says what is wrong where it
is wrong.
"""

import json
from typing import Any
from urllib.parse import quote

import pytest

from api.access.auth import COOKIE, token_digest
from api.access.principal import Credential, Principal
from storage.query import Scope
from tests.api.conftest import TOKEN
from tests.ui.conftest import STATUS, Site
from tests.ui.world import record_of

PAGES = {
    "/": ("h1", "Overview"),
    "/requests": ("#rows tr[data-id]", "/api/users/"),
    "/endpoints": ("#endpoints tr", "GET"),
    "/conversations": ("tr.conversation", "How are you"),
    "/mcp-logs": ("#calls tr", "search_tickets"),
    "/request-logs": ("#logs tr", "Production Key"),
    "/keys": ("#keys tr", "Production Key"),
    "/alerts": (".section-head", "Sent"),
    "/health": (".ledger", "1\u202f284"),
}

TOUCHING = """[...document.querySelectorAll(".lists td.figure")].filter((e) => {
    if (!e.getClientRects().length) return false;
    let before = e.previousElementSibling;
    while (!before.getClientRects().length) before = before.previousElementSibling;
    const text = document.createRange(), other = document.createRange();
    text.selectNodeContents(e);
    other.selectNodeContents(before);
    const cut = before.getBoundingClientRect().right - parseFloat(getComputedStyle(before).paddingRight);
    const gap = text.getBoundingClientRect().left - Math.min(other.getBoundingClientRect().right, cut);
    return gap < 6 || e.scrollWidth > e.clientWidth;
    }).map((e) => e.parentElement.innerText)"""
UNNAMED = """[...document.querySelectorAll("button, input, select, a[href], summary")]
    .filter((e) => e.getClientRects().length && !(e.innerText.trim() || e.getAttribute("aria-label") || e.title
        || e.closest("label")?.innerText.trim())).map((e) => e.outerHTML)
    .concat([...document.querySelectorAll("th")].filter((e) => !e.textContent.trim()).map((e) => e.outerHTML))"""


@pytest.mark.parametrize("path", PAGES)
async def test_pages_render_with_data_wide_and_narrow(site: Site, path: str) -> None:
    """Data is there, every control has a name, and nothing is wider than the screen, in light and
    in dark.
    """
    selector, text = PAGES[path]
    await site.open(path)
    for width, scheme in ((1400, "light"), (2560, "dark"), (375, "light")):
        await site.page.prefer(scheme)
        await site.page.resize(width, 900)
        await site.page.wait_for(selector, text)
        assert await site.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert await site.page.evaluate(UNNAMED) == []

    assert (
        await site.page.evaluate("document.querySelector('#nav [aria-current]').pathname") == path
    )


async def test_the_overview_counts_and_names_what_fails(site: Site) -> None:
    """Figures, reasons with errors first, and the brush that zooms."""
    await site.open("/?period=15m")
    await site.page.wait_for(".figures", "First byte p95")
    await site.page.wait_for(".failing tbody tr:first-child", "upstream_timeout")
    await site.page.wait_for(".list", "search_tickets")
    await site.page.wait_for(".lists", "claude-x")
    await site.page.wait_for(".figures", "LLM call")
    await site.page.evaluate("document.querySelector('.big-chart').focus()")
    for key in ("ArrowRight", "ArrowRight", "Enter"):
        await site.page.press(key)
    assert "since=" in await site.page.until(
        "location.search.includes('until=') && location.search"
    )


async def test_tokens_and_cost_are_shown_where_models_are_called(empty_site: Site) -> None:
    """For everybody else they would be two figures of nothing."""
    names = "[...document.querySelectorAll('.figures dt')].map((e) => e.innerText)"
    await empty_site.store(record_of(2))
    await empty_site.open("/?period=15m")
    await empty_site.page.wait_for(".lists", "Nothing failed")
    assert (await empty_site.page.evaluate(names))[-1] == "Client errors"
    await empty_site.store(
        record_of(1, provider="openai", model="gpt-5", usage_state="exact", input_tokens=3)
    )
    await empty_site.open("/?period=15m")
    await empty_site.page.until(f"{names}.slice(-2).join() === 'Tokens,Cost'")


async def test_figures_of_the_overview_stand_apart(site: Site) -> None:
    """No figure touches what stands before it, or is cut, even the words for a price that is not
    known.
    """
    calls = {
        "provider": "openai",
        "model": "gpt-4o-mini-2024-07-18",
        "usage_state": "exact",
        "path": "/v1/responses",
    }
    await site.store(
        *(record_of(n, input_tokens=123_456, output_tokens=78, **calls) for n in range(12))
    )
    await site.open("/?period=15m")

    for width in (1401, 1280, 721, 400):
        await site.page.resize(width, 900)
        await site.page.wait_for(".lists", "no price")
        assert await site.page.evaluate(TOUCHING) == [], width


async def test_the_ledger_gives_way_to_the_navigation(site: Site) -> None:
    """At no width does one lie on the other, or anything beyond the screen; on a laptop the ledger
    is whole.
    """
    await site.open("/")
    await site.page.wait_for("#equation", "dropped")
    await site.page.wait_for("#equation .short", "stored + ")
    edges = """[[...document.querySelectorAll("#nav a")].at(-1).getBoundingClientRect().right,
        document.querySelector("#equation").getBoundingClientRect().left,
        document.querySelector("#logout").getBoundingClientRect().right]"""
    hidden = (
        "document.querySelector('#equation').scrollWidth - "
        "document.querySelector('#equation').clientWidth"
    )

    for width in (1600, 1541, 1441, 1361, 1280, 1100, 921):
        await site.page.resize(width, 900)
        navigation, ledger, last = await site.page.evaluate(edges)
        assert navigation < ledger, width
        assert last <= width
        assert width < 1100 or await site.page.evaluate(hidden) <= 0, width


async def test_health_names_processes_gaps_and_retention(site: Site) -> None:
    """Process ids and uptimes, what runs, what is missing and why, how far retention is; its
    figures are labelled.
    """
    gap = record_of(
        5,
        kind="event",
        name="gap",
        level="error",
        status=None,
        data=b'{"count":42,"reason":"ring_full"}',
    )
    await site.store(
        gap, record_of(6, kind="event", name="retention", status=None, data=b'{"rows":7}')
    )
    await site.open("/health")
    heads = await site.page.evaluate(
        "[...document.querySelectorAll('.processes th')].map((e) => e.innerText)"
    )
    assert heads[:6] == ["Process", "PID", "Up", "In flight", "Requests", "Refused"]
    cells = (
        "[...document.querySelectorAll('.processes tbody tr')].map((r) => [...r.cells].map((e) => "
        "e.innerText))"
    )
    worker, collector = await site.page.evaluate(cells)
    assert (worker[:2], worker[3:6]) == (["worker 1", "4021"], ["2", "9", "1"])
    assert collector[1] == "4019"
    await site.page.wait_for(".events", "42")
    await site.page.wait_for(".events tr", "the ring was full")
    await site.page.wait_for(".events tr", '{"rows":7}')
    await site.page.wait_for(".facts", "12 removed since start")
    await site.page.resize(375, 900)
    label = (
        "getComputedStyle(document.querySelector('.processes td:nth-child(2)'), '::before').content"
    )
    assert await site.page.evaluate(label) == '"PID"'


@pytest.mark.parametrize(
    ("ready", "reason", "verdict"),
    [
        (False, "the ring of worker 1 is unread: its records are lost when it ends", "Not ready"),
        (True, "the data directory was removed: restart", "Degraded"),
    ],
)
async def test_health_says_what_readiness_says(
    site: Site, ready: bool, reason: str, verdict: str
) -> None:
    """A store that is there and a ledger that balances are not all that counts."""
    site.world.ready = (ready, {"degraded": ready, "reasons": [reason]})
    await site.open("/health")
    await site.page.wait_for(".verdict", verdict)
    await site.page.wait_for(".verdict-text", f"{reason[0].upper()}{reason[1:]}.")


async def test_health_says_what_holds_the_store_up(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that keeps the journal long is named while records are still taken."""
    warning = "sqlite: another program keeps the journal sidelog.db-wal at 5000000 bytes: end it"
    monkeypatch.setattr(
        "tests.ui.conftest.STATUS", {**STATUS, "storage": {"up": True, "warning": warning}}
    )
    await site.open("/health")
    await site.page.wait_for("p.warn", warning)


async def test_health_shows_replicas(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with what it is, and why where it is away; none where the store is on one server."""
    await site.open("/health")
    await site.page.wait_for(".facts", "Durability")
    assert await site.page.evaluate("document.body.innerText.includes('Replica')") is False
    of_all = {
        "version": "18.16.1",
        "reason": None,
        "read_only": False,
        "waiting": 0,
        "delay_s": 0.0,
    }
    replicas = [
        {**of_all, "host": "a:8123", "name": "first", "state": "whole"},
        {**of_all, "host": "b:8123", "name": "second", "state": "left_out", "waiting": 1234},
        {**of_all, "host": "c:8123", "name": "", "state": "away", "reason": "c:8123: refused"},
    ]
    monkeypatch.setattr(
        "tests.ui.conftest.STATUS", {**STATUS, "storage": {"up": True, "replicas": replicas}}
    )
    await site.open("/health")
    await site.page.wait_for(".facts", "Replica first\nhas everything a:8123")
    await site.page.wait_for(
        ".facts", "Replica second\nleft out until it has caught up b:8123, 1\u202f234 steps to take"
    )
    await site.page.wait_for(".facts", "Replica c:8123\naway c:8123: refused")


async def test_health_shows_the_export(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """One panel a signal, with what is wrong; none without an export."""
    await site.open("/health")
    await site.page.wait_for(".facts", "Durability")
    assert await site.page.evaluate("document.body.innerText.includes('OpenTelemetry')") is False
    counts = {
        "exported": 1234,
        "rejected": 3,
        "missed_records": 2,
        "waiting_records": 56,
        "lag_s": 61.0,
    }
    otel = [
        {
            "signal": "traces",
            **counts,
            "failures": {"timeout": 4, "throttled": 5},
            "problem": "status 503",
        },
        {"signal": "logs", **counts, "failures": {}, "problem": None},
    ]
    monkeypatch.setattr("tests.ui.conftest.STATUS", {**STATUS, "otel": otel})
    await site.open("/health")
    await site.page.wait_for("section", "OpenTelemetry traces")
    panels = await site.page.evaluate(
        "[...document.querySelectorAll('section')].map((e) => e.innerText).filter((t) => "
        "/^OpenTelemetry/i.test(t))"
    )
    assert len(panels) == 2
    assert "status 503" in panels[0]
    assert "1\u202f234 spans" in panels[0]
    assert "9 sent again" in panels[0]
    assert "no problems" in panels[1]


async def test_an_empty_store_shows_the_recipe_and_turns_into_data(empty_site: Site) -> None:
    """The command names the data port; the first record turns the page into the overview."""
    await empty_site.open("/")
    await empty_site.page.wait_for("#recipe", "curl -i http://127.0.0.1:8080/")
    await empty_site.store(record_of(1))
    await empty_site.page.wait_for(".figures", "Requests")


async def test_the_recipe_asks_a_unix_socket_by_its_path(
    empty_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients that take only a URL cannot, and are not shown."""
    proxy = {**STATUS["configuration"]["proxy"], "listen": "unix:///run/proxy.sock"}
    configuration: dict[str, Any] = {**STATUS["configuration"], "proxy": proxy}
    monkeypatch.setattr("tests.ui.conftest.STATUS", {**STATUS, "configuration": configuration})
    await empty_site.open("/")
    await empty_site.page.wait_for(
        "#recipe", "curl --unix-socket /run/proxy.sock -i http://localhost/"
    )
    await empty_site.page.wait_for(".pointers dd", "unix:///run/proxy.sock")
    assert await empty_site.page.evaluate("document.body.innerText.includes('OpenAI')") is False


async def test_a_reader_with_a_scope_is_told_no_address_and_offered_no_key(
    empty_site: Site,
) -> None:
    """The settings are not for it: no guess at the data port, and no button that would be refused."""
    page = empty_site.page
    digest = token_digest("reader")
    scope = Scope(projects=("proj_a",))
    empty_site.world.credentials.append(Credential(digest, Principal("r", "reader", scope)))
    cookie = empty_site.services.sessions.open(digest)
    await page.call(
        "Network.setCookie",
        name=COOKIE,
        value=cookie,
        url=empty_site.url,
        httpOnly=True,
        sameSite="Strict",
    )
    await empty_site.open("/")
    await page.wait_for("p", "Nothing that your token may see has been recorded")
    assert await page.evaluate("document.body.innerText.includes('8080')") is False
    await empty_site.store(record_of(1, project="proj_a"))
    await page.wait_for(".figures", "Requests")
    await empty_site.open("/keys")
    await page.wait_for("[role=alert]", "Keys need the admin token")
    assert await page.evaluate(
        "['#create', 'table.keys'].map((it) => document.querySelector(it).checkVisibility())"
    ) == [
        False,
        False,
    ]
    assert all("403" in problem for problem in page.problems), page.problems
    page.problems.clear()


async def test_login_keeps_the_address_and_refuses_a_wrong_token(site: Site) -> None:
    """Without a session a page leads to the login; a wrong token is said; the right one leads back."""
    page = site.page
    await site.open("/keys")
    await page.click("#logout")
    await page.until("location.pathname === '/login'")
    page.problems.clear()
    await page.open(site.url + "/requests?filter=status:5xx")
    await page.until("location.pathname === '/login' && document.activeElement?.id === 'token'")
    await page.type("wrong")
    await page.press("Enter")
    await page.wait_for("#error", "This is not a token of this server")
    await page.evaluate("document.querySelector('#token').value = ''")
    await page.type(TOKEN)
    await page.press("Enter")
    assert (
        await page.until("location.pathname === '/requests' && location.search")
        == "?filter=status:5xx"
    )
    assert all("401" in problem for problem in page.problems), page.problems
    page.problems.clear()


@pytest.mark.parametrize(
    "elsewhere", ["//evil.example/x", "/.//evil.example/x", "/\\evil.example/x"]
)
async def test_a_login_leads_nowhere_else(site: Site, elsewhere: str) -> None:
    """Whoever made the link."""
    page = site.page
    await page.open(f"{site.url}/login?next={quote(elsewhere)}#token={TOKEN}")
    await page.until(
        f"location.href.startsWith({json.dumps(site.url)}) && location.pathname !== '/login'"
    )
    assert not any("//evil.example" in path.partition("?")[0] for path in page.requests)
    page.problems.clear()


async def test_the_printed_address_logs_in_by_itself(site: Site) -> None:
    """The token stands in the fragment, and is gone from the address and the history afterwards."""
    await site.page.call("Network.clearBrowserCookies")
    await site.page.open(f"{site.url}/login#token={TOKEN}")
    await site.page.wait_for("h1", "Overview")
    assert TOKEN not in await site.page.evaluate("location.href + document.referrer")
    assert not any(TOKEN in path.partition("#")[0] for path in site.page.requests)


async def test_the_printed_address_logs_in_a_tab_that_shows_the_login_already(site: Site) -> None:
    """Pasted there, only the fragment changes and nothing is loaded anew."""
    page = site.page
    await page.call("Network.clearBrowserCookies")
    await page.open(f"{site.url}/login")
    await page.until("document.activeElement?.id === 'token'")
    await page.open(f"{site.url}/login#token={TOKEN}")
    await page.wait_for("h1", "Overview")
    assert TOKEN not in await page.evaluate("location.href")


async def test_without_a_data_port_nobody_is_sent_there(
    empty_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recipe gives way to what has to be done elsewhere; the health page misses no worker."""
    configuration: dict[str, Any] = {
        **STATUS["configuration"],
        "proxy": {"listen": "", "data_port": False},
    }
    monkeypatch.setattr(
        "tests.ui.conftest.STATUS", {**STATUS, "rings": [], "configuration": configuration}
    )
    await empty_site.open("/")
    await empty_site.page.wait_for("main", "This sidelog has no data port")
    await empty_site.open("/health")
    await empty_site.page.wait_for("main", "none: no data port, it shows what others record")


async def test_the_overview_of_a_young_store_shows_minutes(empty_site: Site) -> None:
    """The shortest period that holds everything, named and pressed; one that was chosen stays."""
    page = empty_site.page
    await empty_site.store(*(record_of(n) for n in range(30)))
    await empty_site.open("/")
    await page.wait_for(".periods [aria-pressed=true]", "5 m")
    await page.wait_for(".figures", "30 in total")
    await empty_site.open("/?period=1h")
    await page.wait_for(".periods [aria-pressed=true]", "1 h")
    await page.wait_for(".figures", "30 in total since ")
    assert (
        float(
            await page.evaluate(
                "document.querySelector('.figures b, .figures .number').textContent"
            )
        )
        > 0.1
    )
    await page.quiet(0.2)
    assert await page.evaluate("document.querySelectorAll('.periods button').length") == 6


async def test_the_overview_of_an_older_store_shows_an_hour(empty_site: Site) -> None:
    """Whatever was quiet since."""
    newest = record_of(1)
    await empty_site.store(
        newest, record_of(2, started_at_us=newest.started_at_us - 100 * 60_000_000)
    )
    await empty_site.open("/")
    await empty_site.page.wait_for(".periods [aria-pressed=true]", "1 h")


async def test_no_cost_looks_like_none(site: Site) -> None:
    """A sum below half a cent has more digits, and what even those cannot show is said to be less."""
    await site.open("/keys")
    path = await site.page.evaluate("document.querySelector('link[href$=\"/lib/format.js\"]').href")
    for usd, digits, shown in (
        ("0", 2, "$0.00"), ("0.004", 2, "$0.0040"), ("0.00004", 2, "<$0.0001"), ("0.00006", 4, "$0.0001"),
        ("0.099", 2, "$0.0990"), ("0.1", 2, "$0.10"), ("12.345", 2, "$12.35"), ("0.014", 4, "$0.0140"),
        ("null", 2, "no price"),
    ):  # fmt: skip
        text = await site.page.evaluate(
            f"import({path!r}).then(({{ money }}) => money({usd}, {digits}))"
        )
        assert text == shown, usd


async def test_the_theme_can_be_turned_and_stays(site: Site) -> None:
    """`t` turns light into dark, and a reload keeps it."""
    await site.page.prefer("light")
    await site.open("/keys")
    await site.page.press("t")
    await site.open("/health")
    assert await site.page.evaluate("document.documentElement.dataset.theme") == "dark"


async def test_request_logs_say_what_to_do(site: Site) -> None:
    """Request logs have six columns, code chip with its fix, and the one action that mends it."""
    await site.open("/request-logs")
    await site.page.wait_for("#logs tr", "Toggle it back on, or use a different key")
    heads = await site.page.evaluate(
        "[...document.querySelectorAll('thead th')].map((e) => e.innerText)"
    )
    assert heads == ["Time", "API key", "Endpoint", "Method", "Status", "Latency"]
    await site.page.evaluate("document.querySelector('#endpoint').focus()")
    await site.page.type("nothing-like-it")
    await site.page.wait_for(".pager", "No calls match")
    assert await site.page.evaluate("location.search") == "?endpoint=nothing-like-it"


async def test_nothing_is_cut_or_touches_on_a_narrow_screen(site: Site) -> None:
    """The names of the pages stand apart, and the figures of processes are whole."""
    await site.page.resize(390, 800)
    await site.open("/health")
    await site.page.wait_for(".processes td.figure", "4019")
    cut = (
        "[...document.querySelectorAll('.processes td')].filter((e) => e.scrollWidth > "
        "e.clientWidth).length"
    )
    assert await site.page.evaluate(cut) == 0
    gaps = await site.page.evaluate("""[...document.querySelectorAll('#nav > :is(a, button)')].map((link) => {
        const range = document.createRange();
        range.selectNodeContents(link);
        return range.getBoundingClientRect();
    }).map((box, place, boxes) => (boxes[place + 1]?.left ?? innerWidth) - box.right)""")
    assert min(gaps) >= 3


async def test_mcp_logs_open_in_place(site: Site) -> None:
    """Arguments and result stand side by side; the open row is in the address."""
    await site.open("/mcp-logs?status=success")
    await site.page.wait_for(".figures", "Success rate")
    await site.page.click("#calls tr.call", "search_tickets")
    await site.page.wait_for(".call-details", "T-20391")
    assert "open=" in await site.page.evaluate("location.search")
    assert await site.page.evaluate("document.querySelectorAll('#calls tr.call').length") == 1


async def test_failures_of_one_reason_are_told_apart_by_what_they_said(site: Site) -> None:
    """A row has the message, whole in its title, and leads to the requests that said so."""
    place: dict[str, Any] = {"path": "/orders", "endpoint": "/orders", "status": 500}
    said = ["no worker is free", "no worker is free", "the store is away", None]
    await site.store(
        *(record_of(-number, message=message, **place) for number, message in enumerate(said))
    )
    page = site.page
    await site.open("/?period=15m")
    await page.wait_for(".failing .said")
    shown = await page.evaluate(
        "[...document.querySelectorAll('.failing .message')].map((each) => each.title)"
    )
    assert shown[:2] == ["no worker is free", "the store is away"]
    await page.click(".failing tbody tr:first-child a", "http_500")
    await page.until("document.querySelectorAll('#rows tr[data-id]').length === 2")
    wanted = 'endpoint:/orders status:500 error:http_500 message:"no worker is free" level:error'
    assert wanted in await page.evaluate("document.querySelector('#filter').value")


async def test_what_fails_is_counted_whatever_else_failed_since(site: Site) -> None:
    """A burst of refusals hides no error; a row leads to as many records as it counts, and agrees
    with *Endpoints*.
    """
    burst = [
        record_of(-number - 10, path="/login", endpoint="/login", status=401)
        for number in range(350)
    ]
    burst += [
        record_of(-number, path="/jobs", endpoint="/jobs", status=500, method="POST")
        for number in range(3)
    ]
    burst += [
        record_of(-number - 5, path="/jobs", endpoint="/jobs", status=500) for number in range(2)
    ]
    await site.store(*burst)
    page = site.page
    await site.open("/?period=15m")
    rows = (
        "[...document.querySelectorAll('.failing tbody tr')].map((row) => "
        "row.innerText.replace(/\\s+/g, ' '))"
    )
    await page.wait_for(".failing tbody tr:nth-child(4)")
    shown = await page.evaluate(rows)
    assert [row.strip() for row in shown][:2] == [
        "500 http_500 POST /jobs 3",
        "500 http_500 GET /jobs 2",
    ]
    assert "401 http_401 GET /login 350" in [row.strip() for row in shown]
    assert any("upstream_timeout" in row for row in shown)
    await page.wait_for(".endpoints-most", "POST /jobs")
    await page.click(".failing tbody tr:first-child a", "http_500")
    await page.until("document.querySelectorAll('#rows tr[data-id]').length === 3")
    assert "endpoint:/jobs status:500 error:http_500 level:error" in await page.evaluate(
        "document.querySelector('#filter').value"
    )
