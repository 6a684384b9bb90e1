"""Reload: new settings for running processes, without a lost connection or record.

Standard library only.

Strategy: a separate process (`reload_config.py`) reads the configuration, combines it with the
settings that a running sidelog cannot change, and checks the result. If it is valid, new workers
start on the same sockets as the old ones. Once all of them are ready they take over, and the old
ones *retire*: they accept nothing more, and end when their last client has left, however many
reloads follow. While `MAX_OLD_WORKERS` still serve, the next reload is refused, because a reload
never cuts a client off. A worker that does not start cancels the reload. The collector follows
last:
rings describe themselves, so either side can be ahead. Before all that, the rings of the previous
reload are drained (`ring_room.py`); requests that arrive meanwhile, or during a reload, become one
further reload.

Invariant: at any moment some generation of workers accepts on every socket.
"""

import json
import logging
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from proxy.process.memfd import anonymous_file, hand_over, read_document
from proxy.process.own_packages import module_command, module_environment
from proxy.process.shared_memory import SharedMemoryError
from proxy.supervisor.children import Child, Shared, Worker
from proxy.supervisor.host import held_back
from proxy.supervisor.ring_room import LOOK_S, PATIENCE_S, RingRoom

log = logging.getLogger("proxy.supervisor")

MAX_OLD_WORKERS: Final = 32
"""Limit of workers that serve the last streams of earlier reloads, 40 MiB each. Above it a reload
is refused.
"""
LEAVE_S: Final = 5.0
"""Time that the clients of too many old workers get to leave before a reload is refused."""
READ_S: Final = 30.0
"""Time limit for reading the configuration: a file system that hangs must not block later reloads.
"""


