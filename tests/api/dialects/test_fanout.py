"""The fan-out: signed cursors over a snapshot, expiry, and lines with a trailer."""

import json
from typing import Any

import pytest

from api.access.snapshot_cursor import SnapshotCursors, SnapshotPosition
from storage.query import Page, RecordQuery, Scope
from tests.api.conftest import BEARER, Client, Start, World, ask
from tests.api.samples import make_batch, make_event, make_record
from tests.support.cases import each_of
from tests.support.memory_store import MemoryStorage

PATH = "/api/proxy-logs/_logs"
SECRET = b"s" * 32
LINES = {"Accept": "application/x-ndjson"}


class Clock:
    """Wall clock of a test."""

    now_s = 1000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until it is moved."""
    return Clock()


class PurgingStorage(MemoryStorage):
    """Hides the oldest records, as retention does."""

    floor_seq = 0

    async def select(self, query: RecordQuery) -> Page:
        page = await super().select(
            RecordQuery(filter=query.filter, order=query.order, limit=10_000, after=query.after)
        )
        kept = [record for record in page.records if record.seq > self.floor_seq][query.offset :]
        more = kept[query.limit - 1].seq if len(kept) > query.limit else None
        return Page(kept[: query.limit], complete=True, next_after=more)


@pytest.fixture
async def world(clock: Clock) -> World:
    """Nine exchanges and an event of three projects, with the fan-out on."""
    storage = PurgingStorage()
    records = [
        make_record(n, project=f"proj_{n % 3}", status=500 if n == 4 else 200) for n in range(1, 10)
    ]
    await storage.commit(make_batch(*records, make_event(10)))
    return World(storage, fanout=SnapshotCursors(secret=SECRET, now_s=clock))


async def pages(client: Client, **query: Any) -> list[int]:
    """Follow the cursors to the end."""
    found: list[int] = []
    cursor = None
    while True:
        answer = await ask(client, PATH, **query, **({"cursor": cursor} if cursor else {}))
        found += [entry["id"] for entry in answer["entries"]]
        cursor = answer["nextCursor"]
        if cursor is None:
            return found


@each_of(
    ("query", "expected"),
    [
        ({}, [*range(1, 19), 20]),
        ({"kind": "response"}, list(range(2, 19, 2))),
        ({"level": "error"}, [7, 8]),
        ({"projectId": "proj_1"}, [1, 2, 7, 8, 13, 14]),
        ({"projectId": "nobody"}, []),
    ],
)
@each_of("limit", [1, 3, 7, 1000])
async def test_cursors_lead_through_the_snapshot(
    client: Client, limit: int, query: dict[str, str], expected: list[int]
) -> None:
    """Every entry of every tenant once, in order, whatever the page size."""
    assert await pages(client, limit=limit, **query) == expected


async def test_a_snapshot_does_not_grow(world: World, client: Client) -> None:
    """What is committed after the first page is not in it; the total stays too."""
    first = await ask(client, PATH, limit=5)
    await world.store(make_record(11), make_record(12))
    second = await ask(client, PATH, limit=1000, cursor=first["nextCursor"])
    assert (second["entries"][-1]["id"], second["nextCursor"]) == (20, None)
    assert first["total"] == second["total"] == 19
    offset = await ask(client, PATH, limit=2, offset=3)
    assert [entry["id"] for entry in offset["entries"]] == [4, 5]
    behind = await ask(client, PATH, limit=2, offset=3, cursor=offset["nextCursor"])
    assert [entry["id"] for entry in behind["entries"]] == [6, 7]


async def test_a_page_of_none_counts_and_leads_nowhere(client: Client) -> None:
    """`limit=0` has the total and no cursor: one that goes nowhere would be followed for ever."""
    answer = await ask(client, PATH, limit=0, offset=3)
    assert (answer["entries"], answer["total"], "nextCursor" in answer) == ([], 19, False)
    first = await ask(client, PATH, limit=2)
    answer = await ask(client, PATH, limit=0, cursor=first["nextCursor"])
    assert (answer["entries"], "nextCursor" in answer) == ([], False)
    response = await client.get(f"{PATH}?limit=0", headers=BEARER | LINES)
    assert [json.loads(line) for line in (await response.text()).splitlines()] == [
        {"__trailer": True, "status": 200}
    ]


@each_of(
    ("accept", "media_type"),
    [
        ("application/x-ndjson", "application/x-ndjson"),
        ("application/x-ndjson;q=0", "application/json"),
        ("application/x-ndjson;q=0.0, */*", "application/json"),
        ("application/json, application/x-ndjson;q=0.1", "application/json"),
    ],
)
async def test_lines_are_sent_to_those_who_want_them(
    client: Client, accept: str, media_type: str
) -> None:
    """What weighs 0 is not wanted."""
    response = await client.get(PATH, headers=BEARER | {"Accept": accept})
    assert response.content_type == media_type


async def test_a_cursor_is_bound_to_its_filters(client: Client) -> None:
    """With other filters, or beside `afterId`, `last` or another order, it is refused."""
    first = await ask(client, PATH, limit=2, level="info")
    cursor = first["nextCursor"]
    await ask(client, PATH, limit=5, level="info", cursor=cursor)

    for other in (
        {"level": "error"},
        {"level": "info", "projectId": "proj_1"},
        {"kind": "request", "level": "info"},
        {},
    ):
        assert (await ask(client, PATH, 400, cursor=cursor, **other))["error"] == "Bad Request"

    for other in ({"afterId": "1"}, {"last": "2"}, {"order": "desc"}):
        await ask(client, PATH, 400, level="info", cursor=cursor, **other)


async def test_a_cursor_expires(client: Client, clock: Clock) -> None:
    """After 15 minutes it is 410 in the document's words."""
    first = await ask(client, PATH, limit=2)
    clock.now_s += 900
    await ask(client, PATH, cursor=first["nextCursor"])
    clock.now_s += 1
    answer = await ask(client, PATH, 410, cursor=first["nextCursor"])
    assert (answer["statusCode"], answer["error"], set(answer)) == (
        410,
        "snapshot_expired",
        {"statusCode", "error", "message"},
    )


