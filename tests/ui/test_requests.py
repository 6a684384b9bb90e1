"""The requests page: filters and the open record are the address, live mode pauses and resumes,
details show all.
"""

import json

import pytest

from storage.record import format_id
from storage.relational import slices
from tests.support.browser import Page
from tests.ui.conftest import Site
from tests.ui.world import record_of

COUNT = "document.querySelectorAll('#rows tr[data-id]').length"


async def forget_refusals(page: Page) -> None:
    """A browser reports answers that refuse a search; nothing else may be wrong."""
    await page.quiet()
    assert all("400 (Bad Request)" in problem for problem in page.problems), page.problems
    page.problems.clear()


async def test_filters_round_trip_through_the_address(site: Site) -> None:
    """Box, facet and period end in the address; Back undoes; a reload shows the same; a bad word is
    said.
    """
    page = site.page
    await site.open("/requests?period=15m&facets=1")
    await page.wait_for("#rows tr[data-id]")
    await page.press("/")
    await page.type("path:/slow")
    await page.press("Enter")
    await page.until(f"{COUNT} === 1")
    await page.click("[data-facet='status:5xx']")
    await page.until(
        "new URLSearchParams(location.search).get('filter') === 'path:/slow status:5xx'"
    )
    await page.press("3")
    await page.until("new URLSearchParams(location.search).get('period') === '3h'")
    await site.open("/requests" + await page.evaluate("location.search"))
    await page.until(
        f"{COUNT} === 1 && document.querySelector('#filter').value === 'path:/slow status:5xx'"
    )
    await page.evaluate("history.go(-2)")
    await page.until("new URLSearchParams(location.search).get('filter') === 'path:/slow'")
    await page.evaluate(
        "document.querySelector('#filter').focus(); document.querySelector('#filter').select()"
    )
    await page.type("min_latency_ms:1.5s")
    await page.press("Enter")
    await page.wait_for("#filter-error", "whole milliseconds")
    await forget_refusals(page)


async def test_an_outgoing_call_is_told_from_what_comes_in(site: Site) -> None:
    """By a sign and its host in the list, by a facet, and by its URL on its page."""
    call = record_of(
        1, direction="out", scheme="https", host="api.a.test", path="/v1/charges", query="a=1"
    )
    await site.store(call, record_of(2))
    page = site.page
    await site.open("/requests?period=15m&facets=1")
    row = f"tr[data-id='{format_id(call.id)}']"
    await page.wait_for(f"{row} .path", "→ api.a.test/v1/charges")
    await page.click("[data-facet='direction:out']")
    await page.until(f"{COUNT} === 1")
    await page.click(row)
    await page.wait_for(".sheet h2", "https://api.a.test/v1/charges?a=1")


async def test_facets_are_chosen_quickly_and_by_keyboard(site: Site) -> None:
    """The second before the first is shown; the focus stays; a press that began before counts are
    new is a click.
    """
    page = site.page
    failed, get = (
        f"document.querySelector('[data-facet=\"{facet}\"]')"
        for facet in ("status:5xx", "method:GET")
    )
    await site.open("/requests?period=15m&facets=1")
    await page.until(f"{failed} && {get}")
    await page.evaluate(f"{failed}.click(); {get}.click()")
    await page.until(
        "new URLSearchParams(location.search).get('filter') === 'status:5xx method:GET'"
    )
    await page.until(
        f"{COUNT} && {failed}.checked && {get}.checked && "
        "!document.querySelector('.facets.loading')"
    )
    await page.evaluate(f"{failed}.focus(); {failed}.isOld = true")
    await page.press(" ")
    await page.until(f"!{failed}.isOld && !{failed}.checked")
    assert await page.evaluate(f"document.activeElement === {failed}")
    x, y = await page.evaluate(
        f"(({{ x, y }}) => [x + 5, y + 5])({failed}.getBoundingClientRect())"
    )
    await page.evaluate(f"{failed}.isOld = true")
    await page.call(
        "Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, button="left", clickCount=1
    )
    await page.evaluate(f"{get}.click()")
    await page.until(f"!new URLSearchParams(location.search).has('filter') && {COUNT} > 1")
    await page.quiet()
    assert await page.evaluate(f"{failed}.isOld")
    await page.call(
        "Input.dispatchMouseEvent", type="mouseReleased", x=x, y=y, button="left", clickCount=1
    )
    await page.until("new URLSearchParams(location.search).get('filter') === 'status:5xx'")
    await page.until(f"!{failed}.isOld && {failed}.checked")


