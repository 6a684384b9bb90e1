"""Suggestions of the search box: words, their values, and what records have; the keyboard, and what
is read aloud.
"""

from tests.ui.conftest import Site
from tests.ui.world import record_of

BOX = "document.querySelector('#filter')"
OFFERED = (
    "[...document.querySelectorAll('#suggestions li > span:first-child')].map((one) => "
    "one.textContent)"
)
IS_OPEN = (
    f"{BOX}.getAttribute('aria-expanded') === 'true' && "
    "!document.querySelector('#suggestions').hidden"
)


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
    "redac": "redacted:",
    "tool:": "tool:search_tickets",
    "path:slow": "path:/slow",
    "request_header.": "request_header.content-type:",
    "header.host:": "header.host:app.test",
    "body.": "body.messages.0.role:",
    "request_body.model:": "request_body.model:claude-x",
}


async def test_the_word_before_the_caret_is_completed(site: Site) -> None:
    """Words by any of their names, values there are and values seen, alternatives, headers and
    places in bodies.
    """
    await begin(site, "")
    for typed, offered in COMPLETED.items():
        await site.page.evaluate(f"{BOX}.select()")
        await site.page.type(typed)
        await site.page.until(f"{OFFERED}.includes({offered!r})")


COUNTED = (
    "[...document.querySelectorAll('#suggestions li')].map((one) => "
    "one.innerText.replace(/\\s+/g, ' '))"
)


async def test_values_are_those_of_what_the_rest_finds(site: Site) -> None:
    """The most frequent first, with how many records have them; what stands behind the caret
    counts, too.
    """
    page = site.page
    for number, method in enumerate(("PATCH", "PATCH", "DELETE")):
        await site.store(record_of(1 + number, path="/narrow", method=method, project="narrow"))
    for before, typed, after in (
        ("path:/narrow ", "method:", ""),
        ("", "method:", " path:/narrow"),
        ("project:narrow -level:error ", "-method:", " -host:none"),
    ):
        await begin(site, before + after)
        await page.evaluate(f"{BOX}.setSelectionRange({len(before)}, {len(before)})")
        await page.type(typed)
        await page.until(f"{COUNTED}.slice(0, 2).join() === 'method:PATCH 2,method:DELETE 1'")

    for before in ("path:/narrow or ", "path:/narrow (", "(path:/narrow or host:none) or "):
        await begin(site, f"{before}method:")
        await page.until(f"{OFFERED}.includes('method:GET')")
    await begin(site, "(model:claude-x) header.")
    await page.until(f"{OFFERED}.includes('header.host:')")
    await begin(site, 'path:/narrow ":" method:')  # no search, which the browser reports, too
    await page.until(f"{OFFERED}.includes('method:GET')")
    assert all("400" in problem for problem in page.problems), page.problems
    page.problems.clear()


async def test_keys_move_take_and_close(site: Site) -> None:
    """Tab takes and lets go on; Enter takes and searches; Escape closes; the chosen option is named
    to the box.
    """
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
    await page.until(
        f"{BOX}.value === 'outcome:upstream_timeout' && document.activeElement === {BOX}"
    )
    await page.type(" method:g")
    await page.until(f"{OFFERED}[0] === 'method:GET'")
    await page.press("Escape")
    await page.until(f"!({IS_OPEN}) && {BOX}.value.endsWith('method:g')")
    await page.press("Backspace")
    await page.until(f"{OFFERED}[0] === 'method:GET'")
    await page.press("ArrowDown")
    await page.press("Enter")
    await page.until(
        "new URLSearchParams(location.search).get('filter') === 'outcome:upstream_timeout "
        "method:GET'"
    )


async def test_suggestions_are_not_in_the_way(site: Site) -> None:
    """Enter submits what is typed, whatever is suggested; nothing is suggested behind a space or in
    quotes.
    """
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
