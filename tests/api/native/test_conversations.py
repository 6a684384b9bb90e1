"""Conversations over HTTP: the list, one of them with its calls, and what may be asked."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from storage.record import Entry, Payload, Record, Stream, format_id
from tests.api.conftest import Client, World, ask
from tests.api.samples import make_body, make_record

A, B, C = bytes([1]) * 16, bytes([2]) * 16, bytes([3]) * 16


async def conversations(client: Client, at: str = "", /, **parameters: str | int) -> Any:
    """Ask for the list, or for what is below it."""
    return await ask(client, f"/api/conversations{at}", **parameters)


def call(number: int, conversation: bytes | None, **changes: Any) -> Record:
    """An LLM call."""
    fields = {
        "provider": "openai",
        "model": "gpt",
        "conversation": conversation,
        "marks": bytes(16),
    }
    return make_record(number, **(fields | changes))


async def stored(world: World, *records: Record) -> None:
    """Store calls, each with what was asked."""
    entries = []
    for record in records:
        body = make_body(
            json.dumps(
                {"messages": [{"role": "user", "content": f"words of {record.seq}"}]}
            ).encode()
        )
        entries.append(Entry(record, Payload(b"POST / HTTP/1.1", b"HTTP/1.1 200 OK", body, None)))

    await world.store(*entries)


async def test_a_run_is_one_line_that_opens(world: World, client: Client) -> None:
    """Its sums, where it failed, and its calls in order."""
    stream = Stream(None, None, None, True, "tool_calls", tools=["read"], is_document=True)
    calls = [
        call(
            1,
            A,
            input_tokens=10,
            output_tokens=2,
            cost_usd=0.25,
            stream=stream,
            key_id="k",
            key_name="mobile",
        ),
        call(2, A, input_tokens=20, output_tokens=3, cost_usd=0.5),
        call(3, A, status=529, level="error", error_type="overloaded_error"),
    ]
    await stored(world, *calls, call(4, B))
    page = await conversations(client)
    assert (len(page["conversations"]), page["next_cursor"], page["complete"]) == (2, None, True)
    shown = page["conversations"][1]
    assert shown["id"] == format_id(A)
    assert shown["title"] == "words of 0"
    assert (shown["turns"], shown["failed"], shown["counted"], shown["priced"]) == (3, 1, 2, 3)
    assert (shown["input_tokens"], shown["output_tokens"], shown["cost_usd"]) == (30, 5, 0.75)
    assert (shown["models"], shown["tools"]) == ({"gpt": 3}, {"read": 1})
    assert shown["failure"] == {
        "id": format_id(calls[2].id), "status": 529, "outcome": calls[2].outcome, "error_type": "overloaded_error",
    }  # fmt: skip
    assert (shown["first_id"], shown["last_id"]) == (format_id(calls[0].id), format_id(calls[2].id))
    opened = await conversations(client, f"/{format_id(A)}")
    assert {name: opened[name] for name in shown} == shown
    assert [found["id"] for found in opened["calls"]] == [format_id(found.id) for found in calls]
    assert opened["calls"][0]["conversation"] == format_id(A)
    assert "marks" not in opened["calls"][0]


def asked(**request: Any) -> Payload:
    """What is stored of a call that asked this."""
    return Payload(b"", b"", make_body(json.dumps(request).encode()), None)


@pytest.mark.parametrize("has_said", [True, False])
async def test_what_an_agent_asks_beside_its_work_is_not_what_it_is_about(
    world: World, client: Client, has_said: bool
) -> None:
    """A title it wants, or a call without any words, comes before the call that offers tools."""
    before = [{"role": "user", "content": "Write a title"}] if has_said else []
    work = [{"role": "user", "content": "<env>here</env>"}, {"role": "user", "content": "Mend it"}]
    entries = [
        Entry(call(1, A), asked(messages=before)),
        Entry(call(2, A), asked(messages=work, tools=[{"name": "bash"}])),
        Entry(call(3, B), asked(messages=before)),
        Entry(call(4, B), asked(messages=before)),
    ]
    await world.store(*entries)
    titles = {
        shown["id"]: shown["title"] for shown in (await conversations(client))["conversations"]
    }
    assert titles == {format_id(A): "Mend it", format_id(B): "Write a title" if has_said else None}
    assert (await conversations(client, f"/{format_id(A)}"))["title"] == "Mend it"


async def test_titles_of_a_page_are_read_at_once(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bodies of all first calls, then those of the calls behind them, however many there are."""
    silent = [Entry(call(number, bytes([number]) * 16), asked(messages=[])) for number in (1, 2, 3)]
    said = asked(messages=[{"role": "user", "content": "Mend it"}])
    behind = [Entry(call(10 + number, bytes([number]) * 16), said) for number in (1, 2, 3)]
    await world.store(*silent, *behind)
    reads: list[int] = []
    payloads = world.storage.payloads

    async def counted(seqs: Sequence[int]) -> dict[int, Payload]:
        reads.append(len(seqs))
        return await payloads(seqs)

    monkeypatch.setattr(world.storage, "payloads", counted)
    shown = (await conversations(client))["conversations"]
    assert [each["title"] for each in shown] == ["Mend it"] * 3
    assert reads == [3, 3]


