"""What pages say while the server does not answer, or not yet, and that they go on by themselves
when it does.
"""

import asyncio

import pytest

from storage.errors import StorageOpening
from storage.query import Page, RecordQuery
from tests.support.pages import answer_pages
from tests.ui.conftest import Site


async def test_a_lost_server_is_said_and_what_is_shown_stays(site: Site) -> None:
    """After three seconds a bar says since when; the rows stay; it goes when the server is back."""
    await site.open("/requests?period=15m")
    await site.page.wait_for("#rows tr[data-id]")
    await site.restart(
        meanwhile=site.page.wait_for("#disconnected", "No connection to sidelog since")
    )
    await site.page.wait_for("#rows tr[data-id]")
    await site.page.until("document.querySelector('#disconnected').hidden")
    assert all("ERR_" in problem for problem in site.page.problems), site.page.problems
    site.page.problems.clear()  # the browser reports the lost connection


async def test_a_store_that_is_being_opened_is_waited_for(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its first moments sidelog answers 503: that is said, and the page comes by itself."""
    storage = site.world.storage
    is_open = asyncio.Event()
    select = storage.read

    async def opening(query: RecordQuery) -> Page:
        if not is_open.is_set():
            raise StorageOpening("the store is being opened")
        return await select(query)

    answer_pages(monkeypatch, storage, opening)
    await site.page.open(f"{site.url}/requests?period=15m")
    await site.page.wait_for("#disconnected", "Waiting: the store is being opened.")
    is_open.set()
    await site.page.wait_for("#rows tr[data-id]")
    await site.page.until("document.querySelector('#disconnected').hidden")
    assert site.page.problems
    assert all("503" in problem for problem in site.page.problems), site.page.problems
    site.page.problems.clear()  # the browser reports each of them


async def test_a_page_asked_for_without_the_server_comes_with_it(site: Site) -> None:
    """Its script could not be fetched: that is said, and made good when the server is back."""
    await site.page.call("Network.clearBrowserCache")  # where it is of a test before
    await site.open("/requests?period=15m")
    await site.page.wait_for("#rows tr[data-id]")

    async def look() -> None:
        await site.page.wait_for("#disconnected", "No connection to sidelog since")
        await site.page.click("#nav a", "Endpoints")
        await site.page.wait_for("main .failed", "sidelog does not answer")

    await site.restart(meanwhile=look())
    await site.page.wait_for("#endpoints tr", "GET")
    assert all("ERR_" in problem for problem in site.page.problems), site.page.problems
    assert any("/endpoints/page.js" in problem for problem in site.page.problems), (
        site.page.problems
    )
    site.page.problems.clear()
