"""Streams over real sockets: frames, resume, filters, heartbeats, limits, clients that leave or
take nothing.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import ClientResponse

from api.access.stream_limits import StreamLimits
from api.stream.tail import Tail
from storage.record import Batch, Entry, Record
from tests.api.conftest import BEARER, Client, Start, World, ask
from tests.api.samples import make_batch, make_body, make_event, make_payload, make_record
from tests.support.sse import SseEvent, SseReader

ENTRIES = "/api/proxy-logs/_logs/stream"
RECORDS = "/api/records/stream"
OFFSET = 20_000


class Stream:
    """An open stream of a client."""

    def __init__(self, response: ClientResponse) -> None:
        self.response = response
        self.reader = SseReader()
        self._waiting: list[SseEvent] = []

    async def next(self, number: int) -> list[SseEvent]:
        """Wait for so many events."""
        async with asyncio.timeout(60):
            while len(self._waiting) < number:
                raw = await self.response.content.readany()
                assert raw, "the stream ended"
                self._waiting += self.reader.feed(raw)

        found = self._waiting[:number]
        self._waiting = self._waiting[number:]
        return found

    async def rest(self) -> list[SseEvent]:
        """Wait for the end of the stream; answer what came before."""
        async with asyncio.timeout(60):
            return [*self._waiting, *self.reader.feed(await self.response.content.read())]


@pytest.fixture
async def world(world: World) -> World:
    """A store with a tail whose ids have an offset, published at once."""
    world.tail = Tail(world.storage, offset=OFFSET, max_entries=20)
    return world


@pytest.fixture
def tail(world: World) -> Tail:
    """The tail of `world`."""
    assert world.tail is not None
    return world.tail


async def commit(world: World, *records: Record) -> None:
    """Store and tell the tail."""
    assert world.tail is not None
    batch = make_batch(*records)
    await world.storage.commit(batch)
    world.tail.on_commit(batch)


@contextlib.asynccontextmanager
async def opened(
    client: Client, path: str, last_event_id: int | None = None, **query: str
) -> AsyncIterator[Stream]:
    """Open a stream; it is left at the end."""
    headers = (
        dict(BEARER) if last_event_id is None else BEARER | {"Last-Event-ID": str(last_event_id)}
    )
    async with client.get(path, params=query, headers=headers) as response:
        assert response.status == 200, await response.text()
        yield Stream(response)


def ids(events: list[SseEvent]) -> list[int]:
    """The numbers of events without the offset."""
    return [int(event.id) - OFFSET for event in events]


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - the server's own doing, it sends no event here
            await asyncio.sleep(0.005)


async def test_a_stream_looks_as_the_document_says(world: World, client: Client) -> None:
    """Headers, retry once, then both halves of an exchange with their ids, one JSON line each, as
    the list has them.
    """
    async with opened(client, ENTRIES) as stream:
        assert stream.response.headers["Content-Type"] == "text/event-stream"
        assert stream.response.headers["Cache-Control"] == "no-cache"
        assert stream.response.headers["X-Accel-Buffering"] == "no"
        await commit(world, make_record(1, path="/a\r\nb", user_agent="x\ny"))
        events = await stream.next(2)
        assert stream.reader.retry_ms == 2000
        assert ids(events) == [1, 2]
        listed = await ask(client, "/api/proxy-logs/_logs")
        assert [json.loads(event.data) for event in events] == listed["entries"]
        assert not any("\n" in event.data for event in events)


@pytest.mark.parametrize("path", [ENTRIES, RECORDS])
async def test_a_stream_that_brought_nothing_is_resumed_where_it_began(
    world: World, client: Client, path: str
) -> None:
    """Its first block has an id, which a client gives back; what came meanwhile is not lost."""
    await commit(world, make_record(1))
    async with opened(client, path) as stream:
        async with asyncio.timeout(60):
            while not stream.reader.last_event_id:
                assert not stream.reader.feed(await stream.response.content.readany())

    began_behind = int(stream.reader.last_event_id)
    assert began_behind == OFFSET + 2
    await commit(world, make_record(2, path="/missed"))
    async with opened(client, path, began_behind) as stream:
        assert "/missed" in (await stream.next(1))[0].data


async def test_records_are_streamed_whole(world: World, client: Client) -> None:
    """The native stream brings each record once, under the id of its newer entry."""
    async with opened(client, RECORDS) as stream:
        await commit(world, make_record(1), make_event(2), make_record(3))
        events = await stream.next(2)
        assert ids(events) == [2, 6]
        listed = await ask(client, "/api/records?order=asc")
        assert [json.loads(event.data) for event in events] == listed["records"]


async def test_streamed_records_have_the_fields_asked_for(world: World, client: Client) -> None:
    """As a list has them, also behind a resume, and of more records than are read at a time."""
    body = make_payload(make_body(b'{"user": {"id": 42}}'))
    entries = [
        Entry(make_record(1), body),
        Entry(make_event(2)),
        *(Entry(make_record(n), body) for n in range(3, 120)),
    ]

    fields = "body.user.id,request_header.x-a"
    async with opened(client, RECORDS, fields=fields) as stream:
        batch = Batch("side-1", entries)
        assert world.tail is not None
        await world.storage.commit(batch)
        world.tail.on_commit(batch)
        events = await stream.next(118)

    path = f"/api/records?order=asc&limit=1000&fields={fields}"
    listed = (await ask(client, path))["records"]
    assert [json.loads(event.data) for event in events] == listed
    assert listed[0]["fields"]["body.user.id"] == {"value": "42", "state": "known", "is_cut": False}
    async with opened(client, RECORDS, OFFSET + ids(events)[-3], fields=fields) as stream:
        assert [json.loads(event.data) for event in await stream.next(2)] == listed[-2:]


async def test_a_stream_refuses_what_is_no_field(client: Client) -> None:
    assert (
        "fields is 'status', expected names such as header.x-tenant"
        in (await ask(client, f"{RECORDS}?fields=status", 400))["detail"]
    )


@pytest.mark.parametrize("how", ["header", "query"])
@pytest.mark.parametrize("last", [0, 1, 2, 7, 60, 61, 79])
async def test_a_client_resumes_where_it_was(
    world: World, client: Client, how: str, last: int
) -> None:
    """From the ring or, when that has moved on, from the store; between the two halves of an
    exchange too.
    """
    await commit(world, *(make_record(n) for n in range(1, 41)))  # the ring keeps the last 10
    given: dict[str, Any] = {} if how == "header" else {"lastEventId": str(OFFSET + last)}
    async with opened(
        client, ENTRIES, OFFSET + last if how == "header" else None, **given
    ) as stream:
        assert ids(await stream.next(80 - last)) == list(range(last + 1, 81))
        await commit(world, make_record(41))
        assert ids(await stream.next(2)) == [81, 82]


@pytest.mark.parametrize("last_event_id", [None, 0])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"projectId": "proj_a"}, [1, 2, 3, 4]),
        ({"projectId": "nobody"}, []),
        ({"containerId": "cnt_2"}, [5, 6]),
        ({"kind": "response"}, [2, 4, 6]),
        ({"kind": "event"}, [8]),
        ({"level": "error"}, [3, 4]),
        ({"level": "error,warn", "kind": "request"}, [3]),
        ({"method": "post"}, [5, 6]),
        ({"serviceName": "user-api", "source": "backend"}, [1, 2, 3, 4]),
    ],
)
async def test_filters_hold_for_live_and_replayed_frames(
    world: World,
    client: Client,
    query: dict[str, str],
    expected: list[int],
    last_event_id: int | None,
) -> None:
    """The same filters choose the same frames, whether they come live or are replayed."""
    records = [
        make_record(1),
        make_record(2, status=502),
        make_record(3, project="proj_b", container="cnt_2", service="other", method="POST"),
        make_event(4, project=None, container=None, service=None),
    ]
    if last_event_id is not None:
        await commit(world, *records)
    async with opened(client, ENTRIES, last_event_id, **query) as stream:
        if last_event_id is None:
            await commit(world, *records)
        await commit(world, make_event(5, name="end", level="error", project="x"))
        events = await stream.next(len(expected)) if expected else []
        assert ids(events) == expected


async def test_a_foreign_id_is_reset_and_goes_on_live(world: World, client: Client) -> None:
    """`reset` has an id and a reason; frames follow as they come."""
    await commit(world, make_record(1))
    async with opened(client, ENTRIES, OFFSET + 999) as stream:
        (reset,) = await stream.next(1)
        assert (reset.name, ids([reset])) == ("reset", [2])
        assert json.loads(reset.data)["ringSeq"] == OFFSET + 2
        await commit(world, make_record(2))
        assert ids(await stream.next(2)) == [3, 4]


async def test_heartbeats_come_without_and_with_traffic(world: World, start: Start) -> None:
    """A comment line at every interval, also while nothing that is committed matches."""
    world.heartbeat_s = 0.05
    client = await start(world.services())
    async with opened(client, ENTRIES, projectId="nobody") as stream:
        while stream.reader.comments < 2:
            assert stream.reader.feed(await stream.response.content.readany()) == []
        seen = stream.reader.comments
        number = 0
        while stream.reader.comments < seen + 2:
            number += 1
            await commit(world, make_record(number))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    stream.reader.feed(await stream.response.content.readany())


async def test_the_limits_of_a_token_are_429(world: World, start: Start) -> None:
    """Too many streams at once, or opened within a minute, are refused in the dialect's words, and
    later not.
    """
    now_s = 0.0
    world.limits = StreamLimits(2, clock=lambda: now_s)

    client = await start(world.services())
    async with opened(client, ENTRIES), opened(client, RECORDS):
        response = await client.get(ENTRIES, headers=BEARER)
        assert (response.status, response.headers["Retry-After"]) == (429, "5")
        answer = await response.json()
        assert (answer["statusCode"], answer["error"]) == (429, "Too Many Requests")
        assert answer["message"].startswith("Rate limit exceeded for log stream")

    tail = world.services().streams.tail
    await until(lambda: not tail.subscribers)
    for _ in range(4):
        async with opened(client, ENTRIES):
            pass
    now_s = 20.0
    response = await client.get(RECORDS, headers=BEARER)
    assert (response.status, response.headers["Retry-After"]) == (429, "40")
    now_s = 61.0
    async with opened(client, RECORDS):
        pass


async def test_a_client_that_left_is_forgotten(world: World, client: Client, tail: Tail) -> None:
    """Its place is given up at the next write, or after a second of silence."""
    async with opened(client, ENTRIES):
        await until(lambda: len(tail.subscribers) == 1)
    await until(lambda: not tail.subscribers)
    assert tail.counters.dropped_subscribers == 0


async def test_a_client_that_takes_nothing_is_closed(
    world: World, start: Start, tail: Tail
) -> None:
    """It delays nobody, and is closed when it has taken no bytes for a while."""
    client = await start(world.services())  # not for so short a while: it shares our thread
    world.stall_s = 0.3
    hasty = await start(world.services())
    _, writer = await asyncio.open_connection(hasty.host, hasty.port, limit=1024)
    request = (
        f"GET {ENTRIES} HTTP/1.1\r\nHost: localhost\r\nAuthorization: "
        f"{BEARER['Authorization']}\r\n\r\n"
    )
    writer.write(request.encode())

    async with opened(client, RECORDS) as other:
        await until(lambda: len(tail.subscribers) == 2)
        number = 0
        while tail.counters.dropped_subscribers == 0:
            number += 100
            await commit(
                world, *(make_record(number + n, path="/" + "x" * 8000) for n in range(100))
            )
            await other.next(100)
            assert number < 100_000

        assert len(tail.subscribers) == 1

    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_shutdown_ends_streams_with_an_event(world: World, start: Start) -> None:
    """A stopping server says so, with the id behind which the client goes on."""
    await commit(world, make_record(1))
    client = await start(world.services())
    async with opened(client, RECORDS) as stream:
        assert client.server is not None
        stopping = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(client.server.close())
            (event,) = await stream.rest()
        assert (event.name, ids([event])) == ("shutdown", [2])
        assert asyncio.get_running_loop().time() - stopping < 50


async def test_head_does_not_open_a_stream(world: World, client: Client, tail: Tail) -> None:
    """HEAD answers the headers and ends."""
    response = await client.head(ENTRIES, headers=BEARER)
    assert (response.status, response.headers["Content-Type"]) == (200, "text/event-stream")
    assert tail.subscribers == {}


async def test_streams_are_counted(world: World, start: Start, tail: Tail) -> None:
    """The metrics show open streams and frames written."""
    client = await start(world.services())
    async with opened(client, ENTRIES) as stream:
        await commit(world, make_record(1))
        await stream.next(2)
        text = await (await client.get("/metrics")).text()
        assert "sidelog_tail_subscribers 1.0" in text
        assert "sidelog_sse_events_total 2.0" in text
        assert "sidelog_tail_dropped_subscribers_total 0.0" in text
