"""Why an upstream was not reached, as client, record and metrics are told, by both engines."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.ring.exchange import ERROR_CODES
from storage.record import OUTCOMES, Outcome
from tests.support.certificate import self_signed
from tests.support.plane import EngineName, running_plane, settings_for
from tests.support.ports import free_port

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(scope="module")
def untrusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An https upstream whose certificate nobody signed but itself."""
    cert, key = self_signed(tmp_path_factory.mktemp("tls"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    ready = threading.Event()
    ended = threading.Event()
    ports: list[int] = []

    async def serve() -> None:
        server = await asyncio.start_server(
            lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context
        )
        async with server:
            ports.append(server.sockets[0].getsockname()[1])
            ready.set()
            await asyncio.to_thread(ended.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(60)
    yield f"https://localhost:{ports[0]}"
    ended.set()
    thread.join()


@pytest.fixture
def refusing() -> str:
    """An address where nothing listens."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.mark.parametrize("engine", ["protocol", "reference"])
@pytest.mark.parametrize("reason", ["refused", "unresolved", "untrusted"])
def test_each_reason_has_a_code_of_its_own(
    tmp_path: Path, untrusted: str, refusing: str, engine: EngineName, reason: str
) -> None:
    """Nothing listens, the name leads nowhere (RFC 6761 §6.4), the certificate is not trusted: 502,
    nothing sent.
    """
    url = {"refused": refusing, "unresolved": "http://nowhere.invalid", "untrusted": untrusted}[
        reason
    ]
    with running_plane(settings_for(url), tmp_path, engine=engine) as plane:
        with plane.connect() as client:
            client.send(GET)
            answer = client.answer()
        assert (answer.status, answer.field("X-Sidelog-Error")) == (502, f"upstream_{reason}")
        exchange = plane.exchange()
        assert ERROR_CODES[exchange.error] == f"upstream_{reason}"
        assert exchange.sent_ns == -1
        assert OUTCOMES[exchange.outcome] == Outcome.UPSTREAM_ERROR
        assert list(plane.counters().upstream_errors.values()) == [1]
        assert {name for _, name in plane.counters().upstream_errors} == {reason}
