"""The port of outgoing calls, through real sockets: what a connection becomes."""

import json
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from proxy.ring.exchange import (
    ERROR_CODES,
    FLAG_TLS,
    NOTE_MESSAGE,
    NOTE_TUNNEL,
    CapturedExchange,
)
from proxy.worker.egress import client as client_module
from proxy.worker.egress import destinations
from storage.record import OUTCOMES
from tests.support.cases import each_of
from tests.support.client import Client
from tests.support.outgoing import HOST, Outgoing, host, known_names, outgoing
from tests.support.plane import Loop, eventually, settings_for
from tests.support.upstream import running, scripted, service

T = TypeVar("T")
LOOPS = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
GET = b"GET /x?a=1 HTTP/1.1\r\nHost: %b\r\nX-Request-Id: mine\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n"


class MemoryTls:
    """TLS whose octets the test sends itself."""

    def __init__(self, client: Client, trusted: Path) -> None:
        context = ssl.create_default_context(cafile=str(trusted))
        self._client = client
        self._taken, self._given = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._taken, self._given, server_hostname=HOST)

    def hello(self) -> bytes:
        """Return the first message."""
        with pytest.raises(ssl.SSLWantReadError):
            self._tls.do_handshake()
        return self._given.read()

    def ask(self, request: bytes) -> bytes:
        """Finish the handshake, send a request, and return what comes first."""
        self._taken.write(self._client._buffer)
        self._now(self._tls.do_handshake)
        self._tls.write(request)
        return self._now(lambda: self._tls.read(1 << 16))

    def _now(self, step: Callable[[], T]) -> T:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self._client.send(self._given.read())
                self._taken.write(self._client.socket.recv(1 << 16))


def port_of(url: str) -> str:
    return url.rpartition(":")[2]


def tunnel_of(record: CapturedExchange) -> dict[str, Any]:
    """Return what is noted of a tunnel."""
    found: dict[str, Any] = json.loads(record.notes[NOTE_TUNNEL])
    return found


def echo(connection: socket.socket, number: int) -> None:
    """Send back what comes, until its end."""
    while data := connection.recv(1 << 16):
        connection.sendall(data)


@LOOPS
def test_a_listed_host_is_read(tmp_path: Path, loop: Loop) -> None:
    """Its requests pass unchanged and are recorded; CONNECT itself is not."""
    with host(tmp_path) as authority, outgoing(tmp_path, loop, hosts=(HOST,)) as port:
        with port.secured(port.connect_to(authority), HOST) as client:
            client.send(2 * (GET % authority.encode()))
            client.answer()
            answer = client.answer()
        records = port.plane.exchanges(2)
        eventually(lambda: port.plane.counters().egress == {"read": 1})
        assert port.plane.unread == 0
    echoed = json.loads(answer.body)
    assert echoed["headers"] == [
        ["Host", authority],
        ["X-Forwarded-For", "9.9.9.9"],
        ["X-Request-ID", "mine"],
    ]
    for record in records:
        assert record.request_head == GET % authority.encode()
        assert record.upstream.startswith(b"127.0.0.1:")
        assert record.flags & FLAG_TLS
        assert record.route == 1


@LOOPS
@each_of("pace", ["at once", "with CONNECT", "by octets"])
def test_a_hello_is_read_however_it_comes(tmp_path: Path, loop: Loop, pace: str) -> None:
    with host(tmp_path) as authority, outgoing(tmp_path, loop, hosts=("*.example.test",)) as port:
        connect = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode()
        with port.connect() as client:
            tls = MemoryTls(client, port.ours)
            hello = tls.hello()
            if pace == "with CONNECT":
                client.send(connect + hello)
                assert client.head().startswith(b"HTTP/1.1 200 ")
            elif pace == "at once":
                client.send(connect)
                assert client.head().startswith(b"HTTP/1.1 200 ")
                client.send(hello)
            else:
                client.send(connect)
                assert client.head().startswith(b"HTTP/1.1 200 ")
                client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for at in range(len(hello)):
                    client.send(hello[at : at + 1])
                    time.sleep(0.0002)
            assert tls.ask(GET % b"api.example.test").startswith(b"HTTP/1.1 200 OK")
        assert port.plane.exchange().status == 200


