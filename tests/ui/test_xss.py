"""Whatever a client, a service or a model sends is text in the UI: over 500 ways in, in every
field, on every page.
"""

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from storage.grpc import Grpc
from storage.keys import ApiKey
from storage.record import Batch, Entry, Payload, Record, Stream, ToolCall, new_id
from tests.support.long import long
from tests.ui.conftest import Site
from tests.ui.payloads import pairs, payloads
from tests.ui.world import payload_of, record_of

PAYLOADS = payloads()
SEVERAL = pytest.mark.parametrize("texts", [pairs(), long(PAYLOADS)], ids=["pairs", "all"])
TEXTS = (
    *(
        "path",
        "query",
        "host",
        "route_id",
        "service",
        "project",
        "client",
        "container",
        "upstream",
        "user_agent",
    ),
    *(
        "request_id",
        "error_type",
        "user_id",
        "key_name",
        "auth_code",
        "model",
        "resolved_model",
        "provider",
    ),
    *(
        "trace_id",
        "span_id",
        "stage",
        "instance",
        "source",
        "client_ip",
        "http_version",
        "scheme",
        "price_source",
    ),
)
"""Every text of a record that comes from outside, or could."""

GROUP = 10
"""Texts that share one record's heads and bodies."""

INERT = r"""(() => {
  const found = window.__pwned === undefined ? [] : ["a script ran"];
  const made = /^(script|iframe|object|embed|img|video|audio|base|meta|style|math|marquee|animate|desc|title)$/;
  const reaches = new Set(["href", "src", "action", "formaction", "data"]);
  for (const element of document.body.querySelectorAll("*")) {
    if (made.test(element.localName)) found.push(element.outerHTML.slice(0, 200));
    for (const { name, value } of element.attributes) {
      if (name.startsWith("on")) found.push(`${element.localName} ${name}`);
      if (reaches.has(name) && !/^(#|\.\/$|[a-z-]+([/?.]|$))/.test(value)) found.push(`${name}=${value.slice(0, 200)}`);
      if (name === "download" && !/^[\w.-]+$/.test(value)) found.push(`download=${value}`);
    }
  }
  return found.slice(0, 5);
})()"""

SCROLL_THROUGH = r"""(async () => {
  const log = document.querySelector(".log");
  const seen = new Set(), found = [], paths = [];
  for (let top = 0; top < log.scrollHeight && found.length === 0; top += log.clientHeight) {
    log.scrollTop = top;
    await new Promise(requestAnimationFrame);
    for (const row of log.querySelectorAll("tr[data-id]")) {
      if (seen.has(row.dataset.key)) continue;
      seen.add(row.dataset.key);
      paths.push(row.querySelector("td.path").textContent);
    }
    found.push(...INERT);
  }
  return { found, rows: seen.size, paths };
})()""".replace("INERT", INERT)

SHOW_EVERY_TAB = r"""(async () => {
  const { Sheet } = await import("/ui/newest/record/sheet.js");
  const { readChat } = await import("/ui/newest/chat/read.js");
  const main = document.querySelector("main");
  const sheet = new Sheet({ close() {}, move() {}, signal: new AbortController().signal });
  const { host } = sheet;
  main.replaceChildren(host);
  main.hidden = true; // nothing is laid out, everything is made
  const read = async (path) => (await fetch(path)).text();
  const calls = JSON.parse(await read("/api/mcp-logs?limit=1000")).logs;
  const lines = (await read("/api/export?format=ndjson&bodies=true&kind=all")).trim().split("\n");
  const tabs = new Set(), found = [];
  for (const [index, line] of lines.entries()) {
    const record = { request: null, response: null, tools: calls.slice(index, index + 1), ...JSON.parse(line) };
    sheet.id = record.id;
    sheet.record = record;
    sheet.chat = await readChat(record, sheet.signal);
    sheet.draw(record, true);
    for (const [name] of sheet.tabs) {
      sheet.turnTo(name);
      for (const view of host.querySelectorAll("[data-view]")) view.click();
      tabs.add(name);
      if (found.length === 0) found.push(...INERT);
    }
  }
  return { found, tabs: [...tabs], records: lines.length };
})()""".replace("INERT", INERT)

