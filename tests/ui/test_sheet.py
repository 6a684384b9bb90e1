"""The sheet shows each kind of record for what it is: a stream, a binary body, an error, a
WebSocket session.
"""

import json

import pytest

from storage.grpc import Grpc
from storage.record import Batch, Entry, Payload, Stream, format_id
from tests.api.samples import make_body
from tests.ui.conftest import Site
from tests.ui.world import HEAD, payload_of, record_of, tool_call


async def open_record(site: Site, name: str) -> None:
    """Open a record of the sample by its own address."""
    await site.open(f"/requests?period=15m&record={site.records[name].id.hex()}")
    await site.page.wait_for("#sheet [role=tabpanel]")


async def test_an_llm_stream_is_a_conversation_with_its_frames_and_cost(site: Site) -> None:
    """Roles, the answer put together, usage closed by the cost, frames with their times."""
    page = site.page
    await open_record(site, "stream")
    await page.wait_for(".turn.system", "Be kind")
    await page.wait_for(".turn.assistant", "I am fine")
    await page.wait_for(".usage", "$0.0140")
    await page.click(".usage summary")
    await page.wait_for(".usage", "end_turn")
    await page.click("#tab-frames")
    await page.wait_for(".frame-axis", "longest gap 400")
    assert await page.evaluate("document.querySelectorAll('.frames tbody tr').length") == 3
    await page.click("#tab-request")
    await page.wait_for(".redacted", "[REDACTED]")
    await page.wait_for(".tree", '"How are you"')


async def test_one_frame_is_one(empty_site: Site) -> None:
    """A stream of a single frame is counted as such among the phases."""
    stream = Stream(first_content_us=1_000, frames=1, longest_gap_us=None, finished=True)
    record = record_of(1, path="/events", stream=stream)
    await empty_site.store(record)
    await empty_site.open(f"/requests?period=15m&record={record.id.hex()}")
    assert "1 frames" not in await empty_site.page.wait_for("#sheet .waterfall", "1 frame")


async def test_a_grpc_call_shows_its_status_and_messages(empty_site: Site) -> None:
    """In the list and among the facts."""
    grpc = Grpc(14, "no one", 1, 0, timeout_us=2_000_000)
    record = record_of(1, path="/shop.Cart/Add", level="error", error_type="UNAVAILABLE", grpc=grpc)
    await empty_site.store(record)
    await empty_site.open(f"/requests?period=15m&record={record.id.hex()}")
    await empty_site.page.wait_for("#rows tr[data-id] .tag", "gRPC")
    await empty_site.page.click("#tab-facts")
    await empty_site.page.wait_for("#sheet dl", "UNAVAILABLE (14)")


async def test_what_was_taken_out_stands_at_the_end(empty_site: Site) -> None:
    """Below every tab; each rule leads to the records that it is in, and says how to switch it off."""
    page = empty_site.page
    line = "#sheet .redactions"
    found = {"github-token": 1, 'name:a "b" c': 1, "name:password": 12, "other": 4}
    record = record_of(1, path="/taken", redactions=found)
    entries = [
        Entry(record, payload_of(b"{}", b"{}")),
        Entry(record_of(2, path="/plain", redactions={"iban": 1})),
    ]
    await empty_site.world.storage.commit(Batch(instance="side-1", entries=entries))
    await empty_site.open(f"/requests?period=15m&record={record.id.hex()}")

    for tab in ("request", "response", "facts"):
        await page.click(f"#tab-{tab}")
        await page.wait_for(
            line, 'Redacted: github-token (1), name:a "b" c (1), name:password (12), other (4)'
        )

    titles = await page.evaluate(
        f"[...document.querySelectorAll('{line} a')].map((link) => link.title)"
    )
    assert [title.partition(": ")[2] for title in titles] == [
        '[redact] disable = ["github-token"]', '[redact] except = ["a \\"b\\" c"]',
        '[redact] except = ["password"]', "",
    ]  # fmt: skip
    await page.click(f"{line} a", 'a "b" c')
    await page.until("document.querySelectorAll('#rows tr[data-id]').length === 1")
    await page.wait_for("#rows tr[data-id]", "/taken")
    await empty_site.open("/requests?period=15m&record=" + entries[1].record.id.hex())
    await page.wait_for("#sheet .redactions", "Redacted: iban (1)")
    await page.click(f"{line} a", "iban")
    await page.until("document.querySelector('#filter').value === 'redacted:iban'")
    await page.wait_for("#rows tr[data-id]", "/plain")


