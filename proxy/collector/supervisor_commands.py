"""The supervisor's commands to the collector: the workers and their rings, and when to stop.

Commands are received from the start on, even before the store opens. The supervisor's first line is
always `rings`. Before it arrives, a committed position without a ring may still get its ring.
"""

import asyncio
import os

from proxy.collector.rings.sources import Sources
from proxy.collector.watch.status import StatusView
from proxy.collector.watch.workers import Workers
from proxy.process.control_channel import Control


class SupervisorCommands:
    """Listens to the supervisor. If the supervisor dies, the workers drain, and so does the
    collector.
    """

    def __init__(self, control: Control) -> None:
        self.stopping = asyncio.Event()
        self.is_handing_over = False
        """Whether another collector takes over the rings; the workers stay."""
        self._control = control
        self._has_rings = asyncio.Event()
        self._waiting: list[int] = []
        self._newest: dict[str, str] = {}
        """The newest command of each kind that was not forwarded yet."""
        self._is_draining = False
        self._followers: tuple[Sources, StatusView, Workers] | None = None
        asyncio.get_running_loop().add_reader(control.fileno(), self._on_readable)

    async def rings_known(self) -> None:
        """Wait until the supervisor has sent the first `rings` message, or has ended."""
        await self._has_rings.wait()

    def follow(self, sources: Sources, status: StatusView, workers: Workers) -> None:
        """Forward all commands received so far, and every new one."""
        self._followers = sources, status, workers
        workers.on_unread = lambda unread: self._control.send(f"unread {unread}")
        sources.subscribe(
            on_removed=lambda source_id: self._control.send(f"retired {source_id.hex()}")
        )
        self._forward()

    def _on_readable(self) -> None:
        lines, descriptors, has_ended = self._control.receive()
        self._waiting += descriptors
        self._is_draining = self._is_draining or "not-ready" in lines or "drain" in lines

        for line in lines:
            word, _, said = line.partition(" ")
            if word in ("rings", "counts"):
                self._newest[word] = said
            if word == "rings":
                self._has_rings.set()

        self._forward()
        if has_ended:
            self._has_rings.set()
        self.is_handing_over = self.is_handing_over or "hand-over" in lines
        if "drain" in lines or "hand-over" in lines or has_ended:
            self.stopping.set()
        if has_ended:
            asyncio.get_running_loop().remove_reader(self._control.fileno())

    def _forward(self) -> None:
        if self._followers is None:
            return
        sources, status, workers = self._followers
        if self._is_draining:
            status.start_draining()
        waiting = self._waiting
        self._waiting = []
        for fd in waiting:
            sources.attach_fd(fd)
            os.close(fd)
        if "rings" in self._newest:
            workers.update(self._newest.pop("rings"))
        if "counts" in self._newest:
            workers.update_counts(self._newest.pop("counts"))
