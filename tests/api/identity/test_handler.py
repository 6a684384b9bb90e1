"""`GET /api/records/{id}/last-success` through a whole application."""

import json

from storage.record import Record, format_id
from tests.api.conftest import BEARER, Client, World, ask
from tests.api.samples import make_body, make_payload, make_record


def order(number: int, **more: object) -> Record:
    return make_record(number, method="POST", path="/orders/7", endpoint="/orders/{id}", **more)


async def test_the_success_whose_request_is_most_alike_is_named(
    world: World, client: Client
) -> None:
    """The newest of several; what differs is said."""
    bodies = [
        '{"n": 1, "m": 2}',
        '{"m": 2, "n": 1}',
        '{"n": 1, "m": 3}',
        '{"n": 9, "m": 9}',
        '{"n": 1, "m": 2}',
    ]
    records = [order(number, status=200) for number in range(1, 5)] + [order(5, status=500)]
    payloads = [make_payload(make_body(body.encode()), None) for body in bodies]
    await world.store(*zip(records, payloads, strict=True))

    for asked, expected, match, differences in (
        (4, 1, "exact", []),
        (0, 1, "exact", []),
        (2, 1, "endpoint", ["body.m: 2 recorded, 3 asked for"]),
    ):
        found = await ask(client, f"/api/records/{format_id(records[asked].id)}/last-success")
        assert found == {
            "id": format_id(records[expected].id),
            "match": match,
            "differences": differences,
        }


async def test_a_failure_behind_a_success_is_no_success(world: World, client: Client) -> None:
    """Whatever the protocol: its error has a code, though the status is 200 or 101."""
    codes = [
        *("FAILED_PRECONDITION", "connect_internal", "tool_error", "jsonrpc_invalid_params"),
        *("graphql_error", "stream_cut", "soap_fault", "batch_error", "error_response"),
    ]
    failed = [
        order(number, status=200, error_type=code, level="warn" if number % 2 else "error")
        for number, code in enumerate(codes, 2)
    ]
    closed = order(20, status=101, error_type="websocket_1011", level="error")
    records = [order(1, status=200), *failed, closed]
    await world.store(*records)

    for record in records[1:]:
        path = f"/api/records/{format_id(record.id)}/last-success"
        found = await ask(client, path)
        assert found["id"] == format_id(records[0].id), record.error_type


async def test_a_call_over_a_websocket_is_compared_with_such_a_call(
    world: World, client: Client
) -> None:
    call = {"kind": "event", "name": "websocket_message", "status": 101, "level": "debug"}
    records = [
        order(1, provider="openai", **call),
        order(2, provider="openai", **call | {"error_type": "server_error", "level": "error"}),
        order(3, **call),
        order(4, status=101),
    ]
    await world.store(*records)
    path = "/api/records/{}/last-success"
    assert (await ask(client, path.format(format_id(records[1].id))))["id"] == format_id(
        records[0].id
    )
    response = await client.get(path.format(format_id(records[2].id)), headers=BEARER)
    assert response.status == 404


async def test_there_may_be_none(world: World, client: Client) -> None:
    """Or no endpoint, or no record."""
    records = [order(1, status=500), make_record(2, endpoint=None)]
    await world.store(*records)

    texts = [
        "no other success of POST /orders/{id} is stored",
        "has no endpoint, so no last success",
        "no record",
    ]
    for record_id, text in zip(
        [*(format_id(each.id) for each in records), "x"], texts, strict=True
    ):
        response = await client.get(f"/api/records/{record_id}/last-success", headers=BEARER)
        assert response.status == 404
        assert text in json.loads(await response.text())["detail"]