async def test_large_numbers_stay_as_sent_and_words_are_found(site: Site) -> None:
    """The tree of a body does not round, and its search marks what it finds."""
    page = site.page
    await site.open("/requests?period=15m&filter=path:/api/users/200")
    await page.wait_for("#rows tr[data-id]")
    await page.press("j")
    await page.press("Enter")
    await page.click("#tab-response")
    await page.wait_for(".tree", "12345678901234567890")
    await page.evaluate("document.querySelector('.find').focus()")
    await page.type("6789")
    await page.wait_for(".find-line", "1 found")
    await page.click("[data-view=hex]")
    await page.wait_for("pre.hex", "000000  7b 22 69 64")


async def test_a_comma_stands_behind_the_bracket_it_follows(site: Site) -> None:
    """Not on a line of its own; the last member has none, and a branch that is folded keeps it."""
    await site.open("/requests")
    await site.page.wait_for("#filter")
    text = '{"a": {"b": 1, "c": []}, "d": [2, {}, {"e": 3}], "f": null}'
    lines = await site.page.evaluate(
        f"""import("/ui/newest/record/json-tree.js").then(({{ jsonTree }}) => {{
          const tree = document.body.appendChild(jsonTree({text!r}));
          return tree.innerText.split("\\n").map((line) => line.trim()).filter(Boolean);
        }})"""
    )
    expected = [
        "{", '"a": {', '"b": 1,', '"c": []', "},", '"d": [', "2,", "{},", "{", '"e": 3', "}", "],", '"f": null', "}",
    ]  # fmt: skip
    assert lines == expected
    await site.page.evaluate(
        "document.querySelectorAll('.tree details').forEach((branch) => (branch.open = false))"
    )
    await site.page.evaluate("document.querySelector('.tree > details').open = true")
    folded = (
        "document.querySelector('.tree').innerText.split('\\n').map((line) => "
        "line.trim()).filter(Boolean)"
    )
    assert await site.page.evaluate(folded) == [
        "{",
        '"a": { 2 members },',
        '"d": [ 3 items ],',
        '"f": null',
        "}",
    ]


async def test_any_json_is_indented(empty_site: Site) -> None:
    """As the browser writes it, however much it is; the tokens stay those that were sent."""
    await empty_site.open("/requests")
    await empty_site.page.wait_for("#filter")
    differ = await empty_site.page.evaluate(
        """import("/ui/newest/lib/format.js").then(({ prettyJson }) => {
          const items = Array.from({ length: 20000 }, (_, id) => ({ id, tags: ["a]", "b,"], none: {}, text: "\\n" }));
          const values = [[], {}, [[]], { a: [] }, [1, {}, [2, [3]], { b: null }], "x", 5, { items }, "x".repeat(3e6)];
          return values.filter((value) => prettyJson(JSON.stringify(value)) !== JSON.stringify(value, null, 2)).length;
        })"""
    )
    assert differ == 0


