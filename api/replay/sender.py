"""Send requests again by aiohttp: the only network access of this package.

Redirects are not followed, cookies are not kept, only fields that HTTP requires are added, and no
request uses a proxy of the environment. A name is resolved once for each connection, to allowed
addresses only.
"""

import asyncio
import os
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDict
from yarl import URL

from api.replay.request import Outgoing

TIMEOUT_S: Final = 60.0
"""Default limit for a request and its response."""
MAX_ANSWER_BYTES: Final = 16 << 20
"""Limit of a response. The connection is closed with the rest unread."""
_ESCAPES: Final = 0xDC00
_OCTET: Final = re.compile(r"[\udc80-\udcff]")
_MARKS: Final = 0x10FF00
"""Offset from a byte to its mark, one of the last private-use characters, which do not occur in
text.
"""
_NOTHING: Final = chr(_MARKS)
"""Mark of no byte. It keeps aiohttp from dropping an empty query."""
_MARK: Final = re.compile(r"[\U0010ff00\U0010ff80-\U0010ffff]")
_WRITTEN_MARK: Final = re.compile(rb"\xf4\x8f(?:\xbc\x80|[\xbe\xbf][\x80-\xbf])")
_ADDED_BY_AIOHTTP: Final = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


class NoAnswer(Exception):
    """No response arrived. The message gives the reason."""


class Unreached(NoAnswer):
    """Nothing listens at the address."""


class Answer(NamedTuple):
    """The response, as it was sent."""

    status: int
    head: bytes
    """Status line and fields, without the final empty line."""
    body: bytes
    is_whole: bool
    started_at_us: int
    duration_us: int


class JudgedResolver(AbstractResolver):
    """Resolves names, and refuses a name with an address that is not allowed."""

    def __init__(self, is_allowed: Callable[[str], bool]) -> None:
        self._inner = aiohttp.ThreadedResolver()
        self._is_allowed = is_allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if refused := [each["host"] for each in found if not self._is_allowed(each["host"])]:
            raise OSError(f"{host} is at {refused[0]}, where nothing is sent")
        return found

    async def close(self) -> None:
        await self._inner.close()


class _Head:
    """Replaces a transport until the head of a request is written, and restores its original bytes.

    aiohttp writes all text as UTF-8 and drops surrogates, so bytes that are not UTF-8 arrive as
    marks.
    """

    def __init__(self, protocol: asyncio.BaseProtocol, transport: asyncio.Transport) -> None:
        self._protocol: Any = protocol
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        self._protocol.transport = self._transport
        head, end, rest = data.partition(b"\r\n\r\n")
        head = _WRITTEN_MARK.sub(_octet_of, head)
        self._transport.write(head + end + rest)

    def writelines(self, pieces: Iterable[bytes]) -> None:
        self.write(b"".join(pieces))


class _Request(aiohttp.ClientRequest):
    """A request with a head that may have bytes other than UTF-8."""

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        has_marks = any(map(_MARK.search, (str(self.url), *self.headers.values())))
        if has_marks and conn.transport is not None:
            conn.protocol.transport = _Head(conn.protocol, conn.transport)
        return await super().send(conn)


def _octet_of(mark: re.Match[bytes]) -> bytes:
    text = mark[0].decode()
    if text == _NOTHING:
        return b""
    return bytes((ord(text) - _MARKS,))


def _spelled(headers: Iterable[tuple[str, str]]) -> "CIMultiDict[str]":
    """Return fields for aiohttp, which would otherwise merge names that differ only in case."""
    spellings: dict[str, str] = {}
    return CIMultiDict(
        [(spellings.setdefault(name.lower(), name), _marked(value)) for name, value in headers]
    )


def _marked(text: str) -> str:
    """Replace each raw byte in an `exact_text` by a private-use character, so that aiohttp can
    encode the text.
    """
    return _OCTET.sub(lambda octet: chr(ord(octet[0]) - _ESCAPES + _MARKS), text)


class Sender:
    """Sends to one base URL. Owns its connections; `async with` closes them."""

    def __init__(
        self,
        base_url: str,
        tls: ssl.SSLContext | bool = True,
        *,
        unix_path: str = "",
        proxy: str = "",
        is_allowed: Callable[[str], bool] = lambda address: True,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Send to this scheme, host, port and path, optionally over a Unix socket or through a
        proxy.
        """
        parts = urlsplit(base_url)
        self._origin, self._path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
        self._timeout_s = timeout_s
        self._tls = tls
        self._unix_path = unix_path
        self._proxy = proxy or None
        self._is_allowed = is_allowed

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(self._unix_path)
            if self._unix_path
            else self._connector(),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_ADDED_BY_AIOHTTP,
            request_class=_Request,
            max_line_size=1 << 16,
            max_field_size=1 << 16,
        )
        return self

    def _connector(self) -> aiohttp.BaseConnector:
        resolver = JudgedResolver(self._is_allowed)
        return aiohttp.TCPConnector(ssl=self._tls, resolver=resolver, use_dns_cache=False)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.close()

    async def send(self, request: Outgoing) -> Answer:
        """Send a request and read its response.

        Raises:
            Unreached: nothing listens at the address.
            NoAnswer: no response arrived for another reason, or it is not HTTP.
        """
        assert not request.missing
        if not self._is_allowed(host := urlsplit(self._origin).hostname or ""):
            raise NoAnswer(f"nothing is sent to {host}")

        target = _marked(request.target)
        if target.endswith("?"):
            target += _NOTHING
        at_us = time.time_ns() // 1000
        began_ns = time.monotonic_ns()
        try:
            async with self._client.request(
                request.method,
                URL(self._origin + self._path + target, encoded=True),
                headers=_spelled(request.headers),
                data=request.body or None,
                allow_redirects=False,
                proxy=self._proxy,
            ) as response:
                head = _head_of(response)
                body, is_whole = await _read(response.content)
        except TimeoutError as error:
            raise NoAnswer(f"no answer within {self._timeout_s:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # aiohttp leaves out the reason for a refused address.
            cause = error.__cause__ or error
            if isinstance(cause, ConnectionRefusedError | FileNotFoundError) and cause.errno:
                raise Unreached(os.strerror(cause.errno)) from error
            raise NoAnswer(str(cause) or type(cause).__name__) from error

        return Answer(
            response.status, head, body, is_whole, at_us, (time.monotonic_ns() - began_ns) // 1000
        )


def _head_of(response: aiohttp.ClientResponse) -> bytes:
    line = f"HTTP/1.1 {response.status} {response.reason or ''}".encode("utf-8", "surrogateescape")
    return b"\r\n".join([line, *(b"%b: %b" % field for field in response.raw_headers)])


async def _read(content: aiohttp.StreamReader) -> tuple[bytes, bool]:
    """Read a response; return False as the second value if it was cut."""
    read = bytearray()
    async for piece in content.iter_any():
        read += piece
        if len(read) > MAX_ANSWER_BYTES:
            return bytes(read[:MAX_ANSWER_BYTES]), False
    return bytes(read), True