SHOW_EVERY_CALL = r"""(async () => {
  const { callDetails: details } = await import("/ui/newest/pages/mcp-call-details.js");
  const { logs } = JSON.parse(await (await fetch("/api/mcp-logs?limit=1000")).text());
  const host = document.body.appendChild(document.createElement("aside"));
  host.append(...logs.map(details));
  const found = INERT;
  host.remove();
  return { found, calls: logs.length };
})()""".replace("INERT", INERT)


def hostile_record(number: int, text: str, **changes: Any) -> Record:
    """Make an exchange all of whose texts are this one."""
    fields = dict.fromkeys(TEXTS, text) | {
        "method": text[:20],
        "key_id": "k",
        "key_last4": text[:4],
        "keyed": True,
    }
    changes |= {
        "status": 401,
        "usage_state": "exact",
        "input_tokens": 1,
        "grpc": Grpc(14, text, encoding=text),
    }
    changes |= {"redactions": {text: 1, f"name:{text}": 2}}
    return record_of(number, **fields, **changes)


def hostile_payload(texts: list[str]) -> Payload:
    """Make heads and bodies of them: JSON names and values, a conversation, frames of an event
    stream.
    """
    lines = [text.replace("\x00", "").replace("\n", " ").encode() for text in texts]
    sent: dict[str, Any] = {text: [text] for text in texts}
    sent |= {"model": texts[0], "system": texts[0], "tools": [{"name": text} for text in texts]}
    sent["messages"] = [
        {
            "role": text,
            "content": [{"type": "text", "text": text}],
            "tool_calls": [{"function": {"name": text}}],
        }
        for text in texts
    ]
    sent["messages"] += [
        {"role": "user", "content": [{"type": text, "text": text}]} for text in texts
    ]
    frames = b""

    for index, (text, line) in enumerate(zip(texts, lines, strict=True)):
        call = {
            "index": index,
            "id": text,
            "function": {"name": text, "arguments": json.dumps({text: text})},
        }
        delta = {"content": text, "reasoning_content": text, "tool_calls": [call]}
        piece = json.dumps({"choices": [{"delta": delta}], "error": {"message": text}}).encode()
        frames += b"event: " + line + b"\ndata: " + piece + b"\n\ndata: " + line + b"\n\n"

    payload = payload_of(json.dumps(sent).encode(), frames, [(len(frames), 31_000)])
    head = b"\r\n".join(line + b": " + line for line in lines)
    payload.request_head = payload.response_head = b"GET " + lines[0] + b" HTTP/1.1\r\n" + head
    return payload


def hostile_call(record: Record, text: str) -> ToolCall:
    """Make a failed tool call of it."""
    return ToolCall(
        record_id=record.id,
        started_at_us=record.started_at_us,
        created_at_us=record.started_at_us,
        tool_name=text,
        server_label=text,
        status="error",
        latency_us=1,
        arguments=json.dumps({text: text}).encode(),
        result=json.dumps([text]).encode(),
        metadata=json.dumps({"method": text, "session": text, "protocol_version": text}).encode(),
        error_details=json.dumps({"error": {"type": text, "message": text}}).encode(),
        key_id="k",
        key_name=text,
    )


def entries(texts: list[str]) -> list[Entry]:
    """Put each text into an exchange with its bodies and a tool call, and into a WebSocket message."""
    made = []
    for number, text in enumerate(texts, 1):
        stream = Stream(
            first_content_us=30_500,
            frames=3,
            longest_gap_us=400,
            finished=True,
            finish_reason=text,
            tools=[text],
        )
        record = hostile_record(
            2 * number, text, stream=stream, conversation=number.to_bytes(16, "big")
        )
        said = {"direction": text, "opcode": text, "size": 5, "text": text}
        message = record_of(
            2 * number + 1, kind="event", name="websocket_message", trace_id=text, status=None
        )
        message.data = json.dumps(said).encode()
        event = record_of(2 * number, kind="event", name=text, level="error", status=None)
        event.id, event.data = (
            new_id(event.started_at_us * 1000, 9, number),
            json.dumps({text: text, "reason": text}).encode(),
        )
        group = texts[number - 1 : number - 1 + GROUP] if number % GROUP == 1 else []
        payload = hostile_payload(group) if group else None
        made += [Entry(record, payload, [hostile_call(record, text)]), Entry(message), Entry(event)]

    return made


