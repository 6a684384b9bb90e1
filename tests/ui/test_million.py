"""The UI over a store of a million records: every page, few requests, few rows in the document,
counts.

The store is made first, which takes a minute; `SIDELOG_TEST_STORE` names a directory with one to
copy instead (`python -m bench.generate --recent --storage sqlite:///sidelog.db`).
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.generate import fill
from storage.backends import open_storage
from storage.record import now_us
from storage.relational.time_ranges import DAY_US
from tests.ui.conftest import Ports, Site, open_site

RECORDS = 1_000_000
DAYS = 10.0
URL = "sqlite:///sidelog.db"
ROWS = "document.querySelectorAll('#rows tr[data-id]').length"

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


async def make_store(directory: Path) -> None:
    """Fill a store with records that end now."""
    async with await open_storage(URL, directory, durability="fast") as storage:
        await fill(
            storage, RECORDS, DAYS, has_payloads=False, start_us=now_us() - int(DAYS * DAY_US)
        )


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the store."""
    made = tmp_path_factory.mktemp("million")
    ready = os.environ.get("SIDELOG_TEST_STORE")
    if ready:
        shutil.copy(Path(ready) / "sidelog.db", made)
    else:
        asyncio.run(make_store(made))

    return made


@pytest.fixture
async def site(chromium: Ports, directory: Path) -> AsyncIterator[Site]:
    """The UI over it."""
    async for made in open_site(chromium, directory, url=URL, is_filled=False):
        yield made


@pytest.mark.parametrize(
    ("path", "selector"),
    [
        ("/?period=24h", ".failing tbody tr"),
        ("/?period=7d", ".failing tbody tr"),
        ("/requests?period=7d&facets=1", ".facet"),
        ("/requests?period=7d&filter=status:5xx", "#rows tr[data-id]"),
        ("/requests?period=7d&filter=service:service-7 level:error", "#rows tr[data-id]"),
        ("/conversations?period=7d", ".pager"),
        ("/mcp-logs?period=7d", ".pager"),
        ("/request-logs", ".pager"),
        ("/keys", "h1"),
        ("/health", ".ledger"),
    ],
)
async def test_every_page_renders(site: Site, path: str, selector: str) -> None:
    """With data, wide and narrow, asking for no more than a dozen answers of the API."""
    await site.open(path)
    await site.page.wait_for(selector)
    await site.page.quiet()
    assert len([one for one in site.page.requests if one.startswith("api/")]) <= 12
    await site.page.resize(375, 900)
    assert await site.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


async def test_the_list_goes_on_and_the_document_stays_small(site: Site) -> None:
    """Ten pages of the list, one answer of the API each and at most one about what its failures say;
    few rows are made.
    """
    page = site.page
    await site.open("/requests?period=7d")
    await page.wait_for("#older")

    for number in range(2, 11):
        await page.evaluate("document.querySelector('#older').click()")
        await page.until(
            "document.querySelector('#foot').innerText.replace(/\\s/g, "
            f"'').startsWith('{number * 100}shown')"
        )

    assert await page.evaluate(ROWS) < 80
    asked = [one for one in page.requests if one.startswith("api/records?")]
    pages = [one for one in asked if "fields=" not in one]
    assert len(pages) == 10
    assert len(asked) - len(pages) <= 10


async def test_counts_are_shown_where_they_are_known(site: Site) -> None:
    """Of a week: status and services; of few records: everything."""
    await site.open("/requests?period=7d&facets=1")
    await site.page.wait_for("[data-facet='status:2xx']")
    number = "document.querySelector(\"[data-facet='status:5xx']\").closest('label').querySelector('.number').innerText"
    assert int("".join((await site.page.evaluate(number)).split())) > 1000
    await site.open("/requests?period=1h&facets=1&filter=service:service-7")
    await site.page.wait_for("[data-facet='method:GET']")
    shown = "[...document.querySelectorAll('.facet .number')].map((one) => one.innerText)"
    assert "·" not in await site.page.evaluate(shown)
