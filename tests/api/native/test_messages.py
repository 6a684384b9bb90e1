"""WebSocket messages under their exchange."""

import json
from typing import Any

import pytest

from api.native import messages
from storage.record import Record, format_id
from tests.api.conftest import BEARER, Client, World, ask
from tests.api.samples import START_US, make_event, make_in_flight, make_record

TRACE = "0af7651916cd43dd8448eb211c80319c"


def make_message(number: int, session: Record, **data: Any) -> Record:
    """Make the event of a message that passed `number` ms after the session began."""
    fields = {"direction": "in", "opcode": "text", "size": 5, "text": f"text {number}"} | data
    trace_id = session.trace_id or session.id.hex()
    return make_event(
        number,
        name="websocket_message",
        level="debug",
        trace_id=trace_id,
        data=json.dumps(fields).encode(),
    )


async def messages_of(client: Client, record: Record, **parameters: Any) -> Any:
    """Ask for a page of messages."""
    return await ask(client, f"/api/records/{format_id(record.id)}/messages", **parameters)


async def test_messages_are_told_with_direction_time_and_sizes(
    world: World, client: Client
) -> None:
    """In the order they passed; what does not apply is null."""
    session = make_record(1, status=101)
    await world.store(
        make_message(2, session),
        make_message(3, session, direction="out", text="abc", size=70, compressed=True, inflated_size=900,
                     truncated=True, kept=3),
        make_message(4, session, opcode="close", code=1000, text="", follows_gap=True),
        make_message(5, session, opcode="ping", size=0, count=40, text=""),
        session,
    )  # fmt: skip
    page = await messages_of(client, session)
    assert (page["next_cursor"], page["complete"]) == (None, True)
    first, second, third, row = page["messages"]
    assert first | {"id": "", "at": ""} == {
        "id": "", "seq": 1, "at": "", "at_us": START_US + 2000, "direction": "in", "opcode": "text", "size": 5,
        "count": 1, "compressed": False, "inflated_size": None, "text": "text 2", "base64": None, "code": None,
        "truncated": False, "kept": None, "omitted": None, "follows_gap": False, "model": None, "input_tokens": None,
        "output_tokens": None, "usage_state": None, "cost_usd": None,
    }  # fmt: skip
    names = ("direction", "size", "compressed", "inflated_size", "truncated", "kept")
    assert [second[name] for name in names] == ["out", 70, True, 900, True, 3]
    assert (third["opcode"], third["code"], third["follows_gap"]) == ("close", 1000, True)
    assert (row["opcode"], row["size"], row["count"]) == ("ping", 0, 40)


async def test_pages_follow_each_other_and_the_trace_may_have_other_sessions(
    world: World, client: Client
) -> None:
    """Messages of another session of the same trace, and other events of it, are left out."""
    session = make_record(1, status=101, trace_id=TRACE)
    other = make_record(2, status=101, trace_id=TRACE)
    mine = [make_message(n, session, exchange_id=format_id(session.id)) for n in range(10, 16)]
    foreign = [make_message(n, other, exchange_id=format_id(other.id)) for n in range(20, 26)]
    mixed = [event for pair in zip(mine, foreign, strict=True) for event in pair]
    await world.store(session, other, *mixed, make_event(30, name="other", trace_id=TRACE))
    found: list[str] = []

    cursor = ""
    while cursor is not None:
        page = await messages_of(client, session, limit=4, cursor=cursor)
        found += [message["text"] for message in page["messages"]]
        cursor = page["next_cursor"]

    assert found == [f"text {n}" for n in range(10, 16)]


async def test_a_session_that_runs_has_its_messages_already(world: World, client: Client) -> None:
    """By the id its client was given."""
    flying = make_in_flight(1)
    world.in_flight = [flying]
    await world.store(make_message(2, flying))
    assert [message["text"] for message in (await messages_of(client, flying))["messages"]] == [
        "text 2"
    ]


