"""Unlucky moments and odd values, each of which once left a page wrong."""

import asyncio
import json
from typing import Any

import pytest

from storage.errors import StorageUnavailable
from tests.ui.conftest import Site
from tests.ui.world import record_of


async def test_pages_of_a_log_are_numbered_whichever_way_one_comes(site: Site) -> None:
    """By its buttons, and by Back and Forward of the browser."""
    page = site.page
    keyed: dict[str, Any] = {
        "keyed": True,
        "key_id": "key-1",
        "key_name": "Production Key",
        "key_last4": "a1b2",
    }
    await site.store(*[record_of(number, **keyed) for number in range(60, 0, -1)])
    await site.open("/request-logs")
    await page.wait_for(".pager", "1–50 of 61")
    await page.click(".pager button", "Older")
    await page.wait_for(".pager", "51–61 of 61")
    await page.evaluate("history.back()")
    await page.wait_for(".pager", "1–50 of 61")
    await page.click(".pager button", "Older")
    await page.wait_for(".pager", "51–61 of 61")
    await page.click(".pager button", "Newer")
    await page.wait_for(".pager", "1–50 of 61")


async def test_a_key_that_was_made_is_shown_though_its_form_was_closed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a slow line Esc comes before the answer; the secret comes but once."""
    page = site.page
    storage = site.world.storage
    create = storage.create_key
    is_let = asyncio.Event()

    async def slow(key: Any) -> None:
        await is_let.wait()
        await create(key)

    monkeypatch.setattr(storage, "create_key", slow)
    await site.open("/keys")
    await page.wait_for("#keys tr")
    await page.press("n")
    await page.until("document.activeElement?.name === 'name'")
    await page.type("Slow Key")
    await page.press("Enter")
    await page.press("Escape")
    await page.until("!document.querySelector('dialog')")
    is_let.set()
    await page.wait_for("#secret", "sk_")


async def test_why_a_key_was_not_changed_is_said(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the keys can still be read: a disk that is full."""
    page = site.page

    async def fail(*_: object) -> None:
        raise StorageUnavailable("the disk is full")

    monkeypatch.setattr(site.world.storage, "update_key", fail)
    await site.open("/keys")
    await page.click("#keys [role=switch]")
    await page.wait_for("main .bad", "the disk is full")
    await page.quiet(0.3)
    await page.wait_for("main .bad", "the disk is full")
    page.problems.clear()  # the browser reports the 503


async def test_a_touch_that_becomes_a_scroll_selects_nothing(site: Site) -> None:
    """The browser takes such a pointer away, and gives no end of it."""
    page = site.page
    await site.open("/requests?period=15m")
    await page.until("document.querySelector('.mini-chart svg rect')")
    await page.evaluate("""(() => {
      const chart = document.querySelector(".mini-chart");
      const at = (type, clientX) => new PointerEvent(type, { clientX, clientY: 150, bubbles: true });
      chart.dispatchEvent(at("pointerdown", 300));
      chart.dispatchEvent(at("pointercancel", 300));
      chart.dispatchEvent(at("pointermove", 500));
    })()""")
    assert await page.evaluate("document.querySelector('.brush-label') === null")


@pytest.mark.long
async def test_a_search_that_is_refused_late_is_not_waited_for(site: Site) -> None:
    """What stands for rows that are being loaded goes with the refusal."""
    page = site.page
    await page.call(
        "Network.emulateNetworkConditions",
        offline=False,
        latency=300,
        downloadThroughput=-1,
        uploadThroughput=-1,
    )
    await site.open("/requests?period=15m&filter=statsu:500")
    await page.until(
        "document.querySelector('.skeleton') || document.querySelector('#filter-error').textContent"
    )
    await page.wait_for("#filter-error", "did you mean status?")
    await page.until("!document.querySelector('.skeleton')")
    page.problems.clear()  # the browser reports the 400


async def test_the_same_search_asks_again(site: Site) -> None:
    """Enter in the box, or the period that is chosen already: what has come since is there."""
    page = site.page
    await site.open("/requests?period=15m&filter=path:/slow")
    await page.wait_for("#rows tr[data-id]", "/slow")
    await site.store(record_of(-1, path="/slow/again"))
    await page.press("/")
    await page.press("Enter")
    await page.wait_for("#rows tr[data-id]", "/slow/again")
    await site.store(record_of(-2, path="/slow/still"))
    await page.click(".periods button", "15 m")
    await page.wait_for("#rows tr[data-id]", "/slow/still")


async def test_what_is_sent_cannot_hide_itself(site: Site) -> None:
    """A role is what somebody else wrote; it is shown, and no class of ours."""
    sent = {
        "messages": [{"role": "hidden", "parts": [{"kind": "text", "text": "look at me"}]}],
        "later": [],
        "tools": [],
        "follows": None,
        "is_cut": False,
        "is_open": False,
    }
    record = {"duration_us": 1, "stream": None, "finish_reason": None}
    chat = {"sent": sent, "answer": None}
    await site.open("/keys")
    classes = await site.page.evaluate(f"""import("/ui/newest/chat/tab.js").then(({{ chatTab }}) => {{
      const [, , make] = chatTab({json.dumps(record)}, {json.dumps(chat)});
      return make().flatMap((node) => [...node.querySelectorAll("*"), node]).map((node) => node.className);
    }})""")
    assert "turn" in " ".join(classes)
    assert not any("hidden" in names for names in classes)


@pytest.mark.parametrize(
    ("module", "chart"), [("bar-chart", "BarChart"), ("latency-chart", "LatencyChart")]
)
async def test_a_chart_takes_keys_and_pointers_before_it_is_drawn(
    site: Site, module: str, chart: str
) -> None:
    """Its data may be there before its width is known: what was chosen until then is drawn with the
    rest.
    """
    await site.open("/keys")
    drawn = await site.page.evaluate(f"""import("/ui/newest/lib/{module}.js").then(async ({{ {chart} }}) => {{
      const {{ readLatency }} = await import("/ui/newest/endpoints/latency.js");
      const {{ histogram, heat }} = await readLatency({{ since: "15m" }});
      const host = document.createElement("div"), chart = new {chart}(host, {{ height: 168 }});
      const press = () => host.dispatchEvent(new KeyboardEvent("keydown", {{ key: "ArrowRight" }}));
      const sends = (type) => host.dispatchEvent(new PointerEvent(type, {{ pointerType: "mouse", clientX: 9 }}));
      ["pointermove", "pointerdown", "pointerleave"].forEach(sends);
      document.body.append(host);
      chart.set(histogram, heat);
      press();
      ["pointermove", "pointerleave"].forEach(sends);
      press();
      const early = host.innerHTML;
      while (!host.querySelector("svg")) await new Promise(requestAnimationFrame);
      return [early, host.querySelector(".brush, .cursor:not([hidden])").getAttribute("width")];
    }})""")
    assert "NaN" not in drawn[0]
    assert float(drawn[1]) > 0


async def test_a_key_expires_on_the_day_that_was_typed(site: Site) -> None:
    """The form asks for a day of UTC, wherever it is filled in."""
    await site.page.call("Emulation.setTimezoneOverride", timezoneId="Asia/Tokyo")
    await site.open("/keys")
    day = await site.page.evaluate(
        'import("/ui/newest/lib/format.js").then(({ dayOf }) => dayOf("2030-11-20T23:59:59Z"))'
    )
    assert day == "20 Nov 2030"
