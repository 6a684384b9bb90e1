"""The TLS port over real connections: mutated requests inside of TLS, and bytes that are no TLS at
all.
"""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.fuzz.parsers import Judge
from tests.fuzz.request_grammar import good_target_of_tls, make_request_case, mutate
from tests.fuzz.strict import Request, read_requests
from tests.support.certificate import self_signed
from tests.support.client import Client
from tests.support.plane import PATIENCE_S, Plane, eventually, running_plane, settings_for
from tests.support.recording import Recording
from tests.support.upstream import scripted

SEED = 20_240_601
COUNT = 150
GET = b"GET /last HTTP/1.1\r\nHost: a\r\n\r\n"


class TlsPort:
    """A plane whose clients come over TLS, and what its upstream was sent."""

    def __init__(self, plane: Plane, recording: Recording, context: ssl.SSLContext) -> None:
        """Trust the context."""
        self.plane = plane
        self.recording = recording
        self.context = context

    def connect(self) -> Client:
        """Open a client connection; the caller closes it."""
        raw = socket.create_connection(("127.0.0.1", self.plane.port), timeout=PATIENCE_S)
        return Client(self.context.wrap_socket(raw, server_hostname="localhost"))


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsPort]:
    """One port for all of these tests."""
    directory = tmp_path_factory.mktemp("tls")
    cert, key = self_signed(directory)

    recording = Recording()
    with (
        scripted(recording) as url,
        running_plane(
            settings_for(url, tls_cert_file=str(cert), tls_key_file=str(key)), directory
        ) as plane,
    ):
        yield TlsPort(plane, recording, ssl.create_default_context(cafile=str(cert)))
        plane.exchanges(plane.unread)


def messages(port: TlsPort, judge: Judge) -> list[Request]:
    """What the upstream was sent, on which all parsers agree."""
    found: list[Request] = []
    for raw in port.recording.take():
        read = read_requests(raw, is_canonical=True)
        assert not read.objection
        whole = raw[: len(raw) - len(read.rest)]
        assert judge.disagreement(whole, [message.identity for message in read.messages]) == ""
        found += read.messages

    return found


def test_mutated_requests_inside_of_tls(port: TlsPort) -> None:
    """What arrives is read alike by every parser, and was sent; in the end the port serves as
    before.
    """
    judge = Judge()
    random = Random(SEED)
    asked = 0

    with contextlib.ExitStack() as stack:
        stack.callback(judge.close)
        for _ in range(COUNT):
            case = make_request_case(random, good_target_of_tls)
            methods = [message.method.decode() for message in read_requests(case.data).messages]
            asked += len(methods)
            client = stack.enter_context(port.connect())

            # What is refused is closed, perhaps before all of it was sent.
            with contextlib.suppress(OSError):
                client.send(case.data)
                for method in methods:
                    client.answer(method)

        found = messages(port, judge)
        assert asked // 2 < len(found) <= asked
        assert {value for message in found for value in message.values(b"x-forwarded-proto")} == {
            b"https"
        }
        with port.connect() as client:
            client.send(GET)
            assert client.answer().body == b"ok"
        assert [message.target for message in messages(port, judge)] == [b"/last"]


def test_bytes_that_are_no_tls(port: TlsPort, tmp_path: Path) -> None:
    """Plain requests, broken hellos and junk end without a byte at the upstream, and the port
    serves as before.
    """
    hello = _client_hello(port.context)
    random = Random(SEED)
    port.recording.take()

    for raw in [
        GET,
        b"\r\n\r\n",
        bytes(500),
        hello[:9],
        *(mutate(random, hello) for _ in range(40)),
    ]:
        with socket.create_connection(("127.0.0.1", port.plane.port), timeout=PATIENCE_S) as client:
            client.sendall(raw)
            with contextlib.suppress(OSError):  # closed before we are
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass

    assert port.recording.take() == []
    with port.connect() as client:
        client.send(GET)
        assert client.answer().body == b"ok"


def _client_hello(context: ssl.SSLContext) -> bytes:
    sent = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="localhost").do_handshake()
    return sent.read()


def test_a_client_that_ends_its_side_is_closed_quietly(
    port: TlsPort, caplog: pytest.LogCaptureFixture
) -> None:
    """Over TLS a connection has no halves: what runs is cut, and nobody writes a line about it."""
    with port.connect() as client:
        client.send(GET * 500)
        assert isinstance(client.socket, ssl.SSLSocket)
        with contextlib.suppress(OSError):
            client.socket.unwrap()

    eventually(lambda: port.plane.counters().connections_downstream == 0)
    assert [record.message for record in caplog.records] == []
    port.recording.take()
