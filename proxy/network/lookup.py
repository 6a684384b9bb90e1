"""Resolves host names, each in a thread of its own (P26, RFC 8767).

An event loop resolves all names in a few shared threads: with uvloop, two requests for a name with
a silent server blocked all other names for ten seconds. Here each name has one query at a time; all
callers wait for its answer, which is valid for a second. While a query hangs or fails, an earlier
answer is used. Invariant: a caller only waits for its own name.
"""

import asyncio
import errno
import socket
import threading
import time
from typing import Any, Final

Address = tuple[socket.AddressFamily, tuple[Any, ...]]
"""Family and socket address."""

PATIENCE_S: Final = 0.5
"""Time that a query may take if an earlier answer is known."""
STALE_S: Final = 600.0
"""Age to which an earlier answer is used; later the address may belong to another host."""
FRESH_S: Final = 1.0
"""Age to which an answer is used without a new query, whose thread costs 150 us."""


def resolve(host: str, port: int) -> list[Address]:
    """Return the distinct addresses of a name, in the resolver's order (RFC 6724).

    Raises:
        OSError: `socket.gaierror`, the name has no address.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(
        dict.fromkeys((socket.AddressFamily(family), address) for family, _, _, _, address in found)
    )


class Lookup:
    """Resolves one name, for one loop."""

    __slots__ = ("_asked_s", "_host", "_known", "_known_s", "_port", "_question")

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._question: asyncio.Future[list[Address] | Exception] | None = None
        """The running query."""
        self._asked_s = 0.0
        self._known: list[Address] = []
        """The last answer."""
        self._known_s = 0.0

    async def addresses(self) -> list[Address]:
        """Return the addresses of the name.

        Raises:
            OSError: as `resolve` does, or no thread can be started.
        """
        now_s = time.monotonic()
        if self._known and now_s - self._known_s < FRESH_S:
            return self._known

        question = self._question or self._ask()
        stale = self._known if now_s - self._known_s < STALE_S else []
        await asyncio.wait(
            [question], timeout=max(0.0, self._asked_s + PATIENCE_S - now_s) if stale else None
        )
        answer = question.result() if question.done() else stale
        if not isinstance(answer, Exception):
            return answer
        if stale and isinstance(answer, socket.gaierror) and answer.errno == socket.EAI_AGAIN:
            return stale

        raise answer

    def _ask(self) -> "asyncio.Future[list[Address] | Exception]":
        loop = asyncio.get_running_loop()
        try:
            threading.Thread(target=self._answer, args=(loop,), name="lookup", daemon=True).start()
        except RuntimeError as error:
            raise OSError(errno.EAGAIN, "no thread can be started to look the name up") from error

        self._asked_s = time.monotonic()
        self._question = loop.create_future()
        return self._question

    def _answer(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run a query in a thread of its own."""
        try:
            answer: list[Address] | Exception = resolve(self._host, self._port)
        except Exception as error:  # any: the callers wait for a result
            answer = error

        try:
            loop.call_soon_threadsafe(self._deliver, answer)
        except RuntimeError:
            pass  # the loop is closed, and its callers are gone

    def _deliver(self, answer: "list[Address] | Exception") -> None:
        question = self._question
        self._question = None
        if not isinstance(answer, Exception):
            self._known, self._known_s = answer, time.monotonic()
        if question is not None:
            question.set_result(answer)
