"""A real admin application over a real store in memory, asked through a real socket."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request

from api.access.auth import token_digest
from api.access.principal import Credential, Credentials, Principal
from api.access.query_gate import QueryGate
from api.access.snapshot_cursor import SnapshotCursors
from api.access.stream_limits import StreamLimits
from api.app import make_app
from api.metrics.metrics import Metrics
from api.services import RouteInfo, Services
from api.stream.streams import StreamServices
from api.stream.tail import Tail
from storage.backends import open_storage
from storage.base import Storage
from storage.ledger import Ledger
from storage.query import Scope
from storage.record import Entry, Payload, Record, ToolCall
from tests.api.samples import START_US, Item, make_batch

TOKEN = "s3cret-t0ken"
BEARER = {"Authorization": f"Bearer {TOKEN}"}

Client = TestClient[Request, Application]


async def ask(
    client: Client,
    at: str = "/api/records",
    expected: int = 200,
    headers: dict[str, str] = BEARER,
    /,
    **parameters: Any,
) -> Any:
    """GET as the admin, unless other headers are given; answers the JSON that came with a status."""
    response = await client.get(at, params=parameters, headers=headers)
    assert response.status == expected, await response.text()
    return await response.json()


@dataclass
class World:
    """What a test may set behind the application."""

    storage: Storage
    in_flight: list[Record] = field(default_factory=list)
    known: dict[bytes, Payload] = field(default_factory=dict)
    """What is known of those in flight, by id."""
    running_tools: list[ToolCall] = field(default_factory=list)
    ready: tuple[bool, dict[str, object]] = (True, {"degraded": False})
    ledger: Ledger = field(
        default_factory=lambda: Ledger(
            received=9, stored=7, spooled=0, waiting=1, dropped={"poison": 1}
        )
    )
    token: str | None = TOKEN
    credentials: list[Credential] = field(default_factory=list)
    host_scopes: dict[str, Scope] = field(default_factory=dict)
    fanout: SnapshotCursors | None = None
    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    routes: dict[str, RouteInfo] = field(default_factory=dict)
    state_path: Path | None = None
    allowed_hosts: tuple[str, ...] = ("logs.example",)
    tail: Tail | None = None
    limits: StreamLimits = field(default_factory=StreamLimits)
    heartbeat_s: float = 15.0
    stall_s: float = 30.0

    async def store(self, *items: Item) -> None:
        """Store a batch of records."""
        await self.storage.commit(make_batch(*items))

    def admit(self, token: str, scope: Scope) -> dict[str, str]:
        """Let a reader in who sees a scope; answers the headers of its requests."""
        reader = Principal(token, "reader", scope)
        self.credentials.append(Credential(token_digest(token), reader))
        return {"Authorization": f"Bearer {token}"}

    def services(self) -> Services:
        """Wire the services of an application."""

        async def read_ledger() -> Ledger:
            return self.ledger

        return Services(
            storage=self.storage,
            credentials=Credentials(lambda: self.token, self.credentials),
            host_scopes=self.host_scopes,
            routes=self.routes,
            fanout=self.fanout,
            add_event=lambda name, data: self.events.append((name, data)),
            listen_host="admin.internal",
            allowed_hosts=self.allowed_hosts,
            instance="side-1",
            version="0.1.0",
            ledger=read_ledger,
            status=lambda: {"version": "0.1.0"},
            in_flight=lambda: [
                Entry(record, self.known.get(record.id)) for record in self.in_flight
            ],
            running_tools=lambda: list(self.running_tools),
            is_ready=lambda: self.ready,
            metrics=Metrics(self.tail, version="0.1.0"),
            streams=StreamServices(
                tail=self.tail or Tail(self.storage),
                limits=self.limits,
                heartbeat_s=self.heartbeat_s,
                stall_s=self.stall_s,
            ),
            gate=QueryGate(max_wait_s=60.0),
            now_us=lambda: START_US + 3_600_000_000,
        )


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """An empty store, open during the test; that all kinds answer alike,
    `contract/test_storage_answers.py` tests.
    """
    async with await open_storage("memory:", tmp_path) as storage:
        yield World(storage)


Start = Callable[[Services], Awaitable[Client]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start applications; they are stopped at the end."""
    clients: list[Client] = []

    async def start_client(services: Services) -> Client:
        client = TestClient(TestServer(make_app(services)))
        await client.start_server()
        clients.append(client)
        return client

    yield start_client
    for client in clients:
        await client.close()


@pytest.fixture
async def client(world: World, start: Start) -> Client:
    """The application over `world`."""
    return await start(world.services())
