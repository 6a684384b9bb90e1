"""Views, grouping, fields as columns and the time zone, on the requests page in a real browser."""

import re

from storage.search.view import View
from tests.ui.conftest import Site

COUNT = "document.querySelectorAll('#rows tr[data-id]').length"
QUERY = "new URLSearchParams(location.search)"


async def test_fields_of_heads_and_bodies_are_columns(site: Site) -> None:
    """Added in the dialog, kept in the address, with the value or why there is none."""
    page = site.page
    await site.open("/requests?period=15m&filter=path:/v1/messages")
    await page.until(f"{COUNT} > 0")
    await page.click("#columns")
    await page.evaluate("document.querySelector('#field-name').focus()")
    await page.type("bodymodel")
    await page.press("Enter")
    await page.wait_for(".field-form .bad", "bodymodel is no field")
    await page.evaluate("document.querySelector('#field-name').value = ''")
    for name in ("request_body.model", "header.content-type", "body.nothing"):
        await page.type(name)
        await page.press("Enter")
    await page.until(
        f"{QUERY}.get('columns')?.includes('request_body.model,header.content-type,body.nothing')"
    )
    await page.press("Escape")
    cells = (
        "[...document.querySelector('#rows tr[data-id]').querySelectorAll('td.field')].map((td) "
        "=> td.textContent)"
    )
    await page.until(
        f"{cells}.join(' | ') === 'claude-x | application/json, text/event-stream | no JSON'"
    )
    await site.open("/requests" + await page.evaluate("location.search"))
    await page.wait_for("#rows tr[data-id]", "claude-x")
    await page.evaluate("document.querySelector('#export').click()")
    await page.until(
        "document.querySelector('.exports "
        "a[href*=\"format=csv\"]').href.includes('request_body.model')"
    )


async def test_the_list_is_grouped_by_a_field(site: Site) -> None:
    """By a field of records, or of bodies; a group leads to its records."""
    page = site.page
    await site.open("/requests?period=15m&by=status")
    await page.wait_for("#groups", "200")
    await page.until(
        "document.querySelector('#live').disabled && document.querySelector('#table').hidden"
    )
    await page.click("#groups tbody button")
    await page.until(
        f"{QUERY}.get('filter') === 'status:200' && {QUERY}.get('by') === null && {COUNT} > 0"
    )
    await site.open("/requests?period=15m&by=request_body.model")
    await page.wait_for("#groups", "claude-x")
    await page.until("document.querySelector('#group-by').value === 'request_body.model'")
    await site.open("/requests?period=15m&by=request_body.model&filter=status:200 or method:POST")
    await page.wait_for("#groups", "claude-x")
    await page.evaluate(
        "[...document.querySelectorAll('#groups button')].find((b) => b.textContent === "
        "'claude-x').click()"
    )
    await page.until(
        f"{QUERY}.get('filter') === '(status:200 or method:POST) request_body.model:claude-x'"
    )


async def test_a_view_is_saved_opened_renamed_and_deleted(site: Site) -> None:
    """It keeps filter, columns, period and grouping; its address shows the same; a name is given
    once.
    """
    page = site.page
    await site.open(
        "/requests?period=24h&filter=status:503&columns=status,path,duration,header.x-a"
    )
    await page.click("#open-views")
    await page.wait_for("#views", "No views yet")
    await page.evaluate("document.querySelector('#view-name').focus()")
    await page.type("What fails")
    await page.press("Enter")
    await page.wait_for("#views", "What fails")
    [view] = await site.services.storage.views("")
    assert (view.name, view.query, view.since) == ("What fails", "status:503", "24h")
    assert view.columns == ("status", "path", "duration", "header.x-a")
    await site.open("/requests?view=What%20fails")
    await page.until(f"{QUERY}.get('filter') === 'status:503' && {QUERY}.get('period') === '24h'")
    await page.until("document.querySelector('th.field')?.textContent === 'header.x-a'")
    await page.click("#open-views")
    await page.wait_for("#views", "What fails")
    await page.evaluate(
        "[...document.querySelectorAll('#views button')].find((b) => b.textContent === "
        "'Rename').click()"
    )
    await page.evaluate("document.querySelector('#new-name').select()")
    await page.type("Broken")
    await page.press("Enter")
    await page.wait_for("#views", "Broken")
    await page.evaluate(
        "[...document.querySelectorAll('#views button')].find((b) => b.textContent === "
        "'Delete').click()"
    )
    await page.click("dialog .danger")
    await page.wait_for("#views", "No views yet")


async def test_a_view_of_the_command_line_opens(site: Site) -> None:
    """Its columns have other names there; what is no column here is left out; an unknown name is
    said.
    """
    await site.services.storage.put_view(
        "", View(name="cli", columns=("time", "code", "ms", "seq"), since="2h", group_by="path")
    )
    page = site.page
    await site.open("/requests?view=cli")
    await page.until(
        f"{QUERY}.get('columns') === 'started,status,duration' && {QUERY}.get('by') === 'path'"
    )
    assert (
        await page.evaluate(f"Date.parse({QUERY}.get('until')) - Date.parse({QUERY}.get('since'))")
        == 7_200_000
    )
    await site.open("/requests?view=nobody")
    await page.wait_for("#filter-error", "there is no view “nobody”")


async def test_the_zone_is_said_and_kept(site: Site) -> None:
    """One press shows UTC everywhere, another the browser's zone again."""
    page = site.page
    await site.open("/requests?period=15m")
    await page.until(f"{COUNT} > 0")
    local = await page.evaluate("document.querySelector('td.started').textContent")
    await page.click("#zone")
    await page.until(
        "document.querySelector('#zone')?.textContent === 'UTC' && localStorage.zone === 'utc'"
    )
    await page.until(f"{COUNT} > 0")
    title = await page.evaluate("document.querySelector('td.started').title")
    found = re.fullmatch(r"\S+ (\S+) UTC, \S+T(\S+)Z", title)
    assert found is not None
    assert found[1] == found[2]
    await page.click("#zone")
    await page.until("localStorage.zone === 'local'")
    await page.until(f"{COUNT} > 0")
    assert await page.evaluate("document.querySelector('td.started').textContent") == local
