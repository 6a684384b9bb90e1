"""The page of conversations: a line each, its turns in place, from a record to its conversation and
back.
"""

import json
from typing import Any

from storage.record import Batch, Entry, Payload, Stream, format_id
from tests.ui.conftest import Site
from tests.ui.world import payload_of, record_of

RUN, TALK = bytes([1]) * 16, bytes([2]) * 16
FIRST = 'Make the <b onclick="x">tests</b> pass'
FROM = " proj_a · cnt_1 · acme"
TURNS = "document.querySelectorAll('.turn-list tbody tr').length"
FRAMED = "document.documentElement.scrollWidth - innerWidth"


def call(number: int, conversation: bytes, text: str = "", **changes: Any) -> Entry:
    """Make an LLM call of a conversation."""
    stream = Stream(None, None, None, True, "tool_calls", tools=["read_file"], is_document=True)
    fields: dict[str, Any] = {
        "method": "POST", "path": "/v1/chat/completions", "provider": "openai", "model": "gpt-4o",
        "input_tokens": 1000, "output_tokens": 50, "usage_state": "exact", "cost_usd": 0.25, "stream": stream,
        "conversation": conversation, "marks": bytes(16),
    }  # fmt: skip
    sent = json.dumps({"messages": [{"role": "user", "content": text}]}).encode() if text else None
    payload: Payload = payload_of(sent, b"{}")
    return Entry(record_of(number, **(fields | changes)), payload)


async def fill(site: Site) -> list[Entry]:
    """Store a run of three turns, whose last failed and used nothing, and a single call after it."""
    lost: dict[str, Any] = dict.fromkeys(
        ("input_tokens", "output_tokens", "cost_usd", "usage_state", "stream")
    )
    run = [
        call(60, RUN, FIRST, cache_read_tokens=900),
        call(59, RUN),
        call(58, RUN, status=529, error_type="overloaded_error", **lost),
    ]
    made = [*run, call(20, TALK, "How are you?", model="claude-y", stream=None)]
    await site.world.storage.commit(Batch(instance="side-1", entries=made))
    return made


async def cells(site: Site, selector: str) -> list[str]:
    """Return the texts of the cells of one row."""
    found: list[str] = await site.page.evaluate(
        f"[...document.querySelector({selector!r}).cells].map((cell) => cell.innerText)"
    )
    return found


async def test_a_run_is_one_line_that_opens(site: Site) -> None:
    """The newest first; sums say what they lack; the turns stand in order and lead to their
    records.
    """
    run = await fill(site)
    page = site.page
    await page.resize(1400, 900)
    await site.open("/conversations")
    await page.wait_for("tr.conversation:nth-child(2)", "tests")
    assert (await cells(site, "tr.conversation"))[1:4] == [f"How are you?{FROM}", "claude-y", "–"]
    shown = await cells(site, "tr.conversation:nth-child(2)")
    assert shown[1:9] == [
        FIRST + FROM,
        "gpt-4o",
        "read_file",
        "1 overloaded_error",
        "3",
        "2\u202f000",
        "100",
        "$0.5000",
    ]
    assert await page.evaluate("document.querySelectorAll('#conversations b').length") == 0
    await page.click("tr.conversation", "tests")
    await page.wait_for(".turns .facts", "2\u202f000 in (900 from cache), 100 out")
    await page.wait_for(".turns .facts", "$0.5000")
    await page.wait_for(".turns .facts", "1 of 3 turns")
    assert await page.evaluate("location.search") == f"?open={format_id(RUN)}"
    numbers = await page.evaluate(
        "[...document.querySelectorAll('.turn-list tbody tr')].map((r) => r.cells[0].innerText)"
    )
    assert numbers == ["1", "2", "3"]
    first = await cells(site, ".turn-list tbody tr")
    assert first[2:9] == ["200", "gpt-4o", "tool_calls", "read_file", "1\u202f000", "50", "$0.2500"]
    last = await cells(site, ".turn-list tbody tr:last-child")
    assert (last[2], last[6:9], last[10]) == ("529", ["–", "–", "–"], "overloaded_error")
    await page.click(".turn-list tbody tr:nth-child(2) a")
    await page.wait_for("#sheet", format_id(run[1].record.id))


