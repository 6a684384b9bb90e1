"""The Requests API over HTTP: list, detail, paging, requests in flight, and what is not found."""

import pytest

from api.dialects.gateway import format_request_id
from storage.record import format_id
from tests.api.conftest import BEARER, Client, World, ask
from tests.api.samples import (
    START_US,
    make_body,
    make_in_flight,
    make_payload,
    make_record,
)
from tests.support.cases import each_of

BASE = "/api/clients/acme/proxies/default/requests"


async def fill(world: World, number: int) -> None:
    """Store exchanges of one proxy, and some of others."""
    records = [make_record(n) for n in range(1, number + 1)]
    others = [
        make_record(900, client="other"),
        make_record(901, route_id="p2"),
        make_record(902, client=None),
    ]
    await world.store(*records, *others)


@pytest.fixture
async def four(world: World) -> None:
    """Four exchanges of the proxy that is asked for."""
    await fill(world, 4)


async def test_the_list_has_the_document_s_members(world: World, client: Client) -> None:
    """Newest first, only of this client and proxy; the number returned, and whether there are more."""
    await fill(world, 3)
    answer = await ask(client, BASE)
    assert list(answer) == ["message", "totalRequests", "limitReached", "requests"]
    assert (answer["message"], answer["totalRequests"], answer["limitReached"]) == (
        "Success",
        3,
        False,
    )
    assert [row["sKey"] for row in answer["requests"]] == [
        format_id(make_record(n).id) for n in (3, 2, 1)
    ]
    answer = await ask(client, BASE, limit="2")
    assert (answer["totalRequests"], answer["limitReached"], len(answer["requests"])) == (
        2,
        True,
        2,
    )
    answer = await ask(client, BASE, limit="0")
    assert (answer["totalRequests"], answer["limitReached"]) == (0, True)
    await ask(client, BASE, limit="5000")
    await ask(client, BASE, 400, limit="+5")


async def test_pages_follow_each_other(world: World, client: Client) -> None:
    """`nextCursor` leads through all requests, each once."""
    await fill(world, 7)
    seen: list[str] = []
    cursor = ""

    for _ in range(4):
        answer = await ask(client, BASE, limit="2", cursor=cursor)
        seen += [row["sKey"] for row in answer["requests"]]
        cursor = answer.get("nextCursor", "")

    assert cursor == ""
    assert seen == [format_id(make_record(n).id) for n in range(7, 0, -1)]
    for broken in ("x", "AQAAAAAAAAAAAQ", "%00"):
        await ask(client, BASE, 400, cursor=broken)


