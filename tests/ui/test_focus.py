"""What is drawn anew keeps the focus, and with it the place of whoever works by keyboard or has the
page read aloud.
"""

import pytest

from tests.support.long import long
from tests.ui.conftest import Site
from tests.ui.world import record_of

FOCUSED = "document.activeElement?.innerText.trim()"


async def test_tabs_of_a_record_are_turned_by_arrows(site: Site) -> None:
    """Only the chosen one can be reached by Tab (ARIA Authoring Practices, tabs)."""
    page = site.page
    await site.open(f"/requests?period=15m&record={site.records['stream'].id.hex()}")
    await page.wait_for("#tab-chat[aria-selected=true]")
    await page.evaluate("document.querySelector('#tab-chat').focus()")

    for key, tab in (
        ("ArrowRight", "request"),
        ("ArrowRight", "response"),
        ("ArrowLeft", "request"),
    ):
        await page.press(key)
        await page.until(
            f"document.activeElement.id === 'tab-{tab}' && location.search.includes('tab={tab}')"
        )
        assert (
            await page.evaluate(
                "document.querySelector('#tab-panel').getAttribute('aria-labelledby')"
            )
            == f"tab-{tab}"
        )


async def test_a_button_of_the_sheet_can_be_pressed_again(site: Site) -> None:
    """The sheet is drawn twice for each record it goes on to."""
    page = site.page
    await site.open("/requests?period=15m&filter=path:/api/users")
    await page.wait_for("#rows tr[data-id]")
    await page.press("j")
    await page.press("Enter")
    await page.wait_for("#sheet [role=tabpanel]")
    await page.evaluate(
        "document.querySelector('#sheet button[aria-label=\"Next record\"]').focus()"
    )
    titles = []

    for _ in range(2):
        titles.append(await page.wait_for("#sheet h2"))
        await page.press("Enter")
        await page.until(
            f"!document.querySelector('#sheet h2').innerText.includes({titles[-1].strip()!r})"
        )
        await page.wait_for("#sheet [role=tabpanel]")

    assert await page.evaluate("document.activeElement.ariaLabel") == "Next record"


async def test_the_bar_of_a_pause_can_be_used(site: Site) -> None:
    """It counts each second; its buttons stay, and only what the person did is read aloud."""
    page = site.page
    await site.open("/requests?period=15m&live=1")
    await site.listened()
    await page.evaluate("[...document.querySelectorAll('#live-bar button')].at(0).focus()")
    await page.press("Enter")
    await page.wait_for("#live-bar", "Paused")
    await page.until(f"{FOCUSED}.startsWith('Resume')")
    await page.evaluate("document.activeElement.isOld = true")
    await site.store(record_of(-1, path="/later", status=500))
    await page.wait_for("#live-bar", "1 new since")
    assert await page.evaluate("document.activeElement.isOld")
    assert "new since" not in await page.evaluate(
        "document.querySelector('#live-bar [role=status]').innerText"
    )
    await page.press("Enter")
    await page.wait_for("#rows tr[data-id]", "/later")
    await page.until(f"{FOCUSED}.startsWith('Pause')")


@pytest.mark.parametrize(
    ("path", "selector"),
    [
        long("/?period=15m", ".failing a"),
        ("/?period=15m", ".periods button[aria-pressed=true]"),
        long("/health", ".events a"),
    ],
)
async def test_a_page_that_renews_itself_leaves_the_focus_alone(
    site: Site, path: str, selector: str
) -> None:
    """Every two or ten seconds the whole of it is new."""
    page = site.page
    await site.open("/keys")
    await page.evaluate("""(() => {
      const real = setInterval;
      window.setInterval = (action, ms) => real(action, ms / 20);
    })()""")
    await page.evaluate(
        f"history.pushState(null, '', '{path}'); dispatchEvent(new Event('popstate'))"
    )
    await page.wait_for(selector)
    await page.evaluate(f"document.querySelector('{selector}').focus()")
    before = await page.evaluate(FOCUSED)
    seen = await page.evaluate("performance.getEntriesByType('resource').length")
    await page.until(f"performance.getEntriesByType('resource').length > {seen} + 25")
    assert before
    assert await page.evaluate(FOCUSED) == before


@pytest.mark.long
async def test_what_is_selected_on_the_health_page_stays(site: Site) -> None:
    """It is redrawn every two seconds; a line of it has to be copied into a report."""
    page = site.page
    await site.open("/health")
    await page.wait_for(".events")
    await page.evaluate(
        "getSelection().selectAllChildren(document.querySelector('.events:last-child p'))"
    )
    seen = await page.evaluate("performance.getEntriesByType('resource').length")
    await page.until(f"performance.getEntriesByType('resource').length > {seen} + 4")
    assert await page.evaluate("String(getSelection())") == "None yet"


async def test_choices_keep_the_focus(site: Site) -> None:
    """A period, an order of a table, the switch of a key: each draws anew what it stands in."""
    page = site.page
    await site.open("/requests?period=15m")
    await page.wait_for("#rows tr[data-id]")
    await page.evaluate("document.querySelectorAll('.periods button')[2].focus()")
    await page.press("Enter")
    await page.until("location.search.includes('period=3h')")
    assert await page.evaluate("document.activeElement.innerText") == "3 h"
    await site.open("/endpoints?period=15m")
    await page.wait_for("#endpoints tr", "GET")
    await page.evaluate("document.querySelectorAll('thead .sort')[1].focus()")
    await page.press("Enter")
    await page.until("location.search.includes('sort=requests')")
    assert await page.evaluate("document.activeElement.innerText") == "Requests ↑"
    await site.open("/keys")
    await page.wait_for("#keys tr")
    await page.evaluate("document.querySelector('#keys [role=switch]').focus()")
    await page.press(" ")
    await page.wait_for("#keys tr", "disabled")
    assert await page.evaluate("document.activeElement.role") == "switch"


async def test_a_dialog_over_another_has_its_own_name(site: Site) -> None:
    """The question whether a view is to be deleted is not called Views."""
    page = site.page
    await site.open("/requests?period=15m")
    await page.wait_for("#rows tr[data-id]")
    await page.press("v")
    await page.wait_for("#views", "No views yet")
    await page.evaluate("document.querySelector('#view-name').focus()")
    await page.type("Mine")
    await page.press("Enter")
    await page.click("#views button", "Delete")
    await page.wait_for("dialog .danger")
    tree = await page.call("Accessibility.getFullAXTree")
    names = [
        node["name"]["value"]
        for node in tree["nodes"]
        if node.get("role", {}).get("value") == "dialog"
    ]
    assert names[-1] == "Delete the view?"
