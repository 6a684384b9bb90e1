"""What nghttpd serves in `test_http2`, as an ASGI application: `hypercorn echo_app:app`."""

from collections.abc import Awaitable, Callable
from typing import Any

LARGE = bytes(range(256)) * 32768
FILES = {"/h2/small": b"small", "/h2/large": LARGE}


async def app(
    scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    """Answer a request: a file, an upload sent back, or a stream without end."""
    if scope["type"] != "http":
        return

    async def answer(status: int, body: bytes, *, is_last: bool = True) -> None:
        fields = [(b"content-length", b"%d" % len(body))] if is_last else []
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": body, "more_body": not is_last})

    path = scope["path"]
    if path == "/h2/endless":
        await answer(200, LARGE, is_last=False)
        while True:
            await send({"type": "http.response.body", "body": LARGE, "more_body": True})

    if scope["method"] == "POST":
        body = b""
        has_more = True
        while has_more:
            message = await receive()
            body += message.get("body", b"")
            has_more = message.get("more_body", False)

        await answer(200, body)
    else:
        found = FILES.get(path)
        await answer(
            404 if found is None else 200,
            b"" if scope["method"] == "HEAD" else found or b"nothing here",
        )
