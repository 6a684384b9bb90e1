"""Non-interference: what a restricted caller is answered does not depend on what lies outside its
scope.

Two stores hold the same records of the caller's scope at the same places, and different ones
elsewhere. Whatever is asked, at every path there is, both must answer the same bytes: no row,
count, facet, frame or error tells them apart.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator

import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given, settings
from hypothesis import strategies as st

from api.access.principal import Credential, Principal
from api.app import make_app
from api.dialects.mcp_tools import TOOLS
from api.routes import routes
from api.services import RouteInfo
from api.stream.tail import Tail
from storage.keys import ApiKey
from storage.query import Scope
from storage.record import Batch, Entry, Record, ToolCall, format_id
from tests.api.conftest import Client, World
from tests.api.samples import make_body, make_event, make_in_flight, make_payload, make_record
from tests.support.memory_store import MemoryStorage

TOKEN = "reader-token"
OWN: dict[str, str | None] = {"project": "proj_a", "container": "cnt_1", "client": "acme"}
PRINCIPALS = {
    "project": Scope(projects=("proj_a", "proj_c")),
    "container": Scope(containers=("cnt_1",)),
    "client": Scope(clients=("acme",)),
    "all three": Scope(projects=("proj_a",), containers=("cnt_1",), clients=("acme",)),
}
QUERIES = [
    "", "limit=2", "limit=2&offset=1", "last=3", "afterId=2", "limit=1&order=desc", "kind=all&limit=1000",
    "kind=event", "level=error", "status=5xx", "includeRequestBody=true&includeResponseBody=1", "in_flight=true",
    "path=e", "key=k1", "since=7d&format=ndjson", "format=csv", "format=har&bodies=true", "order=asc&kind=all",
    "endpoint=users", "tool_names=own,other", "content_search=an", "sort_by=latency&limit=1&offset=1",
    "min_turns=2",
    "since=30d", "processedAfter=2020-01-01", "query=own or other", "query=-project:proj_a", "query=header.x-a:*",
    "query=project:proj_b or status:5xx or tool:own", "query=-(kind:event or who) tool:*", "query=body.who:own",
    "by=header.x-a", "by=body.who&since=30d&buckets=3&before=true", "by=route&since=30d&buckets=3&before=true",
    "fields=header.x-a,body.who&kind=all", "format=csv&fields=path,body.who", "since=30d&buckets=3&before=true",
    "since=30d&columns=3&rows=4", "totals=true", "by=endpoint&query=-project:proj_a",
    "query=%2Ae%2A", "client_ip=::/0,0.0.0.0/0&user_agent=o", "header=x-a:1&kind=all", "query=model:* kind:all&limit=2",
]  # fmt: skip
FOREIGN: list[dict[str, str | None]] = [
    {"project": "proj_b", "container": "cnt_2", "client": "other"},
    {"project": None, "container": None, "client": None},
    {"project": "proj_\u00e4", "container": "cnt_9", "client": "else"},
]
SHAPES = st.lists(
    st.tuples(st.booleans(), st.booleans(), st.booleans(), st.integers(0, 2)),
    min_size=1,
    max_size=6,
)
"""(own, event, failed, which strangers) of each record."""


def record_at(
    number: int, is_event: bool, has_failed: bool, place: dict[str, str | None], word: str
) -> Record:
    """Make a record whose texts all hold a word."""
    fields: dict[str, object] = {
        **place, "service": f"svc-{word}", "host": f"{word}.test", "user_agent": word, "error_type": word,
        "route_id": "default" if word == "own" else f"route-{word}", "key_id": "k1" if word == "own" else "k2",
        "key_name": word, "keyed": True, "model": word, "provider": word, "user_id": word, "request_id": word,
        "conversation": bytes(16),
    }  # fmt: skip
    if is_event:
        return make_event(number, **fields, data=f'{{"{word}": 1}}'.encode())
    return make_record(
        number, **fields, status=503 if has_failed else 200, path=f"/{word}/users/{number}"
    )


def call_of(record: Record, has_failed: bool, word: str) -> ToolCall:
    """Make the tool call of a record, or one that runs, with a word in every text."""
    text = f'{{"{word}": 1}}'.encode()
    return ToolCall(
        record_id=record.id, started_at_us=record.started_at_us, created_at_us=record.started_at_us, tool_name=word,
        server_label=word, status="error" if has_failed else "success", latency_us=len(word) * 1000, arguments=text,
        result=text, project=record.project, container=record.container, client=record.client, key_id=record.key_id,
        key_name=word, search=word, llm_request_id=word,
    )  # fmt: skip


async def filled(shapes: list[tuple[bool, bool, bool, int]], word: str, is_flipped: bool) -> World:
    """Make a store; strangers' records differ with the word, and are of the other kind when
    flipped.
    """
    world = World(MemoryStorage())
    world.token = "admin-token-elsewhere"
    entries = []

    for number, (is_own, is_event, has_failed, which) in enumerate(shapes, 1):
        if is_own:
            record = record_at(number, is_event, has_failed, OWN, "own")
        else:
            record = record_at(
                number, is_event != is_flipped, has_failed != is_flipped, FOREIGN[which], word
            )

        text = b'{"who": "own"}' if is_own else word.encode() * 9
        calls = (
            [call_of(record, has_failed, "own" if is_own else word)]
            if record.kind == "exchange"
            else []
        )
        entries.append(Entry(record, make_payload(make_body(text), make_body(text)), calls))

    batch = Batch("side-1", entries)
    await world.storage.commit(batch)
    for key_id, name, project in (("k1", "own", "proj_a"), ("k2", word, "proj_b")):
        digest = hashlib.sha256(f"{key_id}{word}".encode()).digest()
        await world.storage.create_key(
            ApiKey(id=key_id, name=name, last4=name[:4], secret_sha256=digest, project=project)
        )

    world.tail = Tail(world.storage, head_seq=0)
    world.tail.on_commit(batch)
    own_flight = make_in_flight(500, **OWN, route_id="default")
    world.in_flight = [
        own_flight,
        *(make_in_flight(501 + n, **place, user_agent=word) for n, place in enumerate(FOREIGN)),
    ]
    world.running_tools = [
        msgspec.structs.replace(
            call_of(each, False, each.user_agent or ""), status="processing", latency_us=None
        )
        for each in world.in_flight
    ]
    world.routes = {"default": RouteInfo(**OWN), f"route-{word}": RouteInfo(**FOREIGN[0])}
    return world


@contextlib.asynccontextmanager
async def served(world: World) -> AsyncIterator[Client]:
    """Serve a world."""
    async with TestClient(TestServer(make_app(world.services()))) as client:
        yield client


async def streamed(client: Client, world: World, path: str, headers: dict[str, str]) -> bytes:
    """Read a stream from its beginning until all was sent, then end it."""
    tail = world.tail
    assert tail is not None
    async with client.get(path, headers=headers | {"Last-Event-ID": "0"}) as response:
        if response.status != 200:
            return await response.read()
        async with asyncio.timeout(60):
            while [each.after_id for each in tail.subscribers.values()] != [tail.head_id]:  # noqa: ASYNC110
                await asyncio.sleep(0.001)

        for subscriber in tail.subscribers.values():
            subscriber.ended = b":end\n\n"
        tail._wake()
        return await response.read()


def paths(shapes: list[tuple[bool, bool, bool, int]]) -> list[str]:
    """Every path that can be asked, with ids of own and foreign records, and of those in flight."""
    ids = [
        format_id(make_record(number).id) for number in (*range(1, len(shapes) + 1), 500, 501, 502)
    ]
    ids.append(format_id(bytes(16)))
    found = []

    for route in routes():
        if route.method != "GET" or route.is_open:
            continue
        for client, proxy in (
            ("acme", "default"),
            ("other", "route-strange"),
            ("nobody", "nothing"),
        ):
            base = route.path.replace("{clientId}", client).replace("{proxyId}", proxy)
            pairs = zip(ids, ids[1:] + ids[:1], strict=True)
            found += [
                base.replace("{id}", text)
                .replace("{requestId}", text)
                .replace("{a}", text)
                .replace("{b}", other)
                for text, other in pairs
            ]

    return list(dict.fromkeys(found))


async def answers(
    world: World, shapes: list[tuple[bool, bool, bool, int]], query: str
) -> dict[str, object]:
    """Ask everything."""
    headers = {"Authorization": TOKEN}
    found: dict[str, object] = {}
    async with served(world) as client:
        for path in paths(shapes):
            if path.endswith("/stream"):
                found[path] = await streamed(client, world, path, headers)
                continue
            response = await client.get(f"{path}?{query}", headers=headers)
            kept = {
                name: response.headers.get(name)
                for name in ("Content-Type", "X-Max-Seq", "Retry-After")
            }
            found[path] = (response.status, await response.read(), kept)

        for name, tool in TOOLS.items():
            for text in (format_id(make_record(number).id) for number in (1, len(shapes), 501)):
                given = dict.fromkeys(tool.needs, text) or {"since": "2020-01-01"}
                message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
                message["params"] = {"name": name, "arguments": given}
                response = await client.post("/mcp", json=message, headers=headers)
                found[f"{name} {text}"] = await response.read()

    return found


@pytest.mark.parametrize("principal", PRINCIPALS)
@settings(max_examples=6)
@given(shapes=SHAPES, query=st.sampled_from(QUERIES))
async def test_nothing_foreign_is_to_be_seen(
    principal: str, shapes: list[tuple[bool, bool, bool, int]], query: str
) -> None:
    """Both stores give the same answers, and the strangers' word is in none of them."""
    worlds = [
        await filled(shapes, "strange", is_flipped=False),
        await filled(shapes, "alienly", is_flipped=True),
    ]
    seen = []
    for world in worlds:
        digest = hashlib.sha256(TOKEN.encode()).digest()
        world.credentials = [Credential(digest, Principal("r", "reader", PRINCIPALS[principal]))]
        world.limits = type(world.limits)(0)
        seen.append(await answers(world, shapes, query))

    for path, answer in seen[0].items():
        if "route-strange" not in path:
            assert b"strange" not in repr(answer).encode(), path
        assert answer == seen[1][path], path


async def test_the_comparison_would_notice_a_leak() -> None:
    """An admin, who sees everything, gets different answers from the two stores."""
    shapes = [(True, False, False, 0), (False, False, True, 0)]
    seen = []
    for word, is_flipped in (("strange", False), ("alienly", True)):
        world = await filled(shapes, word, is_flipped)
        world.token = TOKEN
        seen.append(await answers(world, shapes, ""))

    leaking = {path for path in seen[0] if seen[0][path] != seen[1][path]}
    for path in (
        "/v1/requests",
        "/api/proxy-logs/_logs/stats",
        "/api/records",
        "/api/facets",
        "/api/request-logs",
        "/api/mcp-logs",
    ):
        assert path in leaking
