"""The child processes of the supervisor: how each is started, watched and controlled. stdlib only.

A child inherits exactly the descriptors it needs: settings, its end of the control line, sockets, wake-up. It notices
the supervisor's death as the end of its control line.
"""

import os
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from proxy.process.control_channel import MAX_DESCRIPTORS, Control
from proxy.process.data_dir import DataDir
from proxy.process.listeners import Listeners
from proxy.process.memfd import anonymous_file
from proxy.process.own_packages import module_command, module_environment
from proxy.process.ring_home import RingHome
from proxy.process.shared_memory import RING_OVERHEAD_BYTES, check_room
from proxy.process.wakeup import Wakeup

BACKOFF_FIRST_S: Final = 0.1
BACKOFF_MAX_S: Final = 5.0
STABLE_S: Final = 10.0
"""A child that lived this long is restarted at once again."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What every child is started with."""

    settings: dict[str, Any]
    settings_fd: int
    data: DataDir
    listeners: Listeners
    rings: RingHome
    wakeup: Wakeup

    def check_ring_directory(self, workers: int) -> None:
        """Make sure that a configured ring directory can hold the rings of so many workers.

        Raises:
            SharedMemoryError: it cannot be used, or is too small.
        """
        if self.settings["ring"]["directory"] and self.rings.path is not None:
            check_room(self.rings.path, workers * (self.settings["ring"]["bytes"] + RING_OVERHEAD_BYTES))

    @property
    def ring_options(self) -> list[str]:
        """What tells a child where rings are; its descriptors keep the directory claimed."""
        return [] if self.rings.path is None else ["--ring-directory", str(self.rings.path)]


class Child:
    """One child process and its restarts."""

    name = "child"

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.control: Control | None = None
        self.is_ready = False
        self.due_at: float | None = None
        self.exit_code: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._failures = 0

    def command(self, control_fd: int) -> tuple[list[str], list[int]]:
        """The module to run and its arguments, and the descriptors they name."""
        raise AssertionError("bug: every child has its own command")

    def start(self) -> None:
        """Start the process, with a new control line.

        Raises:
            OSError: there is no room for it, or for its ring.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                arguments, descriptors = self.command(theirs.fileno())
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
        self._started_at = time.monotonic()

    def poll(self) -> int | None:
        """Return the exit code once, when the process has ended since the last call."""
        if self._process is None:
            return None
        code = self._process.poll()
        if code is not None:
            self._process = None
            self.exit_code = code
            self.is_ready = False
        return code

    def schedule_restart(self, now: float) -> float:
        """Decide when to start again: at once after a long life, else later and later; return the delay in seconds."""
        self._failures = 0 if now - self._started_at >= STABLE_S else self._failures + 1
        delay_s = 0.0 if self._failures <= 1 else min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** (self._failures - 2))
        self.due_at = now + delay_s
        return delay_s

    def is_due(self, now: float) -> bool:
        return self.due_at is not None and now >= self.due_at

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
        pid = self._process.pid if self._process is not None else None
        return {"name": self.name, "pid": pid, "ready": self.is_ready, "failures": self._failures}


class Worker(Child):
    """One worker: its listening socket, and its ring where that is anonymous."""

    def __init__(self, shared: Shared, index: int) -> None:
        super().__init__(shared)
        self.index = index
        self.name = f"worker {index}"
        self._adopted: set[int] = set()
        self.rings: dict[str, int] = {}
        """Files of anonymous rings by source hex: the newest is the running worker's, older ones still hold records."""
        self._spare_fd: int | None = None

    def command(self, control_fd: int) -> tuple[list[str], list[int]]:
        shared = self.shared
        listen = [listener.fileno() for listener in shared.listeners.data]
        wake = [shared.wakeup.read_fd, shared.wakeup.write_fd]
        arguments = [
            "proxy.worker",
            *("--settings-fd", str(shared.settings_fd), "--control-fd", str(control_fd)),
            *("--listen-fds", ",".join(map(str, listen)), "--wake-fds", ",".join(map(str, wake))),
            *("--index", str(self.index), "--instance", shared.data.instance),
            *shared.ring_options,
        ]
        self._spare_fd = anonymous_file("sidelog-ring")
        arguments += ["--spare-ring-fd", str(self._spare_fd)]
        return arguments, [shared.settings_fd, *listen, *wake, self._spare_fd, *shared.rings.descriptors]

    def start(self) -> None:
        self._adopted.clear()
        self._close_spare()
        super().start()

    def poll(self) -> int | None:
        code = super().poll()
        if code is not None:
            self._close_spare()
        return code

    def on_ring(self, source: str, *, is_anonymous: bool) -> None:
        """Keep the spare file if the worker made its ring in it: until the collector has emptied it."""
        if is_anonymous and self._spare_fd is not None:
            self.rings[source] = self._spare_fd
            self._spare_fd = None
        self._close_spare()

    def _close_spare(self) -> None:
        if self._spare_fd is not None:
            os.close(self._spare_fd)
            self._spare_fd = None

    def close_ring(self, source: str) -> None:
        fd = self.rings.pop(source, None)
        if fd is not None:
            os.close(fd)

    def close_rings(self) -> None:
        """Let go of all rings: the worker never served."""
        for source in list(self.rings):
            self.close_ring(source)
        self._close_spare()

    def adopt(self, index: int) -> None:
        if index not in self._adopted:
            self._adopted.add(index)
            self.send(f"adopt {index}")

    def release(self, index: int) -> None:
        if index in self._adopted:
            self._adopted.discard(index)
            self.send(f"release {index}")


class Collector(Child):
    """The collector."""

    name = "collector"
    is_handing_over = False

    def command(self, control_fd: int) -> tuple[list[str], list[int]]:
        shared = self.shared
        admin = shared.listeners.admin.fileno()
        wake = [shared.wakeup.read_fd, shared.wakeup.write_fd]
        arguments = [
            "proxy.collector",
            *("--settings-fd", str(shared.settings_fd), "--control-fd", str(control_fd), "--admin-fd", str(admin)),
            *("--wake-fds", ",".join(map(str, wake)), "--instance", shared.data.instance),
            # Whoever still writes the store holds the lock, also when we are gone before it.
            *("--lock-fd", str(shared.data.lock_fd)),
            *shared.ring_options,
        ]
        descriptors = [shared.settings_fd, admin, *wake, shared.data.lock_fd, *shared.rings.descriptors]
        if shared.listeners.metrics is not None:
            descriptors.append(shared.listeners.metrics.fileno())
            arguments += ["--metrics-fd", str(descriptors[-1])]
        return arguments, descriptors

    def hand_over(self, shared: Shared) -> None:
        """End it in order, leaving the rings as they are; the next one starts with other settings."""
        self.shared = shared
        self.is_handing_over = True
        self.send("hand-over")

    def start(self) -> None:
        self.is_handing_over = False
        super().start()

    def offer_rings(self, workers: Sequence[Worker]) -> None:
        """Send the descriptors of all anonymous rings; the collector keeps those it does not know yet."""
        descriptors = [fd for worker in workers for fd in worker.rings.values()]
        for start in range(0, max(1, len(descriptors)), MAX_DESCRIPTORS):
            self.send("rings", descriptors[start : start + MAX_DESCRIPTORS])