async def test_the_box_takes_a_search(site: Site) -> None:
    """Anything the language says: brackets, negation, patterns; a facet adds to it; an error says
    where.
    """
    page = site.page
    await site.open("/requests?period=15m&facets=1&filter=(path:/sl* or path:/none) -method:POST")
    await page.until(f"{COUNT} === 1")
    await page.click("[data-facet='status:5xx']")
    wanted = "'(path:/sl* or path:/none) -method:POST status:5xx'"
    await page.until(f"new URLSearchParams(location.search).get('filter') === {wanted}")
    await page.until(f"{COUNT} === 1 && document.querySelector('#filter').value === {wanted}")
    await page.click("[data-facet='status:5xx']")
    await page.until("!new URLSearchParams(location.search).get('filter').includes('status')")
    await page.evaluate(
        "document.querySelector('#filter').focus(); document.querySelector('#filter').select()"
    )
    await page.type("path:/slow statsu:500")
    await page.press("Enter")
    await page.wait_for(
        "#filter-error", "at character 12: 'statsu' is an unknown search word; did you mean status?"
    )
    await forget_refusals(page)


async def test_a_status_that_is_not_counted_shows_no_count(site: Site) -> None:
    """Of statuses the classes are counted: one in the box has a dot, and the mark of its class."""
    page = site.page
    await site.open("/requests?period=15m&facets=1&filter=path:/slow status:504")
    await page.until(f"{COUNT} === 1")
    line = "document.querySelector(\"[data-facet='status:504']\")?.closest('label')"
    await page.until(f"{line}?.innerText.split(/\\s+/).join(' ').trim() === '504 ·'")
    assert await page.evaluate(
        f"[{line}.classList.contains('zero'), !!{line}.querySelector('.error')]"
    ) == [
        False,
        True,
    ]


