"""Connections of load balancers: their clients are known, or they are closed and counted; no
stranger is believed.
"""

import contextlib
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from proxy.network import accept
from proxy.network.accept import peer_of
from proxy.settings.load import load
from proxy.settings.model import SettingsError
from tests.proxy.conftest import Start
from tests.proxy.network.test_proxy_header import V1, v2
from tests.proxy.network.test_tls_accept import secured
from tests.support.certificate import self_signed
from tests.support.client import Client
from tests.support.plane import Plane, eventually
from tests.support.script import Script

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
BEHIND: dict[str, Any] = {"proxy_protocol": True, "trusted_proxies": ("127.0.0.0/8",)}


def opened(plane: Plane) -> socket.socket:
    """A connection that says nothing yet."""
    return socket.create_connection(("127.0.0.1", plane.port), timeout=30)


def failures(plane: Plane) -> dict[str, int]:
    """Wait for a header that did not come, and for its connection to be counted out."""
    eventually(lambda: plane.counters().proxy_failures)
    eventually(lambda: plane.counters().connections_downstream == 0)
    return plane.counters().proxy_failures


@pytest.mark.parametrize(
    ("header", "client"),
    [(V1, b"192.0.2.7"), (v2(), b"192.0.2.7"), (v2(command=0, body=b""), b"127.0.0.1")],
)
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_the_client_is_the_one_of_the_header(
    start: Start, loop: Any, header: bytes, client: bytes
) -> None:
    """On the record and for the upstream; requests follow each other, and the connection is counted
    once.
    """
    upstream = Script()
    plane = start(upstream, loop=loop, max_connections_per_client=1, **BEHIND)
    with Client(opened(plane)) as balancer:
        balancer.send(header + GET)
        assert balancer.answer().status == 200
        balancer.send(GET)
        assert balancer.answer().status == 200
        assert plane.counters().connections_downstream == 1

    assert [exchange.client for exchange in plane.exchanges(2)] == [client, client]
    assert all(b"\r\nX-Forwarded-For: %b\r\n" % client in request for request in upstream.requests)
    eventually(lambda: plane.counters().connections_downstream == 0)


def test_a_header_may_come_in_pieces(start: Start) -> None:
    """Byte by byte, with the request behind its last one."""
    plane = start(Script(), **BEHIND)
    header = v2(tail=b"\x04\x00\x02ab")
    with Client(opened(plane)) as balancer:
        balancer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in header[:-1]:
            balancer.send(bytes((byte,)))
            time.sleep(0.002)
        balancer.send(header[-1:] + GET)
        assert balancer.answer().status == 200

    assert plane.exchange().client == b"192.0.2.7"


def test_tls_begins_behind_the_header(start: Start, tmp_path: Path) -> None:
    """The handshake's first byte is found where the header ends."""
    cert, key = self_signed(tmp_path)
    plane = start(Script(), tls_cert_file=str(cert), tls_key_file=str(key), **BEHIND)
    connection = opened(plane)
    connection.sendall(V1)

    with secured(connection) as balancer:
        balancer.send(GET)
        assert balancer.answer().status == 200
        assert plane.counters().connections_downstream == 1

    assert plane.exchange().client == b"192.0.2.7"


@pytest.mark.parametrize("sent", [GET, b"PROXY TCP4 nobody\r\n" + GET, v2(version=3) + GET])
def test_a_connection_without_its_header_is_closed_and_counted(start: Start, sent: bytes) -> None:
    """Not a byte is answered, and no record is made."""
    plane = start(Script(), **BEHIND)
    with opened(plane) as connection:
        connection.sendall(sent)
        try:
            assert connection.recv(1) == b""
        except ConnectionResetError:
            pass  # what it sent was not all read

    assert failures(plane) == {"malformed": 1}
    assert plane.unread == 0


def test_a_silent_balancer_is_timed_and_one_that_leaves_is_told_apart(start: Start) -> None:
    """Half a header is as good as none."""
    plane = start(Script(), timeout_headers_s=1.0, **BEHIND)
    with opened(plane) as connection, contextlib.suppress(ConnectionResetError):
        connection.sendall(V1[:9])
        assert connection.recv(1) == b""
    assert failures(plane) == {"timeout": 1}
    patient = start(Script(), **BEHIND)
    opened(patient).close()
    assert failures(patient) == {"closed": 1}


def test_waiting_connections_are_capped(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that have not said whose they are count, too."""
    monkeypatch.setattr(accept, "LEAST_WAIT_NS", (1 << 60, 1 << 60))
    plane = start(Script(), max_connections=1, **BEHIND)
    with opened(plane) as first, opened(plane) as second:
        assert second.recv(1) == b""
        assert plane.counters().refused_connections == 1
        first.sendall(V1 + GET)
        assert first.recv(4) == b"HTTP"


def test_a_balancer_is_not_its_clients(start: Start) -> None:
    """What it opens at once for several of them is not too much for any of them."""
    plane = start(Script(), max_connections_per_client=1, **BEHIND)
    with opened(plane) as first, opened(plane) as second, opened(plane) as third:
        for number, connection in enumerate((first, second)):
            connection.sendall(b"PROXY TCP4 192.0.2.%d 127.0.0.1 4711 80\r\n" % number + GET)
            assert connection.recv(12) == b"HTTP/1.1 200"
        third.sendall(b"PROXY TCP4 192.0.2.0 127.0.0.1 4711 80\r\n" + GET)
        assert third.recv(12) == b"HTTP/1.1 503"

    assert plane.counters().refused_connections == 1
    plane.exchanges(2)


def test_a_trusted_proxy_has_no_limit_of_a_client(start: Start) -> None:
    """It opens connections for many clients, also where no header of the connection names them."""
    plane = start(Script(), max_connections_per_client=1, trusted_proxies=("127.0.0.0/8",))
    with opened(plane) as first, opened(plane) as second:
        for connection in (first, second):
            connection.sendall(GET)
            assert connection.recv(12) == b"HTTP/1.1 200"
    plane.exchanges(2)


def test_a_stranger_is_not_believed(start: Start) -> None:
    """Its connection is an ordinary one; a header on it is a malformed request."""
    upstream = Script()
    plane = start(upstream, proxy_protocol=True, trusted_proxies=("10.0.0.0/8",))
    with Client(opened(plane)) as client:
        client.send(GET)
        assert client.answer().status == 200
    with Client(opened(plane)) as client:
        client.send(V1 + GET)
        assert client.answer().status == 400
    assert [exchange.client for exchange in plane.exchanges(2)] == [b"127.0.0.1"] * 2
    assert len(upstream.requests) == 1
    assert plane.counters().proxy_failures == {}


def test_settings_that_cannot_work_are_refused() -> None:
    """The message names the setting and what is missing."""
    given = {"proxy.upstream": "http://a", "proxy.proxy_protocol": "true"}
    with pytest.raises(
        SettingsError, match=r"proxy\.proxy_protocol: has no effect without trusted_proxies"
    ):
        load(given, {}, None)


def test_the_address_of_a_connection_that_is_gone() -> None:
    """It has none any more."""
    with socket.socket() as never:
        assert peer_of(never) == b""
