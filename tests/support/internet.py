"""All hosts there are, behind one proxy: any name leads to the same service.

A program that is given the proxy, and the authority that signs for every name, asks
`https://api.openai.com` and is answered by a service of the tests.
"""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from proxy.egress.authority import Authority, open_authority
from tests.support.outgoing import server_context


@dataclass
class Internet:
    """A proxy that runs."""

    authority: Authority
    service: str
    """URL of what answers, without TLS."""
    url: str = ""
    asked: list[str] = field(default_factory=list)
    """Host and port of each CONNECT, and the URL of each request without TLS."""

    @property
    def environ(self) -> dict[str, str]:
        """What a program needs to reach hosts through it."""
        return {"HTTPS_PROXY": self.url, "SSL_CERT_FILE": str(self.authority.path)}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b" ", 2)
        self.asked.append(target.decode())
        there = urlsplit(self.service)
        inner, outer = await asyncio.open_connection(there.hostname, there.port)
        if method == b"CONNECT":
            host, _, port = target.decode().rpartition(":")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            if port == "443":
                await writer.start_tls(server_context(self.authority, host.strip("[]")))
        else:
            outer.write(head)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_copy(reader, outer))
            tasks.create_task(_copy(inner, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()


@contextmanager
def internet(directory: Path, service: str) -> Iterator[Internet]:
    """Run the proxy in a thread; `service` is the URL of what answers for every host."""
    made = Internet(open_authority(directory), service)
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def run() -> None:
        server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
        made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        stop = asyncio.Event()
        started.set_result((asyncio.get_running_loop(), stop))
        await stop.wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="internet")
    thread.start()
    loop, stop = started.result(60)
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)
