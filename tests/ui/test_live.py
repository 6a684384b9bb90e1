"""Live mode in its corners: another search while paused, tabs that join late, browsers without
locks, answers late.
"""

import asyncio

import pytest

from storage.query import Page, RecordQuery
from storage.record import format_id
from tests.support.collecting import until
from tests.support.pages import answer_pages
from tests.ui.conftest import Site
from tests.ui.world import record_of

ANSWERED = (
    "performance.getEntriesByType('resource').filter(({ name }) => name.includes('/api/records?')"
    " && !name.includes('fields=')).length"
)
"""How often the list was read: at once, and when the stream is there."""
PATHS = (
    "[...document.querySelectorAll('#rows tr[data-id] td.path')].map((cell) => "
    "cell.innerText.trim())"
)


async def test_another_search_forgets_what_came_for_the_one_before(site: Site) -> None:
    """What a pause holds back was of that search; the list that is read anew has all that is of
    this one.
    """
    page = site.page
    await site.open("/requests?period=15m&live=1")
    await site.listened()
    await page.press(" ")
    await page.wait_for("#live-bar", "Paused")
    await site.store(record_of(-1, path="/fine"), record_of(-2, path="/broken", status=500))
    await page.wait_for("#live-bar", "2 new since")
    await page.press("e")
    await page.until(f"{PATHS}.includes('/broken') && !{PATHS}.includes('/fine')")
    await page.press(" ")
    await page.wait_for("#live-bar", "Live")
    await site.store(record_of(-3, path="/broken/again", status=500))
    await page.wait_for("#rows tr[data-id]", "/broken/again")
    assert await page.evaluate(f"{PATHS}.slice(0, 2)") == ["/broken/again", "/broken"]
    assert "/fine" not in await page.evaluate(PATHS)


async def test_calls_of_a_session_with_a_model_are_those_of_their_conversation(site: Site) -> None:
    """They are events, and come live as the list has them; those of other conversations do not."""
    conversation = bytes([9]) * 16
    call = {
        "kind": "event",
        "name": "websocket_message",
        "status": None,
        "data": b"{}",
        "provider": "openai",
    }
    await site.open(f"/requests?period=15m&live=1&filter=conversation:{format_id(conversation)}")
    await site.listened()
    await site.page.until(f"{ANSWERED} === 2")
    await site.store(
        record_of(-1, **(call | {"conversation": bytes([8]) * 16})),
        said := record_of(-2, **(call | {"conversation": conversation})),
        record_of(-3, path="/last", provider="openai", conversation=conversation),
    )
    await site.page.wait_for("#rows tr[data-id]", "/last")
    ids = await site.page.evaluate(
        "[...document.querySelectorAll('#rows tr[data-id]')].map((row) => row.dataset.id)"
    )
    assert ids[1] == format_id(said.id)
    assert len(ids) == 3  # and the one of the sample


async def test_messages_come_live_by_what_was_taken_out_of_them(site: Site) -> None:
    """They are events, which other filters leave out."""
    message = {"kind": "event", "name": "websocket_message", "status": None, "data": b"{}"}
    await site.open("/requests?period=15m&live=1&filter=redacted:name:Password,iban")
    await site.listened()
    await site.page.until(f"{ANSWERED} === 2")
    await site.store(
        record_of(-1, **message, redactions={"github-token": 1}),
        said := record_of(-2, **message, redactions={"name:password": 1, "github-token": 1}),
        record_of(-3, path="/none"),
        record_of(-4, path="/last", redactions={"iban": 2}),
    )
    await site.page.wait_for("#rows tr[data-id]", "/last")
    ids = await site.page.evaluate(
        "[...document.querySelectorAll('#rows tr[data-id]')].map((row) => row.dataset.id)"
    )
    assert ids[1:] == [format_id(said.id)]


