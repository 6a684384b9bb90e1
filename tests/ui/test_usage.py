"""The sheet tells where a call's tokens are: with another exchange, in the messages of a session,
or not known.
"""

import json

from storage.record import Stream, format_id
from tests.ui.conftest import Site
from tests.ui.world import record_of


async def open_sheet(site: Site, number: bytes) -> None:
    """Open a record by its own address."""
    await site.open(f"/requests?period=15m&record={number.hex()}")
    await site.page.wait_for("#sheet [role=tabpanel]")


async def test_the_answer_of_a_call_leads_to_what_began_it(site: Site) -> None:
    """And that says that its tokens are counted elsewhere."""
    begun = record_of(30, method="POST", path="/v1/responses", model="gpt-5", usage_state="later")
    link = Stream(
        None, None, None, True, "completed", is_document=True, begun_by=format_id(begun.id)
    )
    counted = record_of(
        29, method="GET", path="/v1/responses/r", provider="openai", model="gpt-5", input_tokens=36, output_tokens=87,
        usage_state="exact", stream=link,
    )  # fmt: skip
    again = record_of(28, method="GET", path="/v1/responses/r", stream=link)
    await site.store(begun, counted, again)
    await open_sheet(site, again.id)
    await site.page.wait_for("#sheet .usage", "nothing is counted here")
    await open_sheet(site, counted.id)
    await site.page.wait_for("#sheet .usage", "exact")
    await site.page.wait_for("#sheet .usage", "87")
    await site.page.click("#sheet .usage a", "another exchange")
    await site.page.wait_for("#sheet .usage", "not known yet")


async def test_a_stream_without_tokens_says_how_to_have_them(site: Site) -> None:
    """Chat Completions counts in a stream only where the client wants it."""
    ended = Stream(None, None, None, True, "stop", end="complete")
    silent = record_of(
        27, method="POST", path="/v1/chat/completions", provider="openai", model="gpt-x", usage_state="absent",
        stream=ended,
    )  # fmt: skip
    await site.store(silent)
    await open_sheet(site, silent.id)
    await site.page.wait_for(
        "#sheet .usage",
        "no usage reported: a stream has it where stream_options.include_usage is set",
    )


async def test_a_session_with_a_model_shows_its_calls(site: Site) -> None:
    """The sum above, and each response with what it used."""
    summed = {
        "provider": "openai", "model": "gpt-realtime", "calls": 2, "input_tokens": 264, "output_tokens": 242,
        "cache_read_tokens": 128, "cost_usd": 0.0151, "complete": False,
    }  # fmt: skip
    session = record_of(
        40, status=101, path="/v1/realtime", data=json.dumps({"llm": summed}).encode()
    )
    said = b'{"direction": "out", "opcode": "text", "size": 9, "text": "{}"}'
    call = record_of(
        39, kind="event", name="websocket_message", status=None, trace_id=session.id.hex(), data=said,
        provider="openai", model="gpt-realtime", input_tokens=132, output_tokens=121, usage_state="exact",
        cost_usd=0.00755,
    )  # fmt: skip
    unseen = record_of(
        38, kind="event", name="websocket_message", status=None, trace_id=session.id.hex(), data=said,
        provider="openai", model="gpt-realtime", usage_state="lost",
    )  # fmt: skip
    await site.store(session, call, unseen)
    await open_sheet(site, session.id)
    await site.page.wait_for("#sheet .usage", "2 calls of gpt-realtime")
    await site.page.wait_for("#sheet .usage", "there may be more")
    await site.page.wait_for("#sheet .usage", "$0.0151")
    await site.page.wait_for(
        "#messages tr:first-child .call-note", "gpt-realtime · 132 in · 121 out · $0.00"
    )
    await site.page.wait_for("#messages tr:last-child .call-note", "gpt-realtime · lost")


async def test_names_with_marks_lead_to_their_records(empty_site: Site) -> None:
    """What a search would read in a name of a model, a service or an error is no part of the
    search.
    """
    names = {"model": 'gpt "x" (beta), 2', "service": "a or (b", "error_type": "too many, wait*"}
    call = record_of(
        1,
        provider="openai",
        usage_state="exact",
        input_tokens=3,
        output_tokens=4,
        status=500,
        **names,
    )
    await empty_site.store(call, record_of(2, status=500, error_type="other"))

    for name in names.values():
        await empty_site.open("/")
        await empty_site.page.click(".list a", name)
        await empty_site.page.wait_for("#rows tr[data-id]")
        found = await empty_site.page.evaluate(
            "[...document.querySelectorAll('#rows tr[data-id]')].map((r) => r.dataset.id)"
        )
        assert found == [format_id(call.id)], name
