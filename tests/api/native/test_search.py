"""Searches over HTTP: lists, counts, exports and streams take the same, and say what is wrong with
one.
"""

import json

from api.stream.tail import Tail
from storage.query import Scope
from storage.record import format_id
from tests.api.conftest import BEARER, Client, Start, World, ask
from tests.api.samples import (
    make_batch,
    make_body,
    make_event,
    make_in_flight,
    make_payload,
    make_record,
)


async def found(client: Client, search: str, **parameters: str) -> list[int]:
    """Search; answers the numbers of the records, newest first."""
    return [record["seq"] for record in (await ask(client, query=search, **parameters))["records"]]


async def fill(world: World) -> None:
    """Store three exchanges and an event."""
    payload = make_payload(make_body(b'{"user": {"id": 42}}'), make_body(b"connection reset"))
    await world.store(
        make_record(1, status=200, path="/api/users/1", project="proj_a", user_agent="Wget/1"),
        (
            make_record(2, status=503, path="/api/users/2", project="proj_b", client_ip="10.1.2.3"),
            payload,
        ),
        make_record(3, status=404, path="/static/x", project="proj_a", duration_us=700_000),
        make_event(4, project="proj_a"),
    )


async def test_what_was_taken_out_is_shown_and_found(world: World, client: Client) -> None:
    """In the list and in one record; by rule, by name in any case, by any, by none; messages of a
    WebSocket, too.
    """
    by_name = {"name:password": 2, "github-token": 1}
    by_rule = {"github-token": 3}
    message = make_event(3, name="websocket_message", redactions=by_rule)
    plain = make_event(5, name="websocket_message")
    await world.store(make_record(1, redactions=by_name), make_record(2), message, plain)
    answer = await ask(client, kind="all")
    assert [record["redactions"] for record in answer["records"]] == [None, by_rule, None, by_name]
    assert (await ask(client, f"/api/records/{answer['records'][3]['id']}"))[
        "redactions"
    ] == by_name
    assert (
        await found(client, "redacted:github-token") == await found(client, "redacted:*") == [3, 1]
    )
    assert (
        await found(client, "redacted:name:password")
        == await found(client, 'redacted:"name:Password"')
        == [1]
    )
    assert (
        await found(client, "", redacted="name:PASSWORD,no")
        == await found(client, "redacted:name:*")
        == [1]
    )
    assert await found(client, "redacted:password") == await found(client, "redacted:name") == []
    assert (
        await found(client, "-redacted:github-token")
        == await found(client, "not redacted:*")
        == [2]
    )
    facets = await ask(client, "/api/facets", name="redacted", kind="all")
    values = [(value["value"], value["count"]) for value in facets["facets"]["redacted"]]
    assert values == [("github-token", 2), ("name:password", 1)]


async def test_a_part_of_a_text_is_found_wherever_words_are(world: World, client: Client) -> None:
    """Parameter `q`, in bodies, paths and messages, in any letters and cases of them, in the middle
    of a word.
    """
    await fill(world)
    message = json.dumps(
        {"direction": "in", "opcode": "text", "size": 5, "text": "Schöne Grüße aus Łódź"}
    )
    event = make_event(5, name="websocket_message", project="proj_a", data=message.encode())
    payload = make_payload(make_body("Straße ΑΘΗΝΑ".encode()), None)
    await world.store(event, (make_record(6, path="/Users/7"), payload))
    assert await found(client, "", q="NECTION RES") == [2]
    assert await found(client, "", q="schöne GRÜSSE") == await found(client, "", q="łód") == [5]
    assert await found(client, "", q="αθην") == await found(client, "", q="STRASSE") == [6]
    assert await found(client, "", q="USERS/") == [6, 2, 1]
    assert await found(client, "status:503", q="users/") == [2]
    assert await found(client, "", q="łód", kind="exchange") == []
    assert await found(client, "", q="no such text") == []


async def test_everything_list_like_takes_it(world: World, client: Client) -> None:
    """Export, summary, histogram and facets."""
    await fill(world)
    search = {"query": "(status:5xx or header.x-a:1) -ua:wget"}
    export = await client.get("/api/export", params=search, headers=BEARER)
    assert [json.loads(line)["seq"] for line in (await export.text()).splitlines()] == [2]
    summary = await ask(client, "/api/summary", **search)
    assert (summary["exchanges"], summary["status"]) == (1, {"5xx": 1})
    histogram = await ask(client, "/api/histogram", **search, since="30d")
    assert sum(bucket["exchanges"] for bucket in histogram["buckets"]) == 1
    facets = await ask(client, "/api/facets", **search, name="status")
    assert facets["facets"]["status"] == [{"value": "5xx", "count": 1}]


async def test_an_error_says_where(client: Client) -> None:
    """The place, and the words there are."""
    problem = await ask(client, "/api/records", 400, query="method:GET statsu:500")
    assert (problem["parameter"], problem["position"], problem["length"]) == ("query", 11, 6)
    assert problem["expected"][0] == "status"
    assert "did you mean status?" in problem["detail"]


async def test_in_flight(world: World, client: Client) -> None:
    """Exchanges in flight are searched as stored ones are, heads and bodies included; durations are
    not known.
    """
    flying = make_in_flight(9, path="/slow")
    world.in_flight = [flying]
    world.known = {flying.id: make_payload(make_body(b"a needle"))}

    async def flies(search: str) -> bool:
        return format_id(flying.id) in [
            record["id"]
            for record in (await ask(client, query=search, in_flight="true"))["records"]
        ]

    assert await flies("needle path:/slow")
    assert not await flies("-needle")
    assert not await flies("duration:>=0")


async def test_no_search_widens_a_scope(world: World, client: Client) -> None:
    """A restricted token sees its own, whatever it asks; what names something else alone is
    refused.
    """
    await fill(world)
    reader = world.admit("reader", Scope(projects=("proj_a",)))

    for search, expected in (
        ("project:proj_b or status:*", [3, 1]),
        ("-project:proj_a", []),
        ("project:proj_*", [3, 1]),
        ("not (project:proj_a and status:404)", [1]),
        ("connection or kind:*", [4, 3, 1]),
    ):
        answer = await ask(client, "/api/records", 200, reader, query=search)
        assert [record["seq"] for record in answer["records"]] == expected

    await ask(client, "/api/records", 403, reader, query="project:proj_b")


async def test_the_stream_searches_heads_and_bodies(world: World, start: Start) -> None:
    """New records that a search finds by their bodies come by the stream, others do not."""
    world.tail = Tail(world.storage)
    client = await start(world.services())
    async with client.get(
        "/api/records/stream", params={"query": "needle"}, headers=BEARER
    ) as response:
        assert response.status == 200
        batch = make_batch(
            (make_record(1), make_payload(make_body(b"hay"))),
            (make_record(2), make_payload(make_body(b"Needle!"))),
        )
        await world.storage.commit(batch)
        world.tail.on_commit(batch)
        async for line in response.content:
            if line.startswith(b"data:") and b'"seq"' in line:
                break
        assert json.loads(line[5:])["seq"] == 2
