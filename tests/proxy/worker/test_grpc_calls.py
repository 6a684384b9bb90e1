"""Calls of gRPC through the data plane: their time, how they are refused, TLS at their upstream,
and a drain.
"""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from proxy.http2.errors import ErrorCode
from proxy.ring.exchange import NOTE_MESSAGE, NOTES_RESPONSE_TRAILERS
from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.worker.test_downstream import error, outcome
from tests.proxy.worker.test_fairness_tls import certificate
from tests.proxy.worker.test_http2_downstream import speaking
from tests.proxy.worker.upstream.http2_calls import CALL, GRPC, HTTP2, MESSAGE, STATUS
from tests.support.http2_upstream import Connection, Http2Upstream, Request
from tests.support.plane import eventually
from tests.support.ports import free_port
from tests.support.script import Script
from tests.support.upstream import scripted

__all__ = ["certificate"]  # a fixture


def _answer(connection: Connection, request: Request) -> None:
    if request.is_ended:
        connection.respond(request, request.body, GRPC, STATUS)


def test_a_call_that_no_upstream_takes_is_unavailable(start: Start) -> None:
    """Its client reads status and message as gRPC has them, and the record has what was sent."""
    plane = start(f"http://127.0.0.1:{free_port()}")
    with speaking(plane) as client:
        answered = client.ask(CALL, MESSAGE)
    assert (answered.status, answered.body, answered.trailers) == (200, b"", {})
    assert (answered.fields["content-type"], answered.fields["grpc-status"]) == (
        "application/grpc",
        "14",
    )
    assert answered.fields["grpc-message"].startswith("cannot connect to the upstream")
    assert answered.fields["x-sidelog-error"] == "upstream_refused"
    assert answered.fields["x-sidelog-id"]
    exchange = plane.exchange()
    assert (exchange.status, outcome(exchange), error(exchange)) == (
        200,
        Outcome.UPSTREAM_ERROR,
        "upstream_refused",
    )
    assert b"grpc-status: 14\r\n" in exchange.response_head


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ((("host", "other"),), "13", "bad_request"),
        (tuple((f"x-{number}", "y") for number in range(40)), "2", "header_too_large"),
    ],
)
def test_a_call_that_is_no_request_is_refused(
    start: Start, fields: tuple[tuple[str, str], ...], status: str, code: str
) -> None:
    """Before anything of it goes upstream."""
    plane = start(Script(), max_header_bytes=1500)
    with speaking(plane) as client:
        answered = client.ask((*CALL, *fields), MESSAGE)
    assert (
        answered.status,
        answered.fields["grpc-status"],
        answered.fields["x-sidelog-error"],
    ) == (200, status, code)
    assert (error(plane.exchange())) == code


def test_a_call_without_a_route_is_unimplemented(start: Start) -> None:
    """As one of a method that the service does not have."""
    plane = start(Script(), route={"path": "/other"})
    with speaking(plane) as client:
        assert client.ask(CALL, MESSAGE).fields["grpc-status"] == "12"
    assert (plane.exchange().status) == 200


def test_a_call_may_be_silent_on_either_side(start: Start) -> None:
    """No limit of other exchanges is one of calls: first byte, time between reads of either body."""
    limits: dict[str, Any] = {
        f"timeout_{name}_s": 0.1 for name in ("first_byte", "body_idle", "upstream_idle")
    }
    upstream = Http2Upstream(_answer)

    plane = start(upstream, **limits)
    with speaking(plane) as client:
        stream = client.begin(CALL, MESSAGE, is_end=False)
        eventually(lambda: upstream.requests)
        time.sleep(0.7)
        client.h2.end_stream(stream)
        client.flush()
        assert client.answer(stream).trailers == {"grpc-status": "0"}


def test_all_else_has_its_limits_over_http2_too(start: Start) -> None:
    """A response that does not begin in time is a 504, and its stream is cancelled."""
    upstream = Http2Upstream(lambda connection, request: None)
    plane = start(upstream, route=HTTP2, timeout_first_byte_s=0.1)
    with speaking(plane) as client:
        assert client.ask().status == 504
    eventually(lambda: upstream.requests[0].reset == ErrorCode.CANCEL)


@pytest.mark.parametrize("has_begun", [False, True])
def test_a_call_that_is_waited_for_no_more_is_ended(start: Start, has_begun: bool) -> None:
    """Five seconds behind its deadline both sides are cancelled, whatever was answered."""

    def answer(connection: Connection, request: Request) -> None:
        if has_begun and request.is_ended:
            connection.respond(request, MESSAGE, GRPC, is_end=False)

    upstream = Http2Upstream(answer)
    plane = start(upstream)
    with speaking(plane) as client:
        stream = client.begin((*CALL, ("grpc-timeout", "30S")), MESSAGE)
        eventually(lambda: upstream.requests and upstream.requests[0].is_ended)
        while has_begun and not client.streams[stream].body:
            assert client.read()
        plane.run(lambda: _expire(next(iter(plane.engine.connections))))
        answered = client.answer(stream)
        if has_begun:
            assert answered.reset == ErrorCode.INTERNAL_ERROR
        else:
            assert answered.fields["grpc-status"] == "4", (
                "DEADLINE_EXCEEDED, as the client itself has it"
            )

        eventually(lambda: upstream.requests[0].reset == ErrorCode.CANCEL)

    exchange = plane.exchange()
    assert error(exchange) == "upstream_timeout"
    assert b"grpc-timeout" in exchange.notes[NOTE_MESSAGE]


