"""What is spoken with the hosts that are read: the versions of HTTP, WebSockets, gRPC, streams."""

import base64
import contextlib
import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from websockets.sync.client import connect as connect_websocket

from proxy.egress import authority as authority_module
from proxy.egress.authority import open_authority
from proxy.ring.exchange import ERROR_CODES, NOTE_STREAM
from proxy.worker.egress import destinations, reach
from tests.proxy.worker.upstream.http2_calls import CALL, GRPC, MESSAGE, STATUS
from tests.support.cases import each_of
from tests.support.http2_client import GET, Http2Client
from tests.support.http2_upstream import Connection, Http2Upstream, Request
from tests.support.outgoing import HOST, host, known_names, outgoing, server_context
from tests.support.upstream import read_head, running, scripted, service, switching

BOTH = ("h2", "http/1.1")


@contextlib.contextmanager
def secured(
    directory: Path, handle: Callable[[socket.socket, int], None], *protocols: str
) -> Iterator[str]:
    """Serve raw connections over TLS as `HOST`; gives its authority."""
    context = server_context(open_authority(directory / "theirs"), HOST, *protocols)

    def serve(accepted: socket.socket, number: int) -> None:
        with context.wrap_socket(accepted, server_side=True) as own:
            handle(own, number)

    with known_names(HOST), scripted(serve) as url:
        yield f"{HOST}:{url.rpartition(':')[2]}"


@each_of(
    ("offered", "spoken", "chosen"),
    [
        (BOTH, ("h2", "http/1.1"), "h2"),
        (BOTH, ("http/1.1",), "http/1.1"),
        (BOTH, (), "http/1.1"),
        (("h2",), ("h2",), "h2"),
        (("http/1.1",), ("h2", "http/1.1"), "http/1.1"),
        ((), ("http/1.1",), None),
    ],
)
def test_a_client_speaks_what_its_host_chose(
    tmp_path: Path, offered: tuple[str, ...], spoken: tuple[str, ...], chosen: str | None
) -> None:
    """A host is asked once, and the connection on which it was is used."""
    upstream = Http2Upstream()
    connections: list[int] = []

    def serve(own: socket.socket, number: int) -> None:
        connections.append(number)
        assert isinstance(own, ssl.SSLSocket)
        if own.selected_alpn_protocol() == "h2":
            upstream(own, number)
            return
        while read_head(own):
            own.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with secured(tmp_path, serve, *spoken) as authority, outgoing(tmp_path, hosts=("*",)) as port:
        for _ in range(2):
            client = port.secured(port.connect_to(authority), HOST, *offered)
            assert isinstance(client.socket, ssl.SSLSocket)
            assert client.socket.selected_alpn_protocol() == chosen
            if chosen == "h2":
                with Http2Client(client.socket) as http2:
                    assert http2.ask(GET).status == 200
            else:
                with client:
                    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    assert client.answer().body == b"ok"
        records = port.plane.exchanges(2)
        assert len(connections) == 1
    for record in records:
        assert (NOTE_STREAM in record.notes) == (chosen == "h2")


@each_of("spoken", [("http/1.1",), ()])
def test_a_host_that_stops_speaking_http2_is_asked_anew(
    tmp_path: Path, spoken: tuple[str, ...]
) -> None:
    """One request fails, on the connection that was to speak it."""
    theirs = open_authority(tmp_path / "theirs")
    contexts = [server_context(theirs, HOST, "h2"), server_context(theirs, HOST, *spoken)]

    def serve(accepted: socket.socket, number: int) -> None:
        with (
            contextlib.suppress(ssl.SSLError),
            contexts[min(number, 1)].wrap_socket(accepted, server_side=True) as own,
        ):
            if number == 0:
                Http2Upstream()(own, number)
            while read_head(own):
                own.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with (
        known_names(HOST),
        scripted(serve) as url,
        outgoing(tmp_path, hosts=("*",)) as port,
    ):
        statuses = []
        for chosen in ("h2", "h2", "http/1.1"):
            client = port.connect_to(f"{HOST}:{url.rpartition(':')[2]}")
            own = port.secured(client, HOST, *BOTH)
            assert isinstance(own.socket, ssl.SSLSocket)
            assert own.socket.selected_alpn_protocol() == chosen
            if chosen == "h2":
                with Http2Client(own.socket) as http2:
                    statuses.append(http2.ask(GET).status)
                for pool in list(port.plane.engine.http2_pools.values()):
                    port.plane.run(pool.close)
            else:
                with own:
                    own.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    statuses.append(own.answer().status)
        port.plane.exchanges(3)
    assert statuses == [200, 502, 200]


