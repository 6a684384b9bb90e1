"""A record is sent again from its page, as edited, by a caller who may; what came back is shown
beside it.
"""

import json
import os
from dataclasses import replace
from pathlib import Path

from api.services import SendAgain
from storage.record import Batch, Entry, Payload, Record, format_id
from tests.api.samples import make_body
from tests.ui.conftest import Site
from tests.ui.world import record_of

HEAD = (
    b"POST /orders?a=1 HTTP/1.1\r\nHost: shop.test\r\nAuthorization: [REDACTED]\r\nContent-Type: "
    b"application/json"
)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json"


class Sender:
    """Answers everything alike."""

    def __init__(self) -> None:
        self.sent: list[tuple[Entry, str]] = []

    async def send(self, caller: str, request: Entry, target: str) -> Entry:
        self.sent.append((request, target))
        answer = Record(1, b"", "", "exchange", 1, 2, status=200, duration_us=1500)
        return Entry(answer, Payload(b"", OK, None, make_body(b'{"total": "7"}')))


async def opened(site: Site, sender: Sender | None) -> None:
    """Store an order, and open its page."""
    if sender is not None:
        again = SendAgain(targets=("http://staging:80",), send=sender.send)
        site.services = replace(site.services, send_again=again)
        await site.restart()

    record = record_of(
        1,
        path="/orders",
        query="a=1",
        method="POST",
        status=200,
        request_bytes=9,
        response_bytes=12,
    )
    body = make_body(json.dumps({"n": 1}).encode())
    answer = make_body(b'{"total": 7}')
    await site.world.storage.commit(
        Batch("side-1", [Entry(record, Payload(HEAD, OK, body, answer))])
    )
    await site.open(f"/requests?period=15m&record={format_id(record.id)}")
    await site.page.wait_for("#tab-response")


async def fill(site: Site, name: str, value: str) -> None:
    await site.page.evaluate(f"document.querySelector('[name={name}]').value = {json.dumps(value)}")


async def test_a_request_is_edited_and_sent(empty_site: Site) -> None:
    """What is redacted must be given first; what is not safe is asked about; a target can be
    chosen.
    """
    page = empty_site.page
    sender = Sender()
    await opened(empty_site, sender)
    assert await page.evaluate("document.querySelector('#no-send-again').hidden")
    await page.click("#send-again")
    await page.wait_for("dialog label", "Path and query")
    assert await page.evaluate("document.querySelector('[name=headers]').value") == (
        "Authorization: [REDACTED]\nContent-Type: application/json"
    )
    await page.click("#send")
    await page.wait_for("dialog", "may change something there")
    await page.click("dialog button.danger", "Send")
    await page.wait_for("dialog [role=alert]", "header authorization")
    assert sender.sent == []
    page.problems.clear()  # the refusal, which the browser logs
    await fill(empty_site, "method", "GET")
    await fill(empty_site, "target", "/orders?a=2")
    await fill(empty_site, "headers", "Accept: */*\n")
    await fill(empty_site, "body", "")
    await fill(empty_site, "to", "http://staging:80")
    await page.click("#send")
    await page.wait_for("dialog .outcome", "200 after 1.5")
    await page.wait_for("dialog .outcome", "1 difference to the recorded response")
    await page.wait_for("dialog .outcome .changes th code", ".total")
    await page.wait_for("dialog .outcome pre", '{"total": "7"}')
    request, target = sender.sent[0]
    assert request.payload is not None
    assert (request.payload.request_head, target) == (
        b"GET /orders?a=2 HTTP/1.1\r\nAccept: */*",
        "http://staging:80",
    )
    assert request.payload.request_body is None

    if directory := os.environ.get("SIDELOG_SCREENSHOTS"):
        for width, scheme in ((1400, "light"), (390, "dark")):
            await page.resize(width, 900)
            await page.prefer(scheme)
            await page.screenshot(Path(directory) / f"send-again-{width}-{scheme}.png")

    await page.press("Escape")


async def test_the_button_is_not_there_where_it_is_off(empty_site: Site) -> None:
    """What a caller may not do is not shown; what it needs stands with all else that can be done."""
    await opened(empty_site, None)
    await empty_site.page.quiet()
    assert await empty_site.page.evaluate("document.querySelector('#send-again').hidden") is True
    await empty_site.page.click("#sheet .actions button", "More")
    await empty_site.page.wait_for("#no-send-again", "[replay] enabled = true")


async def test_a_replay_leads_to_its_original(empty_site: Site) -> None:
    """Both are compared by one click."""
    original = record_of(2, path="/a", request_bytes=0)
    replay = record_of(1, path="/a", request_bytes=0)
    head = f"GET /a HTTP/1.1\r\nX-Sidelog-Replay-Of: {format_id(original.id)}".encode()
    entries = [
        Entry(each, Payload(h, OK, None, None))
        for each, h in ((original, b"GET /a HTTP/1.1"), (replay, head))
    ]
    await empty_site.world.storage.commit(Batch("side-1", entries))
    await empty_site.open(f"/requests?period=15m&record={format_id(replay.id)}")
    await empty_site.page.click("#sheet a.button", "Compare with the original")
    await empty_site.page.wait_for(".compare-result", "difference")
    assert format_id(original.id) in await empty_site.page.evaluate("location.search")
