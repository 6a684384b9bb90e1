"""Gateway requests over HTTP."""

from typing import Any

from api.dialects.gateway import format_request_id
from tests.api.conftest import BEARER, Client, World, ask
from tests.api.samples import make_event, make_record
from tests.support.cases import each_of


async def page(client: Client, **parameters: str | int) -> Any:
    """Ask the list."""
    return await ask(client, "/v1/requests", **parameters)


async def test_a_row_has_the_keys_of_the_document(world: World, client: Client) -> None:
    """Order, types and values follow the document's example."""
    record = make_record(
        1,
        model="gpt-4o",
        provider="openai",
        input_tokens=512,
        output_tokens=128,
        duration_us=843_900,
        project="proj_abc123",
    )
    await world.store(record)
    answer = await page(client)
    assert list(answer) == ["total", "limit", "offset", "data"]
    assert answer["data"] == [
        {
            "id": format_request_id(record.id),
            "timestamp": "2024-06-12T14:07:14.001Z",
            "model": "gpt-4o",
            "provider": "openai",
            "status": 200,
            "latency_ms": 843,
            "input_tokens": 512,
            "output_tokens": 128,
            "project_id": "proj_abc123",
            "error": None,
        }
    ]
    assert list(answer["data"][0])[:3] == ["id", "timestamp", "model"]


async def test_a_row_of_a_call_says_what_was_used(world: World, client: Client) -> None:
    """Behind the keys of the document, and on LLM calls only; what is not known is null."""
    used = {
        "resolved_model": "gpt-4o-1",
        "usage_state": "exact",
        "cache_read_tokens": 3,
        "reasoning_tokens": 5,
    }
    record = make_record(1, model="gpt-4o", provider="openai", **used)
    await world.store(record, make_record(2))
    plain, call = (await page(client))["data"]
    assert list(plain)[-1] == "error"
    assert dict(list(call.items())[10:]) == used | {"cache_write_tokens": None}


async def test_pages_are_newest_first_and_totals_follow_the_filter(
    world: World, client: Client
) -> None:
    """Events are no rows; the total ignores paging; limits are clamped and echoed."""
    await world.store(
        *(make_record(n, project="proj_a" if n % 2 else "proj_b") for n in range(1, 8)),
        make_event(8),
    )
    answer = await page(client, limit=2, offset=1)
    assert [row["timestamp"][-4:-1] for row in answer["data"]] == ["006", "005"]
    assert (answer["total"], answer["limit"], answer["offset"]) == (7, 2, 1)
    answer = await page(client, project_id="proj_b", limit=9999)
    assert (answer["total"], answer["limit"], len(answer["data"])) == (3, 500, 3)
    assert (await page(client))["limit"] == 50
    assert (await page(client, limit=0)) == {"total": 7, "limit": 0, "offset": 0, "data": []}
    assert (await page(client, offset=2**63 - 1))["data"] == []
    assert (await page(client, project_id="nobody"))["total"] == 0
    assert (await page(client, project_id="", unknown="1"))["total"] == 7


async def test_pages_go_by_receipt(world: World, client: Client) -> None:
    """What lasted long and was stored late is where it was received, on every page."""
    await world.store(*(make_record(n) for n in (4, 7, 2)))
    await world.store(*(make_record(n) for n in (1, 6, 3, 5)))
    pages = [(await page(client, limit=3, offset=offset))["data"] for offset in (0, 3, 6)]
    assert [[row["timestamp"][-4:-1] for row in page] for page in pages] == [
        ["007", "006", "005"],
        ["004", "003", "002"],
        ["001"],
    ]


async def test_pages_are_frozen_by_the_first_answers_end(world: World, client: Client) -> None:
    """With `max_seq` given back, rows that arrive do not shift the next page or the total."""
    await world.store(*(make_record(n) for n in range(1, 5)))
    first = await client.get("/v1/requests", params={"limit": 2}, headers=BEARER)
    await world.store(make_record(9))
    second = await page(client, limit=2, offset=2, max_seq=first.headers["X-Max-Seq"])
    assert [row["timestamp"][-4:-1] for row in second["data"]] == ["002", "001"]
    assert second["total"] == 4


@each_of(("name", "value"), [("limit", "+5"), ("limit", ""), ("offset", "-1"), ("offset", "1_000")])
async def test_bad_numbers_are_400(client: Client, name: str, value: str) -> None:
    """In the shape of LLM providers, naming the parameter."""
    answer = await ask(client, "/v1/requests", 400, **{name: value})
    assert answer["error"]["type"] == "invalid_request_error"
    assert answer["error"]["message"].startswith(f"{name} is ")


async def test_only_llm_calls(world: World, client: Client) -> None:
    """The extension leaves out what was no LLM call, in rows and total."""
    await world.store(make_record(1), make_record(2, provider="openai", model="gpt"))
    answer = await page(client, llm_only="true")
    assert (answer["total"], [row["model"] for row in answer["data"]]) == (1, ["gpt"])
    assert (await page(client, llm_only="0"))["total"] == 2
    response = await client.get("/v1/requests?llm_only=maybe", headers=BEARER)
    assert response.status == 400