async def test_a_run_that_goes_on_is_as_long_in_its_row(site: Site) -> None:
    """The row is drawn anew with what was read when it opened; a turn names the tools that failed."""
    await fill(site)
    page = site.page
    await site.open("/conversations")
    await page.wait_for("tr.conversation:nth-child(2) .turns", "3")
    failed = Stream(None, None, None, True, tools=["edit_file"], failed_tools=["run", "run"])
    more = call(5, RUN, stream=failed, error_type="tool_error", level="warn")
    await site.world.storage.commit(Batch(instance="side-1", entries=[more]))
    await page.evaluate("document.querySelector('tr.conversation:nth-child(2) button').focus()")
    await page.press("Enter")
    await page.wait_for(".turn-list tbody tr:nth-child(4) .error-code", "tool_error: run")
    row = await cells(site, "tr.conversation.open")
    assert row[4:6] == ["2 tool_error", "4"]
    assert await page.evaluate("document.activeElement.className") == "opens"


async def test_a_record_leads_to_its_conversation(site: Site) -> None:
    """Also when the period of the list does not hold it: it stands above the list, and goes when it
    is closed.
    """
    run = await fill(site)
    page = site.page
    await site.open(f"/requests?record={format_id(run[2].record.id)}")
    await page.click("#sheet .actions a", "Conversation")
    await page.wait_for(".turn-list tbody tr:nth-child(3)", "overloaded_error")
    await page.click(".turns a", "Show in Requests")
    await page.until("document.querySelectorAll('#rows tr[data-id]').length === 3")
    assert (
        await page.evaluate("document.querySelector('#filter').value")
        == f"conversation:{format_id(RUN)}"
    )
    await page.click("#filters")
    await page.wait_for(f'[data-facet="conversation:{format_id(RUN)}"]')
    await page.evaluate(
        f"document.querySelector('[data-facet=\"conversation:{format_id(RUN)}\"]').click()"
    )
    await page.until("!location.search.includes('conversation')")
    await site.open(f"/conversations?filter=model:claude-y&open={format_id(RUN)}")
    await page.until(f"{TURNS} === 3 && document.querySelectorAll('tr.conversation').length === 2")
    await page.press("Escape")
    await page.until(f"{TURNS} === 0 && document.querySelectorAll('tr.conversation').length === 1")


async def test_filters_and_periods_are_in_the_address(site: Site) -> None:
    """Words of the filter box, the number of turns, and the way back to all."""
    await fill(site)
    page = site.page
    await site.open("/conversations?min_turns=2")
    await page.wait_for(".pager", "1–1")
    await page.evaluate("document.querySelector('#filter').focus()")
    await page.type("model:claude-y")
    await page.press("Enter")
    await page.wait_for(".pager", "No conversations match")
    assert await page.evaluate("location.search") == "?min_turns=2&filter=model%3Aclaude-y"
    await page.click(".pager button", "Clear filters")
    await page.until("document.querySelectorAll('tr.conversation').length === 3")
    await page.evaluate(
        "document.querySelector('#filter').select(), document.querySelector('#filter').focus()"
    )
    await page.type("nosuch:claude-y")
    await page.press("Enter")
    await page.wait_for("#filter-error", "nosuch")
    assert all("400" in problem for problem in page.problems), page.problems
    page.problems.clear()  # what the server refused


async def test_long_lists_and_long_runs_go_on(empty_site: Site) -> None:
    """Pages of conversations by cursor, there and back; turns in pages of their own."""
    page = empty_site.page
    singles = [call(300 + number, bytes([3, number]) * 8) for number in range(60, 0, -1)]
    await empty_site.store(
        *(entry.record for entry in singles), *(call(250 - n, RUN).record for n in range(230))
    )
    await empty_site.open("/conversations")
    await page.wait_for(".pager", "1–50")
    await page.click(".pager button", "Older")
    await page.wait_for(".pager", "51–61")
    await page.click(".pager button", "Newer")
    await page.wait_for(".pager", "1–50")
    await page.click("tr.conversation", "230")
    await page.until(f"{TURNS} === 200")
    await page.click(".turns button", "Load more turns (30)")
    await page.until(f"{TURNS} === 230")
    assert await page.evaluate("document.querySelector('.turns > p').innerText") == ""


async def test_an_empty_page_says_what_makes_a_conversation(empty_site: Site) -> None:
    """And one that is not there is said to be so."""
    await empty_site.open("/conversations")
    await empty_site.page.wait_for(".nothing", "previous_response_id")
    await empty_site.open("/conversations?open=none")
    await empty_site.page.wait_for("[role=alert].bad", "there is no conversation 'none'")
    assert all("404" in problem for problem in empty_site.page.problems), empty_site.page.problems
    empty_site.page.problems.clear()