async def test_numbers_that_are_not_finite_are_null(empty_site: Site) -> None:
    """As Python and vLLM write them; the same letters within a text stay."""
    await empty_site.open("/requests")
    await empty_site.page.wait_for("#filter")
    text = r'{"a":NaN,"b":[-Infinity,1,"NaN -Infinity \" NaN"],"c":"\ud83d"}'
    read, refused = await empty_site.page.evaluate(
        f"""import("/ui/newest/lib/format.js").then(({{ parseJson }}) => {{
          const {{ a, b }} = parseJson({json.dumps(text)});
          try {{
            return [[a, b], parseJson('{{"a":NaNa}}')];
          }} catch (error) {{
            return [[a, b], error.name];
          }}
        }})"""
    )
    assert read == [None, [None, 1, 'NaN -Infinity " NaN']]
    assert refused == "SyntaxError"


async def test_json_that_is_nested_without_end_is_shown(empty_site: Site) -> None:
    """The sheet around it stays whole; what is deeper than anybody reads is text."""
    body = b"[" * 9000 + b'{"a": 1}' + b"]" * 9000
    record = record_of(1, path="/deep", response_bytes=len(body))
    entry = Entry(record, Payload(HEAD, b"HTTP/1.1 200 OK", None, make_body(body)))
    await empty_site.world.storage.commit(Batch("side-1", [entry]))
    await empty_site.open(f"/requests?period=15m&record={record.id.hex()}")
    await empty_site.page.click("#tab-response")
    await empty_site.page.wait_for(".tree")
    shown = await empty_site.page.evaluate("document.querySelector('.tree').textContent")
    assert shown.count("[") == 9000
    assert '[{"a":1}]' in shown
    assert await empty_site.page.evaluate("document.querySelectorAll('.tree details').length") == 64


async def test_a_binary_body_is_shown_as_hex(site: Site) -> None:
    """Bytes that are no text are neither guessed nor broken."""
    await open_record(site, "binary")
    await site.page.click("#tab-response")
    await site.page.wait_for("pre.hex", "000010  10 11 12 13")


async def test_trailers_stand_behind_the_body(site: Site) -> None:
    """With what was not passed on; a message without any says nothing of them."""
    await open_record(site, "binary")
    await site.page.click("#tab-response")
    await site.page.wait_for("pre.hex")
    shown = (
        "[...document.querySelectorAll('#tab-panel dl:last-child > *')].map((part) => "
        "part.textContent)"
    )
    assert await site.page.evaluate(shown) == [
        *("digest", "sha-256=x"),
        *("content-length", "256 not passed on"),
    ]
    await site.page.click("#tab-request")
    assert "Trailers" not in str(
        await site.page.evaluate("document.querySelector('#tab-panel').textContent")
    )


async def test_a_cut_body_says_how_much_was_kept_and_where_it_was_cut(site: Site) -> None:
    """Both ends are apart, with the mark between them."""
    await open_record(site, "cut")
    await site.page.click("#tab-response")
    await site.page.wait_for(
        ".body-title", "cut: first 13\u00a0B and last 7\u00a0B of 5.0\u00a0MB kept"
    )
    parts = (
        "[...document.querySelector('#tab-panel .body').children].map((part) => part.textContent)"
    )
    shown = await site.page.evaluate(parts)
    assert shown == ["the beginning", "about 5.0\u00a0MB were not kept", "the end"]


async def test_an_error_is_said_in_plain_words(site: Site) -> None:
    """What happened, the code, and the setting; the phase that was not reached says so."""
    await open_record(site, "broken")
    await site.page.wait_for(".complaint", "took longer than")
    await site.page.wait_for(".complaint", "timeout_first_byte_s")
    await site.page.wait_for(".waterfall", "not received")


async def test_what_an_upstream_sent_that_is_no_response_is_shown(empty_site: Site) -> None:
    """Before the response that was made in its place, with what cannot be seen written out."""
    data = b'{"error_message": "not HTTP", "refused_response_head": "\\u0015SSH-2.0"}'
    record = record_of(
        1, status=502, outcome="upstream_error", error_type="upstream_bad_response", data=data
    )
    payload = payload_of(None, b"{}")
    await empty_site.services.storage.commit(Batch("side-1", [Entry(record, payload)]))
    await empty_site.open(f"/requests?period=15m&record={record.id.hex()}")
    await empty_site.page.wait_for("#tab-panel pre", "\\x15SSH-2.0")


