"""Proxy logs over HTTP."""

from typing import Any

import pytest

from tests.api.conftest import BEARER, Client, World, ask
from tests.api.samples import make_body, make_event, make_payload, make_record
from tests.support.cases import each_of

LIST = "/api/proxy-logs/_logs"


async def page(client: Client, **parameters: str | int) -> Any:
    """Ask the list."""
    return await ask(client, LIST, **parameters)


def ids(answer: dict[str, Any]) -> list[int]:
    """List the entry ids of a page."""
    return [entry["id"] for entry in answer["entries"]]


@pytest.fixture
async def log(world: World) -> None:
    """Six exchanges and an event: seq 4."""
    await world.store(
        make_record(1, method="POST"),
        make_record(2, status=404, project="proj_b", service="billing-api"),
        make_record(3, status=503, container=None, project=None),
        make_event(4),
        make_record(5, source="edge"),
        make_record(6, outcome="client_closed"),
        make_record(7, method="purge"),
    )


@pytest.mark.usefixtures("log")
async def test_pages_rise_by_entry_id(client: Client) -> None:
    """Without parameters: everything, the effective limit, the total in entries."""
    answer = await page(client)
    assert ids(answer) == [1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14]
    assert (answer["total"], answer["limit"], answer["offset"]) == (13, 200, 0)
    assert list(answer) == ["entries", "total", "limit", "offset"]


@pytest.mark.usefixtures("log")
@each_of(
    ("parameters", "expected"),
    [
        ({"limit": 3, "offset": 1}, [2, 3, 4]),
        ({"limit": 2, "offset": 6}, [8, 9]),
        ({"offset": 13}, []),
        ({"offset": 2**63 - 1}, []),
        ({"limit": 0}, []),
        ({"last": 3}, [12, 13, 14]),
        ({"last": 3, "limit": 1, "offset": 5}, [12, 13, 14]),
        ({"last": 0}, []),
        ({"afterId": 11}, [12, 13, 14]),
        ({"afterId": 12, "offset": 5}, [13, 14]),
        ({"afterId": 2**63 - 1}, []),
        ({"order": "desc", "limit": 3}, [14, 13, 12]),
        ({"order": "desc", "limit": 2, "offset": 6}, [8, 6]),
        ({"kind": "request"}, [1, 3, 5, 9, 11, 13]),
        ({"kind": "response,event"}, [2, 4, 6, 8, 10, 12, 14]),
        ({"kind": "event"}, [8]),
        ({"kind": "request", "offset": 2, "limit": 2}, [5, 9]),
        ({"kind": ""}, [1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14]),
        ({"level": "warn,error"}, [3, 4, 5, 6, 11, 12]),
        ({"projectId": "proj_b"}, [3, 4]),
        ({"projectId": "proj_b,proj_a"}, []),
        ({"containerId": "cnt_9"}, []),
        ({"serviceName": "billing-api,none"}, [3, 4]),
        ({"method": "post"}, [1, 2]),
        ({"method": "purge"}, [13, 14]),
        ({"method": "get", "offset": 3, "limit": 2}, [6, 9]),
        ({"source": "edge"}, [9, 10]),
        ({"cursor": "whatever", "limit": 1}, [1]),
        ({"unknown": "x", "limit": 1}, [1]),
        ({"max_seq": 2}, [1, 2, 3, 4]),
        ({"max_seq": 2, "last": 1}, [4]),
        ({"max_seq": 0}, []),
    ],
)
async def test_parameters(
    client: Client, parameters: dict[str, str | int], expected: list[int]
) -> None:
    """Each parameter as the document reads it."""
    assert ids(await page(client, **parameters)) == expected


@pytest.mark.usefixtures("log")
@each_of(
    ("parameters", "total"),
    [
        ({"afterId": 5, "limit": 1, "offset": 3}, 13),
        ({"last": 2}, 13),
        ({"level": "warn,error", "last": 1}, 6),
        ({"kind": "request"}, 6),
        ({"max_seq": 4}, 7),
        ({"limit": 0}, 13),
    ],
)
async def test_the_total_follows_the_filters_only(
    client: Client, parameters: dict[str, str | int], total: int
) -> None:
    """Paging does not change the number of matching entries."""
    assert (await page(client, **parameters))["total"] == total


async def test_limits_are_clamped_and_echoed(client: Client) -> None:
    """Above the maximum the effective value is told; `last` is clamped too."""
    assert (await page(client, limit=5000))["limit"] == 1000
    assert (await page(client, last=5000))["limit"] == 1000


