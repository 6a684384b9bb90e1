"""The only process of `workers = 0`, `python -m proxy.single`: everything in one process and one
loop, for small containers, debugging and tests.

The same objects as in worker and collector, wired directly: data plane, ring, drain, writer, admin
port. The ring is a file as always, so that a kill loses no more than with several processes.
"""

import asyncio
import logging
import os
import signal
import sys
from typing import Final

import msgspec

from proxy.collector.admin_port import admin_port
from proxy.collector.control_plane import ControlPlane, control_plane, log_each
from proxy.collector.watch.workers import WorkerShown
from proxy.process.event_loop import new_event_loop, stop_signals
from proxy.process.logs import set_up_log
from proxy.process.memory import malloc
from proxy.process.wakeup import Wakeup
from proxy.ring.segment import Segment
from proxy.settings.model import Settings, read_settings
from proxy.supervisor.host import notify, reap, take
from proxy.supervisor.startup import RootContext, run_root
from proxy.worker.routes import compile_routes
from proxy.worker.server import data_plane, make_segment
from storage.errors import StorageMisconfigured

log = logging.getLogger(__name__)

REAP_S: Final = 1.0
"""How often orphans are looked for: the loop keeps SIGCHLD for itself."""


async def _serve(settings: Settings, context: RootContext) -> int:
    data = context.data
    listeners = context.listeners
    wakeup = Wakeup.create()
    segment = make_segment(settings, context.rings.path)

    stopping = asyncio.Event()
    try:
        with stop_signals(stopping.set):
            async with (
                control_plane(settings, data, wakeup, context.rings.path) as plane,
                admin_port(
                    settings, data, plane, listeners.admin, listeners.metrics, listeners.health
                ),
            ):
                plane.sources.attach_fd(segment.fd)
                _handle_signals(plane)
                async with asyncio.TaskGroup() as tasks:
                    duties = tasks.create_task(_be_root(), name="duties of a root")
                    front = data_plane(
                        settings,
                        compile_routes(settings),
                        segment,
                        wakeup.notify,
                        tasks,
                        data.instance,
                    )
                    front.start()
                    front.listen(listeners.data[0])
                    for listener in listeners.egress:
                        front.listen_outgoing(listener)
                    plane.workers.update(_roll_call(segment))
                    log.info("ready")
                    notify("READY=1")
                    await stopping.wait()
                    notify("STOPPING=1")
                    plane.status.start_draining()
                    await asyncio.sleep(settings.proxy.limits.drain_delay_s)
                    # New connections are refused at once instead of waiting for our exit.
                    listeners.close_data()
                    await front.drain()
                    duties.cancel()

                segment.let_go()

        if plane.unsettled_records:
            return 1
        return 0
    finally:
        segment.close()
        wakeup.close()


def _roll_call(segment: Segment) -> bytes:
    """Return the list of workers, as a supervisor gives it to the collector: this process is the
    only one.
    """
    worker = WorkerShown("worker 0", os.getpid(), ready=True, ring=segment.source.hex())
    return msgspec.json.encode((worker,))


def _handle_signals(plane: ControlPlane) -> None:
    """Handle signals as the supervisor does; `stop_signals` removes the handlers."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(
        signal.SIGUSR1, lambda: log.info("status", extra=plane.status.describe())
    )
    loop.add_signal_handler(
        signal.SIGHUP, log.warning, "proxy.workers = 0: new settings need a restart"
    )
    take()


async def _be_root() -> None:
    """Ping the service manager's watchdog, twice in each period it asks for, and collect orphans."""
    period_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 2e6
    while True:
        notify("WATCHDOG=1")
        reap(())
        await asyncio.sleep(min(period_s or REAP_S, REAP_S))


def run_single(context: RootContext) -> int:
    """Run everything here until SIGTERM or SIGINT; return the exit code, 1 if not all records could
    be stored.

    Raises:
        SharedMemoryError: there is no place for the ring.
    """
    settings = read_settings(context.settings_fd)
    set_up_log(settings.log.level, role="sidelog")
    malloc.tune()
    code = 0
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            code = runner.run(_serve(settings, context))
    except* StorageMisconfigured as group:
        code = 1
        log_each(group)
    return code


if __name__ == "__main__":
    sys.exit(run_root("proxy.single", sys.argv[1:], run_single))
