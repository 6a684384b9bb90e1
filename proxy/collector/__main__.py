"""The collector process: `python -m proxy.collector`. Drains rings, writes the store, serves the
admin port.
"""

import gc

if __name__ == "__main__":
    # Until we are ready: what is imported stays, and to walk it was 0.13 of 1.18 s of CPU.
    gc.disable()

import argparse
import asyncio
import logging
import os
import secrets
import socket
import sys
from pathlib import Path
from typing import Final

from proxy.collector.admin_port import admin_port
from proxy.collector.control_plane import ControlPlane, control_plane, log_each
from proxy.collector.rings.sources import Sources, counters_file
from proxy.collector.supervisor_commands import SupervisorCommands
from proxy.collector.watch.status import StatusView
from proxy.collector.watch.workers import Workers
from proxy.process.control_channel import EXIT_CONFIG, Control
from proxy.process.data_dir import DataDir, read_token
from proxy.process.event_loop import new_event_loop, stop_signals
from proxy.process.logs import detach_from_stderr, set_up_log
from proxy.process.memory import garbage, malloc
from proxy.process.wakeup import Wakeup
from proxy.settings.model import Settings, read_settings
from storage.errors import StorageMisconfigured

log = logging.getLogger(__name__)

NICE: Final = 5
"""Priority of the collector, lower than that of workers. On one core a light client notices the
difference: its p90 is 1.1 to 2.9 ms, 2.0 to 2.7 with niceness 0, 0.6 to 1.8 with 10. With 10 the
collector starves beside processes that burn all cores: a probe takes 5 s, with 5 only 0.1 s.
SCHED_BATCH and shorter slices for workers won nothing. Whatever the priorities, a worker waits once
its ring fills.
"""
SWITCH_S: Final = 0.001
"""Longest time that a thread keeps the interpreter while others wait for it; Python's default is 5
ms. Every statement of a read or a commit may wait this long. With ten readers a commit took 75 ms
at the median instead of 169, and a page of a list 130 to 164 instead of 242. Traffic alone took no
more CPU.
"""
WORKERS_GONE_S: Final = 5.0
"""Time given to workers after their drain timeout, before the collector stops without them."""


async def _serve(options: argparse.Namespace, settings: Settings) -> int:
    data_dir = Path(settings.data_dir)
    # Of a disk that gives none: it may later.
    token = read_token(data_dir) or secrets.token_urlsafe(32)
    data = DataDir(data_dir, options.instance, token, options.lock_fd)
    listener = socket.socket(fileno=options.admin_fd)
    if options.metrics_fd is None:
        metrics = None
    else:
        metrics = socket.socket(fileno=options.metrics_fd)
    control = Control(socket.socket(fileno=options.control_fd))
    wakeup = Wakeup(*options.wake_fds)
    commands = SupervisorCommands(control)
    await commands.rings_known()

    def follow(sources: Sources, status: StatusView, workers: Workers) -> None:
        sources.keep_counters(counters_file(options.counters_fd))
        commands.follow(sources, status, workers)

    async with (
        control_plane(settings, data, wakeup, options.ring_directory, follow) as plane,
        admin_port(settings, data, plane, listener, metrics),
    ):
        control.send("ready")
        garbage.tune(garbage.COLLECTOR)
        # The supervisor decides; a second signal still ends us at once.
        with stop_signals(lambda: None):
            await commands.stopping.wait()
        plane.is_handing_over = commands.is_handing_over
        if not plane.is_handing_over:
            plane.status.start_draining()
            await _await_workers(plane, settings.proxy.limits.drain_timeout_s + WORKERS_GONE_S)

    is_complete = not plane.unsettled_records and not plane.sources.given_up
    if is_complete or plane.is_handing_over:
        return 0
    return 1


async def _await_workers(plane: ControlPlane, timeout_s: float) -> None:
    """Wait until no worker can push any more. Usually that is immediate, as the supervisor stops
    workers first.
    """
    try:
        async with asyncio.timeout(timeout_s):
            sources = plane.sources.attached
            while any(s.segment.producer_alive() for s in sources.values()):  # noqa: ASYNC110 - a lock sends no event
                await asyncio.sleep(0.05)
    except TimeoutError:
        log.warning(
            "timed out waiting for a worker to exit; its last records stay in the ring for the "
            "next start"
        )


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="proxy.collector", description="started by the supervisor"
    )
    parser.add_argument("--settings-fd", type=int, required=True)
    parser.add_argument("--control-fd", type=int, required=True)
    parser.add_argument("--admin-fd", type=int, required=True)
    parser.add_argument("--metrics-fd", type=int)
    parser.add_argument("--ring-directory", type=Path)
    parser.add_argument("--counters-fd", type=int, required=True)
    parser.add_argument(
        "--wake-fds", type=lambda text: [int(part) for part in text.split(",")], required=True
    )
    parser.add_argument("--instance", required=True)
    parser.add_argument("--lock-fd", type=int, required=True)
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    """Run a collector until it has to drain or its supervisor is gone; return 1 if some records
    could not be stored.
    """
    detach_from_stderr()
    options = _options(argv)
    settings = read_settings(options.settings_fd)
    set_up_log(settings.log.level, role="collector")
    malloc.tune()
    sys.setswitchinterval(SWITCH_S)
    os.nice(NICE)
    code = 0
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            code = runner.run(_serve(options, settings))
    except* StorageMisconfigured as group:
        code = EXIT_CONFIG
        log_each(group)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
