"""The run of an agent as one page, and as a file that is opened from the disk."""

import json
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from storage.record import Batch, Entry, ToolCall, format_id
from tests.api.conftest import BEARER
from tests.ui.conftest import Site
from tests.ui.world import payload_of, record_of

RUN = bytes([5]) * 16
FRAMED = "document.documentElement.scrollWidth - innerWidth"


async def fill(site: Site) -> list[Entry]:
    """Store a run of three steps: the second fails, and an MCP call behind it; the third says that
    a tool did.
    """
    said: list[dict[str, Any]] = []
    made = []
    for number in range(3):
        if number == 2:
            said.append(
                {"role": "tool", "tool_call_id": "c0", "status": "error", "content": "no such file"}
            )

        said.append({"role": "user", "content": f"question {number} </script><b>"})
        answer = {"role": "assistant", "content": f"answer {number}", "tool_calls": [
            {"id": f"c{number}", "function": {"name": "read", "arguments": json.dumps({"n": number})}}]}  # fmt: skip
        failed = number == 1
        fields: dict[str, Any] = {
            "method": "POST", "path": "/v1/chat/completions", "provider": "openai", "model": "gpt-4o",
            "input_tokens": 1000, "output_tokens": 50, "usage_state": "exact", "cost_usd": 0.25, "conversation": RUN,
            "marks": bytes(16), "trace_id": "ab" * 16,
        }  # fmt: skip
        fields |= {"status": 529, "error_type": "overloaded_error"} if failed else {}
        body = (
            {"error": {"message": "too much to do"}}
            if failed
            else {"choices": [{"message": answer}]}
        )
        sent = json.dumps({"messages": said}).encode()
        made.append(
            Entry(record_of(60 - 2 * number, **fields), payload_of(sent, json.dumps(body).encode()))
        )
        if not failed:
            said.append(answer)

    mcp = record_of(57, provider="mcp", trace_id="ab" * 16)
    call = ToolCall(
        record_id=mcp.id, started_at_us=mcp.started_at_us, created_at_us=mcp.started_at_us, tool_name="search",
        server_label="files", status="error", latency_us=2000, arguments=b'{"q": "<i>"}', error_details=(
            b'{"a": 1}'
        ),
    )  # fmt: skip
    await site.world.storage.commit(Batch("side-1", [*made, Entry(mcp, None, [call])]))
    return made


async def check(site: Site) -> None:
    """Look at what both show."""
    page = site.page
    await page.wait_for(".run-step:nth-child(3)", "answer 2")
    steps: list[str] = await page.evaluate(
        "[...document.querySelectorAll('.run-step')].map((one) => one.innerText)"
    )
    assert "question 0 </script><b>" in steps[0]
    assert "too much to do" in steps[1]
    assert "overloaded_error" in steps[1]
    assert "files · search" in steps[1]
    assert "of the same trace" in steps[1]
    assert "3 messages as before" in steps[2]
    assert "question 1" not in steps[2]
    assert ["read failed" in step for step in steps] == [False, False, True]
    assert "c0" not in steps[2]
    title = "Run: question 0 </script><b>"
    assert await page.evaluate("document.querySelector('h1').textContent") == title
    assert (await page.evaluate("document.title")).startswith(title)
    await page.click(".run-step:nth-child(3) summary")
    await page.wait_for(".run-step:nth-child(3) details", "question 1")

    for key, step in (
        ("k", 2),
        ("k", 1),
        ("j", 2),
        ("k", 1),
        ("e", 2),
        ("e", 3),
        ("k", 2),
        ("ArrowDown", 3),
        ("j", 3),
    ):
        await page.press(key)
        assert f"Step {step}" in await page.evaluate(
            "document.activeElement.closest('.run-step').innerText"
        )


async def test_results_are_named_and_folded(site: Site) -> None:
    """By the tool whose call has their id, also one of an answer; long JSON is a click away, of
    MCP, too.
    """
    page = site.page
    rows = json.dumps([{"name": f"row {number}"} for number in range(20)])
    asked = {"id": "toolu_1", "type": "tool_use", "name": "list_rows", "input": {}}
    given = {
        "type": "tool_result",
        "tool_use_id": "toolu_1",
        "content": [{"type": "text", "text": rows}],
    }
    fields: dict[str, Any] = {
        "method": "POST",
        "path": "/v1/messages",
        "provider": "anthropic",
        "conversation": RUN,
    }
    fields |= {"trace_id": "ab" * 16}
    sent = (
        {"messages": [{"role": "user", "content": "Which?"}]},
        {"messages": [{"role": "user", "content": [given]}]},
    )
    made = [
        Entry(
            record_of(60 - number, **fields),
            payload_of(json.dumps(content).encode(), json.dumps({"content": [asked]}).encode()),
        )
        for number, content in enumerate(sent)
    ]
    mcp = record_of(58, provider="mcp", trace_id="ab" * 16)
    call = ToolCall(
        record_id=mcp.id, started_at_us=mcp.started_at_us, created_at_us=mcp.started_at_us, tool_name="list_rows",
        server_label="files", status="error", latency_us=2000, result=rows.encode(),
    )  # fmt: skip
    await site.world.storage.commit(Batch("side-1", [*made, Entry(mcp, None, [call])]))
    await site.open(f"/conversations/{format_id(RUN)}")

    for part in (".turn.tool", ".mcp-call"):
        at = f".run-step:nth-child(2) {part}"
        await page.wait_for(f"{at} code", "list_rows")
        await page.wait_for(at, "Show all 62 lines")
        shown = f"document.querySelector('{at} pre').innerText"
        assert "row 19" not in await page.evaluate(shown)
        assert "toolu_1" not in await page.evaluate(f"document.querySelector('{at}').innerText")
        await page.click(f"{at} button", "Show all 62 lines")
        assert "row 19" in await page.evaluate(shown)
        assert await page.evaluate(f"document.querySelector('{at} button') === null")


async def test_a_run_is_one_page(site: Site) -> None:
    """From its address, step by step, by keys, and back to the list; on a narrow screen, too."""
    await fill(site)
    page = site.page
    await site.open(f"/conversations/{format_id(RUN)}")
    await check(site)
    figures = await page.evaluate("document.querySelector('.facts').innerText")
    assert "1 of 3 turns" in figures
    assert "$0.75" in figures
    assert "MCP tools 2.0" in await page.evaluate("document.querySelector('.run-time').innerText")
    await page.resize(320, 700)
    assert await page.evaluate(FRAMED) == 0
    await page.resize(1400, 900)
    await page.click("a", "Show in Conversations")
    await page.wait_for(".turn-list")
    await page.click("a", "Open the whole run")
    await page.wait_for(".run-step")


async def test_a_run_is_one_file(site: Site, tmp_path: Path) -> None:
    """Opened without sidelog it shows the same."""
    await fill(site)
    url = f"{site.url}/api/conversations/{format_id(RUN)}/file"
    async with ClientSession() as session, session.get(url, headers=BEARER) as answer:
        assert answer.status == 200
        (tmp_path / "run.html").write_bytes(await answer.read())
    await site.page.open(f"file://{tmp_path}/run.html")
    await check(site)
    await site.page.resize(320, 700)
    assert await site.page.evaluate(FRAMED) == 0
