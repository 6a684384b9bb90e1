"""What tests of HTTP/2 share: clients, and calls of gRPC."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from h2.settings import SettingCodes

from proxy.worker.http2_downstream import Http2Downstream
from tests.support.http2_client import GET, POST, Fields, Http2Client
from tests.support.http2_upstream import OK
from tests.support.plane import PATIENCE_S, Plane


def with_path(path: str, fields: Fields = GET, *others: tuple[str, str]) -> Fields:
    return (*fields[:3], (":path", path), *others)


HTTP2 = {"upstream_protocol": "http2"}
CALL: Fields = (
    *with_path("/s.Service/Do", POST),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
)
MESSAGE = b"\0\0\0\0\3abc"
GRPC: Fields = (*OK, ("content-type", "application/grpc"))
MAX_STREAMS = SettingCodes.MAX_CONCURRENT_STREAMS
STATUS: Fields = (("grpc-status", "0"),)


@contextmanager
def speaking(plane: Plane, *, takes_all: bool = True) -> Iterator[Http2Client]:
    connection = socket.create_connection(("127.0.0.1", plane.port), PATIENCE_S)
    with Http2Client(connection, takes_all=takes_all) as client:
        yield client


def connections(plane: Plane) -> list[Http2Downstream]:
    return plane.run(
        lambda: [each for each in plane.engine.connections if isinstance(each, Http2Downstream)]
    )


def open_streams(plane: Plane) -> int:
    shared = plane.engine.http2
    assert shared is not None
    return shared.open_streams


def allow_streams(plane: Plane, count: int) -> None:
    """Let each client have `count` streams at once."""
    shared = plane.engine.http2
    assert shared is not None
    shared.limits = replace(shared.limits, max_streams=count)


def upstream_streams(plane: Plane) -> int:
    return plane.run(
        lambda: sum(
            len(each.codec.streams.open) for each in plane.engine.http2_pools[0]._connections
        )
    )
