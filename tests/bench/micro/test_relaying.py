"""The benchmark of the data plane sends what it says, and each exchange is recorded."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bench.micro.relaying import BATCHES, CONNECTIONS, SCENARIOS, Worker
from proxy.http1.memo.head_templates import MATCHED_FROM_USES
from proxy.ring.exchange import CapturedExchange
from proxy.ring.ring import RingReader
from proxy.ring.segment import Segment
from proxy.settings.model import RouteSettings, Settings
from proxy.worker.routes import compile_routes
from proxy.worker.server import data_plane, make_segment
from proxy.worker.upstream.pool import POST_IDLE_NS

SETTINGS = Settings(routes=(RouteSettings(id="default", upstream="http://127.0.0.1:9000"),))


@pytest.fixture
def segment() -> Iterator[Segment]:
    made = make_segment(SETTINGS, None)
    yield made
    made.close()


@asynccontextmanager
async def worker_of(segment: Segment) -> AsyncIterator[Worker]:
    async with asyncio.TaskGroup() as tasks:
        plane: Any = data_plane(SETTINGS, compile_routes(SETTINGS), segment, lambda: None, tasks, "bench")
        yield Worker(plane.engine, segment.cells)


async def costs(segment: Segment, scenario: str, batches: int) -> float:
    """Run some batches in a data plane of its own."""
    async with worker_of(segment) as worker:
        return worker.turn_ns(scenario, batches)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_exchanges_are_whole(segment: Segment, scenario: str) -> None:
    """Each is recorded, in order, with the request that was sent and an answer of the size that was given."""
    request, answer = SCENARIOS[scenario]
    reader = RingReader(segment)
    assert asyncio.run(costs(segment, scenario, 2)) > 0
    found = [CapturedExchange(header, bytes(sections)) for _, header, sections, _ in reader.read(10_000, 1 << 30)]
    assert len(found) == 2 * CONNECTIONS
    assert {exchange.status for exchange in found} == {200}
    sent = sorted(exchange.request_head + exchange.request_window for exchange in found)
    assert sent == sorted(request(number) for number in range(1, len(found) + 1))
    assert {exchange.response_bytes for exchange in found} == {len(answer(1))}


def test_a_busy_machine_may_pause_a_turn(segment: Segment) -> None:
    """However long connections were idle, each request finds one: also a POST, which takes none of a second ago."""

    async def paused() -> None:
        async with worker_of(segment) as worker:
            worker.connect()
            worker.batch_ns("postvar")
            for upstream in worker.upstreams:
                upstream.idle_since_ns -= 2 * POST_IDLE_NS
            worker.batch_ns("postvar")
            worker.disconnect()

    asyncio.run(paused())


def test_a_turn_is_long_enough() -> None:
    """Most of it is to be about heads that are matched at once."""
    assert BATCHES * CONNECTIONS > 10 * MATCHED_FROM_USES
