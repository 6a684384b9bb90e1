"""Sends requests again, by aiohttp: the one place of this room that knows a network.

No redirect is followed, no cookie is kept, nothing is added to what was recorded but the fields that HTTP needs, and
no request goes through a proxy of the environment. A name is resolved once for each connection, to allowed addresses.
"""

import socket
import ssl
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, NamedTuple, Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDict
from yarl import URL

from api.replay.request import Outgoing

TIMEOUT_S: Final = 60.0
"""For a request and its answer."""
MAX_ANSWER_BYTES: Final = 16 << 20
"""Read of an answer; the rest ends with the connection."""
_ADDED_BY_AIOHTTP: Final = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


class NoAnswer(Exception):
    """There is none; the message says why."""


class Answer(NamedTuple):
    """What came back, as it was sent."""

    status: int
    head: bytes
    """Status line and fields, without the final empty line."""
    body: bytes
    is_whole: bool
    started_at_us: int
    duration_us: int


class JudgedResolver(AbstractResolver):
    """Resolves names, and refuses those with an address that is not allowed."""

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
    ) -> None:
        """Send to this scheme, host, port and path; over a Unix socket, or through a proxy, if there is one."""
        parts = urlsplit(base_url)
        self._origin, self._path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
        self._tls, self._unix_path, self._proxy, self._is_allowed = tls, unix_path, proxy or None, is_allowed

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(self._unix_path) if self._unix_path else self._connector(),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_ADDED_BY_AIOHTTP,
            max_line_size=1 << 16,
            max_field_size=1 << 16,
        )
        return self

    def _connector(self) -> aiohttp.BaseConnector:
        resolver = JudgedResolver(self._is_allowed)
        return aiohttp.TCPConnector(ssl=self._tls, resolver=resolver, use_dns_cache=False)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def send(self, request: Outgoing) -> Answer:
        """Send a request and read its answer.

        Raises:
            NoAnswer: there is none, or it is no HTTP.
        """
        assert not request.missing
        if not self._is_allowed(host := urlsplit(self._origin).hostname or ""):
            raise NoAnswer(f"nothing is sent to {host}")
        at_us, began_ns = time.time_ns() // 1000, time.monotonic_ns()
        try:
            async with self._client.request(
                request.method,
                URL(self._origin + self._path + request.target, encoded=True),
                headers=CIMultiDict(request.headers),
                data=request.body or None,
                allow_redirects=False,
                proxy=self._proxy,
            ) as response:
                head = _head_of(response)
                body, is_whole = await _read(response.content)
        except TimeoutError as error:
            raise NoAnswer(f"no answer within {TIMEOUT_S:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            cause = error.__cause__ or error  # of an address that is refused, aiohttp leaves out why
            raise NoAnswer(str(cause) or type(cause).__name__) from error
        return Answer(response.status, head, body, is_whole, at_us, (time.monotonic_ns() - began_ns) // 1000)


def _head_of(response: aiohttp.ClientResponse) -> bytes:
    line = f"HTTP/1.1 {response.status} {response.reason or ''}".encode("utf-8", "surrogateescape")
    return b"\r\n".join([line, *(b"%b: %b" % field for field in response.raw_headers)])


async def _read(content: aiohttp.StreamReader) -> tuple[bytes, bool]:
    """Read an answer, and say whether that is all of it."""
    read = bytearray()
    async for piece in content.iter_any():
        read += piece
        if len(read) > MAX_ANSWER_BYTES:
            return bytes(read[:MAX_ANSWER_BYTES]), False
    return bytes(read), True
