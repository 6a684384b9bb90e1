"""The aiohttp forwarder that the tables compare with must be a true one."""

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bench.macro.baseline import application


async def test_requests_and_answers_pass_through_unchanged() -> None:
    """Method, path, query, headers, body and status arrive as sent, hop-by-hop headers do not."""
    seen: list[tuple[str, str, bytes, str, bool]] = []

    async def answer(request: web.Request) -> web.Response:
        body = await request.read()
        seen.append(
            (request.method, request.raw_path, body, request.headers["X-Forwarded-For"], "Upgrade" in request.headers)
        )
        return web.Response(status=418, body=b"pong", headers={"X-Answer": "1"})

    upstream_app = web.Application()
    upstream_app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(upstream_app) as upstream:
        forwarder = application(str(upstream.make_url("")).rstrip("/"))
        async with TestClient(TestServer(forwarder)) as client:
            got = await client.post("/a%20b?c=d", data=b"ping", headers={"Upgrade": "h2c"})
            assert (got.status, got.headers["X-Answer"], await got.read()) == (418, "1", b"pong")
    assert seen == [("POST", "/a%20b?c=d", b"ping", "127.0.0.1", False)]
