"""The gRPC service of the demo: what it answers, and that another implementation of HTTP/2
understands it.
"""

import asyncio
import socket

from aiohttp import ClientSession

from proxy.demo import grpc
from proxy.demo.upstream import serving
from tests.support.http2_client import POST, Http2Client, Stream


def ask(port: int, method: str, body: bytes) -> Stream:
    """Make one call."""
    fields = [
        *POST[:3],
        (":path", grpc.SERVICE + method),
        ("content-type", "application/grpc+json"),
        ("te", "trailers"),
    ]
    with Http2Client(socket.create_connection(("127.0.0.1", port), 60)) as client:
        return client.ask(fields, body)


async def test_http_1_and_grpc_share_a_port() -> None:
    """A stream has its messages and ends with trailers; a call that fails at once has its status in
    the head.
    """
    loop = asyncio.get_running_loop()
    async with serving(pace_s=0) as port:
        watched = await loop.run_in_executor(
            None, ask, port, "Watch", grpc.framed({"sku": "A-1003"})
        )
        assert watched.body.count(b'"units"') == 3
        assert watched.trailers == {"grpc-status": "14", "grpc-message": "the warehouse was lost"}
        refused = await loop.run_in_executor(None, ask, port, "Get", b"no message")
        assert (refused.status, refused.fields["grpc-status"], refused.body) == (200, "12", b"")

        async with (
            ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}/api/users/1") as answer,
        ):
            assert answer.status == 200


async def test_a_service_that_is_gone_gives_no_status() -> None:
    """A call whose connection is lost ends without one."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert await grpc.call(url, grpc.SERVICE + "Get", {}, {}) == 0
