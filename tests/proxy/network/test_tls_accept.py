"""A connection of the TLS port from accept to the end of its handshake: counted, capped, timed,
told what is wrong.
"""

import contextlib
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.network import accept
from proxy.network.accept import MAX_HANDSHAKE_S, TlsAccept, tls_failure
from proxy.ring.counters import TLS_FAILURES
from proxy.settings.model import Settings
from proxy.worker.downstream import Downstream
from tests.support.cases import each_of
from tests.support.certificate import self_signed
from tests.support.client import Client
from tests.support.plane import Plane, eventually, running_plane, settings_for
from tests.support.upstream import running, service

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
HELLO = b"\x16\x03\x01\x02\x00\x01"
"""The beginning of a handshake that never goes on."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost that nobody signed."""
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def settings(certificate: tuple[Path, Path]) -> Callable[..., Settings]:
    """Settings of a TLS port."""
    cert, key = certificate

    def make(upstream: str = "http://127.0.0.1:9", **proxy: Any) -> Settings:
        return settings_for(upstream, tls_cert_file=str(cert), tls_key_file=str(key), **proxy)

    return make


def opened(plane: Plane) -> socket.socket:
    """A connection that says nothing yet."""
    return socket.create_connection(("127.0.0.1", plane.port), timeout=30)


