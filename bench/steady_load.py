"""A steady load on a sidelog, and what became of it: for runs that last minutes or hours."""

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench.macro.machine import machine
from bench.macro.peers import Peer, started
from bench.macro.place import Place, on_core
from storage.backends import open_storage
from storage.query import Filter, RecordQuery
from tests.support.clickhouse import Server as ClickhouseServer
from tests.support.clickhouse import own_server as own_clickhouse
from tests.support.ports import free_port
from tests.support.postgres import Server, own_server

CONNECTIONS: Final = 16
REQUEST: Final = (
    b"POST /echo HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nContent-Length: 27\r\n\r\n"
    b'{"name":"bench","number":1}'
)


@contextmanager
def own_upstream(directory: Path) -> Iterator[Peer]:
    """Start an upstream on the first core."""
    port = free_port()
    with started(
        "upstream",
        Place(directory=directory, port=port, upstream_port=port, prefix=on_core(min(os.sched_getaffinity(0)))),
    ) as upstream:
        yield upstream


@dataclass(frozen=True, slots=True)
class OwnStore:
    """A store that is the run's own; one of `path`, `server` and `clickhouse` is there."""

    url: str
    path: Path | None = None
    server: Server | None = None
    clickhouse: ClickhouseServer | None = None


@contextmanager
def own_store(kind: str, data_dir: Path) -> Iterator[OwnStore]:
    """Make a server of our own, Postgres or Debian's ClickHouse, or name the SQLite file of a data directory."""
    if kind == "postgres":
        with own_server() as server:
            yield OwnStore(server.url("postgres"), server=server)
    elif kind == "clickhouse":
        with own_clickhouse("debian") as clickhouse:
            yield OwnStore(clickhouse.url(clickhouse.database()), clickhouse=clickhouse)
    else:
        path = data_dir / "sidelog.db"
        yield OwnStore(f"sqlite:///{path}", path=path)


@dataclass(slots=True)
class Load:
    """Requests at a fixed rate, and what became of them."""

    port: int
    rate: float
    request: bytes = REQUEST
    ids: list[bytes] = field(default_factory=list)
    """Of all answers that arrived whole."""
    errors: Counter[str] = field(default_factory=Counter)
    is_ending: bool = False

    async def run(self) -> None:
        """Send until `is_ending`."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(CONNECTIONS):
                tasks.create_task(self._client(number), name=f"client {number}")

    async def _client(self, number: int) -> None:
        pause_s = CONNECTIONS / self.rate
        due_s = time.monotonic() + pause_s * number / CONNECTIONS
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while not self.is_ending:
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            due_s += pause_s
            try:
                async with asyncio.timeout(10):
                    streams = streams or await asyncio.open_connection("127.0.0.1", self.port)
                    self.ids.append(await self.exchange(due_s - pause_s, *streams))
            except (OSError, ValueError, asyncio.IncompleteReadError) as error:
                self.errors[type(error).__name__ + f": {error}"[:80]] += 1
                if streams is not None:
                    streams[1].close()
                streams = None
        if streams is not None:
            streams[1].close()

    async def exchange(self, due_s: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        """Send a request and read the whole answer; return the id of its record.

        Args:
            due_s: when it should have been sent, by the monotonic clock.
        """
        writer.write(self.request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise ValueError(head[:40].decode("latin-1"))
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        await reader.readexactly(int(fields[b"content-length"]))
        return bytes.fromhex(fields[b"x-sidelog-id"].decode().replace("-", ""))


async def stored_ids(url: str, data_dir: Path) -> AsyncIterator[bytes]:
    """Read the ids of all exchanges of a store."""
    async with await open_storage(url, data_dir) as storage:
        seq: int | None = 0
        while seq is not None:
            query = RecordQuery(filter=replace(Filter(kind="exchange"), seq_after=seq), order="asc", limit=5000)
            page = await storage.read(query)
            for record in page.records:
                yield record.id
            seq = page.next_after


def write_result(name: str, module: str, options: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Write `bench/results/NAME.json`: what was found, when, where and with which command."""
    command = f"python -m {module} " + " ".join(f"--{n.replace('_', '-')} {value}" for n, value in options.items())
    written = {"when": datetime.now(UTC).isoformat(timespec="seconds"), "command": command, "machine": machine()}
    path = Path("bench/results") / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**written, **found}, indent=1) + "\n")