def test_a_call_of_grpc_passes(tmp_path: Path) -> None:
    def answer(connection: Connection, request: Request) -> None:
        if request.is_ended:
            connection.respond(request, MESSAGE, GRPC, STATUS)

    with (
        secured(tmp_path, Http2Upstream(answer), "h2") as authority,
        outgoing(tmp_path, hosts=("*",)) as port,
    ):
        client = port.secured(port.connect_to(authority), HOST, "h2")
        with Http2Client(client.socket) as http2:
            answered = http2.ask(CALL, MESSAGE)
        assert (answered.body, answered.trailers) == (MESSAGE, {"grpc-status": "0"})
        assert port.plane.exchange().status == 200


def test_http2_without_tls_passes(tmp_path: Path) -> None:
    """As gRPC speaks it through CONNECT."""
    upstream = Http2Upstream()
    with scripted(upstream) as url, outgoing(tmp_path, hosts=("*",)) as port:
        client = port.connect_to(url.removeprefix("http://"))
        with Http2Client(client.socket) as http2:
            assert http2.ask(GET).status == 200
        assert port.plane.exchange().status == 200
    assert len(upstream.requests) == 1


def test_a_websocket_passes(tmp_path: Path) -> None:
    """With its messages recorded, as on any route."""

    def serve(own: socket.socket, number: int) -> None:
        own.sendall(switching(read_head(own)))
        while data := own.recv(1 << 16):
            # Unmask what a client masks: a short frame, back as a server's.
            mask, said = data[2:6], data[6:]
            plain = bytes(octet ^ mask[at % 4] for at, octet in enumerate(said))
            own.sendall(bytes((data[0], len(plain))) + plain)

    with secured(tmp_path, serve) as authority, outgoing(tmp_path, hosts=("*",)) as port:
        trust = ssl.create_default_context(cafile=str(port.ours))
        with connect_websocket(f"wss://{authority}/chat", ssl=trust, proxy=port.proxy) as own:
            own.send("hello")
            assert own.recv() == "hello"
        record = port.plane.exchange()
        assert port.plane.messages >= 2
    assert record.status == 101


def test_events_are_not_held_back(tmp_path: Path) -> None:
    """Each is with the client before the next is sent."""
    came: list[float] = []
    with host(tmp_path) as authority, outgoing(tmp_path, hosts=("*",)) as port:
        with port.secured(port.connect_to(authority), HOST) as client:
            client.send(b"GET /events?n=5&pause=0.3 HTTP/1.1\r\nHost: a\r\n\r\n")
            found = client.head()
            while found.count(b"data: ") < 5:
                found = client._buffer = client._buffer + client.socket.recv(1 << 16)
                came += [time.monotonic()] * (found.count(b"data: ") - len(came))
        record = port.plane.exchange()
    assert len(record.timeline) >= 5
    assert all(later - earlier > 0.1 for earlier, later in pairwise(came))


@each_of("code", ["upstream_refused", "upstream_untrusted"])
def test_a_host_that_is_not_reached_is_dialled_once(tmp_path: Path, code: str) -> None:
    """The answer to the first request says why; the next connection is a new attempt."""
    connections: list[int] = []

    def serve(accepted: socket.socket, number: int) -> None:
        connections.append(number)
        if code == "upstream_untrusted":
            context = server_context(open_authority(tmp_path / "strangers"), HOST)
            with contextlib.suppress(OSError), context.wrap_socket(accepted, server_side=True):
                pass

    with (
        known_names(HOST),
        scripted(serve) as url,
        outgoing(tmp_path, hosts=("*",)) as port,
    ):
        for number in range(2):
            client = port.connect_to(f"{HOST}:{url.rpartition(':')[2]}")
            with port.secured(client, HOST, *BOTH) as own:
                own.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert own.answer().status == 502
            assert ERROR_CODES[port.plane.exchange().error] == code
            assert len(connections) == number + 1


