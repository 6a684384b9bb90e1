"""A call is shown as a conversation: what was kept of a long request, blocks of programs, calls
over a WebSocket.
"""

import json
from typing import Any

from storage.record import Batch, Body, Entry, Payload, Record, Stream
from tests.ui.conftest import Site
from tests.ui.world import body_of, payload_of, record_of

CALL: dict[str, Any] = {
    "method": "POST", "path": "/v1/messages", "provider": "anthropic", "model": "claude-x", "input_tokens": 12,
    "output_tokens": 3, "usage_state": "exact", "conversation": bytes([9]) * 16,
}  # fmt: skip
SHOWN = """[...document.querySelectorAll('#tab-panel > :is(.turn, .cut)')].map((part) => part.classList.contains('cut')
    ? part.textContent : [...part.children].map((child) => child.textContent).join(': '))"""


def cut(content: object, head: int, tail: int) -> Body:
    """Make a body of which the middle is missing."""
    text = json.dumps(content).encode()
    return Body(
        text[:head],
        text[-tail:] if tail else b"",
        len(text),
        truncated=True,
        coding=None,
        omitted=None,
    )


async def open_call(site: Site, record: Record, payload: Payload) -> None:
    """Store a call and open its sheet."""
    await site.services.storage.commit(Batch("side-1", [Entry(record, payload)]))
    await site.open(f"/requests?period=15m&record={record.id.hex()}")
    await site.page.wait_for("#tab-chat[aria-selected=true]")


async def test_a_long_request_is_shown_as_far_as_it_was_kept(empty_site: Site) -> None:
    """A gap is marked where the cut is, and in the text that it goes through; what is behind it is
    named.
    """
    page = empty_site.page
    block = "<system-reminder>\nIt is Monday\n</system-reminder>"
    sent = {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": block},
                    {"type": "text", "text": "Read my notes"},
                ],
            },
            {"role": "user", "content": "A story: " + "and so on, " * 40},
        ],
        "tools": [{"name": "read", "description": "x" * 900}],
    }
    payload = payload_of(b"{}", b'{"content": [{"type": "text", "text": "Milk"}]}')
    payload.request_body = cut(sent, 300, 200)
    await open_call(empty_site, record_of(1, **CALL), payload)
    await page.wait_for("#tab-panel h3", "at least 2 messages")
    shown = await page.evaluate(SHOWN)
    assert shown[0] == "User: system-reminder 12 charactersIt is MondayRead my notes"
    assert shown[1].startswith("User: A story: and so on, ")
    assert shown[1].endswith("… the rest of this was not kept")
    assert shown[2] == "about 1.1\u00a0kB of the request were not kept; its end is under Request"
    assert shown[3:] == ["Assistant: Milk"]
    assert await page.evaluate("document.querySelector('#tab-panel details').open") is False
    await page.click("#tab-panel summary", "system-reminder")
    await page.wait_for("#tab-panel details", "It is Monday")


async def test_the_last_messages_stand_behind_the_gap(empty_site: Site) -> None:
    """Where the end of the request has them."""
    items = [{"role": "user", "content": f"message {number}"} for number in range(30)]
    payload = payload_of(b"{}", b'{"output": []}')
    payload.request_body = cut({"input": items, "store": False}, 100, 130)
    await open_call(empty_site, record_of(1, **CALL | {"provider": "openai"}), payload)
    await empty_site.page.wait_for("#tab-panel h3", "at least 4 messages")
    assert await empty_site.page.evaluate(SHOWN) == [
        *("User: message 0", "User: message 1"),
        "about 1.1\u00a0kB of the request were not kept",
        *("User: message 28", "User: message 29"),
        "Assistant: nothing",
    ]


async def test_a_call_over_a_web_socket_is_a_call(empty_site: Site) -> None:
    """Its headline says so; what was asked and answered is a conversation, and two bodies without
    heads.
    """
    page = empty_site.page
    tools = [
        {"type": "namespace", "name": "functions", "tools": [{"type": "custom", "name": "exec"}]}
    ]
    items = [
        {"type": "additional_tools", "tools": tools},
        {"role": "user", "content": "Read my notes"},
    ]
    asked = {"type": "response.create", "previous_response_id": "resp_1", "input": items}
    call = {"type": "custom_tool_call", "call_id": "c1", "name": "exec", "input": "cat notes"}
    ended = {"type": "response.completed", "response": {"output": [call]}}
    stream = Stream(
        first_content_us=30_500, frames=3, longest_gap_us=None, finished=True, end="complete"
    )
    record = record_of(
        1, kind="event", name="websocket_message", level="debug", status=None, stream=stream,
        data=b'{"direction": "out", "opcode": "text", "size": 9, "text": "{}"}',
        **CALL | {"provider": "openai", "model": "gpt-x", "method": None, "path": None},
    )  # fmt: skip
    request, response = (body_of(json.dumps(content).encode()) for content in (asked, ended))
    await open_call(empty_site, record, Payload(b"", b"", request, response))
    await page.wait_for("#sheet h2", "call over a WebSocket")
    await page.wait_for("#sheet h2 .tag", "LLM")
    await page.wait_for("#sheet h2 .model", "gpt-x")
    await page.wait_for("#sheet .actions a", "Conversation")
    await page.wait_for("#tab-panel h3", "1 message after resp_1, 1 tool offered: exec")
    assert await page.evaluate(SHOWN) == ["User: Read my notes", "Assistant: CALL exec c1cat notes"]
    tabs = "[...document.querySelectorAll('[role=tab]')].map((tab) => tab.textContent)"
    assert await page.evaluate(tabs) == ["Chat", "Event", "Request", "Response", "Facts"]

    for name, text in (("request", '"response.create"'), ("response", '"response.completed"')):
        await page.click(f"#tab-{name}")
        await page.wait_for("#tab-panel .tree", text)
        assert (
            await page.evaluate(
                "document.querySelectorAll('#tab-panel :is(.start-line, dl)').length"
            )
            == 0
        )

    await empty_site.open(f"/requests?period=15m&filter=conversation:{CALL['conversation'].hex()}")
    await page.wait_for("tbody tr", "LLMcall over a WebSocket")
    await page.wait_for("tbody tr", "gpt-x · 12 in · 3 out")


async def test_a_request_over_a_web_socket_may_not_be_kept(empty_site: Site) -> None:
    """The answer is shown alone; nothing says that there was no request."""
    page = empty_site.page
    record = record_of(
        1, kind="event", name="websocket_message", level="debug", status=None, data=b"{}",
        **CALL | {"provider": "openai", "method": None, "path": None},
    )  # fmt: skip
    ended = {
        "type": "response.done",
        "response": {"output": [{"type": "message", "content": [{"text": "Milk"}]}]},
    }
    await open_call(
        empty_site, record, Payload(b"", b"", None, body_of(json.dumps(ended).encode()))
    )
    assert await page.evaluate(SHOWN) == ["Assistant: Milk"]
    await page.click("#tab-request")
    await page.wait_for("#tab-panel", "not kept")
