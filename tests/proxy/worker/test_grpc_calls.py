"""Calls of gRPC to upstreams over TLS: what has to be agreed on before them."""

import contextlib
import socket
import ssl
from collections.abc import Callable

import pytest

from tests.proxy.conftest import Start
from tests.proxy.worker.upstream.http2_calls import CALL, GRPC, MESSAGE, STATUS, speaking
from tests.support.http2_upstream import Connection, Http2Upstream, Request
from tests.support.upstream import scripted


def _answer(connection: Connection, request: Request) -> None:
    if request.is_ended:
        connection.respond(request, request.body, GRPC, STATUS)


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
