"""Peers that carry the same contents: Envoy and HAProxy, each with its access log, before one
upstream.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from bench.contents.kind import Kind
from bench.macro import measure
from bench.macro.load import Generator, LoadFailed
from bench.macro.peers import Peer, started
from bench.macro.place import PeerUnavailable, Place
from bench.macro.processor import CORE, SHARES, taken
from bench.macro.scenarios import carrying
from tests.support.ports import free_port

SECONDS: Final = 1.0
"""Of load, a kind and peer: at least a hundred ticks of the clock that CPU is counted by."""


class Carriers:
    """Started peers, and what loads them."""

    def __init__(self, generator: Generator, peers: list[Peer], skipped: dict[str, str]) -> None:
        self._generator = generator
        self.peers = peers
        self.skipped = skipped
        """Peer -> why it is not measured."""

    def us(self, peer: Peer, kind: Kind) -> tuple[float, int] | None:
        """Load a peer; return its CPU µs a request and the requests; None where some failed."""
        before = measure.tree(peer.pid)
        try:
            result = self._generator.run(carrying(kind), peer.url, seconds=SECONDS)
        except LoadFailed as error:
            self.skipped[f"{peer.name}, {kind.name}"] = str(error)
            return None

        if result.errors:
            self.skipped[f"{peer.name}, {kind.name}"] = f"{result.errors} requests failed"
            return None

        spent_s = sum(measure.cpu_by_role(before, measure.tree(peer.pid)).values())
        return spent_s * 1e6 / result.requests, result.requests


@contextmanager
def carriers(names: list[str], directory: Path) -> Iterator[Carriers]:
    """Start an upstream and these peers, each on the first core, load and upstream on the last."""
    skipped: dict[str, str] = {}
    with ExitStack() as stack:
        own, loads = stack.enter_context(taken(SHARES[CORE]))
        port = free_port()
        peers: list[Peer] = []

        if names:
            place = Place(
                directory=directory / "upstream", port=port, upstream_port=port, prefix=loads
            )
            stack.enter_context(started("upstream", place))

        for name in names:
            place = Place(
                directory=directory / name, port=free_port(), upstream_port=port, prefix=own
            )
            try:
                peers.append(stack.enter_context(started(name, place)))
            except PeerUnavailable as error:
                skipped[name] = str(error).replace(str(directory), "")

        yield Carriers(Generator(directory=directory, prefix=loads), peers, skipped)
