"""A connection that begins with requests for URLs, and goes on with CONNECT."""

import socket
import time
from pathlib import Path

from tests.proxy.worker.egress.test_client import GET, LOOPS, echo, port_of
from tests.support.outgoing import HOST, host, outgoing
from tests.support.plane import Loop, eventually
from tests.support.upstream import running, scripted, service


@LOOPS
def test_a_connection_may_go_on_from_urls_to_connect(tmp_path: Path, loop: Loop) -> None:
    """As proxy clients reuse their connections: it is what it would be on a new one."""
    with (
        running(service()) as url,
        scripted(echo) as echoing,
        host(tmp_path) as authority,
        outgoing(tmp_path, loop, hosts=(HOST,)) as port,
    ):
        get = f"GET {url}/x HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        with socket.create_server(("127.0.0.1", 0)) as closed:
            free = closed.getsockname()[1]
        places = (authority, f"127.0.0.1:{port_of(echoing)}", f"127.0.0.1:{free}")
        read, tunnelled, unreached = [
            f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode() for place in places
        ]
        client = port.connect()
        for request, status in ((get, 200), (unreached, 502), (get, 200), (get, 200)):
            client.send(request)
            assert client.answer().status == status
        client.send(read[:9])
        time.sleep(0.05)
        client.send(read[9:])
        assert client.head().startswith(b"HTTP/1.1 200 ")
        with port.secured(client, HOST) as secured:
            secured.send(GET % b"a")
            assert secured.answer().status == 200

        with port.connect() as client:
            client.send(get)
            client.answer()
            client.send(tunnelled)
            assert client.head().startswith(b"HTTP/1.1 200 ")
            client.send(b"hello")
            assert client.socket.recv(100) == b"hello"

        records = port.plane.exchanges(7)
        eventually(lambda: not port.plane.engine.connections)
        assert port.plane.counters().egress == {
            "failed": 1,
            "forwarded": 3,
            "read": 1,
            "tunnel": 1,
        }
    assert [record.status for record in records] == [200, 502, 200, 200, 200, 200, 200]


def test_connect_behind_urls_has_to_wait_for_answers(tmp_path: Path) -> None:
    """What was sent ahead, or behind it, cannot be left to another protocol: it is refused."""
    with scripted(echo) as url, running(service()) as served, outgoing(tmp_path) as port:
        get = f"GET {served}/x HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        place = f"127.0.0.1:{port_of(url)}"
        connect = f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode()
        with port.connect() as client:
            client.send(get)
            client.answer()
            client.send(connect + b"hello")
            answer = client.answer()
            assert (answer.status, answer.field("connection")) == (400, "close")
            assert b"CONNECT" in answer.body
            assert client.is_ended()
        assert [record.status for record in port.plane.exchanges(2)] == [200, 400]