def secured(connection: socket.socket, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> Client:
    """Do the handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = version
    return Client(context.wrap_socket(connection))


def failures(plane: Plane, count: int = 1) -> dict[str, int]:
    """Wait for handshakes that failed, and for their connections to be counted out."""
    eventually(lambda: sum(plane.counters().tls_failures.values()) >= count)
    eventually(lambda: plane.counters().connections_downstream == 0)
    return plane.counters().tls_failures


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_secured_connection_is_one(
    tmp_path: Path, settings: Callable[..., Settings], loop: Any, version: ssl.TLSVersion
) -> None:
    """Requests follow each other on it, it is counted once, and its end counts it out."""
    with (
        running(service()) as url,
        running_plane(settings(url, max_connections_per_client=1), tmp_path, loop) as plane,
    ):
        with secured(opened(plane), version) as client:
            for _ in range(2):
                client.send(GET)
                assert client.answer().status == 200
            assert plane.counters().connections_downstream == 1

        eventually(lambda: plane.counters().connections_downstream == 0)
        assert plane.counters().tls_failures == {}
        assert len(plane.exchanges(2)) == 2


@pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_client"])
@pytest.mark.parametrize("beginning", [b"", HELLO])
def test_a_connection_counts_before_it_is_secured(
    tmp_path: Path,
    settings: Callable[..., Settings],
    limit: str,
    beginning: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Silent ones and half handshakes fill the limits: the next is closed at once, and counted as
    refused.
    """
    monkeypatch.setattr(accept, "LEAST_WAIT_NS", (1 << 60, 1 << 60))
    with running_plane(settings(**{limit: 2}), tmp_path) as plane, contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(opened(plane)).sendall(beginning)
        eventually(lambda: plane.counters().connections_downstream == 2)
        with opened(plane) as third, contextlib.suppress(ConnectionResetError):
            assert third.recv(1) == b""
        eventually(lambda: plane.counters().refused_connections == 1)
        assert plane.counters().connections_downstream == 2


@pytest.mark.parametrize("beginning", [b"", HELLO])
def test_who_is_not_secured_gives_way(
    tmp_path: Path,
    settings: Callable[..., Settings],
    beginning: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A full table of silent ones keeps nobody out: the first of them is closed for a new one."""
    monkeypatch.setattr(accept, "LEAST_WAIT_NS", (1, 1))
    with (
        running(service()) as url,
        running_plane(settings(url, max_connections=2), tmp_path) as plane,
        opened(plane) as first,
        opened(plane) as second,
    ):
        for client in (first, second):
            client.sendall(beginning)
        engine = plane.engine
        eventually(lambda: len(engine._idle_eviction) == 2)
        with secured(opened(plane)) as healthy:
            healthy.send(GET)
            assert healthy.answer().status == 200
        with contextlib.suppress(ConnectionResetError):
            assert first.recv(1) == b""
        assert (plane.counters().displaced_connections, plane.counters().refused_connections) == (
            1,
            0,
        )
        plane.exchange()


@pytest.mark.parametrize("beginning", [b"", HELLO])
def test_silence_before_the_handshake_ends_a_connection(
    tmp_path: Path, settings: Callable[..., Settings], beginning: bytes
) -> None:
    """The time of the first head counts from accept on, and is not prolonged by a part of a
    handshake.
    """
    with running_plane(settings(timeout_headers_s=0.3), tmp_path) as plane, opened(plane) as client:
        with contextlib.suppress(OSError):  # it may be over before a busy machine has sent it
            client.sendall(beginning)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
        assert failures(plane) == {"timeout": 1}


def test_a_handshake_and_its_first_head_share_one_time(
    tmp_path: Path, settings: Callable[..., Settings]
) -> None:
    """A secured connection waits for its first head since it was accepted, not since its handshake
    ended.
    """
    with (
        running_plane(settings(timeout_headers_s=60), tmp_path) as plane,
        opened(plane) as connection,
    ):
        engine = plane.engine
        eventually(lambda: len(engine.connections) == 1)
        (accepted,) = engine.connections
        assert isinstance(accepted, TlsAccept)

        with secured(connection) as client:
            client.send(GET[:-2])
            eventually(
                lambda: not isinstance(plane.run(lambda: next(iter(engine.connections))), TlsAccept)
            )
            (downstream,) = engine.connections
            assert isinstance(downstream, Downstream)
            assert downstream._since_ns == accepted.since_ns
            # Until its head begins it is closed without a word.
            eventually(lambda: downstream._reader.buffer)
            plane.age(60)
            assert client.answer().status == 408

    assert MAX_HANDSHAKE_S == 10


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_plain_http_is_told_so_and_recorded(
    tmp_path: Path, settings: Callable[..., Settings], loop: Any
) -> None:
    """The answer names the mistake; the record shows what was asked; nothing reaches the upstream."""
    with running_plane(settings(), tmp_path, loop) as plane:
        with Client(opened(plane)) as client:
            client.send(GET[:7])
            client.send(GET[7:] + GET)
            answer = client.answer()
            assert (answer.status, answer.field("Connection")) == (400, "close")
            assert b"plain HTTP was sent to a TLS port" in answer.body
            assert client.is_ended()

        record = plane.exchange()
        assert (record.status, record.request_head.partition(b" ")[0]) == (400, b"GET")
        assert failures(plane) == {"plain_http": 1}


@pytest.mark.parametrize(
    ("sent", "reason"), [(b"", "closed"), (HELLO, "closed"), (b"\x00\x01", "not_tls")]
)
def test_who_leaves_or_speaks_something_else_is_counted(
    tmp_path: Path, settings: Callable[..., Settings], sent: bytes, reason: str
) -> None:
    """A port scan, a client that gives up in the middle, noise."""
    with running_plane(settings(), tmp_path) as plane:
        with opened(plane) as client:
            client.sendall(sent)
            with contextlib.suppress(OSError):  # noise is refused at once
                client.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                while client.recv(100):
                    pass

        assert failures(plane) == {reason: 1}


def test_what_is_not_agreed_on_is_counted(
    tmp_path: Path, settings: Callable[..., Settings]
) -> None:
    """A client that trusts nobody, one that knows no common cipher, one that sends no handshake in
    its record.
    """
    distrusting = ssl.create_default_context()
    plain_dss = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    plain_dss.check_hostname = False
    plain_dss.verify_mode = ssl.CERT_NONE
    plain_dss.maximum_version = ssl.TLSVersion.TLSv1_2
    # RSA key exchange: the certificate's key is an elliptic curve.
    plain_dss.set_ciphers("AES256-SHA256")

    with running_plane(settings(), tmp_path) as plane:
        for context in (distrusting, plain_dss):
            with opened(plane) as client, pytest.raises(ssl.SSLError):
                context.wrap_socket(client, server_hostname="localhost")
        with opened(plane) as client:
            client.sendall(b"\x16GET / HTTP/1.1\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                while client.recv(100):
                    pass

        assert failures(plane, 3) == {"certificate": 1, "cipher": 1, "not_tls": 1}


@each_of(
    ("name", "reason"),
    [
        ("UNSUPPORTED_PROTOCOL", "version"),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "version"),
        ("SSLV3_ALERT_CERTIFICATE_UNKNOWN", "certificate"),
        ("NO_SUITABLE_KEY_SHARE", "cipher"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "cipher"),
        ("DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "other"),
    ],
)
def test_each_reason_has_a_counter(name: str, reason: str) -> None:
    """OpenSSL's names are hundreds, ours a few."""
    error = ssl.SSLError(1, name)
    error.reason = name
    assert tls_failure(error) == reason
    assert reason in TLS_FAILURES
    assert tls_failure(ConnectionResetError()) == "closed"


def test_a_stop_does_not_wait_for_handshakes(
    tmp_path: Path, settings: Callable[..., Settings]
) -> None:
    """Those under way are dropped; the plane's end checks that nothing is left of them."""
    with (
        running_plane(settings(), tmp_path) as plane,
        opened(plane) as silent,
        opened(plane) as begun,
    ):
        begun.sendall(HELLO)
        eventually(lambda: plane.counters().connections_downstream == 2)
        connections = plane.engine.connections
        eventually(
            lambda: plane.run(lambda: any(getattr(each, "_task", None) for each in connections))
        )
        plane.stop()
        for client in (silent, begun):
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(1) == b""
