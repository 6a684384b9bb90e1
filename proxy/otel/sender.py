"""Requests to the receiver by aiohttp: the only network access of this package.

Redirects are not followed, cookies are not kept, responses are read up to `MAX_ANSWER_BYTES`, and
no request uses a proxy of the environment. Bodies are compressed in a thread. A receiver may repeat
refused credentials in its response, which is logged and shown, so the values of our headers are
redacted in it.
"""

import asyncio
import gzip
import re
import ssl
from collections.abc import Iterable
from typing import Final

import aiohttp

from proxy.network.answers import why_unanswered
from proxy.otel.answers import Answer, Later
from proxy.otel.requests import PATHS, Signal
from proxy.process.tls import upstream_context
from proxy.process.version import VERSION
from proxy.settings.model import OtelSettings

TIMEOUT_S: Final = 10.0
"""Limit for a request and its response: the default of OTEL_EXPORTER_OTLP_TIMEOUT."""
MAX_ANSWER_BYTES: Final = 64 * 1024
_LEVEL: Final = 1
"""Level of gzip: attributes repeat so much that higher levels save little (docs/opentelemetry.md).
"""

_MIN_SECRET_CHARACTERS: Final = 8
"""Shortest secret. Shorter words of a header's value are names such as `Bearer`, or occur in any
text.
"""


class Sender:
    """Sends requests, one at a time for each signal.

    Connections are opened on demand; `close` ends them.
    """

    def __init__(self, settings: OtelSettings, *, timeout_s: float = TIMEOUT_S) -> None:
        self._endpoint = settings.endpoint.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._headers = {
            "user-agent": f"sidelog/{VERSION}",
            **{name.lower(): value for name, value in settings.headers.items()},
            "content-type": "application/json",
        }
        self._is_compressed = settings.compression == "gzip"
        if self._is_compressed:
            self._headers["content-encoding"] = "gzip"
        self._secrets = _pattern_of(settings.headers.values())
        self._tls: ssl.SSLContext | bool = True
        if self._endpoint.startswith("https:"):
            self._tls = upstream_context(settings.ca_file, is_verified=True)
        self._client: aiohttp.ClientSession | None = None

    async def send(self, signal: Signal, body: bytes) -> Answer | Later:
        """Send one request to the collector of telemetry; return the response, or the reason for
        its absence.
        """
        if self._is_compressed:
            body = await asyncio.to_thread(gzip.compress, body, _LEVEL, mtime=0)
        if self._client is None:
            connector = aiohttp.TCPConnector(ssl=self._tls, limit=4)
            self._client = aiohttp.ClientSession(
                connector=connector,
                timeout=self._timeout,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )

        try:
            async with self._client.post(
                self._endpoint + PATHS[signal],
                data=body,
                headers=self._headers,
                allow_redirects=False,
            ) as response:
                return Answer(
                    response.status,
                    response.headers.get("retry-after", ""),
                    # aiohttp's own parser raises IndexError for some malformed values.
                    response.headers.get("content-type", "").partition(";")[0].strip().lower(),
                    self._redacted(await _read(response.content)),
                    self._redacted(response.headers.get("location", "").encode()).decode(),
                )
        except TimeoutError:
            return Later("timeout", f"no answer within {self._timeout.total:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return Later("unreachable", why_unanswered(error))

    def _redacted(self, said: bytes) -> bytes:
        return self._secrets.sub(b"[REDACTED]", said)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()


def _pattern_of(values: Iterable[str]) -> re.Pattern[bytes]:
    """Return a pattern of header values and of their longer words, also with slashes escaped as in
    JSON.
    """
    words = {word.encode() for value in values for word in (value, *value.split())}
    known = sorted(
        (word for word in words if len(word) >= _MIN_SECRET_CHARACTERS), key=len, reverse=True
    )
    return re.compile(
        b"|".join(re.escape(word).replace(b"/", rb"\\?/") for word in known) or rb"(?!)"
    )


async def _read(content: aiohttp.StreamReader) -> bytes:
    """Read the beginning of a response. The connection is closed with the rest unread."""
    read = bytearray()
    while len(read) < MAX_ANSWER_BYTES and (
        piece := await content.read(MAX_ANSWER_BYTES - len(read))
    ):
        read += piece
    return bytes(read)
