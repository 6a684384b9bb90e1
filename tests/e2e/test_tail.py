"""Live tails of a real sidelog: many clients that come and go, while its collector is killed and
all restarts.
"""

import asyncio
import os
import random
import signal
import urllib.request
from pathlib import Path

import aiohttp
import pytest

from tests.support.long import long
from tests.support.sidelog import Sidelog, await_pids, eventually
from tests.support.sse import SseEvent, SseReader

UNLIMITED = {"SIDELOG_ADMIN__MAX_STREAMS_PER_TOKEN": "0"}


class Tailer:
    """A client that is often disconnected and resumes with the last id it got."""

    def __init__(self, sidelog: Sidelog, session: aiohttp.ClientSession, seed: int) -> None:
        self._url = f"http://127.0.0.1:{sidelog.admin_port}/api/proxy-logs/_logs/stream"
        self._headers = {"Authorization": f"Bearer {sidelog.token}"}
        self._session = session
        self._chance = random.Random(seed)
        self._last_id = 0
        self.ids: list[int] = []
        self.names: set[str] = set()

    async def run(self, is_done: asyncio.Event) -> None:
        """Follow until told that everything there will be was received."""
        while not is_done.is_set():
            try:
                await self._follow(self._chance.randint(1, 250), is_done)
            except (aiohttp.ClientError, ConnectionError):
                await asyncio.sleep(0.1)

    async def _follow(self, number: int, is_done: asyncio.Event) -> None:
        headers = self._headers | {"Last-Event-ID": str(self._last_id)}
        reader = SseReader()
        async with self._session.get(self._url, headers=headers) as response:
            if response.status == 503:
                raise aiohttp.ClientError(await response.text())
            assert response.status == 200, await response.text()
            while number > 0 and not is_done.is_set():
                raw = await response.content.readany()
                if not raw:
                    return
                for event in reader.feed(raw)[:number]:
                    number -= 1
                    self.names.add(event.name)
                    if event.name == "message":
                        assert event.data.startswith(start := f'{{"id":{event.id},'), start
                        self.ids.append(int(event.id))
                        self._last_id = int(event.id)


@pytest.mark.parametrize("clients", [5, long(100)])
async def test_tails_lose_and_double_nothing(tmp_path: Path, upstream: str, clients: int) -> None:
    """Over disconnects, a killed collector and an ordered restart, every client gets every entry
    once, in order.
    """
    with Sidelog(tmp_path / "data", upstream, environ=UNLIMITED) as sidelog:
        is_done = asyncio.Event()
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            asyncio.TaskGroup() as tasks,
        ):
            tailers = [Tailer(sidelog, session, seed) for seed in range(clients)]
            for tailer in tailers:
                tasks.create_task(tailer.run(is_done))
            try:
                last_id = await asyncio.to_thread(_disturb, sidelog)
                async with asyncio.timeout(60):
                    while any(tailer.ids[-1:] < [last_id] for tailer in tailers):  # noqa: ASYNC110 - many writers
                        await asyncio.sleep(0.1)
            finally:
                is_done.set()
                await asyncio.to_thread(_exchange, sidelog, 1)  # wakes those that wait

        expected = await asyncio.to_thread(_entries, sidelog, last_id)
        assert len(expected) > 380
        for tailer in tailers:
            assert [number for number in tailer.ids if number <= last_id] == expected
            assert tailer.names <= {"message", "shutdown"}


async def test_outside_of_what_is_kept_a_tail_is_told(tmp_path: Path, upstream: str) -> None:
    """A store that forgot, here by a restart, is a `reset` before the first frame, and numbers
    never repeat.
    """
    with Sidelog(tmp_path / "data", upstream, "--storage", "memory:", environ=UNLIMITED) as sidelog:
        await asyncio.to_thread(_exchange, sidelog, 20)
        await asyncio.to_thread(sidelog.settled_ledger)
        seen = await asyncio.to_thread(_read_stream, sidelog, 0, 40)
        await asyncio.to_thread(sidelog.stop)
        await asyncio.to_thread(sidelog.start)
        await asyncio.to_thread(_exchange, sidelog, 20)
        await asyncio.to_thread(sidelog.settled_ledger)
        reset, *rest = await asyncio.to_thread(_read_stream, sidelog, int(seen[-1].id), 1)

    assert {event.name for event in seen} == {"message"}
    assert (reset.name, rest) == ("reset", [])
    assert int(reset.id) > int(seen[-1].id) + 10_000


def _read_stream(sidelog: Sidelog, last_id: int, number: int) -> list[SseEvent]:
    """Read so many events from a stream that is resumed."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{sidelog.admin_port}/api/proxy-logs/_logs/stream",
        headers={"Authorization": f"Bearer {sidelog.token}", "Last-Event-ID": str(last_id)},
    )
    reader = SseReader()
    found = list[SseEvent]()
    with urllib.request.urlopen(request, timeout=60) as response:
        while len(found) < number:
            found += reader.feed(response.read1())
    return found[:number]


def _disturb(sidelog: Sidelog) -> int:
    """Kill the collector between exchanges, then restart everything; answer the last entry id."""
    _exchange(sidelog, 50)
    os.kill(await_pids(sidelog, "proxy.collector")[0], signal.SIGKILL)
    _exchange(sidelog, 50)
    eventually(sidelog.is_ready)
    _exchange(sidelog, 50)
    sidelog.stop()
    sidelog.start()
    _exchange(sidelog, 50)
    sidelog.settled_ledger()
    return 2 * max(int(record["seq"]) for record in sidelog.records("kind=all"))


def _exchange(sidelog: Sidelog, number: int) -> None:
    for _ in range(number):
        with urllib.request.urlopen(f"{sidelog.url}/tail", timeout=60) as response:
            response.read()


def _entries(sidelog: Sidelog, last_id: int) -> list[int]:
    """The ids of all entries, as they follow from the records."""
    numbers: list[int] = []
    for record in sidelog.records("kind=all&order=asc"):
        pair = (
            [2 * record["seq"]]
            if record["kind"] == "event"
            else [2 * record["seq"] - 1, 2 * record["seq"]]
        )
        numbers += [number for number in pair if number <= last_id]

    return numbers