async def fill(site: Site, texts: list[str]) -> list[Entry]:
    """Store everything, and keys of it."""
    storage = site.world.storage
    stored = entries(texts)
    for number, text in enumerate(texts):
        secret = number.to_bytes(32, "big")
        said: dict[str, Any] = {
            "scopes": (text,),
            "agents": (text,),
            "project": text,
            "user_id": text,
        }
        await storage.create_key(
            ApiKey(id=f"k{number}", name=text[:128], last4=text[:4], secret_sha256=secret, **said)
        )

    for start in range(0, len(stored), 300):
        await storage.commit(Batch(instance="side-1", entries=stored[start : start + 300]))
    return stored


def test_there_are_over_five_hundred_different_ones() -> None:
    """Contexts times vectors times encodings, none twice; those that run always are among them."""
    assert len(PAYLOADS) == len(set(PAYLOADS)) >= 500
    assert set(pairs()) < set(PAYLOADS)


async def test_the_check_would_notice(site: Site) -> None:
    """An element, an attribute or an address made of a text is found, and so is a script that ran."""
    await site.open("/keys")
    for markup in (
        "<details open>",
        "<iframe></iframe>",
        "<a href='javascript:void(0)'>x</a>",
        "<a download='a b'>x</a>",
    ):
        await site.page.evaluate(f"document.querySelector('main').innerHTML = {json.dumps(markup)}")
        assert bool(await site.page.evaluate(INERT)) is (markup != "<details open>")

    await site.page.evaluate("document.querySelector('main').replaceChildren(), window.__pwned = 1")
    assert await site.page.evaluate(INERT) == ["a script ran"]


@SEVERAL
async def test_nothing_runs_in_lists(empty_site: Site, texts: list[str]) -> None:
    """Every text in every column of the log, in facets, figures, calls, keys and events; what was
    sent can be read.
    """
    page = empty_site.page
    stored = await fill(empty_site, texts)
    columns = "started,status,method,path,what,route,service,key,model,tokens,phases,size,duration"
    await empty_site.open(f"/requests?period=15m&facets=1&filter=kind:all&columns={columns}")
    await page.wait_for(".facet")
    await page.evaluate(
        "document.querySelectorAll('.facets fieldset button.link').forEach((more) => more.click())"
    )
    await page.until(
        "document.querySelector('#foot').innerText.includes('end of the list') ||"
        " (document.querySelector('#older')?.click(), false)"
    )
    shown = await page.evaluate(SCROLL_THROUGH)
    assert (shown["found"], shown["rows"]) == ([], len(stored))

    assert all(any(text in path for path in shown["paths"]) for text in texts)
    for path, selector in (
        ("/?period=15m", ".failing tbody tr"),
        ("/keys", "#keys tr"),
        ("/health", ".events tbody tr"),
    ):
        await empty_site.open(path)
        await page.wait_for(selector)
        assert await page.evaluate(INERT) == [], path


@SEVERAL
async def test_nothing_runs_in_the_pages_of_the_dialects(
    empty_site: Site, texts: list[str]
) -> None:
    """All calls, and those of a page opened with arguments, result and error; all request logs with
    their fixes.
    """
    page = empty_site.page
    await fill(empty_site, texts)
    for path in ("/mcp-logs?period=1h", "/request-logs"):
        await empty_site.open(path)
        seen = 0
        while seen < len(texts):
            await page.until(
                f"document.querySelector('.pager').innerText.startsWith('{seen + 1}–')"
            )
            assert await page.evaluate(INERT) == [], (path, seen)
            seen += await page.evaluate("document.querySelectorAll('tbody tr:not(.inside)').length")
            await page.evaluate(
                "document.querySelector('.pager .buttons button:last-child').click()"
            )

    shown = await page.evaluate(SHOW_EVERY_CALL)
    assert shown == {"found": [], "calls": len(texts)}


