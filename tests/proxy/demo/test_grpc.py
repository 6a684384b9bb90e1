"""The gRPC service of the demo: what it answers, and that another implementation of HTTP/2 understands it."""

import asyncio
import socket

from aiohttp import ClientSession

from proxy.demo import grpc
from proxy.demo.upstream import serving
from tests.support.cases import each_of
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


@each_of(
    ("method", "message", "count", "status"),
    [
        ("Get", {"sku": "A-1001"}, 1, grpc.OK),
        ("Get", {"sku": "A-9"}, 0, grpc.NOT_FOUND),
        ("Reserve", {"sku": "A-1002", "units": 3}, 1, grpc.OK),
        ("Reserve", {"sku": "A-1002", "units": 4}, 0, grpc.FAILED_PRECONDITION),
        ("Watch", {"sku": "A-1001"}, 8, grpc.OK),
        ("Watch", {"sku": grpc.LOST}, 3, grpc.UNAVAILABLE),
        ("Sell", {"sku": "A-1001"}, 0, grpc.UNIMPLEMENTED),
        ("Get", ["A-1001"], 0, grpc.INVALID_ARGUMENT),
    ],
)
def test_a_call_is_answered_by_its_message(method: str, message: object, count: int, status: int) -> None:
    """With so many messages, and a status that says why there are no more."""
    messages, code, text = grpc.respond(grpc.SERVICE + method, grpc.framed(message))
    assert (len(messages), code, bool(text)) == (count, status, status != grpc.OK)


async def test_http_1_and_grpc_share_a_port() -> None:
    """A stream has its messages and ends with trailers; a call that fails at once has its status in the head."""
    loop = asyncio.get_running_loop()
    async with serving(pace_s=0) as port:
        watched = await loop.run_in_executor(None, ask, port, "Watch", grpc.framed({"sku": grpc.LOST}))
        assert watched.body.count(b'"units"') == 3
        assert watched.trailers == {"grpc-status": "14", "grpc-message": "the warehouse was lost"}
        refused = await loop.run_in_executor(None, ask, port, "Get", b"no message")
        assert (refused.status, refused.fields["grpc-status"], refused.body) == (200, "3", b"")
        async with ClientSession() as session, session.get(f"http://127.0.0.1:{port}/api/users/1") as answer:
            assert answer.status == 200


async def test_a_service_that_is_gone_gives_no_status() -> None:
    """A call whose connection is lost ends without one."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert await grpc.call(url, grpc.SERVICE + "Get", {}, {}) == 0
