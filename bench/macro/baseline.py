"""The aiohttp baseline: the shortest honest forwarder, a handler and a ClientSession on uvloop.

It streams both ways, keeps connections alive on both sides, drops hop-by-hop headers (RFC 9110, section 7.6.1), adds
X-Forwarded-For and records nothing. It shows what the same work costs without a data path of its own.
"""

import argparse
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Final

import uvloop
from aiohttp import ClientSession, TCPConnector, web
from multidict import CIMultiDict

HOP_BY_HOP: Final = frozenset(
    [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",  # codespell:ignore te
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
    ]
)


def end_to_end(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Return the headers that are passed on."""
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in HOP_BY_HOP)


def application(upstream: str) -> web.Application:
    """Return the forwarder to `upstream` (scheme and authority, no trailing slash)."""
    app = web.Application()
    session_key = web.AppKey("session", ClientSession)

    async def session_context(app: web.Application) -> AsyncIterator[None]:
        connector = TCPConnector(limit=512, force_close=False)
        async with ClientSession(connector=connector, auto_decompress=False) as session:
            app[session_key] = session
            yield

    async def forward(request: web.Request) -> web.StreamResponse:
        headers = end_to_end(request.headers)
        headers["X-Forwarded-For"] = request.remote or ""
        body = request.content if request.body_exists else None
        if body is not None and request.content_length is not None:
            headers["Content-Length"] = str(request.content_length)
        url = upstream + request.raw_path
        async with request.app[session_key].request(
            request.method, url, headers=headers, data=body, allow_redirects=False
        ) as answer:
            response = web.StreamResponse(status=answer.status, headers=end_to_end(answer.headers))
            response.content_length = answer.content_length
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response

    app.cleanup_ctx.append(session_context)
    app.router.add_route("*", "/{path:.*}", forward)
    return app


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--certificate", help="PEM file with key and certificate: clients speak TLS")
    options = parser.parse_args()
    tls = None
    if options.certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(options.certificate)
    web.run_app(
        application(options.upstream),
        host="127.0.0.1",
        port=options.port,
        ssl_context=tls,
        access_log=None,
        print=None,
        loop=uvloop.new_event_loop(),
    )


if __name__ == "__main__":
    main()
