"""Tunnels through a proxy: what is asked, and what no tunnel is."""

import asyncio
import socket

import pytest

from proxy.worker.upstream.connect_tunnel import MAX_HEAD_BYTES, open_tunnel


async def ask(answer: bytes, credentials: bytes = b"") -> tuple[bytes, bytes]:
    """Open a tunnel at a proxy that gives an answer; return what it was asked, and what is left to
    read.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendall(answer)
        theirs.shutdown(socket.SHUT_WR)
        await open_tunnel(ours, "app.example:443", credentials)
        left = await asyncio.get_running_loop().sock_recv(ours, 1000)
        return theirs.recv(1000), left


async def test_what_follows_the_answer_belongs_to_the_upstream() -> None:
    """It is not read; a server of HTTP/2 may speak first."""
    asked, left = await ask(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nhello")
    assert asked == b"CONNECT app.example:443 HTTP/1.1\r\nHost: app.example:443\r\n\r\n"
    assert left == b"hello"


async def test_credentials_are_shown() -> None:
    """As the setting has them."""
    asked, _ = await ask(b"HTTP/1.0 200 OK\r\n\r\n", b"Basic eDp5")
    assert asked.endswith(b"\r\nProxy-Authorization: Basic eDp5\r\n\r\n")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            b"HTTP/1.1 407 Authentication Required\r\n\r\n",
            "answered 'HTTP/1.1 407 Authentication Required' to CONNECT",
        ),
        (b"HTTP/1.1 503 \x1b[31m\r\n\r\n", "answered 'HTTP/1.1 503"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "answered 'SSH-2.0-OpenSSH'"),
        (b"HTTP/1.1 200 OK\r\n", "closed the connection"),
        (b"", "closed the connection"),
        (b"x" * (MAX_HEAD_BYTES + 10), "no answer of HTTP/1.1"),
    ],
    ids=["407", "503", "ssh", "cut", "empty", "long"],
)
async def test_what_is_no_tunnel_is_an_error_with_its_reason(answer: bytes, reason: str) -> None:
    """The message names the setting that led there, and holds no control characters."""
    with pytest.raises(OSError, match=reason) as caught:
        await ask(answer)
    assert str(caught.value).isprintable()
