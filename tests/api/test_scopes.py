"""Forgetting a container: its records go, its streams end, others stay."""

import asyncio
import json

from tests.api.conftest import BEARER, Client, World
from tests.api.samples import START_US, make_batch, make_event, make_record
from tests.support.sse import SseReader


async def test_a_container_is_forgotten(world: World, client: Client) -> None:
    """Exchanges and events of it are erased, a stream of it ends with `scope-destroyed`, the log says what was done."""
    path = "/api/proxy-logs/_logs/stream"
    await world.storage.commit(
        make_batch(make_record(1), make_event(2), make_record(3, container="cnt_2"), make_record(4, container=None))
    )
    async with client.get(path, params={"containerId": "cnt_1"}, headers=BEARER) as stream:
        response = await client.delete("/api/scopes/containers/cnt_1", headers=BEARER)
        assert response.status == 200
        assert await response.json() == {
            "containerId": "cnt_1",
            "exchanges": 1,
            "events": 1,
            "through_seq": 4,
            "erased_at_ms": (START_US + 3_600_000_000) // 1000,
        }
        async with asyncio.timeout(10):
            (event,) = SseReader().feed(await stream.content.read())
        assert (event.name, json.loads(event.data)) == ("scope-destroyed", {"containerId": "cnt_1"})
    assert world.events == [("scope_destroyed", {"containerId": "cnt_1"})]
    records = (await (await client.get("/api/records?kind=all", headers=BEARER)).json())["records"]
    assert [record["container"] for record in records] == [None, "cnt_2"]
    again = await (await client.delete("/api/scopes/containers/cnt_1", headers=BEARER)).json()
    assert (again["exchanges"], again["events"]) == (0, 0)
