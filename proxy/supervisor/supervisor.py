"""Keeps one collector and the workers running, and stops them in order. Standard library only.

It does as little as possible, so that it cannot break: it waits for signals and children, and never
touches traffic, configuration files or the store; for a reload (`reload.py`) a process of its own
reads them. Start order: lock the data directory, bind, workers, collector. The collector takes
three times as long to start, and clients need not wait for it. Stop order: not ready,
`drain_delay_s`, workers drain, collector drains the rings and closes the store. A child that dies
is started again, the first time at once, then with back-off; meanwhile another worker *adopts* its
listening socket, because the kernel keeps giving it its share of new connections (SO_REUSEPORT).
"""

import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Sequence
from typing import Final

from proxy.process.control_channel import EXIT_CONFIG
from proxy.process.logs import lines_dropped, set_up_log
from proxy.process.memfd import anonymous_file
from proxy.process.wakeup import Wakeup
from proxy.supervisor.children import PING_EVERY_S, Child, Collector, Shared, Worker
from proxy.supervisor.health_port import HealthPort
from proxy.supervisor.host import notify, reap, take
from proxy.supervisor.reload import Reload
from proxy.supervisor.ring_room import RingRoom
from proxy.supervisor.startup import RootContext, write_addresses

log = logging.getLogger(__name__)

COLLECTOR_STOP_S: Final = 60.0
"""Time that the collector gets to drain the rings and commit. The rest is drained at the next
start.
"""
SLOW_STOP_S: Final = 3.0
"""Wait for a child after which a stop logs its name."""
ANNOUNCE_AGAIN_S: Final = 0.5
"""Pause between two attempts to send to a collector that is not reading."""
SAME_SIGNAL_S: Final = 1.0
"""Time within which a repeated stop signal counts as the same one: timeout(1), shells and npm send
it to a process and to its group.
"""
KILL_AFTER_S: Final = 5.0
"""Time that a child gets beyond its own timeouts before it is killed."""