async def test_a_snapshot_that_retention_overtook_is_expired(world: World, client: Client) -> None:
    """Rows that come next are gone: 410, instead of a page that hides it; behind the purge it goes
    on.
    """
    assert isinstance(world.storage, PurgingStorage)
    first = await ask(client, PATH, limit=2)
    later = await ask(client, PATH, limit=8)
    world.storage.floor_seq = 3
    await ask(client, PATH, 410, cursor=first["nextCursor"])
    await ask(client, PATH, cursor=later["nextCursor"])


async def test_lines_end_in_a_trailer(client: Client) -> None:
    """Without a limit to the end of the snapshot, with one as far as that and a cursor."""
    response = await client.get(PATH, headers=BEARER | LINES)
    assert response.content_type == "application/x-ndjson"
    *lines, trailer = map(json.loads, (await response.text()).splitlines())
    assert [line["id"] for line in lines] == [*range(1, 19), 20]
    assert trailer == {"__trailer": True, "nextCursor": None, "status": 200}
    response = await client.get(PATH, params={"limit": "5"}, headers=BEARER | LINES)
    *lines, trailer = map(json.loads, (await response.text()).splitlines())
    assert [line["id"] for line in lines] == [1, 2, 3, 4, 5]
    response = await client.get(
        PATH, params={"cursor": trailer["nextCursor"]}, headers=BEARER | LINES
    )
    *lines, trailer = map(json.loads, (await response.text()).splitlines())
    assert [line["id"] for line in lines] == [*range(6, 19), 20]


async def test_lines_that_expire_on_the_way_say_so(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status is sent already, so the trailer has it; before the first byte it is the status."""
    monkeypatch.setattr("api.dialects.fanout.PAGE_ENTRIES", 4)
    assert isinstance(world.storage, PurgingStorage)
    storage = world.storage
    asked = 0
    select = storage.select

    async def purging_select(query: RecordQuery) -> Page:
        nonlocal asked
        asked += 1
        storage.floor_seq = 9 if asked > 2 else 0
        return await select(query)

    monkeypatch.setattr(storage, "select", purging_select)
    response = await client.get(PATH, headers=BEARER | LINES)
    *lines, trailer = map(json.loads, (await response.text()).splitlines())
    assert [line["id"] for line in lines] == [1, 2, 3, 4]
    assert trailer == {"__trailer": True, "error": "snapshot_expired", "status": 410}
    place = SnapshotCursors(secret=SECRET, now_s=lambda: 0).encode(SnapshotPosition(10, 0, 4), b"")
    assert (await client.get(PATH, params={"cursor": place}, headers=BEARER | LINES)).status == 400


@pytest.mark.parametrize("who", ["fan-out off", "reader", "restricted"])
async def test_elsewhere_the_cursor_is_ignored(world: World, start: Start, who: str) -> None:
    """Where it is off, and for everybody but an unrestricted admin, any cursor is as none, and none
    is given.
    """
    headers = dict(BEARER)
    if who == "fan-out off":
        world.fanout = None
    else:
        scope = Scope(projects=("proj_1",)) if who == "restricted" else Scope()
        headers = world.admit("reader", scope)

    client = await start(world.services())
    for cursor in ("", "nonsense", "AAAA"):
        response = await client.get(
            PATH, params={"cursor": cursor, "limit": "2"}, headers=headers | LINES
        )
        assert (response.status, response.content_type) == (200, "application/json")
        assert "nextCursor" not in await response.json()