async def test_the_open_page_fits_every_width(site: Site) -> None:
    """Nothing reaches beyond the screen, with a run open."""
    await fill(site)
    for width in (1920, 1280, 1000, 800, 375):
        await site.page.resize(width, 900)
        await site.open(f"/conversations?open={format_id(RUN)}")
        await site.page.until(f"{TURNS} === 3")
        assert await site.page.evaluate(FRAMED) <= 0, width


async def test_no_figure_of_a_line_is_cut(site: Site) -> None:
    """Durations of two digits before the point and two behind it, millions of tokens, in windows of
    usual widths.
    """
    long = call(
        40,
        RUN,
        FIRST,
        duration_us=54_780_000,
        input_tokens=1_234_567,
        output_tokens=123_456,
        cost_usd=123.45,
    )
    await site.world.storage.commit(Batch(instance="side-1", entries=[long]))
    page = site.page
    await site.open("/conversations")
    cut = (
        "[...document.querySelectorAll('tr.conversation .figure')].filter((e) => e.scrollWidth > "
        "e.clientWidth)"
    )

    for width in (1280, 1024, 900):
        await page.resize(width, 800)
        await page.wait_for("tr.conversation td.duration", "54.78")
        assert await page.evaluate(f"{cut}.map((e) => e.innerText)") == []
        assert await page.evaluate("document.querySelector('td.about').clientWidth") > 100


async def test_a_call_that_was_cut_says_so(empty_site: Site) -> None:
    """Its status is 200, which is no reason."""
    cut = call(
        10,
        TALK,
        "Tell me more",
        status=200,
        outcome="client_closed",
        level="warn",
        usage_state="partial",
    )
    await empty_site.world.storage.commit(Batch(instance="side-1", entries=[cut]))
    await empty_site.open("/conversations")
    await empty_site.page.wait_for(".failed-turns", "client disconnected")


async def test_a_turn_opens_inside_its_conversation(site: Site) -> None:
    """Keys go to the next turn and the one before, past what is loaded; Escape closes the turn,
    then the run.
    """
    run = await fill(site)
    later = [
        call(50 - number % 40, RUN, path=f"/later/{number}", id=bytes([3, number] * 8))
        for number in range(210)
    ]
    await site.world.storage.commit(Batch(instance="side-1", entries=later))
    page = site.page
    marked = "document.querySelector('.turn-list [aria-current] td').innerText"
    await site.open(f"/conversations?open={format_id(RUN)}")
    await page.click(".turn-list tbody tr:nth-child(2) a")
    await page.wait_for("#sheet", format_id(run[1].record.id))
    assert await page.evaluate(marked) == "2"
    await page.press("j")
    await page.wait_for("#sheet", format_id(run[2].record.id))
    assert await page.evaluate("location.pathname") == "/conversations"
    await page.press("k")
    await page.press("k")
    await page.wait_for("#sheet", format_id(run[0].record.id))
    await page.press("k")
    await page.until(f"{marked} === '1'")
    await page.click(".turn-list tbody tr:nth-child(200) a")
    await page.until(f"{marked} === '200'")
    await page.press("j")
    await page.until(f"{marked} === '201'")
    await page.press("Escape")
    await page.until(f"document.querySelector('#sheet').hidden && {TURNS} === 213")
    await page.press("Escape")
    await page.until(f"{TURNS} === 0")


async def test_runs_are_sorted_by_what_is_asked(site: Site) -> None:
    """By a head or a choice; the address keeps it, and the way back is the newest."""
    await fill(site)
    page = site.page
    first = "document.querySelector('tr.conversation .about').innerText"
    await site.open("/conversations")
    await page.until(f"{first}?.startsWith('How are')")
    await page.click("thead button", "Cost")
    await page.until(f"{first}.includes('tests') && location.search === '?sort=cost'")
    assert await page.evaluate("document.querySelector('[aria-sort]').innerText") == "Cost ↓"
    await page.click("thead button", "Last call")
    await page.until(f"{first}.startsWith('How are') && location.search === ''")
    await site.open("/conversations?sort=failures")
    await page.until(f"{first}?.includes('tests')")
    assert await page.evaluate("document.querySelector('#sort').value") == "failures"