@SEVERAL
async def test_nothing_runs_in_conversations(empty_site: Site, texts: list[str]) -> None:
    """Every line of the list, and the turns of one of each page."""
    page = empty_site.page
    await fill(empty_site, texts)
    await empty_site.open("/conversations?period=1h")

    seen = 0
    while seen < len(texts):
        await page.until(f"document.querySelector('.pager').innerText.startsWith('{seen + 1}–')")
        seen += await page.evaluate("document.querySelectorAll('tr.conversation').length")
        await page.evaluate("document.querySelector('tr.conversation').click()")
        await page.wait_for(".turn-list tbody tr")
        assert await page.evaluate(INERT) == [], seen
        await page.evaluate("document.querySelector('.pager .buttons button:last-child').click()")


@SEVERAL
async def test_nothing_runs_in_the_sheet(empty_site: Site, texts: list[str]) -> None:
    """Every tab and every view of a body of every record: heads, trees, frames, conversation,
    facts, events.
    """
    stored = await fill(empty_site, texts)
    await empty_site.open("/keys")
    shown = await empty_site.page.evaluate(SHOW_EVERY_TAB)
    assert (shown["found"], shown["records"]) == ([], len(stored))
    assert set(shown["tabs"]) == {
        "chat",
        "tools",
        "request",
        "response",
        "messages",
        "frames",
        "facts",
        "event",
    }


@SEVERAL
async def test_nothing_runs_in_live_mode(empty_site: Site, texts: list[str]) -> None:
    """Records and messages of the stream, drawn as they come; a session's messages in its sheet."""
    page = empty_site.page
    await empty_site.open("/requests?period=15m&filter=kind:all&live=1")
    # A list that is asked for after they were stored has the newest hundred of them, and the stream
    # none before these.
    await page.wait_for("#foot .nothing")
    await empty_site.listened()
    session = record_of(5000, status=101, path="/ws", trace_id="ab" * 16)
    live = [entry.record for entry in entries(texts)]
    for record in live:
        if record.name == "websocket_message":
            record.trace_id = session.trace_id
    await empty_site.store(session, *live)
    await page.until(
        "document.querySelector('#foot').innerText.replace(/\\s/g, "
        f"'').startsWith('{len(live) + 1}shown')"
    )
    shown = await page.evaluate(SCROLL_THROUGH)
    assert (shown["found"], shown["rows"]) == ([], len(live) + 1)
    await page.evaluate(
        f"history.pushState(null, '', '?record={session.id.hex()}'); dispatchEvent(new "
        "Event('popstate'))"
    )
    more = (
        "[...document.querySelectorAll('#sheet button')].find((one) => one.innerText === 'Load "
        "more messages')"
    )
    messages = f"document.querySelectorAll('#messages tr').length === {len(texts)}"
    await page.until(f"{messages} || (({more})?.click(), false)")
    assert await page.evaluate(INERT) == []


async def test_nothing_runs_out_of_the_address(site: Site) -> None:
    """Texts in place of every value that an address may hold, and in the search box, are refused or
    shown.
    """
    page = site.page
    names = [
        *(
            "filter",
            "record",
            "tab",
            "columns",
            "period",
            "since",
            "until",
            "facets",
            "live",
            "open",
            "offset",
        ),
        *(
            "tool_names",
            "status",
            "key",
            "endpoint",
            "content_search",
            "cursor",
            "sort_by",
            "min_turns",
            "next",
        ),
    ]
    texts = [
        PAYLOADS[0],
        "javascript:alert(1)",
        "//evil.invalid/",
        "__proto__",
        '"><img src=x: onerror=alert(1)>',
    ]

    for shift, path in enumerate(
        (
            "/",
            "/requests",
            "/conversations",
            "/mcp-logs",
            "/request-logs",
            "/keys",
            "/health",
            "/login",
        )
    ):
        state = urlencode(
            {name: texts[(index + shift) % len(texts)] for index, name in enumerate(names)}
        )
        await site.open(f"{path}?{state}")
        await page.wait_for("h1")
        await page.quiet(0.2)
        assert await page.evaluate(INERT) == [], path

    await site.open("/requests")
    for text in texts:
        await page.evaluate(
            "document.querySelector('#filter').focus(); document.querySelector('#filter').select()"
        )
        await page.type(text)
        await page.press("Enter")
        await page.quiet(0.2)
        assert await page.evaluate(INERT) == [], text

    assert all(problem.startswith("Failed to load resource") for problem in page.problems), (
        page.problems
    )
    page.problems.clear()  # what the server refused
