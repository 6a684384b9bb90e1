"""An admin port for the commands that talk to one."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from aiohttp import web

from api.app import make_app
from api.services import Services
from storage.record import Batch, Entry, Record
from tests.api.conftest import TOKEN, World
from tests.support.memory_store import MemoryStorage


@pytest.fixture
def admin(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryStorage]:
    """An admin port in a thread; the environment tells commands where it is."""
    store = MemoryStorage()
    started: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        services: Services = World(store).services()
        runner = web.AppRunner(make_app(services))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        stop = asyncio.Event()
        started.set_result(
            (f"http://127.0.0.1:{runner.addresses[0][1]}", asyncio.get_running_loop(), stop)
        )
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="admin")
    thread.start()
    url, loop, stop = started.result(60)
    monkeypatch.setenv("SIDELOG_URL", url)
    monkeypatch.setenv("SIDELOG_TOKEN", TOKEN)
    yield store
    loop.call_soon_threadsafe(stop.set)
    thread.join(60)


def put(store: MemoryStorage, *found: Record | Entry) -> None:
    """Store records."""
    entries = [each if isinstance(each, Entry) else Entry(each) for each in found]
    asyncio.run(store.commit(Batch("side-1", entries)))


class Quiet(BaseHTTPRequestHandler):
    """A server that writes no log."""

    def log_message(self, *_: object) -> None:
        """Stay quiet."""

    def answer(self, status: int, content: bytes, **headers: str) -> None:
        """Send an answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Run a server; yield its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