class Supervisor:
    """Keeps one collector and the workers running until a signal stops it."""

    def __init__(self, context: RootContext) -> None:
        """Prepare the children; nothing is started yet.

        Raises:
            SharedMemoryError: the configured ring directory cannot be used.
        """
        settings = context.settings
        listeners = context.listeners
        self._limits = settings["proxy"]["limits"]
        self._listeners = listeners
        shared = Shared(
            settings, context.settings_fd, context.data, listeners, context.rings, Wakeup.create(),
            anonymous_file("sidelog-counters"),
        )  # fmt: skip
        shared.check_ring_directory()
        self._collector = Collector(shared)
        self._workers = [Worker(shared, index) for index in range(shared.workers)]
        self._leaving: list[Worker] = []
        """Workers from before a reload that still serve their last clients, or whose rings are not
        empty.
        """
        self._room = RingRoom(
            lambda: [fd for worker in self._all_workers for fd in worker.rings.values()]
        )
        self._reload = Reload(
            shared,
            context.source_fd,
            self._room,
            self._start,
            self._take_over,
            self._refuse,
            self._count_old,
        )
        self._hand_over_by_s: float | None = None
        self._selector = selectors.DefaultSelector()
        health = listeners.health
        if health is None:
            self._health = None
        else:
            self._health = HealthPort(health, self._selector, self._readiness)
        self._signals: list[int] = []
        self._is_stopping = False
        self._stopping_since_s = 0.0
        self._watchdog_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 2e6
        self._is_announced = False
        self._is_behind = False
        self._reloads = {"done": 0, "refused": 0}

    @property
    def _children(self) -> list[Child]:
        return [self._collector, *self._workers]

    @property
    def _all_workers(self) -> list[Worker]:
        return [*self._workers, *self._reload.starting, *self._leaving]

    def run(self) -> int:
        """Start all processes, restart those that end, and stop them in order; return the exit
        code.
        """
        read_end, write_end = socket.socketpair()
        with read_end, write_end:
            for end in (read_end, write_end):
                end.setblocking(False)
            signal.set_wakeup_fd(write_end.fileno(), warn_on_full_buffer=False)
            try:
                return self._run_until_stopped(read_end)
            finally:
                signal.set_wakeup_fd(-1)
                if self._health is not None:
                    self._health.close()
                self._selector.close()

    def _run_until_stopped(self, read_end: socket.socket) -> int:
        for number in (
            signal.SIGTERM,
            signal.SIGINT,
            signal.SIGHUP,
            signal.SIGUSR1,
            signal.SIGCHLD,
        ):
            signal.signal(number, lambda signum, _: self._signals.append(signum))

        take()
        self._selector.register(read_end, selectors.EVENT_READ)

        is_lean = not self._room.is_free(self._collector.shared)
        if is_lean:
            log.warning(
                "rings of the last run are not drained yet: new ones take memory as they fill"
            )

        for worker in self._workers:
            worker.is_lean = is_lean
        for child in (*self._workers, self._collector):
            self._start(child)
        while not self._is_stopping:
            self._wait(read_end, self._next_start_s())
            self._handle_signals()
            self._advance()

        return self._stop(read_end)

    def _start(self, child: Child) -> None:
        if child.control is not None:
            # The unread end of file of its last life would keep the selector awake.
            self._listen_to(child)
        try:
            child.start()
        except OSError as error:
            delay_s = child.schedule_restart(time.monotonic())
            log.error(
                "%s cannot be started, trying again: %s",
                child.name,
                error,
                extra={"in_s": round(delay_s, 2)},
            )
            return

        if child.control is not None:
            self._selector.register(child.control, selectors.EVENT_READ, child)
        if child is self._collector:
            self._hand_over_by_s = None
            self._announce_workers()

    def _wait(self, read_end: socket.socket, timeout_s: float | None) -> None:
        """Sleep until a signal, a child's message, a health request, or the timeout."""
        due_s = None if self._health is None else self._health.due_s()
        if due_s is not None:
            timeout_s = due_s if timeout_s is None else min(timeout_s, due_s)
        for key, _ in self._selector.select(timeout_s):
            if isinstance(key.data, Child):
                self._listen_to(key.data)
            elif key.data is not None:
                key.data()
            else:
                try:
                    read_end.recv(4096)
                except BlockingIOError:
                    pass

        if self._health is not None:
            self._health.expire()

    def _readiness(self) -> tuple[bool, dict[str, object]]:
        """Return the readiness and its details.

        Ready means that every socket has a worker that accepts, all running workers answer, every
        ring is read, and no stop has begun. Without a data port it means that the collector serves.
        """
        if not self._listeners.data:
            members: dict[str, object] = {
                "draining": self._is_stopping,
                "collector_ready": self._collector.is_ready,
            }
            return self._collector.is_ready and not self._is_stopping, members | {
                "data_port": False
            }

        silent = sum(worker.is_silent for worker in self._workers)
        ready = sum(worker.is_ready for worker in self._workers) - silent
        members = {
            "draining": self._is_stopping,
            "workers_ready": ready,
            "workers": len(self._workers),
            "collector_ready": self._collector.is_ready,
            "rings_unread": self._collector.unread_rings,
        }
        is_whole = not silent and not self._collector.unread_rings
        return ready > 0 and not self._is_stopping and is_whole, members

    def _listen_to(self, child: Child) -> None:
        if child.control is None:
            return
        lines, descriptors, has_ended = child.control.receive()
        if has_ended:
            self._selector.unregister(child.control)
            child.control.close()
            child.control = None

        for line in lines:
            if line == "ready":
                self._on_ready(child)
            elif line == "pong" and isinstance(child, Worker):
                child.on_pong()
            elif line.startswith("ring ") and isinstance(child, Worker):
                child.on_ring(
                    line.removeprefix("ring "), descriptors.pop(0) if descriptors else None
                )
            elif child is self._collector:
                self._on_word(*line.partition(" ")[::2])

        for fd in descriptors:
            os.close(fd)

    def _on_word(self, word: str, argument: str) -> None:
        """Handle a message of the collector about rings."""
        if word == "retired":
            for worker in self._all_workers:
                worker.close_ring(argument)
        elif word == "unread" and argument.isdigit():
            self._collector.unread_rings = int(argument)
            self._collector.announce_again()

    def _announce_workers(self) -> None:
        """Send the list of workers if it has changed. A collector that is not reading gets it
        later.
        """
        counts = {"log_lines_dropped": lines_dropped(), "reloads": self._reloads}
        self._is_behind = not self._collector.announce(self._all_workers, counts)

    def _on_ready(self, child: Child) -> None:
        if child.has_died:
            child.has_died = False
            log.info("%s is ready again", child.name)
        child.is_ready = True
        child.has_served = True
        if isinstance(child, Worker):
            for other in self._workers:
                other.release(child.index)
        if not self._is_announced and all(c.is_ready for c in self._children):
            self._is_announced = True
            log.info("ready")
            notify("READY=1")

    def _handle_signals(self) -> None:
        signals = self._signals
        self._signals = []
        for number in signals:
            if number in (signal.SIGTERM, signal.SIGINT):
                self._is_stopping = True
            elif number == signal.SIGHUP:
                notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
                self._reload.request()
            elif number == signal.SIGUSR1:
                children = [child.describe() for child in (self._collector, *self._all_workers)]
                log.info("status", extra={"children": children, "old_workers": self._count_old()})

    def _advance(self) -> None:
        """Restart children that have died and are due; let another worker adopt a dead worker's
        socket.
        """
        now = time.monotonic()
        for child in self._children:
            code = child.poll()
            if code is not None:
                self._on_death(child, code, now)
            if child.is_due(now) and not self._is_stopping:
                self._start(child)

        if not self._is_stopping:
            self._reload.advance()
            for worker in self._workers:
                worker.ping(now)
        self._leaving = [worker for worker in self._leaving if worker.is_running() or worker.rings]
        self._announce_workers()
        if self._hand_over_by_s is not None and now >= self._hand_over_by_s:
            self._hand_over_by_s = None
            self._collector.kill()  # its uncommitted records are still in the rings
            self._on_death(self._collector, 1, now)

        if self._watchdog_s:
            notify("WATCHDOG=1")
        reap(
            [
                self._reload.reader_pid,
                self._collector.pid,
                *(worker.pid for worker in self._all_workers),
            ]
        )

    def _on_death(self, child: Child, code: int, now: float) -> None:
        if code == EXIT_CONFIG and not child.has_served:  # it has logged the reason
            self._is_stopping = True
            return
        if child.control is not None:
            self._listen_to(child)
        if child is self._collector and self._collector.is_handing_over:
            self._start(child)
            return

        child.has_died = True
        delay_s = child.schedule_restart(now)
        log.error(
            "%s ended; restarting it",
            child.name,
            extra={"exit_code": code, "in_s": round(delay_s, 2)},
        )
        if isinstance(child, Worker):
            survivor = next((w for w in self._workers if w is not child and w.is_ready), None)
            if survivor is not None:
                survivor.adopt(child.index)

    def _next_start_s(self) -> float | None:
        """Return the seconds until the next restart or watchdog ping; None if only events matter."""
        now = time.monotonic()
        waits = [
            max(0.0, child.due_at - now) for child in self._children if child.due_at is not None
        ]
        if self._hand_over_by_s is not None:
            waits.append(max(0.0, self._hand_over_by_s - now))
        if self._workers:
            waits.append(PING_EVERY_S)
        if self._watchdog_s:
            waits.append(self._watchdog_s)
        if self._is_behind:
            waits.append(ANNOUNCE_AGAIN_S)
        if self._reload.wait_s is not None:
            waits.append(self._reload.wait_s)
        return min(waits, default=None)

    def _take_over(self, shared: Shared, workers: list[Worker]) -> None:
        """Let new workers serve from now on and retire the old ones; the collector follows."""
        for worker in self._workers:
            worker.retire()
        self._leaving += self._workers
        self._workers = workers
        settings = shared.settings
        self._limits = settings["proxy"]["limits"]
        set_up_log(settings["log"]["level"], role="supervisor")
        write_addresses(shared.data, self._listeners, settings)
        self._is_announced = False
        self._hand_over_by_s = time.monotonic() + COLLECTOR_STOP_S
        self._collector.hand_over(shared)
        self._reloads["done"] += 1
        figures = {"workers": len(workers), "old_workers": self._count_old()}
        log.info("reloaded: new workers serve with the new settings", extra=figures)

    def _count_old(self) -> int:
        """Return the number of old workers that still serve their last clients."""
        return sum(worker.has_process for worker in self._leaving)

    def _refuse(self, ready: list[Worker]) -> None:
        """Continue with the old workers. New workers that already accepted retire."""
        for worker in ready:
            worker.retire()
        self._leaving += ready
        self._reloads["refused"] += 1
        notify("READY=1\nSTATUS=the last reload was refused: the previous settings stay in force")

    def _stop(self, read_end: socket.socket) -> int:
        """Stop in order. A second signal kills the remaining children; pushed records stay in the
        rings.
        """
        self._stopping_since_s = time.monotonic()
        notify("STOPPING=1")
        log.info(
            "stopping; waiting for requests in flight",
            extra={"within_s": self._limits["drain_timeout_s"]},
        )
        self._collector.send("not-ready")
        self._pause(read_end, self._limits["drain_delay_s"])
        # The last worker to close the socket ends the queue of new connections.
        self._listeners.close_data()
        workers = self._all_workers
        for worker in workers:
            worker.send("drain")
        self._reap(read_end, workers, self._limits["drain_timeout_s"] + KILL_AFTER_S)
        self._replace_collector(read_end)
        self._announce_workers()
        self._collector.send("drain")
        self._reap(read_end, [self._collector], COLLECTOR_STOP_S)
        self._listen_to(self._collector)
        is_clean = (
            not self._has_stop_signal()
            and self._collector.exit_code == 0
            and not self._room.has_unread()
        )
        log.info("stopped" if is_clean else "stopped; unstored records wait in rings and spool")
        if is_clean:
            return 0
        return 1

    def _replace_collector(self, read_end: socket.socket) -> None:
        """Start the successor of a collector that ended or hands over: without one the rings fill
        up.
        """
        collector = self._collector
        if collector.is_handing_over and self._hand_over_by_s is not None:
            self._reap(read_end, [collector], self._hand_over_by_s - time.monotonic())
        is_hopeless = collector.exit_code == EXIT_CONFIG and not collector.has_served
        if not collector.is_running() and not is_hopeless and not self._has_stop_signal():
            # The previous exit code would look like a clean end if this start fails.
            collector.exit_code = None
            self._start(collector)

    def _pause(self, read_end: socket.socket, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._has_stop_signal() and (left := deadline - time.monotonic()) > 0:
            self._wait(read_end, left)

    def _reap(self, read_end: socket.socket, children: Sequence[Child], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        warn_at = time.monotonic() + SLOW_STOP_S
        while running := [child for child in children if child.is_running()]:
            names = ", ".join(child.name for child in running)
            left = deadline - time.monotonic()
            if left <= 0 or self._has_stop_signal():
                log.error(
                    "%s did not stop in time and is killed; its records stay in the ring", names
                )
                for child in children:
                    child.kill()
                return

            if time.monotonic() >= warn_at:
                warn_at = deadline
                log.warning("waiting for %s to stop", names, extra={"at_most_s": round(left, 1)})
            self._wait(read_end, min(left, 0.5))

    def _has_stop_signal(self) -> bool:
        """Return True if a stop signal came again. That ends all waiting."""
        is_same = time.monotonic() - self._stopping_since_s < SAME_SIGNAL_S
        stops = () if is_same else (signal.SIGTERM, signal.SIGINT)
        self._signals = [number for number in self._signals if number in stops]
        return bool(self._signals)
