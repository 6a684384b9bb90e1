"""Kills, of whoever writes and of the server, at any moment: every record is there once, and a tail
sees it once.
"""

import asyncio
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pytest

from storage.clickhouse.store import ClickhouseStorage
from storage.errors import StorageUnavailable
from tests.support.clickhouse import Server, own_server

pytestmark = pytest.mark.clickhouse

ROOT = Path(__file__).parents[3]
DELAY_MS = 2000
NAMES = "abcd"
Row = tuple[int, str, str]
"""Its number, its sidecar and its path."""
_ROWS = (
    "SELECT seq, instance, path FROM records WHERE kind = 0 AND seq > $1 AND seq <= $2 ORDER BY seq"
)


class Writers:
    """Processes that write, each killed and begun again at will."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._begun = 0

    def begin(self, name: str) -> None:
        """Begin one, which goes on where the one before left off."""
        self._begun += 1
        command = [
            "setpriv",
            "--pdeathsig=KILL",
            "--",
            sys.executable,
            "-m",
            "tests.storage.clickhouse.endless_writer",
        ]
        self._running[name] = subprocess.Popen(
            [*command, self._url, str(self._begun), name], cwd=ROOT, stdout=subprocess.DEVNULL
        )

    def kill(self, name: str) -> None:
        """Kill one without a word."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def kill_all(self) -> None:
        for name in list(self._running):
            self.kill(name)


class Tail:
    """A reader of "greater than n, up to the end of the stable prefix"."""

    def __init__(self, store: ClickhouseStorage) -> None:
        self._store = store
        self.seen: list[Row] = []
        self._after = 0

    async def follow(self) -> None:
        """Read on until cancelled; a server that is away is asked again."""
        while True:
            try:
                await self.read()
            except StorageUnavailable:
                pass
            await asyncio.sleep(0.1)

    async def read(self) -> None:
        end = await self._store.last_seq()
        assert end >= self._after
        self.seen += await self._store._link.fetch(_ROWS, (self._after, end), limit_s=30)
        self._after = end


def check(rows: Sequence[Row]) -> None:
    """Of each sidecar every record is there once, in its order."""
    assert [seq for seq, _, _ in rows] == sorted({seq for seq, _, _ in rows})
    paths = defaultdict(list)
    for _, instance, path in rows:
        paths[instance].append(path)
    for name, found in paths.items():
        assert found == [f"/{number}" for number in range(len(found))], name


class Victim(Protocol):
    """What can be killed, and started again."""

    def kill(self) -> None: ...

    def start(self) -> None: ...


async def kill_at_random(
    victims: Sequence[Victim],
    writers: Writers,
    store: ClickhouseStorage,
    rounds: int,
    most_s: float,
) -> None:
    """Kill a server or a writer, once each of them has stored something."""
    chance = random.Random(rounds)
    writing: set[str] = set()
    while writing < set(NAMES):
        await asyncio.sleep(0.2)
        writing = {
            instance for _, instance, _ in await store._link.fetch(_ROWS, (0, 1 << 52), limit_s=30)
        }

    for _ in range(rounds):
        await asyncio.sleep(chance.uniform(0.1, most_s))
        if chance.random() < 0.35:
            victim = chance.choice(victims)
            await asyncio.to_thread(victim.kill)
            await asyncio.sleep(chance.uniform(0.0, 0.3))
            await asyncio.to_thread(victim.start)
        else:
            name = chance.choice(NAMES)
            writers.kill(name)
            writers.begin(name)

    await asyncio.sleep(2)


async def settled(store: ClickhouseStorage) -> list[Row]:
    """Wait until nothing that killed writers sent can come any more; returns all records."""
    newest = -1
    while True:
        try:
            rows = await store._link.fetch(_ROWS, (0, 1 << 52), limit_s=30)
            if rows and await store.last_seq() >= rows[-1][0] == newest:
                return list(rows)
            newest = rows[-1][0] if rows else -1
        except StorageUnavailable:
            pass

        await asyncio.sleep(0.3)


async def survive(
    victims: Sequence[Victim],
    writers: Writers,
    store: ClickhouseStorage,
    rounds: int,
    most_s: float = 1.2,
) -> list[Row]:
    """Kill at random, compare all that is stored with what was sent, and with what a tail saw;
    returns it.
    """
    tail = Tail(store)
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(tail.follow(), name="follow")
        try:
            for name in NAMES:
                writers.begin(name)
            await kill_at_random(victims, writers, store, rounds, most_s)
        finally:
            writers.kill_all()

        rows = await settled(store)
        following.cancel()

    await tail.read()
    check(rows)
    assert tail.seen == rows
    return rows


@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(12, marks=pytest.mark.timeout(300)),
        pytest.param(160, marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
    ],
)
@pytest.mark.parametrize("engine_name", ["debian", "chdb"])
async def test_servers_and_writers_that_are_killed(engine_name: str, rounds: int) -> None:
    """In any order, under load: nothing is lost, doubled or torn, and a tail beside sees each
    record once, in order.
    """
    with own_server(engine_name) as own:
        address = own.address(own.database())
        async with await ClickhouseStorage.open(address, order_delay_ms=DELAY_MS) as store:
            await survive([own], Writers(own.url(address.database)), store, rounds)


async def test_a_writer_that_is_killed_goes_on(engine: Server) -> None:
    """Whatever the one before left on its way."""
    database = engine.database()
    async with await ClickhouseStorage.open(engine.address(database), order_delay_ms=500) as store:
        writers = Writers(engine.url(database))
        chance = random.Random(3)
        stored = 0

        for _ in range(4):
            writers.begin("a")
            before = stored
            while stored == before:  # a busy machine takes a while to start it
                await asyncio.sleep(0.1)
                stored = len(await store._link.fetch(_ROWS, (0, 1 << 52), limit_s=30))
            await asyncio.sleep(chance.uniform(0.0, 0.7))
            writers.kill("a")

        check(await settled(store))
