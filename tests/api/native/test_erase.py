"""Erasure by filter, never without one, and of a container: its records go, its streams end, others
stay.
"""

import asyncio
import json
from dataclasses import replace

import pytest

from api.stream.tail import Tail
from storage.purge import Erased
from storage.query import CountQuery, Filter, RecordQuery
from tests.api import samples
from tests.api.conftest import BEARER, Start, World, ask
from tests.api.samples import START_US, make_event
from tests.storage.samples import make_batch, make_record
from tests.support.memory_store import MemoryStorage
from tests.support.sse import SseReader


async def test_a_filter_is_erased_and_a_receipt_answered(world: World, start: Start) -> None:
    """The answer says how many records went, up to which number, and by which filter."""
    await world.store(
        make_record(project="a"), make_record(project="b"), make_record(project="a", status=404)
    )
    client = await start(world.services())
    answer = await client.delete("/api/records?project=a&status=2xx", headers=BEARER)
    assert answer.status == 200
    receipt = await answer.json()
    assert receipt["exchanges"] == 1
    assert receipt["events"] == 0
    assert receipt["through_seq"] == 3
    assert receipt["filter"] == {"project": ["a"], "status": ["2xx"]}
    assert receipt["finished"]
    assert (await world.storage.read(CountQuery(Filter()))).exchanges == 2


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("query=user:alice", ()),
        ("query=user:alice%20kind:exchange", ("event",)),
        ("query=user:alice&kind=event", ("exchange",)),
    ],
)
async def test_messages_are_erased_with_their_connection(
    world: World, start: Start, query: str, left: tuple[str, ...]
) -> None:
    """They are events, and are left only if a filter names another kind."""
    await world.store(make_record(user_id="alice"), make_record(user_id="alice", kind="event"))
    client = await start(world.services())
    assert (await client.delete(f"/api/records?{query}", headers=BEARER)).status == 200
    found = await world.storage.read(RecordQuery(filter=Filter(kind="all")))
    assert tuple(record.kind for record in found.records) == left


class Behind(MemoryStorage):
    """A store that deletes behind its answers, and is asked `looks` times until it has."""

    looks = 3

    async def erase(self, filter: Filter) -> Erased:
        """See `storage.base.Storage.erase`."""
        return replace(await super().erase(filter), is_finished=False)

    async def erasing(self) -> int:
        """See `storage.base.Storage.erasing`."""
        self.looks -= 1
        return max(0, self.looks)


async def test_a_receipt_says_when_the_store_has_deleted(world: World, start: Start) -> None:
    """At once it has not; who waits is answered when it has."""
    storage = Behind()
    world.storage = storage
    await storage.commit(make_batch(make_record(project="a"), make_record(project="b")))
    client = await start(world.services())
    receipt = await (await client.delete("/api/records?project=a", headers=BEARER)).json()
    assert (receipt["exchanges"], receipt["finished"]) == (1, False)
    receipt = await (await client.delete("/api/records?project=b&wait_s=30", headers=BEARER)).json()
    assert (receipt["exchanges"], receipt["finished"], receipt["filter"]) == (
        1,
        True,
        {"project": ["b"]},
    )
    assert storage.looks == 0


async def test_names_of_endpoints_are_forgotten(world: World, start: Start) -> None:
    """Whoever learned them is told of an erasure that took something; of no other."""
    told: list[str] = []

    async def forget() -> None:
        told.append("forget")

    await world.store(make_record(project="a"))
    client = await start(replace(world.services(), forget_endpoints=forget))
    for _ in range(2):
        assert (await client.delete("/api/records?project=a", headers=BEARER)).status == 200
        assert told == ["forget"]


async def test_nothing_is_erased_by_mistake(world: World, start: Start) -> None:
    """No filter, one that does not exist, and no token are refused."""
    await world.store(make_record())
    client = await start(world.services())
    assert (await client.delete("/api/records", headers=BEARER)).status == 400
    assert (await client.delete("/api/records?project=", headers=BEARER)).status == 400
    assert (await client.delete("/api/records?projcet=a", headers=BEARER)).status == 400
    assert (await client.delete("/api/records?limit=1", headers=BEARER)).status == 400
    assert (await client.delete("/api/records?wait_s=1", headers=BEARER)).status == 400
    assert (await client.delete("/api/records?project=a&wait_s=61", headers=BEARER)).status == 400
    assert (await client.delete("/api/records?project=catalogue")).status == 401
    assert (await world.storage.read(CountQuery(Filter()))).exchanges == 1