async def test_calls_over_a_websocket_are_calls(world: World, client: Client) -> None:
    """They are events, and no kind need be asked for; one that is asked for holds."""
    await stored(
        world, call(1, A, kind="event", name="websocket_message", level="debug"), call(2, B)
    )
    shown = {
        found["id"]: found["title"] for found in (await conversations(client))["conversations"]
    }
    assert shown == {format_id(A): "words of 0", format_id(B): "words of 0"}
    assert [
        found["id"] for found in (await conversations(client, kind="exchange"))["conversations"]
    ] == [format_id(B)]
    assert [
        found["id"] for found in (await conversations(client, query="kind:event"))["conversations"]
    ] == [format_id(A)]
    assert len((await conversations(client, f"/{format_id(A)}"))["calls"]) == 1
    for asked in ({"conversation": format_id(A)}, {"query": f"conversation:{format_id(A)}"}):
        assert len((await ask(client, **asked))["records"]) == 1


async def test_pages_and_filters(world: World, client: Client) -> None:
    """Cursors lead on, in both lists; filters are those of records, with the number of calls beside
    them.
    """
    await stored(
        world,
        *(
            call(number, bytes([number % 3 + 1]) * 16, model=f"m{number}")
            for number in range(1, 10)
        ),
    )
    first = await conversations(client, limit=2)
    second = await conversations(client, limit=2, cursor=first["next_cursor"])
    assert [len(page["conversations"]) for page in (first, second)] == [2, 1]
    assert second["next_cursor"] is None
    opened = await conversations(client, f"/{format_id(A)}", limit=2)
    rest = await conversations(client, f"/{format_id(A)}", limit=2, cursor=opened["next_cursor"])
    assert [found["model"] for found in (*opened["calls"], *rest["calls"])] == ["m3", "m6", "m9"]
    assert [
        found["turns"] for found in (await conversations(client, model="m4"))["conversations"]
    ] == [3]
    assert (await conversations(client, min_turns=4))["conversations"] == []
    records = await ask(client, f"/api/records?conversation={format_id(A)}")
    assert [found["model"] for found in records["records"]] == ["m9", "m6", "m3"]
    nothing = await ask(client, "/api/records?conversation=none")
    assert nothing["records"] == []


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("cost", [B, A, C]),
        ("turns", [A, B, C]),
        ("failures", [B, C, A]),
        ("tokens", [C, A, B]),
        ("newest", [C, B, A]),
    ],
)
async def test_conversations_are_sorted_by_a_figure(
    world: World, client: Client, sort: str, order: list[bytes]
) -> None:
    """The most first, of all that match, and equal ones newest first; a sorted page is the only
    one.
    """
    await stored(
        world,
        *(call(number, A, cost_usd=0.1, input_tokens=5) for number in (1, 2, 3)),
        call(4, B, cost_usd=0.5, input_tokens=1),
        call(5, B, status=500, level="error"),
        call(6, C, input_tokens=99),
    )
    page = await conversations(client, sort=sort, limit=2)
    assert [found["id"] for found in page["conversations"]] == [
        format_id(each) for each in order[:2]
    ]
    assert (page["next_cursor"] is None) == (sort != "newest")
    costs = {
        found["id"]: found["cost_usd"]
        for found in (await conversations(client, sort=sort))["conversations"]
    }
    assert costs == {format_id(A): pytest.approx(0.3), format_id(B): 0.5, format_id(C): None}


async def test_the_beginning_of_an_id_is_enough(world: World, client: Client) -> None:
    """Where it means one conversation."""
    near = A[:8] + B[8:]
    await stored(world, call(1, A), call(2, B), call(3, near))
    assert (await conversations(client, f"/{format_id(A)[:21]}"))["id"] == format_id(A)
    assert (await conversations(client, f"/{B.hex()[:6].upper()}"))["id"] == format_id(B)

    for beginning, said in (
        (A.hex()[:8], "several conversations begin"),
        ("ffffff", "no conversation"),
        ("02", "no"),
    ):
        assert said in (await ask(client, f"/api/conversations/{beginning}", 404))["detail"]


async def test_what_cannot_be_asked(world: World, client: Client) -> None:
    """Unknown conversations are 404, bad parameters 400 by name."""
    for text in ("x", format_id(B), "req_zzz"):
        await ask(client, f"/api/conversations/{text}", 404)
    for query, name in (
        ("min_turns=0", "min_turns"), ("limit=101", "limit"), ("cursor=x", "cursor"), ("order=asc", "order"),
        ("cursor=AQAAAAAAAAAABQ", "cursor"),
    ):  # fmt: skip
        assert (await ask(client, f"/api/conversations?{query}", 400))["parameter"] == name

    assert (await conversations(client))["complete"]
