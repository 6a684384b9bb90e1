"""The child processes of the supervisor: starting, watching and controlling them. stdlib only.

A child inherits exactly the descriptors it needs: settings, its end of the control line, sockets,
wake-up. The end of its control line tells it that the supervisor is gone.
"""

import json
import logging
import os
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from proxy.process.control_channel import MAX_DESCRIPTORS, Control
from proxy.process.data_dir import DataDir
from proxy.process.listeners import Listeners
from proxy.process.own_packages import module_command, module_environment
from proxy.process.ring_home import RingHome
from proxy.process.shared_memory import RING_OVERHEAD_BYTES, check_room
from proxy.process.wakeup import Wakeup
from proxy.supervisor.host import held_back

log = logging.getLogger("proxy.supervisor")

BACKOFF_FIRST_S: Final = 0.1
BACKOFF_MAX_S: Final = 5.0
PING_EVERY_S: Final = 1.0
SILENT_S: Final = 5.0
"""Time without an answer to a ping after which a worker counts as hanging or stopped."""
STABLE_S: Final = 10.0
"""Lifetime after which a child is restarted without delay."""


@dataclass(frozen=True, slots=True)
class Shared:
    """The settings and resources that every child process starts with."""

    settings: dict[str, Any]
    settings_fd: int
    data: DataDir
    listeners: Listeners
    rings: RingHome
    wakeup: Wakeup
    counters_fd: int
    """File in memory in which collectors hand on the counters of workers that are gone."""

    @property
    def workers(self) -> int:
        """Return the configured number of workers; 0 without a data port."""
        proxy = self.settings["proxy"]
        if proxy["data_port"]:
            return int(proxy["workers"])
        return 0

    @property
    def rings_bytes(self) -> int:
        """Return the total size of the rings of all workers in bytes."""
        return self.workers * int(self.settings["ring"]["bytes"] + RING_OVERHEAD_BYTES)

    def check_ring_directory(self) -> None:
        """Check that a configured ring directory can hold the rings of all workers.

        Raises:
            SharedMemoryError: it cannot be used, or is too small.
        """
        if self.settings["ring"]["directory"] and self.rings.path is not None:
            check_room(self.rings.path, self.rings_bytes)

    @property
    def ring_options(self) -> list[str]:
        """Options that name the ring directory to a child. Its inherited descriptors keep it
        claimed.
        """
        if self.rings.path is None:
            return []
        return ["--ring-directory", str(self.rings.path)]


