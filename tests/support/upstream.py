"""Upstreams for tests: a small service in a thread of its own, and a socket that answers whatever
it is told to.
"""

import asyncio
import base64
import contextlib
import hashlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

from aiohttp import web


async def _echo(request: web.Request) -> web.Response:
    body = await request.read()
    return web.json_response(
        {
            "method": request.method,
            "path": request.raw_path,
            "headers": [[name, value] for name, value in request.headers.items()],
            "sha256": hashlib.sha256(body).hexdigest(),
            "bytes": len(body),
            "body": body[:2000].decode("latin-1"),
        }
    )


async def _sized(request: web.Request) -> web.StreamResponse:
    size = int(request.match_info["bytes"])
    response = web.StreamResponse()
    if "chunked" not in request.query:
        response.content_length = size
    await response.prepare(request)
    block = bytes(range(256)) * 256
    while size > 0:
        await response.write(block[:size])
        size -= len(block)
    await response.write_eof()
    return response


async def _events(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for number in range(int(request.query.get("n", "5"))):
        await response.write(f"data: {number}\n\n".encode())
        await asyncio.sleep(float(request.query.get("pause", "0.01")))
    return response


async def _slow(request: web.Request) -> web.Response:
    await asyncio.sleep(float(request.query.get("s", "1")))
    return web.Response(text="slow")


async def _status(request: web.Request) -> web.Response:
    return web.Response(status=int(request.match_info["status"]))


def service() -> web.Application:
    """An ordinary service: echo, fixed bodies, streams, errors."""
    app = web.Application(client_max_size=1 << 31)
    app.router.add_get("/bytes/{bytes}", _sized)
    app.router.add_get("/events", _events)
    app.router.add_get("/slow", _slow)
    app.router.add_route("*", "/status/{status}", _status)
    app.router.add_route("*", "/{tail:.*}", _echo)
    return app


@contextlib.contextmanager
def running(app: web.Application, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve an application from a thread; gives its URL."""
    served = asyncio.Runner(loop_factory=asyncio.new_event_loop)
    started = threading.Event()
    stop = asyncio.Event()
    port = 0

    async def serve() -> None:
        nonlocal port
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=2048, ssl_context=tls)
        await site.start()
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        started.set()
        await stop.wait()
        await runner.cleanup()

    def run() -> None:
        with served:  # its end cancels handlers that outlast the shutdown
            served.run(serve())

    thread = threading.Thread(target=run, name="upstream")
    thread.start()
    assert started.wait(60)

    try:
        yield f"http{'s' * (tls is not None)}://127.0.0.1:{port}"
    finally:
        served.get_loop().call_soon_threadsafe(stop.set)
        thread.join(60)


@contextlib.contextmanager
def scripted(handle: Callable[[socket.socket, int], None]) -> Iterator[str]:
    """Serve raw sockets: `handle(connection, number)` runs in a thread per connection. Gives the
    URL.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.02)
    threads: list[threading.Thread] = []
    is_stopping = threading.Event()

    def serve(connection: socket.socket, number: int) -> None:
        with connection:
            try:
                handle(connection, number)
            except OSError:
                pass  # the proxy closed first, as it may

    def accept() -> None:
        number = 0
        while not is_stopping.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue

            connection.settimeout(60)
            threads.append(threading.Thread(target=serve, args=(connection, number)))
            threads[-1].start()
            number += 1

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        is_stopping.set()
        acceptor.join()
        for thread in threads:
            thread.join(60)
        listener.close()


def read_head(connection: socket.socket) -> bytes:
    """Read up to and including the empty line of a head; what follows stays unread."""
    return read_through(connection, b"\r\n\r\n")


def switching(head: bytes) -> bytes:
    """Write the 101 that agrees to a WebSocket, with the answer to the key of its request (RFC 6455
    §4.2.2).
    """
    lines = (line.partition(b":") for line in head.split(b"\r\n"))
    key = next(value.strip() for name, _, value in lines if name.lower() == b"sec-websocket-key")
    accept = base64.b64encode(
        hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest()
    )
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
    )


def read_through(connection: socket.socket, end: bytes) -> bytes:
    """Read up to and including `end`, or all there is; what follows stays unread."""
    found = b""
    # Nothing can be looked at before it is read where it is decrypted.
    flags, most = (0, 1) if isinstance(connection, ssl.SSLSocket) else (socket.MSG_PEEK, 1 << 16)
    while not found.endswith(end):
        ahead = connection.recv(most, flags)
        if not ahead:
            break

        if flags:
            overlap = len(end) - 1
            place = (found[-overlap:] + ahead).find(end)
            taken = len(ahead) if place < 0 else place + len(end) - len(found[-overlap:])
            ahead = connection.recv(taken)

        found += ahead

    return found