async def test_a_refused_call_says_which_limit_it_was_above(empty_site: Site) -> None:
    """In the list and in the sheet, with how long to wait; elsewhere the provider's own word."""
    page = empty_site.page
    call = {
        "status": 429,
        "provider": "openai",
        "model": "gpt-x",
        "error_type": "rate_limit_exceeded",
    }
    limited = record_of(1, data=b'{"rate_limit": "input tokens"}', **call)
    head = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7"
    payload = Payload(
        request_head=HEAD, response_head=head, request_body=None, response_body=None, timeline=[]
    )
    await empty_site.services.storage.commit(
        Batch("side-1", [Entry(record_of(2, **call)), Entry(limited, payload)])
    )
    await empty_site.open("/requests?period=15m")
    await page.wait_for("#rows .what", "rate limit: input tokens")
    await page.wait_for("#rows .what", "rate_limit_exceeded")
    await page.click("#rows tr", "input tokens")
    await page.wait_for(".complaint", "its limit of input tokens is used up.")
    await page.wait_for(".complaint", "It asks to wait 7 s")


async def test_a_failed_tool_call_is_found_and_says_what_the_tool_said(empty_site: Site) -> None:
    """Its status is 200; the list and the sheet have its code, the sheet its words."""
    page = empty_site.page
    failed = tool_call(1, "error")
    failed.record.level = "error"
    failed.record.error_type = "tool_error"
    failed.record.data = b'{"mcp": {"method": "tools/call", "name": "search_tickets"}}'
    failed.tool_calls[
        0
    ].error_details = b'{"error": {"type": "tool_error", "message": "no such ticket"}}'
    await empty_site.services.storage.commit(Batch("side-1", [tool_call(2), failed]))
    await empty_site.open("/requests?period=15m&filter=error:tool_error")
    await page.wait_for("#rows .what", "tools/call search_tickets · tool_error")
    assert await page.evaluate("document.querySelectorAll('#rows tr[data-id]').length") == 1
    await page.click("#rows tr", "tool_error")
    await page.wait_for(".complaint", "The tool search_tickets failed: no such ticket")


async def test_what_happened_around_a_record_is_one_click_away(empty_site: Site) -> None:
    """The minute before and after in the same service, with the record marked among the others."""
    page = empty_site.page
    second_us = 1_000_000
    start_us = record_of(0).started_at_us - 100 * second_us
    moments = {"/earlier": -70, "/before": -59, "/shown": 0, "/after": 59, "/later": 70}
    records = [
        record_of(
            n,
            service="shop",
            path=path,
            started_at_us=start_us + s * second_us,
            ended_at_us=start_us,
        )
        for n, (path, s) in enumerate(moments.items())
    ]
    shown = records[2]
    await empty_site.store(
        *records, record_of(9, service="bank", path="/elsewhere", started_at_us=start_us)
    )
    await empty_site.open(f"/requests?period=1h&record={shown.id.hex()}")
    await page.click("#sheet .actions button", "More")
    await page.click("#sheet a", "Around this moment")
    await page.until("document.querySelectorAll('#rows tr[data-id]').length === 3")
    paths = "[...document.querySelectorAll('#rows td.path .line1')].map((line) => line.textContent)"
    assert await page.evaluate(paths) == ["GET /after", "GET /shown", "GET /before"]
    await page.wait_for("#rows tr[aria-current]", "/shown")


ACTIONS = """[...document.querySelectorAll('#sheet .actions:not([hidden]) > :is(a, button):not([hidden])')]
    .map((one) => one.innerText)"""


