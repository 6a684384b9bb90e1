"""What the native API shows and finds of LLM calls and tool calls."""

from storage.record import Entry, Stream, ToolCall, format_id
from tests.api.conftest import Client, World, ask
from tests.api.samples import START_US, make_record


async def test_detail_shows_usage_stream_and_tools(world: World, client: Client) -> None:
    """Usage is null without an LLM call, tools are empty without a tool call, also while in flight."""
    llm = make_record(
        1, provider="openai", model="gpt", input_tokens=5, usage_state="partial", cost_usd=0.5, price_source="reported",
        stream=Stream(100, 7, 20, False, "stop"),
    )  # fmt: skip
    tool = make_record(2)
    call = ToolCall(
        record_id=tool.id, started_at_us=START_US, created_at_us=START_US, tool_name="add", server_label="s",
        status="success", latency_us=1500,
    )  # fmt: skip
    await world.store(llm, Entry(tool, None, [call]))
    shown = await ask(client, f"/api/records/{format_id(llm.id)}")
    assert shown["usage"] == {
        "input_tokens": 5, "output_tokens": None, "cache_read_tokens": None, "cache_write_tokens": None,
        "reasoning_tokens": None, "state": "partial", "cost_usd": 0.5, "price_source": "reported",
        "meters": {}, "service_tier": None, "cost_lacks": [],
    }  # fmt: skip
    assert (shown["stream"]["frames"], shown["finish_reason"], shown["tools"]) == (7, "stop", [])
    shown = await ask(client, f"/api/records/{format_id(tool.id)}")
    assert (shown["usage"], [found["tool_name"] for found in shown["tools"]]) == (None, ["add"])
    flying = make_record(3, status=None, ended_at_us=0, duration_us=0)
    world.in_flight = [flying]
    world.running_tools = [
        ToolCall(
            record_id=flying.id, started_at_us=START_US, created_at_us=START_US, tool_name="slow", server_label="s",
            status="processing",
        )
    ]  # fmt: skip
    shown = await ask(client, f"/api/records/{format_id(flying.id)}")
    assert [found["status"] for found in shown["tools"]] == ["processing"]


async def test_reason_of_a_document(world: World, client: Client) -> None:
    """Why an answer ended is told of streams and documents alike; a document is not shown as a
    stream.
    """
    document = make_record(
        1,
        provider="openai",
        usage_state="exact",
        stream=Stream(None, None, None, True, "length", is_document=True),
    )
    await world.store(document, make_record(2))
    rows = (await ask(client, "/api/records"))["records"]
    assert [(row["stream"], row["finish_reason"]) for row in rows] == [
        (None, None),
        (None, "length"),
    ]
    shown = await ask(client, f"/api/records/{format_id(document.id)}")
    assert (shown["stream"], shown["finish_reason"]) == (None, "length")
