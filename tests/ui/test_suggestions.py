"""Suggestions of the search box: words, their values, and what records have; the keyboard, and what is read aloud."""

from tests.ui.conftest import Site
from tests.ui.world import record_of

BOX = "document.querySelector('#filter')"
OFFERED = "[...document.querySelectorAll('#suggestions li > span:first-child')].map((one) => one.textContent)"
IS_OPEN = f"{BOX}.getAttribute('aria-expanded') === 'true' && !document.querySelector('#suggestions').hidden"


async def begin(site: Site, text: str) -> None:
    """Type into the empty box."""
    await site.open("/requests?period=15m")
    await site.page.evaluate(f"{BOX}.focus()")
    await site.page.type(text)


COMPLETED = {
    "laten": "duration:",
    "-outc": "outcome:",
    "(level:>=w": "level:>=warn",
    "method:GET,PO": "method:POST",
    "provider:": "provider:anthropic",
    "key:": "key:key-1",
    "tool:": "tool:search_tickets",
    "path:slow": "path:/slow",
    "request_header.": "request_header.content-type:",
    "header.host:": "header.host:app.test",
    "body.": "body.messages.0.role:",
    "request_body.model:": "request_body.model:claude-x",
}


async def test_the_word_before_the_caret_is_completed(site: Site) -> None:
    """Words by any of their names, values there are and values seen, alternatives, headers and places in bodies."""
    await begin(site, "")
    for typed, offered in COMPLETED.items():
        await site.page.evaluate(f"{BOX}.select()")
        await site.page.type(typed)
        await site.page.until(f"{OFFERED}.includes({offered!r})")


async def test_keys_move_take_and_close(site: Site) -> None:
    """Tab takes and lets go on; Enter takes and searches; Escape closes; the chosen option is named to the box."""
    page = site.page
    await begin(site, "outc")
    await page.until(f"{IS_OPEN} && {OFFERED}[0] === 'outcome:'")
    await page.press("ArrowDown")
    chosen = f"document.getElementById({BOX}.getAttribute('aria-activedescendant'))"
    await page.until(f"{chosen}?.ariaSelected === 'true'")
    await page.press("Tab")
    await page.type("upstream_t")
    await page.until(f"{OFFERED}[0] === 'outcome:upstream_timeout'")
    await page.press("ArrowDown")
    await page.press("Tab")
    await page.until(f"{BOX}.value === 'outcome:upstream_timeout' && document.activeElement === {BOX}")
    await page.type(" method:g")
    await page.until(f"{OFFERED}[0] === 'method:GET'")
    await page.press("Escape")
    await page.until(f"!({IS_OPEN}) && {BOX}.value.endsWith('method:g')")
    await page.press("Backspace")
    await page.until(f"{OFFERED}[0] === 'method:GET'")
    await page.press("ArrowDown")
    await page.press("Enter")
    await page.until("new URLSearchParams(location.search).get('filter') === 'outcome:upstream_timeout method:GET'")


async def test_suggestions_are_not_in_the_way(site: Site) -> None:
    """Enter submits what is typed, whatever is suggested; nothing is suggested behind a space or in quotes."""
    page = site.page
    await begin(site, "status:5xx ")
    await page.until(f"!({IS_OPEN})")
    await page.type('"some me')
    await page.until(f"!({IS_OPEN})")
    await page.press("ArrowDown")
    await page.evaluate(f"{BOX}.select()")
    await page.type("meth")
    await page.until(f"{IS_OPEN}")
    await page.press("Enter")
    await page.until("new URLSearchParams(location.search).get('filter') === 'meth'")


async def test_a_word_in_the_middle_is_completed(site: Site) -> None:
    """What follows the caret stays."""
    page = site.page
    await begin(site, " status:200")
    await page.evaluate(f"{BOX}.setSelectionRange(0, 0)")
    await page.type("method:del")
    await page.until(f"{OFFERED}[0] === 'method:DELETE'")
    await page.press("ArrowDown")
    await page.press("Tab")
    await page.until(f"{BOX}.value === 'method:DELETE status:200' && {BOX}.selectionStart === 13")


async def test_a_value_with_a_space_is_put_in_quotes(site: Site) -> None:
    """Without them only its first word would be searched for."""
    await site.store(record_of(1, project="team a"))
    await begin(site, "-project:te")
    await site.page.until(f"{OFFERED}[0] === 'project:team a'")
    await site.page.press("ArrowDown")
    await site.page.press("Tab")
    await site.page.until(f"""{BOX}.value === '-project:"team a"'""")
