"""The web UI in a real Chromium, over a real admin server with a store that has a bit of
everything.
"""

import socket
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from api.access.auth import COOKIE
from api.app import make_app
from api.services import Services
from api.stream.tail import Tail
from storage.backends import open_storage
from storage.ledger import Ledger
from storage.record import Batch, Entry, Record
from tests.api.conftest import TOKEN, World
from tests.support.browser import Browser, Page, start_chromium
from tests.support.collecting import until
from tests.support.ports import free_port
from tests.ui.world import fill

STATUS: dict[str, Any] = {
    "version": "0.1.0",
    "instance": "side-1",
    "uptime_s": 61.0,
    "draining": False,
    "rings": [
        {
            "source": "ab" * 16,
            "worker_alive": True,
            "pid": 4021,
            "uptime_s": 61.0,
            "requests": 9,
            "in_flight": 2,
            "capacity_bytes": 1 << 26,
            "used_bytes": 53 << 20,
            "pushed": 9,
            "taken": 9,
            "refused": 1,
            "corrupt": 0,
        }
    ],
    "writer": {
        "waiting_records": 1,
        "oldest_unstored_s": 0.1,
        "batches": {"stored": 3},
        "records_escaped": 0,
        "records_quarantined": 0,
        "last_flush_s": 0.002,
        "is_full": False,
    },
    "collector": {"pid": 4019, "uptime_s": 61.0},
    "storage": {"up": True},
    "retention": {
        "looked_at_ms": 1,
        "oldest_ms": 1,
        "used_bytes": 5_000_000,
        "lag_s": 0.0,
        "rows_purged": 12,
    },
    "configuration": {
        "capture": {"max_wait_ms": 100},
        "proxy": {"listen": "127.0.0.1:8080", "tls_cert_file": ""},
        "routes": [{"id": "default", "upstream": "http://127.0.0.1:3000"}],
        "storage": {
            "url": "sqlite:///sidelog.db",
            "durability": "safe",
            "queue_max_bytes": 1 << 26,
        },
        "spool": {"max_bytes": 1 << 30},
        "retention": {"max_age_days": 30, "body_max_age_days": 30, "max_bytes": 10 << 30},
    },
}


class Ports(NamedTuple):
    """What all tests share, one after the other."""

    devtools: int
    """Of the browser."""
    admin: int
    """Of the servers: what a browser has kept of the UI, and compiled, saves a quarter of the CPU
    of a test.
    """


@dataclass
class Site:
    """A running admin server, a logged-in page of it, and what is stored."""

    page: Page
    services: Services
    server: TestServer
    world: World
    tail: Tail
    records: dict[str, Record]

    @property
    def url(self) -> str:
        """Of the admin port."""
        return f"http://127.0.0.1:{self.server.port}"

    async def restart(self, *missed: Record, meanwhile: Awaitable[object] | None = None) -> None:
        """Stop the server, store records and await something meanwhile, then start it again on its
        port.
        """
        port = self.server.port
        storage = self.world.storage
        await self.server.close()
        await self.store(*missed)
        if meanwhile is not None:
            await meanwhile
        self.tail = Tail(storage, head_seq=await storage.last_seq(), offset=self.tail.offset)
        streams = replace(self.services.streams, tail=self.tail)
        self.server = TestServer(make_app(replace(self.services, streams=streams)), port=port)
        await self.server.start_server()

    async def open(self, path: str) -> None:
        """Open a page of the UI."""
        await self.page.open(self.url + path)
        await self.page.until(
            "document.readyState === 'complete' && "
            "document.querySelector('main')?.children.length > 0"
        )

    async def listened(self) -> None:
        """Wait until the page listens to the stream."""
        await self.page.wait_for("#live-bar", "Live")
        await until(lambda: self.tail.subscribers)

    async def store(self, *records: Record) -> None:
        """Commit records, as the collector does."""
        batch = Batch(instance="side-1", entries=[Entry(record) for record in records])
        await self.world.storage.commit(batch)
        self.tail.on_commit(batch)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    """One browser for all tests, and a port that is nobody else's while it runs."""
    admin = free_port()
    with start_chromium(tmp_path_factory.mktemp("chromium")) as devtools, socket.socket() as held:
        # Who sets it too may listen beside it.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", admin))
        yield Ports(devtools, admin)


@pytest.fixture(autouse=True)
def moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample of a test ends when the test begins, however long the run has taken by then."""
    monkeypatch.setattr("tests.ui.world.NOW_US", time.time_ns() // 1000)


@pytest.fixture
async def site(chromium: Ports, tmp_path: Path) -> AsyncIterator[Site]:
    """The UI over the sample, logged in; nothing may go wrong in the page."""
    async for made in open_site(chromium, tmp_path, is_filled=True):
        yield made


@pytest.fixture
async def empty_site(chromium: Ports, tmp_path: Path) -> AsyncIterator[Site]:
    """The UI over an empty store."""
    async for made in open_site(chromium, tmp_path, is_filled=False):
        yield made


async def open_site(
    ports: Ports, directory: Path, *, url: str = "memory:", is_filled: bool
) -> AsyncIterator[Site]:
    """Serve a store, with the sample in it or as it is, and log a page in."""
    async with AsyncExitStack() as stack:
        storage = await stack.enter_async_context(await open_storage(url, directory))
        records = await fill(storage) if is_filled else {}
        tail = Tail(storage, head_seq=await storage.last_seq(), offset=1000)
        world = World(
            storage,
            tail=tail,
            ledger=Ledger(
                received=1284, stored=1260, spooled=0, waiting=22, dropped={"ring_full": 2}
            ),
        )
        services = replace(
            world.services(), now_us=lambda: time.time_ns() // 1000, status=lambda: STATUS
        )
        server = TestServer(make_app(services), port=ports.admin)
        await server.start_server()
        session = await stack.enter_async_context(ClientSession())
        page = await stack.enter_async_context(Browser(session, ports.devtools).page())
        site = Site(page, services, server, world, tail, records)
        stack.push_async_callback(lambda: site.server.close())
        credential = services.credentials.find(TOKEN)
        assert credential is not None
        cookie = services.sessions.open(credential.digest)
        # Of a test that failed.
        await page.call("Storage.clearDataForOrigin", origin=site.url, storageTypes="all")
        await page.call(
            "Network.setCookie",
            name=COOKIE,
            value=cookie,
            url=site.url,
            httpOnly=True,
            sameSite="Strict",
        )
        yield site
        assert page.problems == []