@pytest.mark.parametrize(
    "query",
    [
        "query=%20",
        "project=,",
        "status=,%20,",
        "host=%20",
        "client_ip=,",
        "trace_id=%20",
        "query=%20&route=,",
    ],
)
async def test_filters_that_say_nothing_erase_nothing(
    world: World, start: Start, query: str
) -> None:
    """What is left of `project=$A,$B` where neither is set is no filter, though it is not empty."""
    await world.store(make_record())
    client = await start(world.services())
    assert (await client.delete(f"/api/records?{query}", headers=BEARER)).status == 400
    assert (await world.storage.read(CountQuery(Filter()))).exchanges == 1


@pytest.mark.parametrize(
    "query", ["project=", "project=,", "project=%20", "query=", "status=", "project=&project="]
)
async def test_an_empty_value_beside_a_filter_erases_nothing(
    world: World, start: Start, query: str
) -> None:
    """A variable of a script that is not set would let go what it was to keep."""
    await world.store(make_record(project="a", host="x"))
    client = await start(world.services())
    answer = await client.delete(f"/api/records?host=x&{query}", headers=BEARER)
    assert answer.status == 400
    assert "an empty one leaves nothing out" in (await answer.json())["detail"]
    assert (await world.storage.read(CountQuery(Filter()))).exchanges == 1


@pytest.mark.parametrize(
    "query", ["kind=all", "kind=exchange", "query=kind:exchange", "query=kind:all", "until=0s"]
)
async def test_everything_is_erased_when_it_is_said(world: World, start: Start, query: str) -> None:
    """A filter that names all there is says something."""
    await world.store(make_record(started_at_us=START_US))
    client = await start(world.services())
    assert (await client.delete(f"/api/records?{query}", headers=BEARER)).status == 200
    assert (await world.storage.read(CountQuery(Filter()))).exchanges == 0


async def test_a_container_is_forgotten(world: World, start: Start) -> None:
    """Its records are erased, also from what streams replay; a stream of it ends, and the log says
    what was done.
    """
    tail = Tail(world.storage)
    world.tail = tail
    client = await start(world.services())
    path = "/api/proxy-logs/_logs/stream"
    batch = samples.make_batch(
        samples.make_record(1),
        make_event(2),
        samples.make_record(3, container="cnt_2"),
        samples.make_record(4, container=None),
    )
    await world.storage.commit(batch)
    tail.on_commit(batch)

    async with client.get(path, params={"containerId": "cnt_1"}, headers=BEARER) as stream:
        response = await client.delete("/api/scopes/containers/cnt_1", headers=BEARER)
        assert response.status == 200
        assert await response.json() == {
            "containerId": "cnt_1",
            "exchanges": 1,
            "events": 1,
            "through_seq": 4,
            "erased_at_ms": (START_US + 3_600_000_000) // 1000,
            "finished": True,
        }
        async with asyncio.timeout(60):
            (event,) = SseReader().feed(await stream.content.read())
        assert (event.name, json.loads(event.data)) == ("scope-destroyed", {"containerId": "cnt_1"})

    assert world.events == [("scope_destroyed", {"containerId": "cnt_1"})]
    records = (await ask(client, "/api/records?kind=all"))["records"]
    assert [record["container"] for record in records] == [None, "cnt_2"]

    async with client.get(path, headers=BEARER | {"Last-Event-ID": "0"}) as stream:
        reader = SseReader()
        seen: list[dict[str, object]] = []
        async with asyncio.timeout(60):
            while len(seen) < 4:
                seen += [
                    json.loads(event.data) for event in reader.feed(await stream.content.readany())
                ]

    assert {entry["containerId"] for entry in seen if "id" in entry} == {"cnt_2", None}
    again = await (await client.delete("/api/scopes/containers/cnt_1", headers=BEARER)).json()
    assert (again["exchanges"], again["events"]) == (0, 0)
