"""What the connections of one worker share: the tick, the in-flight table, draining, counters, the
memo of heads.
"""

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final, cast

import pytest

from proxy.http1.forwarded import TrustedProxies
from proxy.network.pacing import FairLoop
from proxy.ring.counters import CounterLayout
from proxy.ring.exchange import Exchange
from proxy.ring.inflight import InflightReader, InflightWriter
from proxy.ring.ring import RingWriter
from proxy.ring.segment import Segment
from proxy.worker.admission.key_auth import Gate
from proxy.worker.deadlines import TICK_S
from proxy.worker.engine import REST_S, SWEEP_S, Connection, Engine
from proxy.worker.recorder import Recorder
from proxy.worker.routes import compile_routes
from proxy.worker.upstream import pool
from proxy.worker.upstream.opener import Opener
from tests.proxy.conftest import Start
from tests.proxy.worker.rows import (
    Row,
    Stage,
    Step,
    counted,
    goes,
    hear,
    played,
    recorded,
)
from tests.proxy.worker.services import answers, serves, waits
from tests.support.client import GET
from tests.support.plane import eventually, settings_for
from tests.support.script import OK, Script
from tests.support.upstream import read_head, running, service


def _answers_once(may_answer: threading.Event, connection: socket.socket) -> None:
    while read_head(connection):
        may_answer.wait(60)
        connection.sendall(OK)


def shows(*statuses: int) -> Step:
    """Wait until exchanges with these statuses, and no others, are in the in-flight table."""

    def check(stage: Stage) -> None:
        reader = InflightReader(stage.plane.segment)
        eventually(lambda: [each.status for each in reader.scan()] == [*statuses])

    return check


def is_shown_with_its_body(stage: Stage) -> None:
    """Find head and body of the only exchange in the table."""
    [shown] = InflightReader(stage.plane.segment).scan()
    assert shown.head + shown.body == UPLOAD


UPLOAD: Final = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
ROWS = [
    Row(
        "an old exchange is shown while it runs, with its status once its response has begun",
        [
            *(UPLOAD, shows(0), is_shown_with_its_body, counted("requests_in_flight", 1)),
            *(goes, shows(207), goes, hear(207), shows(), counted("requests_in_flight", 0)),
            *(recorded(207), UPLOAD, shows(0), goes, goes, hear(207), recorded(207)),
        ],
        [serves(waits, answers(207, b"a", length=2), waits, b"b")],
        ("h1",),
    ),
]


test_in_flight = played(ROWS)


def test_a_quick_exchange_is_never_shown(start: Start) -> None:
    """The table is for what takes long."""
    plane = start(Script())
    for _ in range(20):
        plane.call(GET)
        assert plane.in_flight() == []
    plane.exchanges(20)


def test_more_old_exchanges_than_slots_are_served_all_the_same(start: Start) -> None:
    """Beyond the table's slots exchanges are not shown while they run."""
    may_answer = threading.Event()
    plane = start(lambda connection, _: _answers_once(may_answer, connection))
    clients = [plane.connect() for _ in range(70)]
    for client in clients:
        client.send(GET)
    eventually(lambda: len(plane.in_flight()) == 64)
    may_answer.set()
    for client in clients:
        assert client.answer().status == 200
        client.socket.close()
    plane.exchanges(70)
    assert plane.in_flight() == []


