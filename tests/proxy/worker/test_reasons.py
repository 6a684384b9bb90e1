"""The reason why an exchange failed is on its record in words: which deadline and setting, which
rule (P17, P22).
"""

import socket
import threading
from typing import Any

import pytest

from proxy.ring.exchange import (
    MAX_REFUSED_HEAD_BYTES,
    NOTE_MESSAGE,
    NOTE_REFUSED_HEAD,
    CapturedExchange,
)
from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.worker.test_back_pressure import _endless
from tests.proxy.worker.test_downstream import GET, error, outcome
from tests.proxy.worker.test_http2_downstream import speaking
from tests.proxy.worker.test_relay import once
from tests.support.script import Script
from tests.support.upstream import read_head


def reason(exchange: CapturedExchange) -> tuple[str, bytes]:
    return error(exchange), exchange.notes[NOTE_MESSAGE]


@pytest.mark.parametrize(
    ("sent", "limits", "code", "message"),
    [
        (
            GET[:9],
            {"timeout_headers_s": 0.2},
            "timeout_headers",
            b"request head (0.2 s, timeout_headers_s)",
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf",
            {"timeout_body_idle_s": 0.2},
            "timeout_body",
            b"more of the request body (0.2 s, timeout_body_idle_s)",
        ),
        (
            GET,
            {"timeout_first_byte_s": 0.2},
            "upstream_timeout",
            b"the response (0.2 s, timeout_first_byte_s)",
        ),
    ],
)
def test_a_deadline_is_named_with_its_setting(
    start: Start, sent: bytes, limits: dict[str, Any], code: str, message: bytes
) -> None:
    """The client reads the same as the record says."""
    may_end = threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        read_head(connection)
        may_end.wait(60)

    plane = start(upstream, **limits)
    with plane.connect_with(sent) as client:
        answer = client.answer()
        exchange = plane.exchange()
    may_end.set()
    assert error(exchange) == code
    assert exchange.notes[NOTE_MESSAGE].endswith(message)
    assert message in answer.body


def test_a_response_that_does_not_go_on_has_its_reason(start: Start) -> None:
    """Its client sees no more than a cut."""
    may_end = threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        may_end.wait(60)

    plane = start(upstream, timeout_upstream_idle_s=0.2)
    with plane.connect() as client:
        client.send(GET)
        assert not client.answer().is_complete
    exchange = plane.exchange()
    may_end.set()
    assert outcome(exchange) is Outcome.TRUNCATED
    assert reason(exchange) == (
        "upstream_timeout",
        b"timed out waiting for more of the response (0.2 s, timeout_upstream_idle_s)",
    )


def test_a_client_that_reads_nothing_has_its_reason(start: Start) -> None:
    """It is alive, and was cut off by us."""
    plane = start(_endless([0]), timeout_write_stall_s=0.2)
    with plane.connect(65536) as client:
        client.send(GET)
        exchange = plane.exchange()
    assert outcome(exchange) is Outcome.CLIENT_CLOSED
    assert reason(exchange) == (
        "client_stalled",
        b"the client stopped reading the response (0.2 s, timeout_write_stall_s)",
    )


def test_a_client_that_leaves_needs_no_reason(start: Start) -> None:
    """It said nothing, and neither do we."""
    plane = start(_endless([0]))
    with plane.connect() as client:
        client.send(GET)
        client.head()
    assert plane.exchange().notes == {}


@pytest.mark.parametrize(
    ("head", "rule"),
    [
        (b"SSH-2.0-server\r\n\r\n", b""),
        (b"SSH-2.0-server\r\n", b"what the upstream speaks is not HTTP"),
        (b"-ERR", b"not HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x46", b"TLS: write https:// for this upstream"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            b"Transfer-Encoding b'gzip' is not exactly chunked",
        ),
        (b"HTTP/1.1 101 Up\r\nUpgrade: x\r\n\r\n", b"Upgrade"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 24_000, b"head over 131072 bytes"),
    ],
)
def test_a_response_head_that_is_refused_is_kept(start: Start, head: bytes, rule: bytes) -> None:
    """With the rule that it broke, as far as a reader needs it."""
    plane = start(once(head))
    with plane.connect() as client:
        client.send(GET)
        assert client.answer().status == 502
    exchange = plane.exchange()
    assert error(exchange) == "upstream_bad_response"
    assert rule in exchange.notes[NOTE_MESSAGE]
    assert exchange.notes[NOTE_REFUSED_HEAD] == head[:MAX_REFUSED_HEAD_BYTES]


def test_a_retry_leaves_no_reason(start: Start) -> None:
    """What went well in the end did not fail."""
    script = Script(close_after=1)
    plane = start(script)
    for _ in range(3):
        assert plane.call(GET) == b"ok"
    assert [exchange.notes for exchange in plane.exchanges(3)] == [{}] * 3


@pytest.mark.parametrize("http2", [False, True])
def test_connect_is_told_that_this_is_no_forward_proxy(start: Start, *, http2: bool) -> None:
    """In the answer and on record: somebody has set it as HTTPS_PROXY."""
    plane = start(Script())
    if http2:
        with speaking(plane) as http2_client:
            answered = http2_client.ask(((":method", "CONNECT"), (":authority", "a:443")))
            status, body = answered.status, answered.body
    else:
        with plane.connect() as client:
            client.send(b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n")
            answer = client.answer()
            status, body = answer.status, answer.body

    code, message = reason(plane.exchange())
    assert (status, code) == (405, "method_not_allowed")
    assert b"this is a reverse proxy, not a forward proxy" in message
    assert message in body
