"""A worker process: `python -m proxy.worker`. Builds the data plane on inherited sockets, serves,
drains.

Start order: settings, segment, recorder, engine, listeners, `ready`. Stop order is the reverse:
listeners close, running exchanges finish within `drain_timeout_s`, the rest is recorded as
`shutdown`, the segment is closed. Records that were pushed stay in the ring for the collector.
"""

import gc

if __name__ == "__main__":
    gc.disable()  # keep the imported objects out of it until the worker is ready

import argparse
import asyncio
import logging
import os
import socket
import sys
from pathlib import Path

from proxy.process.control_channel import Control
from proxy.process.event_loop import new_event_loop, stop_signals
from proxy.process.logs import detach_from_stderr, set_up_log
from proxy.process.memory import garbage
from proxy.process.shared_memory import SharedMemoryError
from proxy.process.wakeup import Wakeup
from proxy.ring.lean_room import LeanRoom
from proxy.ring.segment import Segment
from proxy.settings.model import Settings, read_settings
from proxy.worker.routes import compile_routes
from proxy.worker.server import DataPlane, data_plane, make_segment

log = logging.getLogger(__name__)


async def _serve(options: argparse.Namespace, settings: Settings) -> None:
    segment = make_segment(settings, options.ring_directory, is_lean=options.lean)
    wakeup = Wakeup(*options.wake_fds)
    sockets = _Listeners(options.listen_fds, options.egress_fds)
    control = Control(socket.socket(fileno=options.control_fd))
    stopping = asyncio.Event()
    leaving = asyncio.Event()
    _hand_over_ring(control, segment)

    try:
        async with asyncio.TaskGroup() as tasks:
            plane = data_plane(
                settings, compile_routes(settings), segment, wakeup.notify, tasks, options.instance
            )
            if options.lean:
                _be_lean(plane, segment)
            plane.start()
            sockets.listen(plane, options.index)
            _obey(control, plane, sockets, stopping, leaving)
            control.send("ready")
            wakeup.notify()  # there is a new ring
            garbage.tune(garbage.WORKER)
            collecting = tasks.create_task(
                garbage.collect_rarely(garbage.WORKER.rest), name="collect garbage"
            )

            def stop() -> None:
                stopping.set()
                leaving.set()

            with stop_signals(stop):
                await leaving.wait()
                # At a stop, new connections are refused at once instead of waiting for our end.
                sockets.close()
                if not stopping.is_set():
                    _be_lean(plane, segment)
                    await plane.retire(stopping)

            await plane.drain()
            collecting.cancel()
    finally:
        segment.close()


class _Listeners:
    """The inherited listening sockets of all workers, for the data port and for outgoing calls."""

    def __init__(self, data: list[int], egress: list[int]) -> None:
        self._data = [socket.socket(fileno=fd) for fd in data]
        self._egress = [socket.socket(fileno=fd) for fd in egress]

    def listen(self, plane: DataPlane, index: int) -> None:
        """Accept connections on the sockets of the worker with that index."""
        plane.listen(self._data[index])
        if self._egress:
            plane.listen_outgoing(self._egress[index])

    def release(self, plane: DataPlane, index: int) -> None:
        """Stop accepting connections on the sockets of the worker with that index."""
        for listeners in filter(None, (self._data, self._egress)):
            plane.release(listeners[index])

    def close(self) -> None:
        for listener in (*self._data, *self._egress):
            listener.close()


def _hand_over_ring(control: Control, segment: Segment) -> None:
    """Send a descriptor of the ring to the supervisor.

    With it the ring stays readable after this process has died or its file was deleted.
    """
    shared = segment.share()
    try:
        control.send(f"ring {segment.source.hex()}", [shared])
    finally:
        os.close(shared)


def _be_lean(plane: DataPlane, segment: Segment) -> None:
    """Give back the unused pages of the ring, because memory is short or few records are to come."""
    try:
        plane.engine.recorder.be_lean(LeanRoom(segment))
    except OSError:
        # A sandbox may refuse the call that frees single pages: the ring then keeps all of them.
        pass


def _obey(
    control: Control,
    plane: DataPlane,
    sockets: _Listeners,
    stopping: asyncio.Event,
    leaving: asyncio.Event,
) -> None:
    """Carry out the supervisor's commands; drain when the supervisor is gone.

    A drain sets `stopping` and `leaving`, a retirement sets only `leaving`.
    """
    loop = asyncio.get_running_loop()

    def on_readable() -> None:
        lines, _, has_ended = control.receive()
        for line in [] if stopping.is_set() else lines:
            command, _, argument = line.partition(" ")
            if command == "adopt":
                sockets.listen(plane, int(argument))
            elif command == "release":
                sockets.release(plane, int(argument))
            elif command == "ping":
                control.send("pong")
            elif command == "retire":
                leaving.set()
            elif command == "drain":
                stopping.set()

        if has_ended:
            loop.remove_reader(control.fileno())
            stopping.set()
        if stopping.is_set():
            leaving.set()

    loop.add_reader(control.fileno(), on_readable)


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="proxy.worker", description="started by the supervisor")
    parser.add_argument("--settings-fd", type=int, required=True)
    parser.add_argument("--control-fd", type=int, required=True)
    parser.add_argument("--listen-fds", type=_descriptors, required=True)
    parser.add_argument("--egress-fds", type=_descriptors, default=[])
    parser.add_argument("--wake-fds", type=_descriptors, required=True)
    parser.add_argument("--ring-directory", type=Path)
    parser.add_argument("--lean", action="store_true", help="take memory for the ring as it fills")
    parser.add_argument("--index", type=int, required=True)
    parser.add_argument("--instance", required=True)
    return parser.parse_args(argv)


def _descriptors(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main(argv: list[str]) -> int:
    """Run a worker until a signal stops it, or its supervisor is gone."""
    detach_from_stderr()
    options = _options(argv)
    settings = read_settings(options.settings_fd)
    set_up_log(settings.log.level, role=f"worker {options.index}")

    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(_serve(options, settings))
    except SharedMemoryError as error:
        log.error("%s", error)
        return 1

    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
