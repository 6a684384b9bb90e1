"""What the supervisor tells the collector: which anonymous rings there are, and when to stop.

Heard from the first moment on, also while the store cannot be opened yet. The first line of a supervisor is always
`rings`: only behind it is it known which committed positions have lost their ring.
"""

import asyncio
import os

from proxy.collector.sources import Sources
from proxy.collector.status import StatusView
from proxy.process.control_channel import Control


class Orders:
    """Listens to the supervisor; when it is gone, the workers drain and so do we."""

    def __init__(self, control: Control) -> None:
        """Listen on the running loop, until the supervisor is gone."""
        self.stopping = asyncio.Event()
        self.is_handing_over = False
        """Whether another collector goes on where we stop: the workers stay."""
        self._control = control
        self._has_rings = asyncio.Event()
        self._waiting: list[int] = []
        self._is_draining = False
        self._followers: tuple[Sources, StatusView] | None = None
        asyncio.get_running_loop().add_reader(control.fileno(), self._on_readable)

    async def rings_known(self) -> None:
        """Wait for the first word about rings, or the supervisor's end."""
        await self._has_rings.wait()

    def follow(self, sources: Sources, status: StatusView) -> None:
        """Hand on what was said so far, and from now on what comes."""
        self._followers = sources, status
        sources.on_removed = lambda source_id: self._say_retired(source_id)
        self._hand_on()

    def _say_retired(self, source_id: bytes) -> None:
        self._control.send(f"retired {source_id.hex()}")

    def _on_readable(self) -> None:
        lines, descriptors, has_ended = self._control.receive()
        self._waiting += descriptors
        self._is_draining = self._is_draining or "not-ready" in lines or "drain" in lines
        self._hand_on()
        if "rings" in lines or has_ended:
            self._has_rings.set()
        self.is_handing_over = self.is_handing_over or "hand-over" in lines
        if "drain" in lines or "hand-over" in lines or has_ended:
            self.stopping.set()
        if has_ended:
            asyncio.get_running_loop().remove_reader(self._control.fileno())

    def _hand_on(self) -> None:
        if self._followers is None:
            return
        sources, status = self._followers
        status.is_draining = status.is_draining or self._is_draining
        waiting, self._waiting = self._waiting, []
        for fd in waiting:
            sources.adopt(fd)
            os.close(fd)
