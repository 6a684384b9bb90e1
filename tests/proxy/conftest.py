"""What tests of the data plane share: a plane in front of an upstream of the test's choice."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from proxy.ring.segment import Segment
from tests.support.plane import EngineName, Loop, Plane, running_plane, settings_for
from tests.support.upstream import scripted


class Start(Protocol):
    """Starts a plane in front of a URL or of a scripted upstream; settings by name."""

    def __call__(
        self,
        upstream: str | Callable[[socket.socket, int], None],
        *,
        loop: Loop = "uvloop",
        engine: EngineName = "protocol",
        **settings: Any,
    ) -> Plane: ...


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a plane; at the end it is drained, and must leave nothing behind."""
    with ExitStack() as stack:

        def enter(
            upstream: str | Callable[[socket.socket, int], None],
            *,
            loop: Loop = "uvloop",
            engine: EngineName = "protocol",
            **settings: Any,
        ) -> Plane:
            url = upstream if isinstance(upstream, str) else stack.enter_context(scripted(upstream))
            return stack.enter_context(
                running_plane(settings_for(url, **settings), tmp_path, loop, engine)
            )

        yield enter


@pytest.fixture
def segment() -> Iterator[Segment]:
    """A ring of one page."""
    made = Segment.create(None, b"", ring_bytes=4096, counter_cells=1, inflight_slots=1)
    yield made
    made.close()
