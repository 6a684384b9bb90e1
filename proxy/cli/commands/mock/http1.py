"""Answers HTTP/1.1 requests, with aiohttp.

aiohttp writes heads as UTF-8. Fields with other octets (Latin-1) are inserted afterwards. aiohttp
does not write trailers, so they are added after the last chunk (RFC 9112 §7.1.2).
"""

import asyncio
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.http_writer import StreamWriter

from api.native.projection import octets_of
from proxy.cli.commands.mock.reply import BODILESS, Reply
from proxy.cli.commands.mock.service import Service

_OCTETS: Final = "surrogateescape"
_ADDED_BY_AIOHTTP: Final = frozenset(("content-type", "date", "server"))


class _Response(web.StreamResponse):
    """A response whose head may have octets that are not UTF-8."""

    exact: bytes = b""
    """Lines of those fields."""
    _send_headers_immediately = False

    async def _prepare_headers(self) -> None:
        """Remove fields that aiohttp adds or guesses and that the recorded answer lacks."""
        own = {name.lower() for name in self.headers}
        await super()._prepare_headers()
        for name in _ADDED_BY_AIOHTTP - own:
            self.headers.pop(name, None)

    async def _write_headers(self) -> None:
        await super()._write_headers()
        writer = self._payload_writer
        assert isinstance(writer, StreamWriter)
        if self.exact and writer._headers_buf is not None:
            writer._headers_buf = writer._headers_buf[:-2] + self.exact + b"\r\n"
        writer.send_headers()

    async def end(self, trailers: Sequence[tuple[str, str]]) -> None:
        """End the body, followed by trailers if it is chunked."""
        writer = self._payload_writer
        if trailers and isinstance(writer, StreamWriter):
            writer.chunked = False
            lines = "".join(f"{name}: {value}\r\n" for name, value in trailers)
            await writer.write(b"0\r\n" + octets_of(lines) + b"\r\n")
        await self.write_eof()


class Http1:
    """Answers requests that aiohttp has read."""

    def __init__(self, service: Service) -> None:
        self._service = service

    @web.middleware
    async def middleware(self, request: web.Request, handler: object) -> web.StreamResponse:
        """Answer every target, including `*` and URLs, for which aiohttp has no route."""
        return await self.answer(request)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Find the recorded answer to a request, and send it at the recorded pace."""
        host, target = _target_of(request)
        lines = b"".join(b"%b: %b\r\n" % field for field in request.raw_headers)
        head = f"{request.method} {target} HTTP/1.1\r\n".encode("utf-8", _OCTETS) + lines
        reply = self._service.answer(request.method, target, host, head, await request.read())
        has_body = request.method != "HEAD" and reply.status not in BODILESS
        if not (has_body and _takes_trailers(request)):
            reply = reply._replace(trailers=())

        response = _response_of(request, reply)
        await response.prepare(request)
        if has_body:
            await _send(response, reply)
        await response.end(reply.trailers)
        return response


def _takes_trailers(request: web.Request) -> bool:
    """Return True if the client of a request reads trailers (RFC 9110 §6.5.1)."""
    listed = ",".join(request.headers.getall("TE", ())).lower().split(",")
    return request.version >= (1, 1) and "trailers" in map(str.strip, listed)


def _target_of(request: web.Request) -> tuple[str, str]:
    """Return host and target; a target in absolute form wins over the field (RFC 9112 §3.2.2)."""
    if not request.raw_path.lower().startswith(("http://", "https://")):
        return request.headers.get("Host", ""), request.raw_path
    parts = urlsplit(request.raw_path)
    return parts.netloc, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _response_of(request: web.Request, reply: Reply) -> _Response:
    response = _Response(status=reply.status, reason=reply.reason or None)
    exact = []
    for name, value in reply.fields:
        try:
            value.encode()
        except UnicodeEncodeError:
            exact.append(octets_of(f"{name}: {value}\r\n"))
        else:
            response.headers.add(name, value)

    response.exact = b"".join(exact)
    if reply.status in BODILESS:
        return response

    if reply.trailers:
        response.headers["Trailer"] = ", ".join(dict.fromkeys(name for name, _ in reply.trailers))
        response.enable_chunked_encoding()
    elif reply.length is not None or not reply.timeline:
        if reply.length is None:
            response.content_length = len(reply.content)
        else:
            response.content_length = reply.length
    elif request.version >= (1, 1):
        response.enable_chunked_encoding()

    return response


async def _send(response: web.StreamResponse, reply: Reply) -> None:
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    for piece, after_us in reply.pieces():
        await asyncio.sleep(began_s + after_us / 1e6 - loop.time())
        await response.write(piece)
