"""Live tails under load: `python -m bench.macro.tail [--subscribers N] [--events N] [--seconds N] [--json FILE]`.

A server process holds the admin port over a SQLite store, commits records at a fixed rate and publishes them; another
process holds all subscribers, reads what comes and counts frames. The answer: were all frames delivered, what CPU and
memory did the server take, and how late was the last byte.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import resource
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop
from aiohttp import web

from api.access.principal import Credentials
from api.access.stream_limits import StreamLimits
from api.app import make_app
from api.metrics.metrics import Metrics
from api.services import Services
from api.stream.streams import StreamServices
from api.stream.tail import Tail
from bench.generate import make_record
from storage.backends import open_storage
from storage.ledger import Ledger
from storage.record import Batch, Entry, new_id

TICK_S = 0.1
REQUEST = b"GET /api/proxy-logs/_logs/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"


def main() -> None:
    """Run once and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.macro.tail")
    parser.add_argument("--subscribers", type=int, default=200)
    parser.add_argument("--events", type=int, default=1000, help="entries a second")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(theirs, options.events, options.seconds, options.subscribers)
    )
    server.start()
    port = ours.recv()
    counts, late_s = uvloop.run(_subscribe(port, options.subscribers, ours))
    figures = ours.recv()
    server.join()
    figures |= {
        "subscribers": options.subscribers,
        "events_per_s": options.events,
        "frames_least": min(counts),
        "frames_most": max(counts),
        "last_frame_late_s": round(late_s, 3),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "command": f"python -m bench.macro.tail --subscribers {options.subscribers} --events {options.events}",
    }
    print(json.dumps(figures, indent=1))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


async def _subscribe(port: int, number: int, server: Connection) -> tuple[list[int], float]:
    """Hold all subscribers until the server has ended the streams; count frames, and tell how late the last one was."""
    counts = [0] * number
    last_s = 0.0

    async def read(place: int) -> None:
        nonlocal last_s
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        writer.write(REQUEST)
        while raw := await reader.read(1 << 18):
            frames = raw.count(b"\ndata: {")
            if frames:
                counts[place] += frames
                last_s = time.monotonic()
        writer.close()

    async with asyncio.TaskGroup() as tasks:
        for place in range(number):
            tasks.create_task(read(place))
        await asyncio.to_thread(_await, server)
        ended_s = server.recv()
    return counts, last_s - ended_s


def _await(server: Connection) -> None:
    server.poll(None)


def _serve(pipe: Connection, events: int, seconds: float, subscribers: int) -> None:
    uvloop.run(_serve_all(pipe, events, seconds, subscribers))


async def _serve_all(pipe: Connection, events: int, seconds: float, subscribers: int) -> None:
    with TemporaryDirectory() as directory:
        async with await open_storage("sqlite:///tail.db", Path(directory), durability="fast") as storage:
            tail = Tail(storage)

            async def ledger() -> Ledger:
                return Ledger(received=0, stored=0, spooled=0, waiting=0)

            services = Services(
                storage=storage, credentials=Credentials(), listen_host="127.0.0.1", instance="bench", ledger=ledger,
                status=dict, in_flight=list, is_ready=lambda: (True, {}), metrics=Metrics(),
                streams=StreamServices(tail=tail, limits=StreamLimits(0, 0)),
            )  # fmt: skip
            runner = web.AppRunner(make_app(services), access_log=None)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            pipe.send(runner.addresses[0][1])
            while len(tail.subscribers) < subscribers:  # noqa: ASYNC110 - they are of another process
                await asyncio.sleep(0.01)
            figures = await _produce(tail, storage.commit, events, seconds)
            pipe.send(time.monotonic())
            while any(each.after_id < tail.head_id for each in tail.subscribers.values()):  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.01)
            await runner.cleanup()
            pipe.send(figures | {"frames_sent": tail.counters.events, "dropped": tail.counters.dropped_subscribers})


async def _produce(
    tail: Tail, commit: Callable[[Batch], Awaitable[int]], events: int, seconds: float
) -> dict[str, object]:
    """Commit exchanges at the rate, ten times a second, and measure this process meanwhile."""
    per_tick = max(1, round(events / 2 * TICK_S))
    before, began_s, slowest_s = resource.getrusage(resource.RUSAGE_SELF), time.monotonic(), 0.0
    number = 0
    for tick in range(round(seconds / TICK_S)):
        records = [make_record(number + place, 1_000_000, 1) for place in range(per_tick)]
        for record in records:
            number += 1
            record.id = new_id(time.time_ns(), 1, number)
        batch = Batch("bench", [Entry(record) for record in records])
        await commit(batch)
        tail.on_commit(batch)
        due_s = began_s + (tick + 1) * TICK_S
        slowest_s = max(slowest_s, time.monotonic() - due_s)
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
    took_s = time.monotonic() - began_s
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "entries_committed": 2 * number,
        "seconds": round(took_s, 2),
        "server_cpu_share": round(cpu_s / took_s, 3),
        "server_max_rss_mib": round(after.ru_maxrss / 1024, 1),
        "server_rss_growth_mib": round((after.ru_maxrss - before.ru_maxrss) / 1024, 1),
        "worst_tick_late_s": round(slowest_s, 3),
    }


if __name__ == "__main__":
    main()