async def test_a_search_that_has_found_nothing_goes_on_by_itself(
    empty_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answer comes to the end of its time; the page asks on until something is found, and then
    waits.
    """
    page = empty_site.page
    storage = empty_site.world.storage
    monkeypatch.setattr(slices, "FIRST_SLICE", 10)
    monkeypatch.setattr(slices, "SLICE_S", 1e-9)
    monkeypatch.setattr(storage._reads, "_budget_s", 0.0)  # type: ignore[attr-defined]
    wanted = [record_of(91, path="/the/oldest"), record_of(90, path="/the/older")]
    await empty_site.store(*wanted, *[record_of(number) for number in range(60, 0, -1)])
    await empty_site.open("/requests?period=15m&filter=path:/the/old*")
    await page.wait_for("#foot", "2 shown, end of the list")
    asked = [path for path in page.requests if path.startswith("api/records?")]
    assert len(asked) == 7
    assert sum("cursor=" in path for path in asked) == 6


async def test_only_what_is_in_sight_is_drawn_and_older_pages_come(site: Site) -> None:
    """A page of the list at a time, by a button or as its end comes near; few rows in the document,
    all of them counted, and the brush zooms.
    """
    page = site.page
    await site.open("/requests?period=15m")
    total = (await page.wait_for("#sum", "records")).split()[0]
    await page.wait_for("#foot", f"100 shown of {total}")
    assert await page.evaluate(COUNT) < 80
    before = len([path for path in page.requests if path.startswith("api/records?")])
    await page.evaluate("document.querySelector('#older').click()")
    await page.wait_for("#foot", "200 shown")
    assert len([path for path in page.requests if path.startswith("api/records?")]) == before + 1
    await page.press("End")
    await page.wait_for("#foot", f"{total} shown, end of the list")
    assert await page.evaluate(COUNT) < 80
    await page.press("End")
    await page.wait_for("#rows tr[data-id]", "/api/users/400")
    assert not any(path.startswith("api/records/stream") for path in page.requests)
    await page.drag(".mini-chart", 0.8, 0.99)
    await page.click(".brush-label button")
    await page.until("location.search.includes('since=')")


async def test_what_is_loaded_is_bounded(site: Site) -> None:
    """However far one scrolls: at the bound the list says how to see older records."""
    await site.open("/requests?period=15m")
    kept = await site.page.evaluate("""import("/ui/newest/list/loaded-records.js").then(({ LoadedRecords }) => {
        const loaded = new LoadedRecords();
        for (let at = 0; at < 21; at += 1) {
            const records = Array.from({ length: 1000 }, (_, index) => ({ id: `${at} ${index}` }));
            loaded.appendOlder({ records, next_cursor: "more", complete: true });
        }
        return [loaded.stored.length, loaded.cursor, loaded.isCut];
    })""")
    assert kept == [20_000, None, True]


async def test_rows_are_in_the_order_in_which_they_started(site: Site) -> None:
    """Of pages and live records alike, whatever the order in which they ended; a notice stays where
    it came.
    """
    await site.open("/requests?period=15m")
    shown = await site.page.evaluate("""import("/ui/newest/list/loaded-records.js").then(({ LoadedRecords }) => {
        const loaded = new LoadedRecords();
        const one = (start, seq) => ({ id: `${start}`, started_at_us: start, seq });
        const page = (...records) => ({ records, next_cursor: "more", complete: true, arrivals: 0 });
        loaded.setNewest(page(one(30, 9), one(12, 8), one(20, 7)));
        loaded.add([{ id: "notice", started_at_us: 31 }, one(14, 10)]);
        loaded.add([one(40, 12), one(5, 11), one(14, 10)]);
        loaded.appendOlder(page(one(16, 6), one(3, 5), one(12, 8)));
        return loaded.items.map((item) => item.record.id);
    })""")
    assert shown == ["40", "notice", "30", "20", "16", "14", "12", "5", "3"]


async def test_tools_fit_on_a_phone(site: Site) -> None:
    """Some of them, and a button that shows the rest; none is cut."""
    page = site.page
    shown = """[...document.querySelector('.tool-buttons').children]
        .filter((tool) => tool.getClientRects().length)"""
    for width, few in ((320, 4), (375, 4)):
        await page.resize(width, 740)
        await site.open("/requests?period=15m")
        await page.wait_for("#rows tr[data-id]")
        assert await page.evaluate(f"{shown}.length") == few
        await page.click(".tool-buttons button", "More")
        await page.wait_for("#export")
        await page.wait_for(".periods")
        assert await page.evaluate(
            f"{shown}.every((tool) => tool.getBoundingClientRect().right <= innerWidth)"
        )
        await page.click(".tool-buttons button", "More")
        assert await page.evaluate(f"{shown}.length") == few


async def test_live_mode_pauses_without_losing_the_place(site: Site) -> None:
    """New records come on top; paused they are counted, with the bad ones; resuming shows them in
    order.
    """
    page = site.page
    await site.open("/requests?period=15m&live=1")
    await page.wait_for("#live-bar", "Live")
    await site.listened()
    await site.store(record_of(-1, path="/live/first"))
    await page.wait_for("#rows tr[data-id]", "/live/first")
    await page.press(" ")
    await page.wait_for("#live-bar", "Paused at")
    await site.store(
        record_of(-2, path="/live/second"), record_of(-3, path="/live/third", status=500)
    )
    await page.wait_for("#live-bar", "2 new since")
    assert "/live/second" not in await page.wait_for("#rows")
    await page.press(" ")
    await page.wait_for("#rows tr[data-id]", "/live/second")
    paths = await page.evaluate(
        "[...document.querySelectorAll('#rows td.path')].slice(0, 3).map((e) => e.innerText.trim())"
    )
    assert paths == ["/live/third", "/live/second", "/live/first"]


async def test_live_mode_survives_a_restart_of_the_server(site: Site) -> None:
    """What was stored while the server was away comes after it, once; the page says what happened."""
    page = site.page
    await site.open("/requests?period=15m&live=1")
    await site.listened()
    await site.store(record_of(-1, path="/before"))
    await page.wait_for("#rows tr[data-id]", "/before")
    await site.restart(record_of(-2, path="/meanwhile"))
    await page.wait_for("#rows", "Nothing was missed")
    await page.wait_for("#rows tr[data-id]", "/meanwhile")
    await site.store(record_of(-3, path="/after"))
    await page.wait_for("#rows tr[data-id]", "/after")

    for path in ("/before", "/meanwhile", "/after"):
        assert (
            await page.evaluate(f"document.querySelector('#rows').innerText.split('{path}').length")
            == 2
        )

    assert all("ERR_" in problem for problem in page.problems), page.problems
    page.problems.clear()  # the browser reports the lost connection


async def test_tabs_share_one_stream(site: Site) -> None:
    """A second tab of the browser gets what the first one hears, and goes on alone when that one
    leaves.
    """
    page = site.page
    await site.open("/requests?period=15m&live=1")
    await site.listened()

    async with page.sibling() as other:
        await other.open(site.url + "/requests?period=15m&live=1")
        await other.wait_for("#live-bar", "Live")
        await site.store(record_of(-1, path="/shared"))
        await other.wait_for("#rows tr[data-id]", "/shared")
        assert len(site.tail.subscribers) == 1
        await page.press("l")
        await site.store(record_of(-2, path="/alone"))
        await other.wait_for("#rows tr[data-id]", "/alone")
        assert other.problems == []


async def test_the_keys_go_through_what_was_just_searched_for(site: Site) -> None:
    """A search that is sent gives them back to the page; one that cannot be read keeps the box."""
    page = site.page
    await site.open("/requests?period=15m")
    await page.press("/")
    await page.type("status:nonsense")
    await page.press("Enter")
    await page.wait_for(".bad", "status")
    await page.until("document.activeElement.type === 'search'")
    await forget_refusals(page)
    await page.evaluate("document.activeElement.value = ''")
    await page.type("path:/slow")
    await page.press("Enter")
    await page.until("document.querySelectorAll('#rows tr[data-id]').length === 1")
    await page.press("j")
    await page.press("Enter")
    await page.wait_for("#sheet h2", "/slow")


async def test_the_keyboard_alone_reaches_everything(site: Site) -> None:
    """Rows, the sheet, its tabs, the next record, closing, pages and the list of shortcuts."""
    page = site.page
    await site.open("/requests?period=15m&filter=path:/api/users")
    await page.wait_for("#rows tr[data-id]")
    await page.press("j")
    await page.press("j")
    await page.press("Enter")
    await page.wait_for("#sheet [role=tabpanel]")
    first = await page.evaluate("new URLSearchParams(location.search).get('record')")
    await page.press("j")
    await page.until(f"!location.search.includes('{first}')")
    await page.wait_for("#sheet [role=tabpanel]")
    before = await page.evaluate("document.querySelector('#sheet [aria-selected=true]').id")
    await page.press("]")
    await page.until(
        "location.search.includes('tab=') && "
        f"!document.querySelector('#{before}[aria-selected=true]')"
    )
    await page.press("Escape")
    await page.until(
        "document.querySelector('#sheet').hidden && document.activeElement.matches('tr[data-id]')"
    )
    await page.press("?")
    await page.wait_for("dialog", "pause or resume")
    await page.press("Escape")
    await page.until("!document.querySelector('dialog')")

    for key, path in (("h", "/health"), ("k", "/keys"), ("o", "/")):
        await page.press("g")
        await page.press(key)
        await page.until(f"location.pathname === '{path}' && document.querySelector('main h1')")


@pytest.mark.parametrize(
    ("path", "scroller"),
    [
        ("/requests?period=15m", ".log"),
        ("/requests?period=15m&by=path", ".log"),
        ("/?period=15m", "main"),
        ("/mcp-logs", "main"),
        ("/conversations", ".list-side"),
    ],
)
async def test_keys_scroll_what_is_shown(site: Site, path: str, scroller: str) -> None:
    """As it was loaded, where nothing has the focus, and from a button above."""
    page = site.page
    await page.resize(1280, 300)
    await site.open(path)
    at = f"document.querySelector('{scroller}').scrollTop"
    await page.until(
        f"(({{ scrollHeight, clientHeight }}) => scrollHeight > clientHeight + 9)("
        f"document.querySelector('{scroller}'))"
    )
    await page.quiet()
    await page.press("PageDown")
    await page.until(f"{at} > 0")
    await page.press("Home")
    await page.until(f"{at} === 0")
    await page.press("End")
    await page.until(f"{at} > 0")
    await page.press("PageUp")
    await page.press("Home")
    await page.until(f"{at} === 0")
    await page.press(" ")
    await page.until(f"{at} > 0")
    await page.press("Home")
    await page.evaluate("document.querySelector('#nav a').focus()")
    await page.press("PageDown")
    await page.until(f"{at} > 0")


async def test_rows_and_screens_take_turns(site: Site) -> None:
    """A row that was scrolled away has the focus no more: the keys for rows go on with what is seen."""
    page = site.page
    await site.open("/requests?period=15m")
    await page.wait_for("#rows tr[data-id]")
    at = "document.querySelector('.log').scrollTop"
    focused = "Number(document.activeElement.getAttribute('aria-rowindex'))"
    await page.press("j")
    await page.until(f"{focused} === 2")
    await page.press("PageDown")
    await page.until(f"{at} > 400 && {focused} === 0")
    seen = await page.evaluate(at)
    await page.press("PageDown")
    await page.until(f"{at} > {seen} + 400")
    await page.press("j")
    await page.until(f"{focused} > 30")
    await page.press("End")
    await page.until(f"{at} > 1500")
    await page.press("Home")
    await page.until(f"{at} === 0")


async def test_a_row_says_what_was_asked_where_the_path_does_not(site: Site) -> None:
    """Of MCP and GraphQL, which post all to one path; and why it failed behind a status of 200."""
    await site.open("/requests")
    await site.page.wait_for("#filter")
    rows: list[dict[str, object]] = [
        {"data": {"mcp": {"method": "tools/call", "name": "add"}}},
        {"endpoint": "/graphql#GetUser"},
        {
            "endpoint": "/graphql#{operation}",
            "level": "warn",
            "error_type": "graphql_error",
            "data": {"error_message": "no"},
        },
    ]
    usual: dict[str, object] = {
        "kind": "exchange",
        "level": "info",
        "outcome": "ok",
        "shed": "none",
    }
    details = await site.page.evaluate(
        f"""import("/ui/newest/list/rows.js").then(({{ COLUMNS }}) =>
          {json.dumps([usual | row for row in rows])}.map((row) => COLUMNS.what[1](row).textContent))"""
    )
    assert details == ["tools/call add", "GetUser", "graphql_error: no"]


async def test_a_failure_says_why_in_its_row(site: Site) -> None:
    """In the words of its record, which are those of *What is failing*, or of its status; errors
    alone are those with 4xx, too.
    """
    page = site.page
    said = {"/locked": "Order … is locked", "/text": "Traceback: KeyError currency", "/plain": None}
    await site.store(
        *(
            record_of(number, path=path, status=409, message=message)
            for number, (path, message) in enumerate(said.items(), 20)
        )
    )
    await site.open("/requests?period=15m")
    await page.press("e")
    rows = """Object.fromEntries([...document.querySelectorAll("#rows tr[data-id]")].map((row) =>
      [row.cells[3].innerText, row.cells[4].innerText]))"""
    await page.until(f"{rows}['/locked'] === 'Order … is locked'")
    found = await page.evaluate(rows)
    assert (found["/text"], found["/plain"]) == ("Traceback: KeyError currency", "Conflict")
    assert "/slow" in found
    await page.press("e")
    await page.until("!location.search.includes('level')")


async def test_a_record_of_the_address_is_brought_into_sight(site: Site) -> None:
    """Whichever page of the list it is on, and whatever period the address names; its row is
    marked.
    """
    page = site.page
    old = record_of(90_000, path="/old")
    pages = [record_of(500 + number, path=f"/page/{number}") for number in range(300)]
    await site.store(old, *reversed(pages))
    marked = """(() => { const row = document.querySelector("#rows tr[aria-current=true]")?.getBoundingClientRect();
      const log = document.querySelector(".log").getBoundingClientRect();
      return row && row.top >= log.top && row.bottom <= log.bottom; })()"""
    await site.open(f"/requests?period=15m&record={format_id(pages[270].id)}")
    await page.until(marked)
    await site.open(f"/requests?period=15m&record={format_id(old.id)}")
    await page.until(f"location.search.includes('since=') && {marked}")
    await page.wait_for("#rows tr[aria-current]", "/old")