@dataclass(slots=True, eq=False)
class Reload:
    """One reload at a time; a further request follows it.

    Driven by the supervisor's loop: no method blocks.
    """

    shared: Shared
    """Settings and resources of the running children."""
    source_fd: int
    """Descriptor from which `reload_config.py` learns the source of the configuration."""
    room: RingRoom
    """Checked before new workers make rings."""
    start: Callable[[Child], object]
    """Starts a child and listens to it. A child that could not be started is due again."""
    take_over: Callable[[Shared, list[Worker]], None]
    """Called with the new workers once all of them are ready."""
    refuse: Callable[[list[Worker]], None]
    """Called if nothing changes, with those new workers that already accept."""
    old_workers: Callable[[], int]
    """Returns the number of old workers that still serve their last clients."""
    _crowded_until_s: float = field(default=0.0, init=False)
    """End of the wait for old workers to end; 0 if there is no wait."""
    _is_requested: bool = field(default=False, init=False)
    _reader: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _read_fd: int = field(default=-1, init=False)
    _read_until_s: float = field(default=0.0, init=False)
    _next: Shared | None = field(default=None, init=False)
    starting: list[Worker] = field(default_factory=list, init=False)
    """New workers while not all of them are ready."""

    def request(self) -> None:
        self._is_requested = True
        self.advance()

    def advance(self) -> None:
        if self._reader is not None and self._reader.poll() is not None:
            self._on_read(self._reader.returncode)
        elif self._reader is not None and time.monotonic() >= self._read_until_s:
            self._reader.kill()  # not waited for: it may hang in the kernel
            log.error(
                "keeping the current settings: the configuration was not read to its end within "
                "%g s",
                READ_S,
            )
            self._on_read(2)

        if self.starting:
            self._check_new_workers()
        if self._is_requested and self._reader is None and not self.starting and self._is_settled():
            self._is_requested = False
            self._read()

    @property
    def reader_pid(self) -> int | None:
        """Return the id of the process that reads the configuration; None if no such process runs."""
        if self._reader is None:
            return None
        return self._reader.pid

    @property
    def wait_s(self) -> float | None:
        """Seconds that the supervisor may wait for events of children alone; None for no limit."""
        if self._reader is not None:
            return max(0.0, self._read_until_s - time.monotonic())
        if self._is_requested and not self.starting:
            return LOOK_S
        return None

    def _is_settled(self) -> bool:
        """Return True if new rings may be made: few old workers are left, and earlier rings are
        drained.
        """
        if self._is_crowded():
            return False
        drain_s = self.shared.settings["proxy"]["limits"]["drain_timeout_s"]
        room = self.room.look(
            self.shared, "a reload waits", PATIENCE_S + drain_s, self.old_workers()
        )
        if room == "hopeless":
            self._is_requested = False
            log.error("keeping the current settings: there is no room for the rings of new workers")
            self.refuse([])

        return room == "free"

    def _is_crowded(self) -> bool:
        """Return True while too many old workers serve. After a while the reload is refused."""
        count = self.old_workers()
        now_s = time.monotonic()
        if count < MAX_OLD_WORKERS:
            self._crowded_until_s = 0.0
            return False

        if not self._crowded_until_s:
            self._crowded_until_s = now_s + LEAVE_S
        elif now_s >= self._crowded_until_s:
            self._crowded_until_s = 0.0
            self._is_requested = False
            log.error(
                "keeping the current settings: %d old workers still serve streams, the limit is %d; "
                "wait for their streams to end, or restart, which ends them",
                count,
                MAX_OLD_WORKERS,
            )
            self.refuse([])

        return True

    def _read(self) -> None:
        try:
            self._read_fd = anonymous_file("sidelog-reload")
        except OSError as error:
            self._give_up(error)
            return

        descriptors = {
            "source": self.source_fd,
            "running": self.shared.settings_fd,
            "settings": self._read_fd,
        }
        arguments = [text for name, fd in descriptors.items() for text in (f"--{name}-fd", str(fd))]

        level = self.shared.settings["log"]["level"]
        try:
            with held_back():
                self._reader = subprocess.Popen(  # noqa: S603 - our own interpreter, our own module
                    module_command(
                        "proxy.supervisor.reload_config", *arguments, "--log-level", level
                    ),
                    env=module_environment(),
                    pass_fds=tuple(descriptors.values()),
                )

            self._read_until_s = time.monotonic() + READ_S
        except OSError as error:
            os.close(self._read_fd)
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        log.error("cannot read the configuration, keeping the current settings: %s", error)
        self.refuse([])

    def _on_read(self, code: int) -> None:
        self._reader = None
        document = read_document(self._read_fd)
        os.close(self._read_fd)

        if code:
            if code != 2:  # with exit code 2 it has logged the reason
                log.error("cannot read the configuration, keeping the current settings")
            self.refuse([])
            return

        self._start_new_workers(json.loads(document))

    def _start_new_workers(self, settings: dict[str, Any]) -> None:
        try:
            fd = hand_over(json.dumps(settings).encode(), "sidelog-settings")
        except OSError as error:
            self._give_up(error)
            return

        shared = replace(self.shared, settings=settings, settings_fd=fd)
        self._next = shared
        try:
            shared.check_ring_directory()
        except SharedMemoryError as error:
            self._cancel(str(error))
            return

        self.starting = [Worker(shared, index) for index in range(shared.workers)]
        for worker in self.starting:
            self.start(worker)
        if not self.starting:
            self._check_new_workers()

    def _check_new_workers(self) -> None:
        failed = [worker for worker in self.starting if not worker.is_running()]
        if failed:
            self._cancel(f"{failed[0].name} does not start with the new ones")
        elif all(worker.is_ready for worker in self.starting):
            workers = self.starting
            shared = self._next
            self.starting = []
            self._next = None
            assert shared is not None
            # All its children have read it, and no more will be started with it.
            os.close(self.shared.settings_fd)
            self.shared = shared
            self.take_over(shared, workers)

    def _cancel(self, reason: str) -> None:
        log.error("keeping the current settings: %s", reason)
        ready = [worker for worker in self.starting if worker.is_ready]
        for worker in self.starting:
            if worker not in ready:
                worker.kill()
                worker.close_rings()

        self.starting = []
        assert self._next is not None
        os.close(self._next.settings_fd)
        self._next = None
        self.refuse(ready)