@pytest.mark.usefixtures("four")
@each_of(
    ("query", "numbers"),
    [
        ({"processedAfter": "2024-06-12T14:07:14.002Z"}, [4, 3]),
        ({"processedBefore": "2024-06-12T14:07:14.002Z"}, [1]),
        (
            {
                "processedAfter": "2024-06-12T14:07:14.001",
                "processedBefore": "2024-06-12T14:07:14.004Z",
            },
            [3, 2],
        ),
        ({"processedAfter": "2024-06-12T16:07:14.003 02:00"}, [4]),
        ({"processedAfter": "2024-06-13"}, []),
        ({"processedAfter": ""}, [4, 3, 2, 1]),
    ],
)
async def test_times_are_strict_bounds(
    client: Client, query: dict[str, str], numbers: list[int]
) -> None:
    """On `processedAt`, at the millisecond that is shown, in any of the usual spellings."""
    answer = await ask(client, BASE, **query)
    assert [row["processedAt"] - START_US // 1000 for row in answer["requests"]] == numbers


async def test_requests_in_flight_are_merged(world: World, client: Client) -> None:
    """They stand where they belong by id, count, and are shown in detail; `processed` tells them
    apart.
    """
    await fill(world, 2)
    world.in_flight = [make_in_flight(50), make_in_flight(51, client="other"), make_in_flight(1)]
    answer = await ask(client, BASE)
    assert [
        (row["processed"], row["processedAt"] - START_US // 1000) for row in answer["requests"]
    ] == [
        (False, 50),
        (True, 2),
        (True, 1),
    ]
    [shown] = (await ask(client, f"{BASE}/{format_id(make_record(50).id)}"))["requests"]
    assert (shown["processed"], shown["statusCode"]) == (False, None)
    first = await ask(client, BASE, limit="1")
    assert (first["totalRequests"], first["limitReached"]) == (1, True)
    second = await ask(client, BASE, limit="1", cursor=first["nextCursor"])
    assert second["requests"][0]["processed"] is True


async def test_a_request_in_flight_states_what_is_known(world: World, client: Client) -> None:
    """Method, path, parameters and headers in the list and the detail; the status once there is
    one.
    """
    await fill(world, 2)
    waiting = make_in_flight(50, query="a=1", method="POST")

    streaming = make_in_flight(51, status=200)
    for record in (waiting, streaming):
        record.upstream_sent_at_us = None
        record.upstream_done_at_us = None
        record.first_byte_us = None
        world.known[record.id] = make_payload()

    world.in_flight = [waiting, streaming]
    answer = await ask(client, BASE)
    later, earlier = answer["requests"][:2]
    proxy = earlier["proxyData"]
    assert (proxy["method"], proxy["apiPath"], proxy["apiParams"]) == (
        "POST",
        "/v1/users/50",
        {"a": "1"},
    )
    assert proxy["apiHeaders"] == {"host": "service.test", "x-a": "1, 2"}
    assert (proxy["status"], proxy["sentAt"], proxy["message"]) == (
        None,
        None,
        "Request in progress",
    )
    assert (later["proxyData"]["status"], later["processed"]) == (200, False)
    assert (
        later["validationData"]["requestSent"],
        later["validationData"]["responseReceived"],
    ) == (True, True)
    assert later["targetData"] == {
        "sentAt": None, "receivedAt": None, "duration": None, "status": 200, "location": None,
    }  # fmt: skip
    assert earlier["targetData"] is None
    assert (
        earlier["validationData"]["requestSent"],
        earlier["validationData"]["responseReceived"],
    ) == (False, False)
    answer = await ask(client, f"{BASE}/{format_id(waiting.id)}")
    (shown,) = answer["requests"]
    assert (shown["method"], shown["path"], shown["requestHeaders"]["cookie"]) == (
        "POST",
        "/v1/users/50",
        "[REDACTED]",
    )
    assert (shown["statusCode"], shown["duration"], shown["requestBody"]) == (None, None, None)


async def test_pages_go_by_receipt_whatever_ends_first(world: World, client: Client) -> None:
    """Requests in flight stand on the page of their id; one that ends between two pages is on
    neither of them twice.
    """
    await fill(world, 0)
    await world.store(*(make_record(n) for n in (6, 3, 8, 1)))
    world.in_flight = [make_in_flight(n) for n in (2, 5, 7)]
    seen: list[tuple[int, bool]] = []
    query: dict[str, str] = {"limit": "2"}

    while True:
        answer = await ask(client, BASE, **query)
        seen += [
            (row["processedAt"] - START_US // 1000, row["processed"]) for row in answer["requests"]
        ]
        assert answer["limitReached"] == ("nextCursor" in answer)
        if "nextCursor" not in answer:
            break

        query["cursor"] = answer["nextCursor"]
        if len(seen) == 2:  # one of the page before, and one of a page to come, end now
            await world.store(make_record(7), make_record(2))
            world.in_flight = [make_in_flight(5)]

    assert seen == [(8, True), (7, False), (6, True), (5, False), (3, True), (2, True), (1, True)]


async def test_a_page_may_be_full_of_requests_in_flight(world: World, client: Client) -> None:
    """The next page begins behind the last of them."""
    await fill(world, 1)
    world.in_flight = [make_in_flight(n) for n in range(10, 15)]
    first = await ask(client, BASE, limit="3")
    second = await ask(client, BASE, limit="3", cursor=first["nextCursor"])
    none = await ask(client, BASE, limit="0")
    numbers = [
        [row["processedAt"] - START_US // 1000 for row in page["requests"]]
        for page in (first, second)
    ]
    assert numbers == [[14, 13, 12], [11, 10, 1]]
    assert (none["requests"], none["limitReached"], "nextCursor" in none) == ([], True, False)


async def test_the_detail_shows_headers_and_bodies(world: World, client: Client) -> None:
    """By the id in any spelling; the answer has the document's frame."""
    payload = make_payload(make_body(b'{"name": "John"}'), make_body(b'{"id": 1}'))
    await world.store((make_record(1), payload))
    for text in (
        format_id(make_record(1).id),
        make_record(1).id.hex(),
        format_request_id(make_record(1).id),
    ):
        answer = await ask(client, f"{BASE}/{text}")
        assert answer["message"] == "Success"
        (shown,) = answer["requests"]
        assert shown["requestBody"] == {"name": "John"}
        assert shown["responseHeaders"] == {"content-type": "application/json"}

    answer = await ask(client, BASE)
    assert answer["requests"][0]["proxyData"]["apiHeaders"] == {
        "host": "service.test",
        "x-a": "1, 2",
    }


@pytest.mark.usefixtures("four")
@each_of(
    "path",
    [
        f"{BASE}/nothing",
        f"{BASE}/{format_id(make_record(77).id)}",
        f"{BASE}/{format_id(make_record(900).id)}",
        "/api/clients/acme/proxies/nobody/requests",
        "/api/clients/nobody/proxies/default/requests",
        f"/api/clients/other/proxies/default/requests/{format_id(make_record(1).id)}",
        "/api/clients/acme/proxies",
    ],
)
async def test_what_does_not_exist_is_404(client: Client, path: str) -> None:
    """Unknown requests, clients and proxies, in the document's words; ids of other clients too."""
    assert list(await ask(client, path, 404)) == ["message"]


async def test_a_known_proxy_without_requests_is_empty(world: World, client: Client) -> None:
    """A list that the times leave empty is no error."""
    await fill(world, 1)
    answer = await ask(client, BASE, processedAfter="2030-01-01T00:00:00Z")
    assert (answer["requests"], answer["limitReached"]) == ([], False)


async def test_only_get_is_supported(client: Client) -> None:
    """Other methods are 405 with a message; a missing token is 401."""
    response = await client.post(BASE, headers=BEARER)
    assert (response.status, response.headers["Allow"], list(await response.json())) == (
        405,
        "GET,HEAD",
        ["message"],
    )
    response = await client.get(BASE)
    assert (response.status, list(await response.json())) == (401, ["message"])