async def test_a_tab_that_joins_a_stream_has_what_came_before(site: Site) -> None:
    """Its list may be minutes old when it goes live, and the stream of the other tab tells nothing
    of them.
    """
    page = site.page
    await site.open("/requests?period=15m&live=1")
    await site.listened()

    async with page.sibling() as other:
        await other.open(site.url + "/requests?period=15m")
        await other.wait_for("#rows tr[data-id]")
        await site.store(record_of(-1, path="/between"))
        await page.wait_for("#rows tr[data-id]", "/between")
        await other.evaluate("document.querySelector('#live').click()")
        await other.wait_for("#rows tr[data-id]", "/between")


async def test_without_locks_a_tab_keeps_its_stream_to_itself(site: Site) -> None:
    """On plain HTTP of another host a browser has no locks: each tab hears all, and must not hear
    it twice.
    """
    page = site.page
    await site.open("/keys")
    await page.wait_for("#keys tr")
    await page.evaluate("""
      Object.defineProperty(navigator, "locks", { value: undefined });
      window.opened = [];
      window.BroadcastChannel = class extends BroadcastChannel {
        constructor(name) {
          super(name);
          opened.push(name);
        }
      };
      history.pushState(null, "", "/requests?period=15m&live=1");
      dispatchEvent(new Event("popstate"));
    """)
    await site.listened()
    await site.store(record_of(-1, path="/alone"))
    await page.wait_for("#rows tr[data-id]", "/alone")
    names = await page.evaluate("opened")
    assert not [name for name in names if name.startswith("sidelog-records")]


async def test_live_records_keep_their_order_whatever_is_answered_first(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With columns of heads each batch is asked about; the answer about the first may come last."""
    page = site.page
    storage = site.world.storage
    select = storage.read
    is_let = asyncio.Event()
    held: list[RecordQuery] = []

    async def first_is_slow(query: RecordQuery) -> Page:
        # Not the list itself, which is read anew as soon as the stream is there.
        if query.filter.where is not None:
            held.append(query)
            if len(held) == 1:
                await is_let.wait()
        return await select(query)

    async def asked_about(batches: int) -> None:
        await until(lambda: len(held) >= batches)

    await site.open("/requests?period=15m&live=1&columns=status,path,duration,header.host")
    await site.listened()
    await page.quiet(0.3)
    answer_pages(monkeypatch, storage, first_is_slow)
    for number, path in ((1, "/first"), (2, "/second"), (3, "/third")):
        await site.store(record_of(-number, path=path))
        await asked_about(number)
    await asyncio.sleep(0.3)  # the others are answered, and could be shown
    is_let.set()
    await page.until(f"{PATHS}.includes('/first') && {PATHS}.includes('/third')")
    assert len(held) == 3
    assert await page.evaluate(f"{PATHS}.slice(0, 3)") == ["/third", "/second", "/first"]


@pytest.mark.parametrize(
    ("question", "late"), [("&filter=path:/late", 1), ("", 2)], ids=["empty", "all"]
)
async def test_an_answer_that_comes_late_takes_no_live_record_away(
    site: Site, monkeypatch: pytest.MonkeyPatch, question: str, late: int
) -> None:
    """The list is asked for twice, now and when the stream is there; what it was before the first
    record is no news.
    """
    page = site.page
    storage = site.world.storage
    select = storage.read
    is_let = asyncio.Event()
    found: list[Page] = []

    async def late_at_first(query: RecordQuery) -> Page:
        answer = await select(query)
        found.append(answer)
        if len(found) <= late:
            await is_let.wait()
        return answer

    answer_pages(monkeypatch, storage, late_at_first)
    await site.open(f"/requests?period=15m&live=1{question}")
    await site.listened()
    await until(lambda: len(found) == 2)
    await page.until(f"{ANSWERED} === {2 - late}")
    await site.store(record_of(-1, path="/late"))
    await page.wait_for("#rows tr[data-id]", "/late")
    is_let.set()
    await page.until(f"{ANSWERED} === 2")
    await site.store(record_of(-2, path="/late"))
    await page.until(f"{PATHS}.filter((path) => path === '/late').length === 2")
