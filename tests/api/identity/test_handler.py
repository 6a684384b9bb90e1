"""`GET /api/records/{id}/last-success` through a whole application."""

import json

from storage.record import Record, format_id
from tests.api.conftest import BEARER, Client, World
from tests.api.samples import make_batch, make_body, make_payload, make_record


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
    await world.storage.commit(make_batch(*zip(records, payloads, strict=True)))

    for asked, expected, match, differences in (
        (4, 1, "exact", []),
        (0, 1, "exact", []),
        (2, 1, "endpoint", ["body.m: 2 recorded, 3 asked for"]),
    ):
        response = await client.get(
            f"/api/records/{format_id(records[asked].id)}/last-success", headers=BEARER
        )
        assert response.status == 200
        found = await response.json()
        assert found == {
            "id": format_id(records[expected].id),
            "match": match,
            "differences": differences,
        }


async def test_there_may_be_none(world: World, client: Client) -> None:
    """Or no endpoint, or no record."""
    records = [order(1, status=500), make_record(2, endpoint=None)]
    await world.storage.commit(make_batch(*records))

    texts = ["no other success of POST /orders/{id} is stored", "of no endpoint", "no record"]
    for record_id, text in zip(
        [*(format_id(each.id) for each in records), "x"], texts, strict=True
    ):
        response = await client.get(f"/api/records/{record_id}/last-success", headers=BEARER)
        assert response.status == 404
        assert text in json.loads(await response.text())["detail"]
