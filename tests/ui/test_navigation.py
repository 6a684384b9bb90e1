"""The links to the pages: whole words on any screen, and only those of pages that have something to
say.
"""

import pytest

from tests.ui.conftest import Site


async def test_the_page_of_key_calls_is_offered_where_a_key_was_used(site: Site) -> None:
    """Without such a call it would be empty."""
    await site.open("/")
    await site.page.until("document.getElementById('key-calls').getClientRects().length > 0")


async def test_the_page_of_key_calls_is_not_offered_without_any(empty_site: Site) -> None:
    """Not once all is read, either."""
    await empty_site.open("/")
    await empty_site.page.quiet()
    assert (
        await empty_site.page.evaluate(
            "document.getElementById('key-calls').getClientRects().length"
        )
        == 0
    )


@pytest.mark.parametrize("width", [320, 360, 375, 768, 921, 1024])
async def test_the_navigation_breaks_no_word(site: Site, width: int) -> None:
    """Names of pages stand on a line for each word, and none is outside of the screen."""
    await site.page.resize(width, 800)
    await site.open("/conversations")
    await site.page.until("!document.getElementById('key-calls').hidden")
    assert (
        await site.page.evaluate("""[...document.querySelectorAll("#nav > :is(a, button)")].filter((link) => {
        const text = document.createRange();
        text.selectNodeContents(link.lastChild);
        const { left, right } = link.getBoundingClientRect();
        const words = link.textContent.trim().split(" ").length;
        return text.getClientRects().length > words || left < 0 || right > innerWidth;
    }).length""")
        == 0
    )


@pytest.mark.parametrize("width", [375, 768])
async def test_pages_that_are_needed_less_are_in_a_menu(site: Site, width: int) -> None:
    """On a narrow screen; it closes behind the page that was chosen, and is marked as where one is."""
    page = site.page
    await page.resize(width, 800)
    await site.open("/")
    names = """[...document.querySelectorAll("#nav a")].filter((link) => link.getClientRects().length)
        .map((link) => link.textContent.trim())"""
    await page.until("!document.getElementById('key-calls').hidden")
    few = ["Overview", "Requests", "Endpoints", "Conversations", "MCP logs"]
    assert await page.evaluate(names) == few
    await page.click("#more")
    assert await page.evaluate(names) == [*few, "Keys", "Key calls", "Health", "Alerts"]
    await page.click("#more-pages a", "Alerts")
    await page.wait_for("h1", "Alerts")
    assert await page.evaluate(names) == few
    await page.resize(1280, 800)
    assert len(await page.evaluate(names)) == 9
