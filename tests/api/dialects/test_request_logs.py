"""Request logs: rows, filters, the dropdown's keys, and the window."""

from typing import Any

import pytest

from storage.keys import ApiKey
from storage.record import Record
from tests.api.conftest import Client, World, ask
from tests.api.samples import START_US, make_record
from tests.support.cases import each_of

PATH = "/api/request-logs"
DAY_US = 86_400_000_000


def call(number: int, **changes: object) -> Record:
    """Make a call that was asked for a key and had one."""
    fields: dict[str, object] = {
        "keyed": True,
        "key_id": "k1",
        "key_name": "Production Key",
        "key_last4": "a1b2",
    }
    return make_record(number, **(fields | changes))


def key(key_id: str, **changes: Any) -> ApiKey:
    """Make a key."""
    fields = {
        "name": f"name of {key_id}",
        "last4": "wxyz",
        "secret_sha256": key_id.encode().ljust(32),
    }
    return ApiKey(id=key_id, **(fields | changes))


async def test_rows_are_the_calls_that_were_asked_for_a_key(world: World, client: Client) -> None:
    """Also refused ones, and those without a key; other traffic is not here."""
    refused: dict[str, object] = {
        "key_id": None,
        "key_name": None,
        "key_last4": None,
        "status": 401,
    }
    await world.store(
        call(1),
        make_record(2),
        call(3, auth_code="missing_token", outcome="rejected", **refused),
        call(4, **refused),
    )
    answer = await ask(client, PATH)
    assert list(answer) == ["logs", "keys", "total", "next_cursor"]
    assert (answer["total"], answer["next_cursor"]) == (3, None)
    assert answer["logs"][2] == {
        "time": "2024-06-12T14:07:14.001Z",
        "api_key": {"id": "k1", "name": "Production Key", "last4": "a1b2"},
        "endpoint": "/v1/users/1",
        "method": "GET",
        "status": 200,
        "error_code": None,
        "latency_ms": 102,
    }
    assert [(row["api_key"], row["error_code"]) for row in answer["logs"][:2]] == [
        (None, None),
        (None, "missing_token"),
    ]


@pytest.fixture
async def five(world: World) -> None:
    """A request of each kind of outcome."""
    calls = (call(1), call(2, status=302), call(3, status=404), call(4, status=401, key_id="k2"))
    await world.store(*calls, call(5, status=503, path="/a%b_c\\d"))


@pytest.mark.usefixtures("five")
@each_of(
    ("query", "numbers"),
    [
        ({}, [5, 4, 3, 2, 1]),
        ({"status": "all"}, [5, 4, 3, 2, 1]),
        ({"status": "2xx"}, [1]),
        ({"status": "3xx"}, [2]),
        ({"status": "4xx"}, [4, 3]),
        ({"status": "5XX"}, [5]),
        ({"key": "k2"}, [4]),
        ({"key": "nobody"}, []),
        ({"key": "' OR 1=1 --"}, []),
        ({"endpoint": "USERS/1"}, [1]),
        ({"endpoint": "%"}, [5]),
        ({"endpoint": "_"}, [5]),
        ({"endpoint": "\\"}, [5]),
        ({"endpoint": "", "key": ""}, [5, 4, 3, 2, 1]),
        ({"status": "4xx", "key": "k1"}, [3]),
    ],
)
async def test_filters(client: Client, query: dict[str, str], numbers: list[int]) -> None:
    """Status classes, a key, a literal part of the path; what is unknown matches nothing."""
    answer = await ask(client, PATH, **query)
    assert [row["time"][20:23] for row in answer["logs"]] == [f"00{number}" for number in numbers]
    assert answer["total"] == len(numbers)


@pytest.mark.parametrize("status", ["404", "nonsense", "2xx,5xx"])
async def test_an_unknown_status_is_refused_with_the_known_ones(
    client: Client, status: str
) -> None:
    """One class at a time."""
    assert "all, 2xx, 3xx, 4xx, 5xx" in (await ask(client, PATH, 400, status=status))["detail"]


async def test_pages_and_limits(world: World, client: Client) -> None:
    """50 rows by default, 200 at most, the rest by cursor; the total does not change."""
    await world.store(*(call(n) for n in range(1, 261)))
    seen = 0
    cursor = ""

    for expected in (200, 60):
        answer = await ask(client, PATH, limit="1000", cursor=cursor)
        assert (len(answer["logs"]), answer["total"]) == (expected, 260)
        seen += expected
        cursor = answer["next_cursor"] or ""

    assert cursor == ""
    assert len((await ask(client, PATH))["logs"]) == 50
    assert (await ask(client, PATH, limit="0"))["logs"] == []

    for name, value in (
        ("limit", "-1"),
        ("limit", "x"),
        ("cursor", "AAAA"),
        ("cursor", "AQAAAAAAAAAAAQ"),
    ):
        assert (await ask(client, PATH, 400, **{name: value}))["parameter"] == name


async def test_the_window_is_thirty_days(world: World, client: Client) -> None:
    """Older rows are neither shown nor counted."""
    now_us = world.services().now_us()
    await world.store(
        call(1, started_at_us=now_us - 30 * DAY_US - 1000),
        call(2, started_at_us=now_us - 29 * DAY_US),
    )
    answer = await ask(client, PATH)
    assert (answer["total"], len(answer["logs"])) == (1, 1)


async def test_the_dropdown_has_living_keys_and_those_with_rows(
    world: World, client: Client
) -> None:
    """A deleted key stays as long as it has rows; snapshots stay on the rows."""
    for one in (key("k1"), key("k2"), key("k3"), key("k4")):
        await world.storage.create_key(one)
    await world.store(call(1, key_id="k1"), call(2, key_id="k3", key_name="Old name"))
    for gone in ("k3", "k4"):
        await world.storage.delete_key(gone, START_US)
    answer = await ask(client, PATH)
    assert [(one["id"], one["deleted"]) for one in answer["keys"]] == [
        ("k1", False),
        ("k2", False),
        ("k3", True),
    ]
    assert list(answer["keys"][0]) == ["id", "name", "last4", "deleted"]
    assert answer["logs"][0]["api_key"]["name"] == "Old name"


async def test_the_dropdown_has_many_keys(world: World, client: Client) -> None:
    """However many others there are that were used more."""
    ids = [f"k{number:03}" for number in range(210)]
    for one in ids:
        await world.storage.create_key(key(one))
    await world.store(*(call(n, key_id=one) for n, one in enumerate([*ids, *ids[1:]])))
    for gone in ids[::10]:
        await world.storage.delete_key(gone, START_US)
    answer = await ask(client, PATH)
    assert [one["id"] for one in answer["keys"]] == ids


async def test_errors_are_problems(client: Client) -> None:
    """In the native shape."""
    response = await client.get(PATH)
    assert (response.status, response.content_type) == (401, "application/problem+json")
