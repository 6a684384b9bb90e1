"""Slow and hanging answers: pages wait for what they asked for, ask no more meanwhile, and say what
does not come.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from api.access.auth import COOKIE, token_digest
from api.access.principal import Credential, Principal
from storage.query import Query, Scope, SummaryQuery
from tests.support.collecting import until
from tests.ui.conftest import Site
from tests.ui.world import record_of

FASTER = """
  for (const [object, name] of [[window, "setInterval"], [window, "setTimeout"]]) {
    const real = object[name].bind(object);
    object[name] = (action, ms, ...more) => real(action, ms / 20, ...more);
  }
  const timeout = AbortSignal.timeout.bind(AbortSignal);
  AbortSignal.timeout = (ms) => timeout(ms / 20);
"""
"""Timers of a page that go off twenty times as early."""


async def hasten(site: Site, path: str) -> None:
    """Go to a page of the UI whose timers are quick."""
    await site.open("/keys")
    await site.page.wait_for("#keys tr, .nothing")
    await site.page.evaluate(FASTER)
    await site.page.evaluate(
        f"history.pushState(null, '', '{path}'); dispatchEvent(new Event('popstate'))"
    )


def slow(read: Callable[[Query[Any]], Any], delay_s: float) -> Callable[[Query[Any]], Any]:
    """Make the totals of the store come later."""

    async def answer(query: Query[Any]) -> Any:
        if isinstance(query, SummaryQuery):
            await asyncio.sleep(delay_s)
        return await read(query)

    return answer


async def test_the_overview_waits_for_its_figures(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads them again every ten seconds, and not before they have come: else they never would."""
    storage = site.world.storage
    monkeypatch.setattr(storage, "read", slow(storage.read, 0.8))
    await hasten(site, "/?period=15m")
    await site.page.until("document.querySelector('.failing')?.checkVisibility()")
    asked = sum(path.startswith("api/heatmap") for path in site.page.requests)
    await site.page.until(
        "performance.getEntriesByType('resource').filter((e) => "
        "e.name.includes('api/heatmap')).length > 1"
    )
    assert asked == 1


async def test_the_health_page_asks_again_when_it_was_answered(site: Site) -> None:
    """Requests to a server that hangs do not pile up behind each other."""
    page = site.page
    await page.call("Fetch.enable", patterns=[{"urlPattern": "*/api/status"}])
    await hasten(site, "/health")
    await until(lambda: "api/status" in page.requests)
    await asyncio.sleep(1.5)  # fifteen polls
    assert page.requests.count("api/status") == 1
    await page.call("Fetch.disable")
    await page.wait_for(".ledger")
    await page.until(
        "performance.getEntriesByType('resource').filter((e) => "
        "e.name.endsWith('api/status')).length > 2"
    )


@pytest.mark.long
async def test_a_server_that_hangs_is_said(site: Site) -> None:
    """A connection that is dropped on its way gives no error for minutes."""
    page = site.page
    await hasten(site, "/health")
    await page.wait_for("#connection", "Connected")
    await page.call("Fetch.enable", patterns=[{"urlPattern": "*/api/ledger"}])
    await page.wait_for("#disconnected", "No connection to sidelog since")
    await page.evaluate("document.querySelector('#disconnected button').isOld = true")
    await page.evaluate("document.querySelector('#disconnected button').focus()")
    await asyncio.sleep(1.5)
    assert await page.evaluate("document.activeElement.isOld")
    await page.call("Fetch.disable")
    await page.until("document.querySelector('#disconnected').hidden")


@pytest.mark.long
async def test_a_reader_with_a_scope_hears_of_the_connection(empty_site: Site) -> None:
    """The ledger is not for it; that sidelog is away and back, and that its token was revoked, is."""
    page = empty_site.page
    digest = token_digest("reader")
    credentials = empty_site.world.credentials
    credentials.append(Credential(digest, Principal("r", "reader", Scope(projects=("proj_a",)))))
    cookie = empty_site.services.sessions.open(digest)
    await page.call(
        "Network.setCookie",
        name=COOKIE,
        value=cookie,
        url=empty_site.url,
        httpOnly=True,
        sameSite="Strict",
    )
    await empty_site.store(record_of(1, project="proj_a"))
    await empty_site.open("/requests?period=15m&live=1")
    await page.wait_for("#rows tr[data-id]")
    await page.until("document.querySelector('#equation').textContent === ''")

    async def look() -> None:
        await page.click("#rows tr[data-id]")
        await page.wait_for("#disconnected", "No connection to sidelog since")

    await empty_site.restart(meanwhile=look())
    await page.until("document.querySelector('#disconnected').hidden")
    credentials.clear()
    await page.until("location.pathname === '/login'")
    page.problems.clear()  # the browser reports the lost connection, and what is refused