async def test_an_exchange_without_messages_has_none_and_an_unknown_one_is_404(
    world: World, client: Client
) -> None:
    """Bad parameters are named."""
    record = make_record(1)
    await world.store(record)
    assert (await messages_of(client, record))["messages"] == []
    base = "/api/records/"
    await ask(client, f"{base}{'0' * 32}/messages", 404)

    for query in ("limit=0", "limit=1001", "cursor=x", "cursor=AQEAAAAAAAAAAQ", "q=x"):
        assert (await ask(client, f"{base}{format_id(record.id)}/messages?{query}", 400))[
            "parameter"
        ] == query.partition("=")[0]


async def test_the_archive_has_the_messages_as_browsers_write_them(
    world: World, client: Client
) -> None:
    """Of one record and of an export alike."""
    session = make_record(1, status=101)
    await world.store(
        session,
        make_message(2, session),
        make_message(
            3, session, direction="out", opcode="binary", base64="/wA=", truncated=True, kept=2
        ),
        make_message(4, session, text=None, omitted="context", compressed=True, inflated_size=None),
    )
    one = await client.get(f"/api/records/{format_id(session.id)}/har", headers=BEARER)

    whole = await client.get("/api/export?format=har", headers=BEARER)
    for response in (one, whole):
        (entry,) = (await response.json())["log"]["entries"]
        sent, received, unread = entry["_webSocketMessages"]
        assert entry["_resourceType"] == "websocket"
        assert sent == {
            "type": "send",
            "time": (START_US + 2000) / 1e6,
            "opcode": 1,
            "data": "text 2",
            "_size": 5,
        }
        assert (received["type"], received["opcode"], received["data"]) == ("receive", 2, "/wA=")
        assert received["_comment"] == "cut: the first 2 bytes were kept"
        assert (unread["data"], unread["_comment"]) == ("", "not kept: context")


@pytest.mark.parametrize(("limit", "value"), [("MAX_ARCHIVED", 2), ("MAX_ARCHIVED_BYTES", 180)])
async def test_an_archive_is_bounded_and_says_so(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    """In messages and in bytes."""
    monkeypatch.setattr(messages, limit, value)
    session = make_record(1, status=101)
    await world.store(session, *(make_message(n, session) for n in range(2, 7)))
    (entry,) = (await ask(client, "/api/export?format=har"))["log"]["entries"]
    assert len(entry["_webSocketMessages"]) == 2
    assert entry["comment"].endswith("the first 2 messages only")


async def test_an_archive_looks_through_so_many_events_of_a_trace(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others of the trace may have any number."""
    monkeypatch.setattr(messages, "MAX_ARCHIVED", 4)
    session = make_record(1, status=101, trace_id=TRACE)
    other = make_record(2, status=101, trace_id=TRACE)
    mine = [make_message(n, session, exchange_id=format_id(session.id)) for n in (10, 90)]
    foreign = [make_message(n, other, exchange_id=format_id(other.id)) for n in range(11, 90)]
    await world.store(session, mine[0], *foreign, mine[1], other)
    (entry,) = (await ask(client, f"/api/records/{format_id(session.id)}/har"))["log"]["entries"]
    assert [message["data"] for message in entry["_webSocketMessages"]] == ["text 10"]
    assert entry["comment"].endswith("the first 1 messages only")


async def test_the_message_that_ends_a_call_of_a_session_tells_what_it_used(
    world: World, client: Client
) -> None:
    """Model, tokens and cost are its own."""
    session = make_record(1, status=101)
    ends = make_message(2, session, direction="out")
    ends.provider = "openai"
    ends.model = "gpt-realtime"
    ends.input_tokens = 132
    ends.output_tokens = 121
    ends.usage_state = "exact"
    ends.cost_usd = 0.007
    await world.store(ends, session)
    (shown,) = (await messages_of(client, session))["messages"]
    assert [shown[name] for name in ("model", "input_tokens", "output_tokens", "usage_state", "cost_usd")] == [
        "gpt-realtime", 132, 121, "exact", 0.007
    ]  # fmt: skip
