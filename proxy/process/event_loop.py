"""The event loop of every process, and its stop signals.

It is uvloop if installed, else asyncio.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()

    try:
        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    except PermissionError:  # a sandbox without eventfd
        return asyncio.new_event_loop()

    return loop


@contextmanager
def stop_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on the first SIGTERM or SIGINT; a second one ends the process at once.

    Committed records stay; the next start drains the rings. SIGHUP and SIGUSR1 are for the
    supervisor: a terminal sends them to the whole group, and no other process may die of them.
    """
    loop = asyncio.get_running_loop()
    seen = 0

    def on_signal() -> None:
        nonlocal seen
        seen += 1
        if seen > 1:
            os._exit(1)
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    for number in (signal.SIGHUP, signal.SIGUSR1):
        loop.add_signal_handler(number, lambda: None)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            loop.remove_signal_handler(number)