def test_alternatives_over_udp_are_not_passed_on(tmp_path: Path) -> None:
    """A client that took HTTP/3 would go around the proxy. The record has what was sent."""
    response = b'HTTP/1.1 204 No Content\r\nAlt-Svc: h3=":443"\r\nX-Other: 1\r\n\r\n'

    def serve(own: socket.socket, number: int) -> None:
        read_head(own)
        own.sendall(response)
        own.recv(1)

    with secured(tmp_path, serve) as authority, outgoing(tmp_path, hosts=("*",)) as port:
        with port.secured(port.connect_to(authority), HOST) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            head = client.answer().head
        assert port.plane.exchange().response_head == response
    assert b"Alt-Svc" not in head
    assert b"X-Other: 1" in head


def test_a_proxy_on_the_way_is_used(tmp_path: Path) -> None:
    """For what is read and for tunnels, but for hosts that are excepted."""
    asked: list[bytes] = []

    def proxy(accepted: socket.socket, number: int) -> None:
        head = read_head(accepted)
        asked.append(head)
        place = head.split()[1].rpartition(b":")
        with socket.create_connection(("127.0.0.1", int(place[2]))) as onward:
            accepted.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            _relay(accepted, onward)

    with (
        host(tmp_path) as authority,
        scripted(proxy) as via,
        outgoing(
            tmp_path, hosts=(HOST,), via=via.replace("http://", "http://u:p@"), no_via="localhost"
        ) as port,
    ):
        with port.secured(port.connect_to(authority), HOST) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.answer().status == 200
        port.plane.exchange()
        tunnelled = f"other.test:{authority.rpartition(':')[2]}"
        with port.connect_to(tunnelled):
            pass
        assert port.plane.exchange().upstream == tunnelled.encode()
        with port.connect_to(f"localhost:{authority.rpartition(':')[2]}"):
            pass
        port.plane.exchange()
    names = [head.split()[1].decode() for head in asked]
    assert names == [authority, tunnelled]
    assert all(b"Proxy-Authorization: Basic dTpw\r\n" in head for head in asked)


def test_a_proxy_on_the_way_is_asked_for_urls_without_tls(tmp_path: Path) -> None:
    """In absolute form, as proxies expect it, even of a client that used CONNECT; a WebSocket has a
    tunnel.
    """
    asked: list[bytes] = []

    def proxy(accepted: socket.socket, number: int) -> None:
        while head := read_head(accepted):
            asked.append(head)
            accepted.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    upgrade += b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    with scripted(proxy) as url:
        via = url.replace("http://", "http://u:p@")
        http_via = url.replace("http://", "http://plain:p@")
        with outgoing(tmp_path, hosts=("*",), via=via, http_via=http_via) as port:
            for client, line, more in (
                (port.connect(), b"GET http://a.test/x?y=1", b""),
                (port.connect_to("a.test:80"), b"GET /x", b""),
                (port.connect_to("a.test:81"), b"OPTIONS *", b""),
                (port.connect_to("a.test:80"), b"GET /chat", upgrade),
            ):
                with client:
                    client.send(line + b" HTTP/1.1\r\nHost: a.test\r\n" + more + b"\r\n")
                    assert client.answer().status == 204
            records = port.plane.exchanges(4)
    assert [head.partition(b"\r\n")[0] for head in asked] == [
        b"GET http://a.test/x?y=1 HTTP/1.1",
        b"GET http://a.test/x HTTP/1.1",
        b"OPTIONS http://a.test:81 HTTP/1.1",
        b"CONNECT a.test:80 HTTP/1.1",
        b"GET /chat HTTP/1.1",
    ]
    credentials = [re.findall(rb"\r\nProxy-Authorization: Basic (\S+)", head) for head in asked]
    plain = base64.b64encode(b"plain:p")
    assert credentials == [[plain], [plain], [plain], [b"dTpw"], []]
    assert [record.upstream for record in records] == [
        b"a.test:80", b"a.test:80", b"a.test:81", b"a.test:80",
    ]  # fmt: skip
    assert not any(b"uthorization" in record.request_head for record in records)


