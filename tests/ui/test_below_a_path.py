"""The UI behind a real nginx, below a path and behind an auth proxy: everything it asks for is
there.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from api.app import make_app
from tests.api.conftest import TOKEN
from tests.support.browser import Page
from tests.support.long import long
from tests.support.nginx import nginx
from tests.ui import world
from tests.ui.conftest import Site
from tests.ui.test_pages import PAGES
from tests.ui.world import record_of

STRIPPING = "location /sidelog/ {{ proxy_pass http://127.0.0.1:{port}/; proxy_buffering off; }}"
PASSING = "location /sidelog/ {{ proxy_pass http://127.0.0.1:{port}; proxy_buffering off; {more} }}"
NAMED = "proxy_set_header X-Forwarded-Prefix /sidelog;"
FRONTS: dict[str, tuple[str, dict[str, Any]]] = {
    "taken off, nothing said": (STRIPPING, {}),
    "taken off, in the settings": (STRIPPING, {"base_path": "/sidelog"}),
    "passed on, in the settings": (PASSING.replace("{more}", ""), {"base_path": "/sidelog"}),
    "passed on, said by a trusted proxy": (
        PASSING.replace("{more}", NAMED),
        {"is_trusted_proxy": lambda address: True},
    ),
}
BRIEF = ("taken off, nothing said", "passed on, said by a trusted proxy")
"""Those that differ most."""


@asynccontextmanager
async def behind(site: Site, directory: Path, locations: str, **changes: Any) -> AsyncIterator[str]:
    """Serve the site's services once more, behind nginx; gives its address. What is in no location
    is a 404.
    """
    tail = changes.pop("tail", site.tail)
    services = replace(site.services, streams=replace(site.services.streams, tail=tail), **changes)
    await site.page.call("Network.clearBrowserCookies")  # which are those of all ports
    server = TestServer(make_app(services))
    await server.start_server()

    try:
        with nginx(
            directory / "nginx", f"server {{ listen 80; {locations.format(port=server.port)} }}"
        ) as front:
            yield front
            await site.page.leave()  # or what it still hears of the front ends with an error
    finally:
        await server.close()


async def log_in(page: Page, address: str) -> None:
    """Open a page without a session, and log in where that leads."""
    await page.open(address)
    await page.wait_for("#token")
    await page.until(
        "location.search.startsWith('?next=') && document.activeElement?.id === 'token'"
    )
    page.problems.clear()  # the 401 that led there
    await page.type(TOKEN)
    await page.press("Enter")
    place = address.partition("?")[0]
    await page.until(
        f"location.href.split('?')[0] === '{place}' && "
        "document.querySelector('main').children.length > 0"
    )


@pytest.mark.parametrize("front", [front if front in BRIEF else long(front) for front in FRONTS])
async def test_everything_is_found_below_a_path(site: Site, tmp_path: Path, front: str) -> None:
    """Login, every page, files, API, live records, downloads, copied addresses and the logout stay
    there.
    """
    page = site.page
    locations, changes = FRONTS[front]
    async with behind(site, tmp_path, locations, **changes) as url:
        root = f"{url}/sidelog/"
        page.requests.clear()
        await log_in(page, root + "endpoints?period=15m")

        for path, (selector, text) in PAGES.items():
            await page.click(
                f"#nav a[href$='{path.removeprefix('/')}']" if path != "/" else ".brand"
            )
            await page.wait_for(selector, text)
            assert await page.evaluate("location.href.split('?')[0]") == root + path[1:]
            assert (
                await page.evaluate("document.querySelector('#nav [aria-current]').href")
                == root + path[1:]
            )

        await page.open(root + "requests?live=1")
        await page.wait_for("#live-bar", "Live")
        await page.wait_for("#rows tr[data-id]")
        await site.store(record_of(9001, path="/arrived-live", started_at_us=world.NOW_US))
        await page.wait_for("#rows tr[data-id]", "/arrived-live")
        await page.press("j")
        await page.press("Enter")
        await page.until("new URLSearchParams(location.search).has('record')")
        await page.click("#sheet .actions button", "More")
        await page.wait_for("a[download]")
        links = await page.evaluate("[...document.links].map((link) => link.href)")
        assert links

        assert {link[: len(root)] for link in links} == {root}
        for link in await page.evaluate(
            "[...document.querySelectorAll('a[download]')].map((link) => link.href)"
        ):
            assert await page.evaluate(f"fetch('{link}').then((answer) => answer.status)") == 200

        await page.open(
            f"{root}compare?a={site.records['cut'].id.hex()}&b={site.records['binary'].id.hex()}"
        )
        await page.wait_for("[data-part=response_body]")
        assert str(await page.evaluate("document.querySelector('.side a').href")).startswith(root)
        await page.open(root + "docs")
        await page.wait_for("#operations nav", "/api/records")
        await page.open(root)
        await page.wait_for(*PAGES["/"])
        await page.click("#logout")
        await page.until(f"location.href.split('?')[0] === '{root}login'")
        await page.quiet()
        page.problems.clear()  # 401 of what was under way

    assert {path.partition("/")[0] for path in page.requests if path} == {"sidelog"}


async def test_tabs_of_two_sidelogs_on_a_host_share_no_stream(site: Site, tmp_path: Path) -> None:
    """Each shows the records of its own, though a browser takes both for one origin."""
    locations = (
        "location /a/ {{ proxy_pass http://127.0.0.1:{port}/; proxy_buffering off; }} location "
        "/b/ {{ proxy_pass "
    )
    locations += f"{site.url}/; proxy_buffering off; }}}}"
    async with behind(site, tmp_path, locations) as url, site.page.sibling() as other:
        await log_in(site.page, url + "/a/requests?live=1")
        await log_in(other, url + "/b/requests?live=1")
        for page in (site.page, other):
            await page.wait_for("#live-bar", "Live")
        names = [
            await page.evaluate(
                "navigator.locks.query().then((all) => all.held.map((lock) => lock.name))"
            )
            for page in (site.page, other)
        ]
        of_streams = sorted(name for name in names[0] if name.startswith("sidelog-records"))
        assert len(of_streams) == 2
        assert of_streams[0].startswith(f"sidelog-records {url}/a/ ")
        assert of_streams[1].startswith(f"sidelog-records {url}/b/ ")


AUTH_PROXY = """location / {{
    auth_request /auth;
    proxy_set_header Host $http_host;
    proxy_set_header Authorization "Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2ln";
    proxy_pass http://127.0.0.1:{port};
    proxy_buffering off;
}}
location = /auth {{ internal; return 204; }}"""


async def test_an_auth_proxy_that_adds_a_token_of_its_own_ends_in_no_loop(
    site: Site, tmp_path: Path
) -> None:
    """Its header is none of our tokens: the login is asked for once, and the session counts from
    then on.
    """
    async with behind(site, tmp_path, AUTH_PROXY) as url:
        await log_in(site.page, url + "/requests?period=15m")
        await site.page.wait_for("#rows tr[data-id]", "/api/users/")
        await site.page.open(url + "/health")
        await site.page.wait_for(".ledger", "1\u202f284")
