"""Many streams that end at once: a few in a turn of the loop, so that neighbours are served in
between.
"""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from proxy.http1.errors import UpstreamError
from proxy.worker.relay.ending import lose_client
from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.worker.records import error, outcome
from tests.proxy.worker.upstream.http2_calls import HTTP2, connections, open_streams, speaking
from tests.support.http2_upstream import Connection, Http2Upstream, Request
from tests.support.plane import eventually

COUNT = 60


def begin(connection: Connection, request: Request) -> None:
    """Answer, and never come to an end."""
    connection.respond(request, b"part", is_end=False)


@contextmanager
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a second pass with every look at the clock."""
    seconds = itertools.count(time.monotonic_ns() // 10**9)
    with monkeypatch.context() as patched:
        patched.setattr(time, "monotonic_ns", lambda: next(seconds) * 10**9)
        yield


def test_a_connection_ends_its_streams_in_turns(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them at least each; all are recorded, as those of a client that left."""
    plane = start(Http2Upstream(begin), route=HTTP2)
    with speaking(plane) as client:
        for _ in range(COUNT):
            client.begin()
        eventually(lambda: len(plane.engine.in_flight) == COUNT)
        [connection] = connections(plane)

        def lose() -> int:
            connection._codec.is_ended = True
            with slow(monkeypatch):
                connection._end_streams(lose_client)
            return len(connection._relays)

        assert plane.run(lose) == COUNT - 1
        assert {outcome(each) for each in plane.exchanges(COUNT)} == {Outcome.CLIENT_CLOSED}

    eventually(lambda: open_streams(plane) == 0)


def test_an_upstream_connection_fails_in_turns(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What runs on one that is lost is answered and recorded one after the other."""
    upstream = Http2Upstream(begin)
    plane = start(upstream, route=HTTP2)
    with speaking(plane) as client:
        streams = [client.begin() for _ in range(COUNT)]
        for stream in streams:
            while not client.streams[stream].body:
                assert client.read()
        [connection] = plane.run(lambda: list(plane.engine.http2_pools[0]._connections))

        def lose() -> int:
            with slow(monkeypatch):
                connection._fail(UpstreamError("upstream_reset", "lost"))
            return len(connection._lanes)

        assert plane.run(lose) == COUNT - 1
        assert {client.answer(stream).is_ended for stream in streams} == {False}

    exchanges = plane.exchanges(COUNT)
    assert {outcome(each) for each in exchanges} == {Outcome.TRUNCATED}
    assert {error(each) for each in exchanges} == {"upstream_reset"}