def test_a_proxy_on_the_way_is_reached_where_calls_may_not_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the settings name may be link-local; a client that names the same address is refused."""

    def proxy(accepted: socket.socket, number: int) -> None:
        read_head(accepted)
        accepted.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        accepted.recv(1)

    monkeypatch.setattr(reach, "is_metadata", lambda ip: ip.is_loopback)
    with scripted(proxy) as via, outgoing(tmp_path, via=via) as port:
        with port.connect_to("other.test:443"):
            pass
        with port.connect() as client:
            authority = via.removeprefix("http://").encode()
            client.send(b"CONNECT %b HTTP/1.1\r\nHost: a\r\n\r\n" % authority)
            assert client.answer().status == 403
        with port.connect_to("other.test:443"):
            pass
        port.plane.exchanges(3)


@each_of("first", [b"CONNECT other.test:443", b"CONNECT read.test:80", b"GET http://other.test/"])
def test_a_proxy_on_the_way_that_is_ourselves_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bytes
) -> None:
    """Whatever name leads to it: each call would cause the next."""
    connections: list[int] = []

    with (
        known_names("sidelog.test"),
        scripted(lambda _, number: connections.append(number)) as url,
    ):
        place = int(url.rpartition(":")[2])
        monkeypatch.setattr("proxy.worker.egress.port.own_listeners", lambda _: [("::", place)])
        via = f"http://sidelog.test:{place}"
        with (
            outgoing(tmp_path, hosts=("read.test",), via=via, http_via=via) as port,
            port.connect() as client,
        ):
            client.send(first + b" HTTP/1.1\r\nHost: a\r\n\r\n")
            if b"read.test" in first:
                assert client.head().startswith(b"HTTP/1.1 200 ")
                client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = client.answer()
            assert ERROR_CODES[port.plane.exchange().error] == "egress_denied"
    assert answer.status == 403
    assert b"the proxy on the way (via) is this sidelog: 127.0.0.1 port" in answer.body
    assert connections == []


def _relay(one: socket.socket, other: socket.socket) -> None:
    for own in (one, other):
        own.settimeout(0.02)
    while True:
        for source, target in ((one, other), (other, one)):
            try:
                data = source.recv(1 << 16)
            except TimeoutError:
                continue
            if not data:
                return
            target.sendall(data)


def test_an_expired_certificate_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client reads why in the answer to its request."""
    with monkeypatch.context() as patch:
        patch.setattr(authority_module, "LEAF_VALID", timedelta(hours=-1))
        expired = server_context(open_authority(tmp_path / "theirs"), HOST)
    with (
        known_names(HOST),
        running(service(), expired) as url,
        outgoing(tmp_path, hosts=("*",)) as port,
    ):
        client = port.connect_to(f"{HOST}:{url.rpartition(':')[2]}")
        with port.secured(client, HOST) as own:
            own.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = own.answer()
        assert port.plane.exchange().status == 502
    assert answer.status == 502
    assert b"expired" in answer.body


def test_unused_destinations_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those in use stay, and one that was forgotten is made anew."""
    monkeypatch.setattr(destinations, "MAX_DESTINATIONS", 2)
    with contextlib.ExitStack() as stack:
        urls = [stack.enter_context(running(service())) for _ in range(5)]
        port = stack.enter_context(outgoing(tmp_path))
        client = stack.enter_context(port.connect())
        places = port.plane.engine.pools

        def ask(url: str) -> None:
            client.send(f"GET {url}/x HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            assert client.answer().status == 200

        for url in (*urls[:4], *urls[:4]):
            ask(url)
        assert len(places) == 1 + 4
        for pool in list(places.values()):
            port.plane.run(pool.close)
        ask(urls[4])
        assert len(places) == 1 + 2
        ask(urls[0])
        port.plane.exchanges(10)


def test_a_host_within_that_differs_goes_to_that_of_connect(tmp_path: Path) -> None:
    """It is sent and recorded as the client wrote it."""
    with host(tmp_path) as authority, outgoing(tmp_path, hosts=("*",)) as port:
        with port.secured(port.connect_to(authority), HOST) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: elsewhere.invalid\r\n\r\n")
            echoed = json.loads(client.answer().body)
        record = port.plane.exchange()
    assert ["Host", "elsewhere.invalid"] in echoed["headers"]
    assert b"\r\nHost: elsewhere.invalid\r\n" in record.request_head