@LOOPS
def test_a_kernel_that_wakes_us_for_nothing_new_is_borne(
    tmp_path: Path, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As gVisor does, which ignores SO_RCVLOWAT. An end is still found."""
    set_option = socket.socket.setsockopt

    def ignoring(own: socket.socket, level: int, option: int, value: Any) -> None:
        if (level, option) != (socket.SOL_SOCKET, socket.SO_RCVLOWAT):
            set_option(own, level, option, value)

    monkeypatch.setattr(socket.socket, "setsockopt", ignoring)
    with scripted(echo) as url, outgoing(tmp_path, loop) as port:
        with port.connect() as client:
            for piece in (b"CONNECT 127.0.0.1:", b"%b HTTP/1.1\r\nHost: a\r\n\r\n"):
                client.send(piece.replace(b"%b", port_of(url).encode()))
                time.sleep(0.05)
            assert client.head().startswith(b"HTTP/1.1 200 ")
        port.plane.exchange()
        with port.connect() as client:
            client.send(b"CONNECT ")
            client.finish_sending()
            assert client.is_ended()
        assert port.plane.counters().egress == {"tunnel": 1, "closed": 1}


@LOOPS
def test_a_host_that_is_not_listed_is_tunnelled(tmp_path: Path, loop: Loop) -> None:
    """Its client speaks to the host itself; the record has name, address, bytes and end."""
    with host(tmp_path) as authority, outgoing(tmp_path, loop, hosts=("other.test",)) as port:
        context = ssl.create_default_context(cafile=str(port.theirs))
        context.set_alpn_protocols(["http/1.1"])
        client = port.connect_to(authority)
        with context.wrap_socket(client.socket, server_hostname=HOST) as own:
            own.sendall(GET % HOST.encode())
            assert own.recv(1 << 16).startswith(b"HTTP/1.1 200 OK")
            eventually(lambda: port.plane.in_flight())
        record = port.plane.exchange()
    assert record.request_head.startswith(f"CONNECT {authority} HTTP/1.1\r\n".encode())
    assert record.upstream == f"127.0.0.1:{port_of(authority)}".encode()
    assert (record.status, OUTCOMES[record.outcome]) == (200, "ok")
    assert record.request_bytes > len(GET)
    assert record.response_bytes > 500
    assert tunnel_of(record) == {
        "why": "unlisted",
        "sni": HOST,
        "alpn": ["http/1.1"],
        "ended_by": "client",
    }


@each_of(
    ("hosts", "unread", "first", "why"),
    [
        ((), (), b"GET / HTTP/1.1\r\n\r\n", "unlisted"),
        (("*",), ("localhost",), b"GET / HTTP/1.1\r\n\r\n", "excepted"),
        (("*",), ("*",), b"GET / HTTP/1.1\r\n\r\n", "excepted"),
        (("*",), (), b"SSH-2.0-x\r\n", "not_http"),
        (("*",), (), b"\x00\x01\x02", "not_http"),
        (("*",), (), b"EHLO me\r\n", "not_http"),
        (("*",), (), b"\x16\x02garbage", "not_http"),
        (("*",), (), b"get ", "not_http"),
    ],
)
def test_what_is_not_read_is_tunnelled(
    tmp_path: Path, hosts: tuple[str, ...], unread: tuple[str, ...], first: bytes, why: str
) -> None:
    """By the settings, or by its first bytes, which are not those of HTTP or TLS."""
    with scripted(echo) as url, outgoing(tmp_path, hosts=hosts, tunnel=unread) as port:
        with port.connect_to(f"localhost:{port_of(url)}") as client:
            client.send(first)
            assert client.socket.recv(100) == first
        assert tunnel_of(port.plane.exchange()) == {"why": why, "ended_by": "client"}


def test_a_server_that_speaks_first_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of SMTP and SSH do: the client waits for them."""
    monkeypatch.setattr(client_module, "SILENT_NS", 300_000_000)

    def greet(connection: socket.socket, number: int) -> None:
        connection.sendall(b"220 hello\r\n")
        echo(connection, number)

    with scripted(greet) as url, outgoing(tmp_path, hosts=("*",)) as port:
        with port.connect_to(f"127.0.0.1:{port_of(url)}") as client:
            assert client.socket.recv(100) == b"220 hello\r\n"
            client.send(b"EHLO me\r\n")
            assert client.socket.recv(100) == b"EHLO me\r\n"
        record = port.plane.exchange()
    assert tunnel_of(record) == {"why": "silent", "ended_by": "client"}


def test_a_client_that_offers_no_http_by_alpn_is_tunnelled(tmp_path: Path) -> None:
    with host(tmp_path, "mqtt") as authority, outgoing(tmp_path, hosts=("*",)) as port:
        client = port.connect_to(authority)
        own = ssl.create_default_context(cafile=str(port.theirs))
        own.set_alpn_protocols(["mqtt"])
        with own.wrap_socket(client.socket, server_hostname=HOST) as secured:
            assert secured.selected_alpn_protocol() == "mqtt"
        assert tunnel_of(port.plane.exchange())["why"] == "alpn"


@LOOPS
def test_plain_http_within_connect_is_read(tmp_path: Path, loop: Loop) -> None:
    """As Node's fetch sends it for `http://`."""
    with running(service()) as url, outgoing(tmp_path, loop, hosts=("127.0.0.1",)) as port:
        with port.connect_to(f"127.0.0.1:{port_of(url)}") as client:
            client.send(GET % b"a.test")
            answer = client.answer()
        record = port.plane.exchange()
    assert ["Host", "a.test"] in json.loads(answer.body)["headers"]
    assert ["Via", "1.1 sidelog"] in json.loads(answer.body)["headers"]
    assert record.request_head == GET % b"a.test"
    assert not record.flags & FLAG_TLS


@LOOPS
def test_a_request_for_a_url_is_read(tmp_path: Path, loop: Loop) -> None:
    """Whatever hosts says: it is not secured. What is for the proxy alone goes no further."""
    with running(service()) as url, outgoing(tmp_path, loop) as port:
        host = url.removeprefix("http://")
        raw = (
            f"GET {url}/x HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: Basic abcd\r\n"
            "Proxy-Connection: keep-alive\r\nConnection: X-Mine, keep-alive\r\nX-Mine: 1\r\n"
            "Accept: */*\r\n\r\n"
        )
        with port.connect() as client:
            client.send(2 * raw.encode())
            client.answer()
            answer = client.answer()
        record = port.plane.exchanges(2)[1]
        assert port.plane.counters().egress == {"forwarded": 1}
    echoed = json.loads(answer.body)
    assert echoed["path"] == "/x"
    assert echoed["headers"] == [["Host", host], ["Accept", "*/*"], ["Via", "1.1 sidelog"]]
    assert record.request_head.startswith(f"GET {url}/x HTTP/1.1\r\n".encode())
    for name in (b"Proxy-", b"X-Mine: "):
        assert name not in record.request_head


@each_of(
    ("protocol", "sent"),
    [
        ("http/1.1", b"GET / HTTP/1.1\r\nHost: a\r\nA b\r\n\r\n"),
        ("http/1.1", b"GET / HTTP/1.1\r\n"),
        ("h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxxxxxxxxxxxxxxxxxxxxxxxxx"),
    ],
)
def test_what_cannot_be_read_of_a_read_host_is_an_outgoing_call(
    tmp_path: Path, protocol: str, sent: bytes
) -> None:
    """Whether it is malformed or cut off, in either version of HTTP."""
    with host(tmp_path, protocol) as authority, outgoing(tmp_path, hosts=(HOST,)) as port:
        with port.secured(port.connect_to(authority), HOST, protocol) as client:
            client.send(sent)
            if sent.endswith(b"\r\n\r\n"):
                assert client.answer().status == 400
        assert port.plane.exchange().route == 1


def test_a_request_for_an_https_url_is_sent_over_tls(tmp_path: Path) -> None:
    """As axios sends it."""
    with host(tmp_path) as authority, outgoing(tmp_path) as port:
        with port.connect() as client:
            client.send(f"GET https://{authority}/x HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
            assert client.answer().status == 200
        assert port.plane.exchange().flags & FLAG_TLS


@each_of(
    ("raw", "status", "says"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, b"HTTPS_PROXY"),
        (b"CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", 400, b"host:port"),
        (b"CONNECT a:0 HTTP/1.1\r\nHost: a\r\n\r\n", 400, b"port from 1 to 65535"),
        (b"CONNECT a:99999 HTTP/1.1\r\nHost: a\r\n\r\n", 400, b"above 65535"),
        (b"CONNECT u@a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400, b"credentials"),
        (b"CONNECT a:1 HTTP/1.1\r\n\r\n", 400, b"Host"),
        (b"CONNECT  a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400, b"malformed request line"),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nA: %b\r\n\r\n" % (b"x" * 40000), 431, b"over 32768"),
    ],
)
def test_a_malformed_request_is_refused(
    tmp_path: Path, raw: bytes, status: int, says: bytes
) -> None:
    with outgoing(tmp_path, hosts=("*",)) as port:
        with port.connect() as client:
            client.send(raw)
            answer = client.answer()
        record = port.plane.exchange()
    assert (answer.status, record.status, record.route) == (status, status, 1)
    assert says in answer.body


@each_of(
    "target", ["user:S3cret@a.test:443", "https://user:S3cret@a.test/?token=S3cret", "a:S3cret@"]
)
def test_the_reason_of_a_refusal_has_no_secrets(tmp_path: Path, target: str) -> None:
    with outgoing(tmp_path) as port:
        with port.connect() as client:
            client.send(f"CONNECT {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            answer = client.answer()
        record = port.plane.exchange()
    assert answer.status == 400
    assert b"S3cret" not in answer.body + record.notes[NOTE_MESSAGE]


def test_a_host_that_is_not_reached_leaves_the_connection(tmp_path: Path) -> None:
    """The answer says why, and the next CONNECT may follow."""
    with scripted(echo) as url, outgoing(tmp_path) as port:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            free = closed.getsockname()[1]
        with port.connect() as client:
            for authority in (f"127.0.0.1:{free}", "no-such-host.invalid:443"):
                client.send(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
                answer = client.answer()
                assert answer.status == 502
                assert b"cannot connect to" in answer.body
                assert answer.field("connection") is None
            client.send(b"CONNECT 127.0.0.1:%b HTTP/1.1\r\nHost: a\r\n\r\n" % port_of(url).encode())
            assert client.head().startswith(b"HTTP/1.1 200 ")
        records = port.plane.exchanges(3)
        assert port.plane.counters().egress == {"failed": 2, "tunnel": 1}
    codes = [ERROR_CODES[record.error] for record in records]
    assert codes == ["upstream_refused", "upstream_unresolved", ""]


def refused(port: Outgoing, authority: str) -> bytes:
    """Ask for a tunnel that is refused; return why."""
    with port.connect() as client:
        client.send(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        answer = client.answer()
        assert answer.status == 403, answer
        record = port.plane.exchange()
        assert OUTCOMES[record.outcome] == "rejected"
        assert ERROR_CODES[record.error] == "egress_denied"
        # The connection goes on.
        client.send(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        assert client.answer().status == 403
        port.plane.exchange()
    return answer.body


_METADATA = (
    "169.254.169.254:80",
    "[::ffff:169.254.169.254]:80",
    "2852039166:80",
    "0xa9fea9fe:80",
    "0251.0376.0251.0376:80",
    "[fd00:ec2::254]:80",
    "[64:ff9b::a9fe:a9fe]:80",
    "100.100.100.200:80",
    "168.63.129.16:80",
    "169.254.1.1:80",
)


def test_metadata_addresses_are_refused_in_every_form(tmp_path: Path) -> None:
    with outgoing(tmp_path) as port:
        for authority in _METADATA:
            assert b"link-local or metadata" in refused(port, authority), authority


def test_a_name_that_leads_to_metadata_is_refused(tmp_path: Path) -> None:
    with (
        known_names("rebound.test", address="169.254.169.254"),
        outgoing(tmp_path, hosts=("read.test",)) as port,
    ):
        assert b"metadata" in refused(port, "rebound.test:80")
        with port.connect() as client:
            client.send(b"GET http://rebound.test/ HTTP/1.1\r\nHost: rebound.test\r\n\r\n")
            assert client.answer().status == 403
        record = port.plane.exchange()
        assert OUTCOMES[record.outcome] == "rejected"


def test_our_own_ports_are_refused_in_every_form(tmp_path: Path) -> None:
    """The data port, the admin port and the port itself, as the settings have them."""
    with outgoing(tmp_path, hosts=("none.test",)) as port:
        for own in (8080, 8090, 8888):
            for host in ("127.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]", "2130706433"):
                assert b"is a port of this sidelog" in refused(port, f"{host}:{own}")


def test_a_client_that_is_not_listed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both with CONNECT and with a URL."""
    monkeypatch.setattr(client_module, "peer_of", lambda _: b"192.0.2.7")
    with outgoing(tmp_path, clients=("10.0.0.0/8",)) as port:
        assert b"192.0.2.7 may not use this port ([egress] clients)" in refused(port, "a.test:1")
        with port.connect() as client:
            client.send(b"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n")
            assert client.answer().status == 403
        port.plane.exchange()


def test_a_client_that_rejects_our_certificate_is_noted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With what to do about it, in the record and once in the log."""
    with known_names(HOST), outgoing(tmp_path, hosts=("*",)) as port:
        for _ in range(2):
            client = port.connect_to(f"{HOST}:443")
            with pytest.raises(ssl.SSLCertVerificationError):
                ssl.create_default_context().wrap_socket(client.socket, server_hostname=HOST)
            client.socket.close()
        records = port.plane.exchanges(2)
        eventually(lambda: port.plane.counters().egress == {"untrusted": 2})
    for record in records:
        assert ERROR_CODES[record.error] == "certificate_rejected"
        assert OUTCOMES[record.outcome] == "client_closed"
        assert f'tunnel = ["{HOST}"]'.encode() in record.notes[NOTE_MESSAGE]
    assert caplog.text.count("rejected the certificate") == 1


@each_of(
    ("certified", "signed_by", "says"),
    [("other.test", "theirs", b"not valid for"), (HOST, "strangers", b"issuer certificate")],
)
def test_why_a_host_is_not_trusted_is_said_within_tls(
    tmp_path: Path, certified: str, signed_by: str, says: bytes
) -> None:
    """The handshake with the client is finished, and its request answered with the reason."""
    with (
        host(tmp_path, certified=certified, signed_by=signed_by) as authority,
        outgoing(tmp_path, hosts=("*",)) as port,
    ):
        with port.secured(port.connect_to(authority), HOST, "h2", "http/1.1") as client:
            client.send(GET % authority.encode())
            answer = client.answer()
        record = port.plane.exchange()
    assert answer.status == 502
    assert says in answer.body
    assert ERROR_CODES[record.error] == "upstream_untrusted"


def test_a_head_that_does_not_go_on_is_refused(tmp_path: Path) -> None:
    with outgoing(tmp_path, hosts=("*",)) as port, port.connect() as client:
        client.send(b"CONNECT a.test:44")
        port.plane.run(lambda: _age(port, 120))
        assert client.answer().status == 408
        assert port.plane.exchange().status == 408


def test_a_hello_that_does_not_go_on_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MAX_HANDSHAKE_S", 0.3)
    with outgoing(tmp_path, hosts=("*",)) as port, port.connect_to("a.test:443") as client:
        client.send(b"\x16\x03\x01\x02\x00")
        assert client.is_ended()
        assert port.plane.counters().egress == {"closed": 1}


@each_of(
    ("limit_s", "status", "code"), [(1.0, 504, "upstream_timeout"), (0.0, 502, "upstream_refused")]
)
def test_a_slow_host_is_no_slow_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit_s: float, status: int, code: str
) -> None:
    """Its time is that of timeout_connect_s. Without a limit it is only asked for its protocol so
    long, and the request waits on.
    """
    monkeypatch.setattr(client_module, "MAX_HANDSHAKE_S", 0.5)
    monkeypatch.setattr(destinations, "_UNLIMITED_ASK_S", 1.0)

    def hold(connection: socket.socket, number: int) -> None:
        # No TLS is spoken; without a limit, the connection of the request ends at once.
        while not (number and limit_s == 0) and connection.recv(1 << 16):
            pass

    settings = settings_for("http://127.0.0.1:9", timeout_connect_s=limit_s)
    with (
        known_names(HOST),
        scripted(hold) as url,
        outgoing(tmp_path, settings=settings, hosts=("*",)) as port,
    ):
        client = port.connect_to(f"{HOST}:{port_of(url)}")
        with port.secured(client, HOST, "h2", "http/1.1") as own:
            own.send(GET % HOST.encode())
            assert own.answer().status == status
        assert ERROR_CODES[port.plane.exchange().error] == code


def test_a_tunnel_to_a_slow_host_fails_by_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not by that of its client's hello."""
    monkeypatch.setattr(client_module, "MAX_HANDSHAKE_S", 0.5)

    def hold(connection: socket.socket, number: int) -> None:
        while connection.recv(1 << 16):
            pass

    settings = settings_for("http://127.0.0.1:9", timeout_connect_s=1.0)
    with (
        scripted(hold) as via,
        outgoing(tmp_path, settings=settings, hosts=("*",), via=via) as port,
        port.connect_to("a.test:443") as client,
    ):
        client.send(b"\x16\x02garbage")
        assert client.is_ended()
        assert ERROR_CODES[port.plane.exchange().error] == "upstream_timeout"


def _age(port: Outgoing, by_s: int) -> None:
    for connection in port.plane.engine.connections:
        if isinstance(connection, client_module.ProxyClient):
            connection.since_ns -= by_s * 1_000_000_000