async def test_few_buttons_stand_before_a_record(empty_site: Site) -> None:
    """What is done most, of a failure what explains it; the rest is a click away, also for the key
    of a link.
    """
    page = empty_site.page
    fine, failed = (
        record_of(n, status=status, endpoint="/a", trace_id="ab" * 16)
        for n, status in ((1, 200), (2, 500))
    )
    await empty_site.store(fine, failed)
    await page.resize(390, 800)

    for record, few in (
        (fine, ["Copy as curl"]), (failed, ["Compare with the last success", "Around this moment", "Copy as curl"]),
    ):  # fmt: skip
        await empty_site.open(f"/requests?period=15m&record={record.id.hex()}")
        await page.until(f"{ACTIONS}.join() === {','.join([*few, 'More'])!r}")
        assert (
            await page.evaluate(
                "document.querySelector('#sheet .actions').getBoundingClientRect().height"
            )
            < 100
        )

    await page.press("y")
    await page.until(f"{ACTIONS}.includes('Copied') || {ACTIONS}.includes('Copy link')")
    assert "HAR file" in await page.evaluate(ACTIONS)
    await page.wait_for("#sheet .trace a", "abab")
    await page.click("#sheet .actions button", "More")
    assert "HAR file" not in await page.evaluate(ACTIONS)


async def test_a_record_opens_on_what_it_says(empty_site: Site) -> None:
    """A GET without a body on its response, a failed call of a tool on the call, what was sent on
    the request.
    """
    page = empty_site.page
    asked = Entry(record_of(1), Payload(HEAD, b"HTTP/1.1 200 OK", None, make_body(b"{}")))
    sent = Entry(record_of(2, method="POST"), payload_of(b"{}", b"{}"))
    failed = tool_call(3, status="error")
    failed.record.level = "error"
    await empty_site.world.storage.commit(Batch("side-1", [asked, sent, failed]))
    for entry, tab in ((asked, "response"), (sent, "request"), (failed, "tools")):
        await empty_site.open(f"/requests?period=15m&record={entry.record.id.hex()}")
        await page.wait_for(f"#tab-{tab}[aria-selected=true]")


async def test_beside_an_open_record_rows_say_why_on_a_second_line(empty_site: Site) -> None:
    """Columns have no room there: the reason of a failure stays in sight."""
    record = record_of(1, status=500, level="error", error_type="deadlock")
    await empty_site.store(record)
    await empty_site.open(f"/requests?period=15m&record={record.id.hex()}")
    await empty_site.page.wait_for("#rows tr.two-lines .line2.error", "deadlock")


@pytest.mark.parametrize("width", [375, 768, 1000])
async def test_rows_say_why_on_any_screen(empty_site: Site, width: int) -> None:
    """Where there is no room for a column of details, on a second line."""
    await empty_site.page.resize(width, 800)
    await empty_site.store(record_of(1, status=500, level="error", error_type="deadlock"))
    await empty_site.open("/requests?period=15m")
    await empty_site.page.wait_for("#rows tr.two-lines .line2.error", "deadlock")


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (375, 740)])
async def test_the_parts_of_a_call_are_in_sight(site: Site, width: int, height: int) -> None:
    """Its tabs and the chat at once; what a tab shows comes into sight with it."""
    page = site.page
    await page.resize(width, height)
    await open_record(site, "stream")
    top = "(selector) => document.querySelector(selector).getBoundingClientRect().top"
    assert await page.evaluate(f"({top})('#tab-panel')") < height * 0.75
    await page.click(".usage summary")
    await page.wait_for(".usage", "end_turn")
    await page.resize(width, 420)
    await page.evaluate("document.querySelector('#tab-facts').click()")
    assert await page.evaluate(f"({top})('#tab-panel')") < 300
    await page.evaluate("document.querySelector('#sheet').scrollTop = 1e6")
    assert await page.evaluate(f"({top})('#tab-chat')") >= 0
    await page.evaluate("document.querySelector('#tab-response').click()")
    assert await page.evaluate(f"({top})('#tab-panel') >= ({top})('#tab-chat')")


