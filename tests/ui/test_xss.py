"""Whatever a client or a service sends is text in the UI: a hundred ways in and more, in every field, on every page."""

import json

from storage.keys import ApiKey
from storage.record import Batch, Entry, ToolCall
from tests.ui.conftest import Site
from tests.ui.world import NOW_US, llm_call, payload_of, record_of

ALERT = "window.__pwned=1"
TAGS = (
    "script",
    "img src=x onerror={}",
    "svg onload={}",
    "body onload={}",
    "iframe src=javascript:{}",
    "input autofocus onfocus={}",
    "details open ontoggle={}",
    "video src=x onerror={}",
    "audio src=x onerror={}",
    "object data=javascript:{}",
    "embed src=javascript:{}",
    "marquee onstart={}",
    "select autofocus onfocus={}",
    "textarea autofocus onfocus={}",
    "a href=javascript:{}",
    "form action=javascript:{}",
    "math href=javascript:{}",
    "link rel=stylesheet href=javascript:{}",
    "meta http-equiv=refresh content=0;javascript:{}",
    "style onload={}",
    "base href=javascript:{}",
    "button formaction=javascript:{}",
    "svg><animate onbegin={} attributeName=x",
    "template shadowrootmode=open",
    "noscript",
)
WRAPS = ("<{}>", '"><{}>', "'><{}>", "--><{}>", "</script><{}>")
OTHERS = (
    f"javascript:{ALERT}",
    f"${{{ALERT}}}",
    "{{constructor.constructor('" + ALERT + "')()}}",
    f"<script>{ALERT}</script>",
    f"\u202e<script>{ALERT}</script>",
    "\x00<img src=x onerror=" + ALERT + ">",
    "%3Cscript%3E" + ALERT,
    "__proto__",
    "constructor",
    "=cmd|' /C calc'!A0",
)
PAYLOADS = [wrap.format(tag.format(ALERT)) for tag in TAGS for wrap in WRAPS] + list(OTHERS)
HARMLESS = "window.__pwned === undefined && !document.querySelector('main script, main iframe, main object, main img')"


def entries() -> list[Entry]:
    """Put each payload into every text a record has, and into heads and bodies."""
    made = []
    for number, text in enumerate(PAYLOADS, 1):
        record = record_of(
            number,
            path=text,
            query=text,
            method=text[:20],
            host=text,
            route_id=text,
            service=text,
            project=text,
            client=text,
            container=text,
            upstream=text,
            user_agent=text,
            request_id=text,
            error_type=text,
            user_id=text,
            key_id="k",
            key_name=text,
            key_last4=text[:4],
            keyed=True,
            auth_code=text,
            status=401,
            model=text,
            provider=text,
            trace_id=text,
            stage=text,
        )
        head = b"GET / HTTP/1.1\r\n" + text.replace("\x00", "").encode() + b": " + text.replace("\x00", "").encode()
        payload = payload_of(json.dumps({text: [text]}).encode(), text.encode())
        payload.request_head = payload.response_head = head
        call = ToolCall(
            record_id=record.id,
            started_at_us=record.started_at_us,
            created_at_us=NOW_US,
            tool_name=text,
            server_label=text,
            status="error",
            latency_us=1,
            arguments=json.dumps({text: text}).encode(),
            result=json.dumps(text).encode(),
            error_details=json.dumps({"error": {"type": text}}).encode(),
            key_id="k",
            key_name=text,
        )
        made.append(Entry(record, payload, [call]))
    chat = llm_call(500)
    assert chat.payload is not None
    sent = {"system": PAYLOADS[1], "messages": [{"role": text, "content": text} for text in PAYLOADS]}
    chat.payload = payload_of(
        json.dumps(sent).encode(), json.dumps({"content": [{"type": "text", "text": PAYLOADS[1]}]}).encode()
    )
    return [*made, chat]


async def test_no_payload_runs_anywhere(empty_site: Site) -> None:
    """Nothing runs, nothing is made of it, the policy never has to step in; what was sent can be read."""
    assert len(PAYLOADS) >= 100
    page, storage = empty_site.page, empty_site.world.storage
    for number, text in enumerate(PAYLOADS[:20]):
        key = ApiKey(
            id=f"k{number}", name=text, last4="<b>x", secret_sha256=bytes([number]) * 32, scopes=(text,), agents=(text,)
        )
        await storage.create_key(key)
    stored = entries()
    await storage.commit(Batch(instance="side-1", entries=stored))
    for path, selector in (
        ("/?period=15m", ".failing tbody tr"),
        ("/requests?period=15m&facets=1", ".facet"),
        ("/mcp-logs", "#calls tr"),
        ("/request-logs", "#logs tr"),
        ("/keys", "#keys tr"),
    ):
        await empty_site.open(path)
        await page.wait_for(selector)
        assert await page.evaluate(HARMLESS), path
    for number in (7, -1):
        for tab in ("chat", "request", "response", "facts"):
            await empty_site.open(f"/requests?period=15m&record={stored[number].record.id.hex()}&tab={tab}")
            await page.wait_for("#sheet [role=tabpanel]")
            assert await page.evaluate(HARMLESS), (number, tab)
    await empty_site.open(f"/requests?period=15m&record={stored[-1].record.id.hex()}&tab=chat")
    await page.wait_for(".turn .prose", PAYLOADS[1])
    for text in (f'"><img src=x onerror={ALERT}>', "status:<script>"):
        await page.evaluate("document.querySelector('#filter').focus(); document.querySelector('#filter').select()")
        await page.type(text)
        await page.press("Enter")
    assert await page.evaluate(HARMLESS)
