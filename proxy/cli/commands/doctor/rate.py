"""The rate this machine sustains with everything stored: `sidelog doctor --rate`, half a minute of
measuring.

Strategy: a short burst sustains nothing, the ring and the queue swallow it. So a temporary sidelog,
its store beside the configured one, gets requests of a web application that all differ
(`web_traffic`), and the CPU of its processes is read once they rest: records stored, words indexed,
sums made. What a request costs, divided into the processor there is, is the rate. Load and upstream
are this process, whose CPU does not count.
"""

import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Final

from api.metrics.process_usage import read_usage
from proxy.cli.commands.client import Client, connect
from proxy.cli.commands.doctor.finding import Finding
from proxy.cli.commands.doctor.web_traffic import Sample, web_traffic
from proxy.process.data_dir import LISTENS_NAME, read_state
from proxy.process.die_with_parent import bound_to_this_process
from proxy.process.event_loop import new_event_loop
from proxy.process.own_packages import module_command, module_environment
from proxy.settings.model import Settings
from storage.writer.text_indexing import IDLE_S

LOAD_S: Final = 3.0
TIMEOUT_S: Final = 45.0
"""Of starting, and of coming to rest."""
REST_S: Final = IDLE_S + 1.0
"""Longer than any pause between two steps of work that is left."""
RESTING_CPU: Final = 0.05
"""Part of a core that an idle sidelog takes."""
CONNECTIONS: Final = 32
CONTENTS: Final = "JSON of 1 and 16 KB, uploads of it, pages, pictures"
"""Of `web_traffic`, for who reads the rate."""


def check_rate(settings: Settings) -> Iterator[Finding]:
    """Load a temporary sidelog with these settings' workers, durability, capture level and index of
    words.
    """
    directory = Path(settings.data_dir).absolute()
    directory = next(path for path in (directory, *directory.parents) if path.is_dir())
    with (
        tempfile.TemporaryDirectory(
            dir=directory, prefix="doctor-", ignore_cleanup_errors=True
        ) as data_dir,
        asyncio.Runner(loop_factory=new_event_loop) as runner,
    ):
        requests, worker_us, collector_us = runner.run(_measure(settings, data_dir))

    workers = settings.proxy.workers
    cores = available_cores()
    all_us = worker_us + collector_us
    # A worker and a collector have one busy thread each, whatever else there is; together they have
    # all cores.
    rate = 1e6 / max(worker_us / max(1, workers), collector_us, all_us / cores)
    text = (
        f"about {rate:,.0f} requests/s with everything stored and nothing else running: "
        f"{all_us:.0f} µs of CPU each"
    )
    parts = (
        f"{worker_us:.0f} in workers, {collector_us:.0f} in the collector, over {requests:,} "
        f"requests of a web application: {CONTENTS}"
    )
    yield Finding(
        "ok",
        "rate",
        f"{text} ({parts}); {cores:g} core(s), {workers} worker(s), SQLite in {directory}",
    )


def available_cores() -> float:
    """Return the processors this process may use, a container's CPU limit included."""
    cores = float(len(os.sched_getaffinity(0)))
    with suppress(OSError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            cores = min(cores, int(quota) / int(period))
    return cores


async def _measure(settings: Settings, data_dir: str) -> tuple[int, float, float]:
    """Return the number of requests, and the CPU µs that one cost workers and collector until they
    were idle.
    """
    samples = web_traffic()
    upstream = await asyncio.start_server(partial(_answer, samples), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{upstream.sockets[0].getsockname()[1]}"
    command = ["serve", "--upstream", url, "--data-dir", data_dir, "--log-level", "error"]
    command += [
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--workers",
        str(settings.proxy.workers),
    ]
    environment = {
        name: value
        for name, value in module_environment().items()
        if not name.startswith("SIDELOG_")
    }
    environment["SIDELOG_STORAGE__DURABILITY"] = settings.storage.durability
    environment["SIDELOG_CAPTURE__LEVEL"] = settings.capture.level
    arguments = bound_to_this_process(module_command("proxy", *command))
    # uvloop starts children from the main thread only, which a check is not on.
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL)  # noqa: ASYNC220, S603

    try:
        async with upstream, asyncio.timeout(TIMEOUT_S):
            while not (state := read_state(Path(data_dir))).get(LISTENS_NAME):  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.1)
            client = connect(None, None, data_dir, {})
            port = state[LISTENS_NAME]["proxy.listen"]
            before = await _at_rest(client)

            async with asyncio.TaskGroup() as tasks:
                loads = [
                    tasks.create_task(_load(samples, port, number), name="load")
                    for number in range(CONNECTIONS)
                ]

            requests = sum(load.result() for load in loads)
            after = await _at_rest(client)
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)

    worker_s, collector_s = (now - then for then, now in zip(before, after, strict=True))
    return requests, worker_s * 1e6 / requests, collector_s * 1e6 / requests


async def _answer(
    samples: Sequence[Sample], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    with closing(writer), suppress(asyncio.IncompleteReadError, ConnectionError):
        while head := await reader.readuntil(b"\r\n\r\n"):
            sample = samples[int(head.split(b"/", 2)[1])]
            await reader.readexactly(len(sample.body))
            writer.write(sample.response(hash(head) % 2**64))
            await writer.drain()


async def _load(samples: Sequence[Sample], port: int, number: int) -> int:
    """Send a request when the answer to the last one is there; return how many."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    end_s = time.monotonic() + LOAD_S
    requests = 0

    with closing(writer):
        while time.monotonic() < end_s:
            value = requests * CONNECTIONS + number
            index = value % len(samples)
            writer.write(samples[index].request(value, index))
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(samples[index].answer_bytes)
            requests += 1

    return requests


async def _at_rest(client: Client) -> tuple[float, float]:
    """Wait until nothing is left to be done; return CPU seconds of workers and of the collector
    then.
    """
    status = await asyncio.to_thread(client.get_json, "/api/status")
    pids = [status["collector"]["pid"], *(worker["pid"] for worker in status["workers"])]
    spent_s = -REST_S

    while True:
        collector_s, *workers_s = [
            usage.cpu_s if (usage := read_usage(pid)) else 0.0 for pid in dict.fromkeys(pids)
        ]
        ledger = await asyncio.to_thread(client.get_json, "/api/ledger")

        used_s = sum(workers_s) + collector_s
        if (
            used_s - spent_s < RESTING_CPU * REST_S
            and not ledger["waiting"]
            and not ledger["spooled"]
        ):
            return sum(workers_s), collector_s

        spent_s = used_s
        await asyncio.sleep(REST_S)
