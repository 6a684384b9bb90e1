"""What is open under a credential ends with it: tails, exports, and whatever else takes its time.

A few times a second each open request is asked whether its caller would still be let in; the connection of one that
would not is cut, whatever it was sending.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web

CHECK_EVERY_S: Final = 0.25
"""With the time that a rotated token takes to be noticed (`AdminToken`) it stays below a second."""


class OpenRequests:
    """The requests of one server that are under way."""

    __slots__ = ("_open", "_timer")

    def __init__(self) -> None:
        self._open: dict[int, tuple[web.Request, Callable[[], bool]]] = {}
        """By identity: a request is a mapping, and has no hash."""
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def watching(self, request: web.Request, may_go_on: Callable[[], bool]) -> Iterator[None]:
        """Cut the request's connection once its caller may not go on."""
        self._open[id(request)] = request, may_go_on
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(CHECK_EVERY_S, self._look)
        try:
            yield
        finally:
            del self._open[id(request)]

    def _look(self) -> None:
        self._timer = None
        for request, may_go_on in self._open.values():
            if not may_go_on() and request.transport is not None:
                request.transport.abort()
        if self._open:
            self._timer = asyncio.get_running_loop().call_later(CHECK_EVERY_S, self._look)