@each_of(
    ("name", "value"),
    [("limit", "+5"), ("offset", ""), ("last", "x"), ("afterId", "-1"), ("includeRequestBody", "maybe"),
     ("order", "up"), ("max_seq", "1e3"), ("limit", "9223372036854775808")],
)  # fmt: skip
async def test_bad_values_are_400_in_the_shape_of_the_document(
    client: Client, name: str, value: str
) -> None:
    """The message names the parameter."""
    answer = await ask(client, LIST, 400, **{name: value})
    assert (answer["statusCode"], answer["error"]) == (400, "Bad Request")
    assert answer["message"].startswith(f"{name} is ")


@pytest.mark.usefixtures("log")
async def test_offset_pages_are_frozen_by_the_first_answers_end(
    world: World, client: Client
) -> None:
    """Rows that arrive between two pages do not shift the second when `max_seq` is given back."""
    first = await client.get(LIST, params={"limit": 4, "order": "desc"}, headers=BEARER)
    end = first.headers["X-Max-Seq"]
    assert end == "7"
    await world.store(make_record(8))
    second = await page(client, limit=4, offset=4, order="desc", max_seq=end)
    assert ids(await first.json()) + ids(second) == [14, 13, 12, 11, 10, 9, 8, 6]
    assert second["total"] == 13


@pytest.mark.usefixtures("log")
@each_of(
    ("parameter", "value", "allowed"),
    [
        ("kind", "nonsense", "request, response, event"),
        ("level", "warn,unheard", "debug, info, warn, error"),
        ("source", "Edge", "backend, edge"),
        ("limit", "9" * 20, "a decimal number from 0 to 1000"),
        ("offset", "9" * 20, "a decimal number from 0 to 9223372036854775807"),
    ],
)
async def test_what_a_parameter_cannot_be_is_refused_with_what_it_can(
    client: Client, parameter: str, value: str, allowed: str
) -> None:
    """A list that is empty because of a misspelt word would be taken for a quiet log."""
    assert allowed in (await ask(client, LIST, 400, **{parameter: value}))["message"]


async def test_bodies_come_on_request(world: World, client: Client) -> None:
    """Text as text, other octets in base64, true sizes, and what is missing is said."""
    cut = make_body("ab\u00e4".encode()[:3], tail="\u00e4z".encode()[1:], size=90, truncated=True)
    await world.store(
        (make_record(1), make_payload(make_body(b'{"a": 1}'), make_body(b"\xff\x00"))),
        (make_record(2), make_payload(cut, make_body(b"", size=50, omitted="coding"))),
        make_record(3, request_bytes=0, response_bytes=9),
    )
    plain = await page(client)
    assert all("bodyBytes" not in entry["data"] for entry in plain["entries"])
    answer = await page(client, includeRequestBody="true", includeResponseBody="1")
    data = [entry["data"] for entry in answer["entries"]]
    assert data[0] == {
        "bytesIn": 412, "userAgent": "curl/8", "requestBody": '{"a": 1}', "bodyBytes": 8, "bodyTruncated": False,
    }  # fmt: skip
    assert (data[1]["responseBody"], data[1]["bodyEncoding"], data[1]["bodyBytes"]) == (
        "/wA=",
        "base64",
        2,
    )
    assert (
        data[2]["requestBody"] == "ab\n[cut: the first 3 and the last 2 of 90 bytes were kept]\nz"
    )
    assert (data[2]["bodyTruncated"], data[2]["bodyBytes"], data[2]["bodyKept"]) == (
        True,
        90,
        {"head": 3, "tail": 2},
    )
    assert "bodyKept" not in data[0]
    assert (data[3]["responseBody"], data[3]["bodyOmitted"]) == (None, True)
    assert (data[4]["requestBody"], data[4]["bodyBytes"], data[4].get("bodyOmitted")) == (
        None,
        0,
        None,
    )
    assert (data[5]["responseBody"], data[5]["bodyBytes"], data[5]["bodyOmitted"]) == (
        None,
        9,
        True,
    )
    halves = await page(client, includeRequestBody="true", kind="response")
    assert all("requestBody" not in entry["data"] for entry in halves["entries"])


@pytest.mark.usefixtures("log")
async def test_stats_sum_up_in_each_dimension(client: Client) -> None:
    """All four levels always; rows without a value count under `unknown`."""
    answer = await ask(client, f"{LIST}/stats")
    assert list(answer) == ["total", "byLevel", "byProject", "byContainer", "byService"]
    assert answer["total"] == 13
    assert answer["byProject"]["unknown"] == 2
    for dimension in ("byLevel", "byProject", "byContainer", "byService"):
        assert sum(answer[dimension].values()) == 13
    assert set(answer["byLevel"]) == {"debug", "info", "warn", "error"}
