"""Two records side by side: from two rows, from a record with the last success of its endpoint, and
by an address.
"""

import json

import pytest

from storage.record import Batch, Entry, Payload, Record, format_id
from tests.api.samples import make_body
from tests.ui.conftest import Site
from tests.ui.world import HEAD, record_of

HEADS = b"HTTP/1.1 200 OK\r\nX-Request-Id: "
OVERFLOW = "document.documentElement.scrollWidth > innerWidth"


async def store_orders(site: Site) -> list[Record]:
    """Store a success and a failure of one endpoint."""
    entries = []
    for number, status, says in (
        (2, 200, "The order was accepted"),
        (1, 500, "The order was refused"),
    ):
        body = {
            "items": [{"id": n, "price": n * status} for n in range(3)],
            "message": f"{says} {'x' * 300}",
        }
        record = record_of(
            number,
            status=status,
            path=f"/orders/{number}",
            endpoint="/orders/{id}",
            request_bytes=0,
        )
        payload = Payload(
            HEAD, HEADS + str(number).encode(), None, make_body(json.dumps(body).encode())
        )
        entries.append(Entry(record, payload))

    await site.world.storage.commit(Batch("side-1", entries))
    return [entry.record for entry in entries]


async def changed_places(site: Site) -> list[str]:
    return list(
        await site.page.evaluate(
            "[...document.querySelectorAll('section > .changes th code')].map((n) => n.innerText)"
        )
    )


async def test_two_rows_are_chosen_and_compared(empty_site: Site) -> None:
    """By the button and clicks, or by keys; the older one is the first, and sides can be swapped."""
    page = empty_site.page
    records = await store_orders(empty_site)
    await empty_site.open("/requests?period=15m")
    await page.wait_for("#rows tr[data-id]")
    await page.click("#compare")
    await page.wait_for(".choosing", "Choose two rows")
    await page.click("#rows tr[data-id]", "/orders/1")
    await page.wait_for(".choosing", "GET /orders/1 500 is chosen")
    await page.press("Escape")
    for key in "jxkx":
        await page.press(key)
    assert (
        await page.evaluate("document.querySelectorAll('#rows tr[aria-selected=true]').length") == 2
    )
    await page.click("#compare-now")
    await page.wait_for(".compare-result", "5 differences in 3 parts")
    assert await page.evaluate(
        "location.pathname + location.search"
    ) == "/compare?a={}&b={}".format(*map(format_id, (record.id for record in records)))
    places = ["status", "path", ".items[1].price", ".items[2].price", ".message"]
    assert await changed_places(empty_site) == places
    await page.wait_for("summary", "Ignored: x-request-id")
    await page.wait_for("[data-part=response_body] del", "accepted")
    await page.wait_for("[data-part=response_body] ins", "refused")
    await page.press("j")
    await page.press("j")
    assert await page.evaluate("document.activeElement.querySelector('code').innerText") == "path"
    await page.click("#swap")
    await page.wait_for("[data-part=response_body] ins", "accepted")


@pytest.mark.parametrize("is_dark", [False, True])
async def test_a_failure_is_compared_with_the_last_success_in_one_click(
    empty_site: Site, is_dark: bool
) -> None:
    """The address then names both; nothing is wider than a screen of 320 px."""
    page = empty_site.page
    good, bad = await store_orders(empty_site)
    await page.prefer("dark" if is_dark else "light")
    await page.resize(320, 700)
    await empty_site.open(f"/requests?period=15m&record={bad.id.hex()}")
    await page.click("#sheet a", "Compare with the last success")
    await page.wait_for(".sides", format_id(good.id))
    await page.until(f"location.search.includes('{format_id(good.id)}')")
    assert not await page.evaluate(OVERFLOW)
    await empty_site.open(f"/compare?b={good.id.hex()}")
    await page.wait_for(".compare-result", "no other success of GET /orders/{id} is stored")
    page.problems.clear()  # the 404


async def store_calls(site: Site) -> list[Record]:
    """Store two calls of a model: one word of the prompt differs, a message was added, and the
    answer is another.
    """
    entries = []
    for number, word, more in (
        (2, "kind", []),
        (1, "strict", [{"role": "user", "content": "And why?"}]),
    ):
        said = [
            {"role": "user", "content": "Is it so?"},
            {"role": "assistant", "content": "It is."},
            *more,
        ]
        sent = {
            "model": "m",
            "messages": [{"role": "system", "content": f"Always be {word} to people"}, *said],
        }
        use = {
            "id": "c1",
            "function": {"name": "look_up", "arguments": json.dumps({"topic": word})},
        }
        answer = {
            "choices": [{"message": {"role": "assistant", "content": "Well.", "tool_calls": [use]}}]
        }
        record = record_of(
            number, method="POST", path="/v1/chat/completions", provider="openai", model="m"
        )
        request, response = (make_body(json.dumps(each).encode()) for each in (sent, answer))
        entries.append(Entry(record, Payload(HEAD, HEADS, request, response)))

    await site.world.storage.commit(Batch("side-1", entries))
    return [entry.record for entry in entries]


@pytest.mark.parametrize("width", [390, 1440])
async def test_two_calls_of_a_model_are_compared_as_chat(empty_site: Site, width: int) -> None:
    """Messages side by side with what changed marked, those alike folded; the bodies as sent are
    behind that.
    """
    page = empty_site.page
    await page.resize(width, 900)
    a, b = await store_calls(empty_site)
    await empty_site.open(f"/compare?a={a.id.hex()}&b={b.id.hex()}")
    await page.wait_for("[data-part=chat] .section-head", "3 messages differ")
    texts = "[...row.querySelectorAll('del, ins')].map((mark) => mark.innerText)"
    marks = await page.evaluate(f"[...document.querySelectorAll('.pair')].map((row) => {texts})")
    assert marks == [["kind", "strict"], ["And why?"], ["kind", "strict"]]
    assert "CALL look_up" in await page.evaluate("document.querySelectorAll('.pair')[2].innerText")
    assert await page.evaluate("document.querySelector('.alike').innerText") == "2 messages alike"
    await page.click(".alike summary")
    await page.wait_for(".alike", "It is.")
    assert not await page.evaluate("document.querySelector('.bodies').open")
    await page.press("j")
    assert await page.evaluate("document.activeElement.className") == "pair"
    assert not await page.evaluate(OVERFLOW)


async def test_what_was_not_stored_is_said(site: Site) -> None:
    """A body that was cut, and bytes that are no text."""
    page = site.page
    await site.open(
        f"/compare?a={site.records['cut'].id.hex()}&b={site.records['binary'].id.hex()}"
    )
    await page.wait_for("[data-part=response_body]", "not all was stored")
    await page.wait_for(
        "[data-part=response_body]",
        "a: cut: the first 13 and the last 7 of 5000000 bytes were kept",
    )
    await site.open(f"/compare?a={site.records['cut'].id.hex()}&b=nothing")
    await page.wait_for(".compare-result", "Could not compare: there is no record 'nothing'.")
    page.problems.clear()  # the 404