def test_counters_say_what_happened(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests, bytes and connections are counted by route, method and status class."""
    monkeypatch.setattr(pool, "POST_IDLE_NS", 60 * 10**9)
    with running(service()) as url:
        plane = start(url).trust_upstreams()
        with plane.connect() as client:
            for raw in (
                b"GET /bytes/1000 HTTP/1.1\r\nHost: a\r\n\r\n",
                b"GET /bytes/70000?chunked HTTP/1.1\r\nHost: a\r\n\r\n",
                b"POST /status/404 HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789",
                b"PROPFIND /status/301 HTTP/1.1\r\nHost: a\r\n\r\n",
                b"DELETE /status/503 HTTP/1.1\r\nHost: a\r\n\r\n",
            ):
                client.send(raw)
                client.answer()

            counted = plane.counters()
            assert (counted.connections_downstream, counted.connections_upstream) == (1, 1)

        assert counted.requests == {
            ("0", "GET", "2xx"): 2,
            ("0", "POST", "4xx"): 1,
            ("0", "DELETE", "5xx"): 1,
            ("0", "PROPFIND", "3xx"): 1,
        }
        assert counted.request_bytes == {"0": 10}
        assert counted.response_bytes == {
            "0": sum(exchange.response_bytes for exchange in plane.exchanges(5))
        }
        eventually(lambda: plane.counters().connections_downstream == 0)


def test_many_clients_at_once(start: Start) -> None:
    """Concurrent exchanges do not disturb each other: each client gets its own bytes, each has one
    record.
    """
    with running(service()) as url:
        plane = start(url, upstream_max_connections=7)
        clients = [plane.connect() for _ in range(25)]
        for turn in range(4):
            for number, client in enumerate(clients):
                client.send(b"GET /echo/%d-%d HTTP/1.1\r\nHost: a\r\n\r\n" % (turn, number))
            for number, client in enumerate(clients):
                assert b'"/echo/%d-%d"' % (turn, number) in client.answer().body

        for client in clients:
            client.socket.close()
        exchanges = plane.exchanges(100)
        assert len({e.id for e in exchanges}) == 100
        for exchange in exchanges:
            assert b'"%b"' % exchange.request_head.split(b" ")[1] in exchange.response_window


@pytest.fixture
def own_segment(tmp_path: Path) -> Iterator[Segment]:
    """A segment whose table shows eight exchanges."""
    made = Segment.create(
        tmp_path, b"{}", ring_bytes=1 << 20, counter_cells=CounterLayout(1).size, inflight_slots=8
    )
    yield made
    made.unlink()
    made.close()


class CountedGate(Gate):
    """Counts how often its keys are looked for, which each tick does."""

    looks = 0

    def refresh(self) -> None:
        self.looks += 1
        super().refresh()


@pytest.fixture
async def engine(own_segment: Segment, tmp_path: Path) -> Engine:
    """An engine without connections, which counts the looks at its keys."""
    settings = settings_for("http://127.0.0.1:1")
    recorder = Recorder(
        RingWriter(own_segment, lambda: None),
        own_segment.counters,
        CounterLayout(1),
        InflightWriter(own_segment),
    )
    routes = compile_routes(settings)
    gate = CountedGate(
        own_segment.cells, tmp_path, TrustedProxies(()), recorder, is_keyed=routes.is_keyed
    )
    openers = partial(Opener, own=frozenset())
    return Engine(settings, routes, recorder, gate, asyncio.TaskGroup(), "me", FairLoop(), openers)


@asynccontextmanager
async def ticking(engine: Engine) -> AsyncIterator[None]:
    """Let an engine tick meanwhile, and find that it did to the end."""
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(engine.tick(), name="tick")
        yield
        assert not task.done()
        task.cancel()


async def test_heads_that_repeat_are_read_and_rendered_once(engine: Engine) -> None:
    """Equal heads are one value."""
    assert engine.heads.read(GET[6:])[0] is engine.heads.read(GET[6:])[0]
    (head, _, _), route = engine.heads.read(GET[6:]), engine.routes.routes[0]
    assert engine.render(head, route) is engine.render(head, route)


async def test_a_tick_survives_what_one_connection_does(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """An error in one step is logged, and the tick goes on."""

    class Broken:
        def check(self, now_ns: int) -> None:
            raise RuntimeError("bug: on purpose")

    engine.connections.add(Broken())  # type: ignore[arg-type]
    async with ticking(engine):
        while sum("tick failed" in message for message in caplog.messages) < 2:  # noqa: ASYNC110 - a log has no event
            await asyncio.sleep(0.01)


async def test_a_look_at_many_connections_holds_nobody_up(engine: Engine) -> None:
    """Deadlines of a crowd are looked at a few in each turn of the loop; each is, and none that
    left meanwhile.
    """
    turn = 0
    checks: list[tuple[int, object]] = []

    class Idle:
        def check(self, now_ns: int) -> None:
            checks.append((turn, self))

    crowd = [Idle() for _ in range(1000)]
    engine.connections.update(crowd)  # type: ignore[arg-type]
    async with ticking(engine):
        while len(checks) < 900:
            await asyncio.sleep(0)
            turn += 1
            if len(checks) == 64 and len(crowd) == 1000:
                left = next(idle for idle in crowd if idle not in {found for _, found in checks})
                engine.connections.discard(left)
                crowd.remove(left)

        while len({found for _, found in checks}) < 999:
            await asyncio.sleep(0)
            turn += 1

    assert {found for _, found in checks} == set(crowd)
    assert max(Counter(when for when, _ in checks).values()) <= 64


async def test_deadlines_that_pass_together_are_met_a_few_at_a_time(engine: Engine) -> None:
    """To close a connection costs more than to look at it, and those of a crowd that came together
    end together.
    """
    turn = 0
    closed: list[int] = []

    class Late:
        def check(self, now_ns: int) -> None:
            time.sleep(0.00005)
            closed.append(turn)

    engine.connections.update(Late() for _ in range(640))  # type: ignore[misc]
    async with ticking(engine):
        while len(closed) < 640:
            await asyncio.sleep(0)
            turn += 1

    assert max(Counter(closed).values()) <= 16


async def test_looks_at_a_crowd_lie_evenly_over_the_time_between_them(engine: Engine) -> None:
    """One after the other they would take every turn of the loop for a while, and each request
    would wait for one.
    """
    looked_at: list[float] = []

    class Idle:
        def check(self, now_ns: int) -> None:
            looked_at.append(time.monotonic())

    engine.connections.update(Idle() for _ in range(640))  # type: ignore[misc]
    async with ticking(engine):
        while len(looked_at) <= 640:  # noqa: ASYNC110 - waits for what it counts
            await asyncio.sleep(0.01)

    pauses = [after - before for before, after in pairwise(looked_at[64:641:64])]
    assert min(pauses) >= SWEEP_S / 10 * 0.9


async def test_a_look_at_many_exchanges_in_flight_holds_nobody_up(
    engine: Engine, own_segment: Segment
) -> None:
    """Those that became old are shown a few in each turn of the loop; each is, and none that ended
    meanwhile.
    """
    crowd = _old_exchanges(engine, 1000)
    looked_at = [0]
    ended: Exchange | None = None

    async with ticking(engine):
        while looked_at[-1] < 999:
            await asyncio.sleep(0)
            looked_at.append(sum(exchange.slot != -1 for exchange in crowd))
            if ended is None and looked_at[-1]:
                ended = next(exchange for exchange in crowd if exchange.slot == -1)
                engine.in_flight.discard(ended)

        await asyncio.sleep(3 * TICK_S)

    assert [exchange for exchange in crowd if exchange.slot == -1] == [ended]
    assert max(after - before for before, after in pairwise(looked_at)) <= 128
    assert len(list(InflightReader(own_segment).scan())) == 8


async def test_a_drain_closes_a_few_idle_connections_in_a_turn(engine: Engine) -> None:
    """Those whose exchanges still run go on in between; each is closed."""
    closed = []

    class Idle:
        def close_if_idle(self, since_ns: int) -> None:
            closed.append(self)

    engine.connections.update(Idle() for _ in range(1000))  # type: ignore[misc]
    seen = [0]
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        draining = tasks.create_task(engine.drain(0), name="drain")
        while not draining.done():
            await asyncio.sleep(0)
            seen.append(len(closed))

    assert len(set(closed)) == 1000
    assert max(after - before for before, after in pairwise(seen)) <= 128


async def test_an_exchange_that_cannot_be_shown_hides_no_other(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """An error with some of them is logged; the others are shown."""
    crowd = _old_exchanges(engine, 20)
    for exchange in crowd[::2]:
        exchange.route = 99
    async with ticking(engine):
        while any(exchange.slot == -1 for exchange in crowd[1::2]):  # noqa: ASYNC110 - a look has no event
            await asyncio.sleep(0.01)

    assert all(exchange.slot == -1 for exchange in crowd[::2])
    assert any("tick failed" in message for message in caplog.messages)


class _Silent:
    """A connection that says nothing."""

    def check(self, now_ns: int) -> None:
        """Find no deadline passed."""


async def test_a_worker_without_connections_rests(engine: Engine) -> None:
    """Its first connection finds the newest keys, and the tick as quick as ever."""
    gate = engine.gate
    assert isinstance(gate, CountedGate)
    async with ticking(engine):
        began_s = time.monotonic()
        await asyncio.sleep(0.8 * REST_S)
        looks = gate.looks
        assert looks <= (time.monotonic() - began_s) / REST_S
        connection = cast(Connection, _Silent())
        assert engine.register(connection, b"127.0.0.1") == ""
        assert gate.looks == looks + 1
        while gate.looks < looks + 4:  # noqa: ASYNC110 - a look has no event
            await asyncio.sleep(TICK_S)
        engine.unregister(connection, b"127.0.0.1")


def _old_exchanges(engine: Engine, count: int) -> list[Exchange]:
    exchanges = [
        engine.recorder.begin(time.monotonic_ns() - 10**9, b"127.0.0.1") for _ in range(count)
    ]
    for exchange in exchanges:
        exchange.route = 0
    engine.in_flight.update(exchanges)
    return exchanges


def test_a_full_ring_never_fails_a_request(start: Start) -> None:
    """Records that find no room are counted as refused; every client is answered."""
    plane = start(
        Script(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + b"x" * 60000),
        ring_bytes=1 << 20,
    )
    with plane.connect() as client:
        for _ in range(800):
            client.send(GET)
            assert len(client.answer().body) == 60000

    first = plane.exchanges(10)
    assert {len(e.response_window) for e in first} == {60000}
    pushed = plane.reader.pushed
    refused = plane.reader.refused
    assert pushed + refused == 800
    assert refused
    later = plane.exchanges(pushed - 10)
    sheds = [e.shed for e in first + later]
    assert sheds == sorted(sheds)
    assert set(sheds) == {0, 1, 2}
    assert {e.response_bytes for e in later} == {60000}