def _expire(connection: object) -> None:
    for relay in connection._relays.values():  # type: ignore[attr-defined]
        assert relay.expires_ns - time.monotonic_ns() > 30_000_000_000
        relay.expires_ns = 1


# TLS.


def _secured(
    upstream: Http2Upstream, certificate: tuple[str, str], *protocols: str, ciphers: str = ""
) -> Callable[..., None]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if ciphers:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(ciphers)
    context.load_cert_chain(*certificate)
    if protocols:
        context.set_alpn_protocols(list(protocols))

    def handle(accepted: socket.socket, number: int) -> None:
        with (
            contextlib.suppress(ssl.SSLError),
            context.wrap_socket(accepted, server_side=True) as secured,
        ):
            upstream(secured, number)

    return handle


def test_a_call_goes_over_tls_where_the_upstream_agrees(
    start: Start, certificate: tuple[str, str]
) -> None:
    """By ALPN, as gRPC servers have it."""
    upstream = Http2Upstream(_answer)
    with scripted(_secured(upstream, certificate, "h2", "http/1.1")) as url:
        plane = start(url.replace("http:", "https:"), route={"tls_verify": False})
        with speaking(plane) as client:
            assert client.ask(CALL, MESSAGE).body == MESSAGE
        assert upstream.requests[0].fields[":scheme"] == "https"
        plane.stop()


@pytest.mark.parametrize("has_strong", [True, False])
def test_no_cipher_is_offered_that_is_unfit_for_http2(
    start: Start, certificate: tuple[str, str], *, has_strong: bool
) -> None:
    """An upstream that prefers such a one takes another, where it has one (F16)."""
    upstream = Http2Upstream(_answer)
    ciphers = "ECDHE-ECDSA-AES128-SHA256" + ":ECDHE-ECDSA-AES128-GCM-SHA256" * has_strong
    with scripted(_secured(upstream, certificate, "h2", ciphers=ciphers)) as url:
        plane = start(url.replace("http:", "https:"), route={"tls_verify": False})
        with speaking(plane) as client:
            answered = client.ask(CALL, MESSAGE)
        plane.stop()

    assert answered.body == (MESSAGE if has_strong else b"")
    assert answered.fields.get("x-sidelog-error") == (None if has_strong else "upstream_refused")


@pytest.mark.parametrize("protocols", [(), ("http/1.1",)])
def test_an_upstream_that_does_not_agree_speaks_no_http2(
    start: Start, certificate: tuple[str, str], protocols: tuple[str, ...]
) -> None:
    """Whether it has no ALPN or another protocol only."""
    upstream = Http2Upstream(_answer)
    with scripted(_secured(upstream, certificate, *protocols)) as url:
        plane = start(url.replace("http:", "https:"), route={"tls_verify": False})
        with speaking(plane) as client:
            assert client.ask(CALL, MESSAGE).fields["x-sidelog-error"] == "grpc_needs_http2"
        plane.stop()

    assert not upstream.requests


# Drain.


def test_calls_that_run_are_finished_at_a_stop(start: Start) -> None:
    """Their client reads that no others are taken, and both connections end behind them."""
    go = threading.Event()

    def answer(connection: Connection, request: Request) -> None:
        if request.is_ended:
            go.wait(60)
            _answer(connection, request)

    plane = start(Http2Upstream(answer), drain_timeout_s=30)
    with speaking(plane) as client:
        stream = client.begin(CALL, MESSAGE)
        eventually(lambda: plane.counters().connections_upstream)
        plane.stop()
        while client.goaway is None:
            assert client.read()
        go.set()
        assert client.answer(stream).trailers == {"grpc-status": "0"}
        while client.read():
            pass

    assert outcome(plane.exchange()) == Outcome.OK


@pytest.mark.parametrize("has_begun", [False, True])
def test_a_call_that_a_stop_cuts_off_is_unavailable(start: Start, has_begun: bool) -> None:
    """Its client reads the status of gRPC, and the end of the connection behind it; the record has
    the same.
    """

    def answer(connection: Connection, request: Request) -> None:
        if has_begun and not request.is_answered:
            connection.respond(request, MESSAGE, GRPC, is_end=False)

    upstream = Http2Upstream(answer)
    plane = start(upstream, drain_timeout_s=0.2)
    with speaking(plane) as client:
        stream = client.begin(CALL, MESSAGE, is_end=False)
        eventually(lambda: upstream.requests)
        while has_begun and not client.streams[stream].body:
            assert client.read()
        plane.stop()
        ended = client.answer(stream)
        client.hear_out()

    lines = ended.trailers if has_begun else ended.fields
    reason = "cut off at the stop (0.2 s, drain_timeout_s)"
    assert (lines["grpc-status"], lines["grpc-message"]) == ("14", reason)
    assert (ended.status, ended.body, ended.is_ended) == (200, MESSAGE if has_begun else b"", True)
    assert client.goaway == (ErrorCode.NO_ERROR, "")
    exchange = plane.exchange()
    assert (exchange.status, outcome(exchange)) == (200, Outcome.SHUTDOWN)
    told = exchange.notes[NOTES_RESPONSE_TRAILERS[0]] if has_begun else exchange.response_head
    assert b"grpc-status: 14\r\n" in told