async def test_a_search_may_be_called_query(empty_site: Site) -> None:
    """As in the API: not everything is shown instead."""
    await empty_site.store(record_of(1, path="/wanted"), record_of(2, path="/other"))
    await empty_site.open("/requests?period=15m&query=path:/wanted")
    await empty_site.page.wait_for("#rows td.path", "/wanted")
    assert (
        await empty_site.page.evaluate("document.querySelectorAll('#rows tr[data-id]').length") == 1
    )


async def test_the_theme_is_changed_by_a_button(empty_site: Site) -> None:
    """And stays after a reload."""
    await empty_site.open("/requests")
    before = await empty_site.page.evaluate("getComputedStyle(document.body).backgroundColor")
    await empty_site.page.click("#theme")
    await empty_site.page.until(f"getComputedStyle(document.body).backgroundColor !== '{before}'")
    await empty_site.open("/health")
    await empty_site.page.until(f"getComputedStyle(document.body).backgroundColor !== '{before}'")


async def test_a_failing_request_is_found_by_the_keyboard_alone(site: Site) -> None:
    """From the overview: only errors, the first of them, what went wrong, its curl line, and its
    own archive.
    """
    page = site.page
    await site.open("/?period=15m")
    await page.wait_for(".failing")
    await page.press("e")
    await page.until("location.search.includes('level')")
    await page.wait_for("#rows tr:nth-child(3)", "/slow")
    await page.press("j")
    await page.press("j")
    await page.press("Enter")
    await page.wait_for(".complaint", "took longer than")
    await page.wait_for("#sheet [role=tabpanel]")
    await page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    await page.press("c")
    assert "/slow" in await page.until("window.copied")
    href = await page.evaluate("document.querySelector('#sheet a[download]').getAttribute('href')")
    assert href == f"api/records/{format_id(site.records['broken'].id)}/har"
    archive = await page.evaluate(f"fetch({href!r}).then((answer) => answer.json())")
    assert len(archive["log"]["entries"]) == 1


async def test_the_messages_of_a_web_socket_are_listed(site: Site) -> None:
    """Both directions, in order; what was inflated, cut, or cannot be read says so."""
    await open_record(site, "socket")
    await site.page.wait_for("#messages tr:first-child", "hello")
    await site.page.wait_for("#messages tr:nth-child(2)", "→ 900\u00a0B")
    await site.page.wait_for("#messages tr:nth-child(3)", "cut: first 4.1\u00a0kB kept")
    await site.page.wait_for("#messages tr:nth-child(4)", "not readable")
    await site.page.wait_for("#messages tr:nth-child(5)", "89 50 4e 47")
    await site.page.wait_for("#messages tr:nth-child(6)", "of these, one after the other")
    await site.page.wait_for("#messages tr:last-child", "code 1000 bye")
    await site.page.click("#messages button", "Show all")
    assert await site.page.evaluate("document.querySelectorAll('#messages button').length") == 1


async def test_a_session_of_a_thousand_messages_comes_in_pages(site: Site) -> None:
    """The first page is there at once; the rest is asked for."""
    page = site.page
    session = record_of(
        50, status=101, path="/chatty", data=b'{"close_code": 1000, "messages_dropped": 1234}'
    )
    data = b'{"direction": "in", "opcode": "text", "size": 5, "text": "hello"}'
    events = [
        record_of(
            n,
            kind="event",
            name="websocket_message",
            status=None,
            trace_id=session.id.hex(),
            data=data,
        )
        for n in range(10_000, 11_000)
    ]
    await site.store(session, *events)
    await site.open(f"/requests?period=15m&record={session.id.hex()}")
    await page.wait_for("#tab-panel", "200 messages so far")
    assert await page.evaluate("document.querySelectorAll('#messages tr').length") == 200
    for number in (400, 600, 800):
        await page.click("#tab-panel button", "Load more messages")
        await page.wait_for("#tab-panel", f"{number} messages so far")
    await page.click("#tab-panel button", "Load more messages")
    await page.wait_for(
        "#tab-panel", "1\u202f000 messages · 1\u202f234 more passed too fast to be kept"
    )
    assert await page.evaluate("document.querySelectorAll('#messages tr').length") == 1000