class Child:
    """One child process and its restarts."""

    name = "child"

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.control: Control | None = None
        self.is_ready = False
        self.has_served = False
        """True if it was ready at any time, in any of its lives."""
        self.has_died = False
        """True if it died, and is not ready again yet."""
        self.due_at: float | None = None
        self.exit_code: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._failures = 0

    def command(self, control_fd: int) -> tuple[list[str], list[int]]:
        """Return the module to run with its arguments, and the file descriptors that the arguments
        name.
        """
        raise AssertionError("bug: every child has its own command")

    def start(self) -> None:
        """Start the process, with a new control line.

        Raises:
            OSError: there is no memory for it, or for its ring.
        """
        # A failed attempt counts as well: the next one waits longer.
        self._started_at = time.monotonic()
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                arguments, descriptors = self.command(theirs.fileno())
                with held_back():
                    self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own module
                        module_command(*arguments),
                        env=module_environment(),
                        pass_fds=sorted({*descriptors, theirs.fileno()}),
                    )
        except OSError:
            ours.close()
            raise

        self.control = Control(ours)
        self.is_ready = False
        self.due_at = None

    def poll(self) -> int | None:
        """Return the exit code once, if the process has ended since the last call."""
        if self._process is None:
            return None
        code = self._process.poll()
        if code is not None:
            self._process = None
            self.exit_code = code
            self.is_ready = False

        return code

    def schedule_restart(self, now: float) -> float:
        """Schedule the restart: at once after a long life, else with back-off. Return the delay in
        seconds.
        """
        if now - self._started_at >= STABLE_S:
            self._failures = 0
        else:
            self._failures = self._failures + 1
        if self._failures <= 1:
            delay_s = 0.0
        else:
            delay_s = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** (self._failures - 2))
        self.due_at = now + delay_s
        return delay_s

    def is_due(self, now: float) -> bool:
        return self.due_at is not None and now >= self.due_at

    @property
    def has_process(self) -> bool:
        """Return True if the child was running at the last `poll`."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """Process id; None if no process is known to run."""
        if self._process is None:
            return None
        return self._process.pid

    def is_running(self) -> bool:
        self.poll()
        return self._process is not None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self.exit_code = self._process.wait()
            self._process = None

    def send(self, line: str, descriptors: list[int] | None = None) -> None:
        if self.control is not None:
            self.control.send(line, descriptors)

    def describe(self) -> dict[str, object]:
        return {
            "name": self.name,
            "pid": self.pid,
            "ready": self.is_ready,
            "failures": self._failures,
        }


class Worker(Child):
    """One worker: its listening socket, and every ring of it that still holds records."""

    def __init__(self, shared: Shared, index: int) -> None:
        super().__init__(shared)
        self.index = index
        self.name = f"worker {index}"
        self.is_leaving = False
        """True while it serves its last clients. Other workers accept new ones."""
        self.is_lean = False
        """True if its ring allocates memory only as it fills, because rings of the last run still
        take much.
        """
        self.is_silent = False
        """True if it runs and does not answer."""
        self._pinged_s = 0.0
        """Time of the last ping. The next one follows after its answer."""
        self._is_asked = False
        self._adopted: set[int] = set()
        self.rings: dict[str, int] = {}
        """Descriptors of its rings by source hex, until the collector has emptied them. They are
        kept because a file's name may be removed meanwhile.
        """
        self._ring = ""

    def command(self, control_fd: int) -> tuple[list[str], list[int]]:
        shared = self.shared
        listen = [listener.fileno() for listener in shared.listeners.data]
        egress = [listener.fileno() for listener in shared.listeners.egress]
        wake = [shared.wakeup.read_fd, shared.wakeup.write_fd]
        arguments = [
            "proxy.worker",
            *("--settings-fd", str(shared.settings_fd), "--control-fd", str(control_fd)),
            *("--listen-fds", ",".join(map(str, listen)), "--wake-fds", ",".join(map(str, wake))),
            *(["--egress-fds", ",".join(map(str, egress))] if egress else []),
            *("--index", str(self.index), "--instance", shared.data.instance),
            *shared.ring_options,
            *(["--lean"] if self.is_lean else []),
        ]
        return arguments, [shared.settings_fd, *listen, *egress, *wake, *shared.rings.descriptors]

    def start(self) -> None:
        self._adopted.clear()
        self._ring = ""
        self._is_asked = False
        self.is_silent = False
        super().start()

    def ping(self, now_s: float) -> None:
        """Send the worker a ping if one is due; note a worker that has not answered for long."""
        waited_s = now_s - self._pinged_s
        if self.is_ready and not self._is_asked and waited_s >= PING_EVERY_S:
            self._pinged_s = now_s
            self._is_asked = True
            self.send("ping")
        elif self.is_ready and self._is_asked and waited_s >= SILENT_S and not self.is_silent:
            self.is_silent = True
            log.error("%s has not answered for %g s: is it stopped?", self.name, SILENT_S)

    def on_pong(self) -> None:
        self._is_asked = False
        if self.is_silent:
            self.is_silent = False
            log.warning("%s answers again", self.name)

    def retire(self) -> None:
        """Let the worker serve its last clients, and accept no new ones."""
        self.is_leaving = True
        self.send("retire")

    def on_ring(self, source: str, fd: int | None) -> None:
        """Keep the file of the running process' ring until the collector has emptied it.

        `fd` is None if the descriptor did not arrive.
        """
        self._ring = source
        if fd is not None:
            self.close_ring(source)
            self.rings[source] = fd

    def close_ring(self, source: str) -> None:
        fd = self.rings.pop(source, None)
        if fd is not None:
            os.close(fd)

    def close_rings(self) -> None:
        """Close all rings of a worker that never served a client."""
        for source in list(self.rings):
            self.close_ring(source)

    def roll_call(self) -> dict[str, object]:
        """Return the description of this worker for the collector, with its current ring."""
        state = {"leaving": self.is_leaving, "silent": self.is_silent}
        return {**self.describe(), "ring": self._ring, **state}

    def adopt(self, index: int) -> None:
        if index not in self._adopted:
            self._adopted.add(index)
            self.send(f"adopt {index}")

    def release(self, index: int) -> None:
        if index in self._adopted:
            self._adopted.discard(index)
            self.send(f"release {index}")


class Collector(Child):
    """The collector process."""

    name = "collector"

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared)
        self.is_handing_over = False
        self.unread_rings = 0
        """Workers whose ring the collector does not read, as it reports."""
        self._announced: set[str] = set()
        """Newest line of each kind."""
        self._offered: set[str] = set()

    def command(self, control_fd: int) -> tuple[list[str], list[int]]:
        shared = self.shared
        admin = shared.listeners.admin.fileno()
        wake = [shared.wakeup.read_fd, shared.wakeup.write_fd]
        arguments = [
            "proxy.collector",
            *(
                "--settings-fd",
                str(shared.settings_fd),
                "--control-fd",
                str(control_fd),
                "--admin-fd",
                str(admin),
            ),
            *("--wake-fds", ",".join(map(str, wake)), "--instance", shared.data.instance),
            # The process that still writes the store holds the lock, even after the supervisor is
            # gone.
            *("--lock-fd", str(shared.data.lock_fd), "--counters-fd", str(shared.counters_fd)),
            *shared.ring_options,
        ]
        own = [shared.settings_fd, admin, shared.data.lock_fd, shared.counters_fd]
        descriptors = [*own, *wake, *shared.rings.descriptors]
        if shared.listeners.metrics is not None:
            descriptors.append(shared.listeners.metrics.fileno())
            arguments += ["--metrics-fd", str(descriptors[-1])]
        return arguments, descriptors

    def hand_over(self, shared: Shared) -> None:
        """End it in order, leaving the rings as they are.

        The next one starts with other settings.
        """
        self.shared = shared
        self.is_handing_over = True
        self.send("hand-over")

    def start(self) -> None:
        self.is_handing_over = False
        self.unread_rings = 0
        self._announced.clear()
        self._offered.clear()
        super().start()

    def announce(self, workers: Sequence[Worker], counts: Mapping[str, object]) -> bool:
        """Send the list of workers, the ring files that the collector lacks, and our own counters.

        Only changes are sent. Return False if it has to be tried again later.
        """
        if self.control is None:
            return True
        rings = {source: fd for worker in workers for source, fd in worker.rings.items()}
        self._offered &= rings.keys()
        missing = [source for source in rings if source not in self._offered]

        line = "rings " + json.dumps(
            [worker.roll_call() for worker in workers if worker.has_process]
        )
        while missing or line not in self._announced:
            some = missing[:MAX_DESCRIPTORS]
            missing = missing[MAX_DESCRIPTORS:]
            if not self._say(line, [rings[source] for source in some]):
                return False
            self._offered.update(some)

        counted = "counts " + json.dumps(counts)
        return (counted in self._announced or self._say(counted)) and self.control.flush()

    def _say(self, line: str, descriptors: Sequence[int] = ()) -> bool:
        if self.control is None or not self.control.send(line, list(descriptors)):
            return False
        word = line.partition(" ")[0]
        self._announced = {
            *(each for each in self._announced if each.partition(" ")[0] != word),
            line,
        }
        return True

    def announce_again(self) -> None:
        """Offer every ring again with the next message, because the collector could not attach one."""
        self._offered.clear()