async def test_the_tool_calls_of_an_exchange_are_listed(site: Site) -> None:
    """Arguments and result, with the way to the MCP logs, where the call is open."""
    await open_record(site, "tool")
    await site.page.click("#tab-tools")
    await site.page.wait_for(".tool-call", "T-20391")
    await site.page.click(".tool-call a")
    await site.page.wait_for(".call-details", "T-20391")


async def test_a_record_that_is_gone_says_so(site: Site) -> None:
    """An unknown id is answered in the sheet, and may be a trace id."""
    await site.open("/requests?period=15m&record=" + "ab" * 16)
    await site.page.wait_for("#sheet", "there is no record")
    await site.page.wait_for("#sheet a", "trace id")
    site.page.problems.clear()  # the browser reports the 404


@pytest.mark.parametrize("of", ["request", "trace"])
async def test_a_pasted_id_may_be_that_of_a_client(empty_site: Site, of: str) -> None:
    """Services log the X-Request-Id, often a UUID as a record's id is, or the trace; one click
    finds the record.
    """
    page = empty_site.page
    pasted = "6f1c29b4-6a51-4c1b-9d30-2f1f6c0a7be4"
    fields = {"request_id": pasted} if of == "request" else {"trace_id": pasted.replace("-", "")}
    await empty_site.store(record_of(1, path="/wanted", **fields), record_of(2, path="/other"))
    await empty_site.open("/requests?period=15m")
    await page.wait_for("#rows tr[data-id]", "/other")
    await page.press("/")
    await page.type(pasted)
    await page.press("Enter")
    await page.click("#sheet a", "request id or a trace id")
    await page.until("document.querySelectorAll('#rows tr[data-id]').length === 1")
    await page.wait_for("#rows tr[data-id]", "/wanted")
    page.problems.clear()  # the browser reports the 404


async def test_a_request_in_flight_shows_what_is_known(site: Site) -> None:
    """Its headers, before it has ended, and the messages of a session that runs; then how it ended,
    also in its row.
    """
    page = site.page
    flying = record_of(
        20, path="/slow", status=101, ended_at_us=0, duration_us=0, first_byte_us=None
    )
    site.world.in_flight = [flying]
    site.world.known[flying.id] = Payload(
        b"GET /slow HTTP/1.1\r\nHost: app.test\r\nX-Asked: so far", b"", None, None
    )
    data = b'{"direction": "in", "opcode": "text", "size": 5, "text": "hello"}'
    await site.store(
        record_of(19, kind="event", name="websocket_message", trace_id=flying.id.hex(), data=data)
    )
    await site.open("/requests?period=15m")
    hurry = (
        "{ const later = setTimeout; window.setTimeout = (what, ms) => later(what, ms === 2000 ? "
        "50 : ms) }"
    )
    await page.evaluate(hurry)
    await page.click(f"[data-id='{format_id(flying.id)}']")
    await page.wait_for("#messages tr", "hello")
    await page.click("#tab-request")
    await page.wait_for("#tab-panel", "so far")
    await page.click("#tab-response")
    await page.wait_for("#tab-panel", "Body")
    site.world.in_flight = []
    await site.store(
        record_of(20, id=flying.id, path="/slow", status=504, outcome="upstream_timeout")
    )
    await page.wait_for("#sheet h2", "504")
    await page.wait_for("#sheet .waterfall", "40")
    await page.wait_for(f"[data-id='{format_id(flying.id)}'] .status", "504")
    assert page.problems == []
