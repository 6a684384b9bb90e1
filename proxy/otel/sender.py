"""Requests to the receiver, by aiohttp: the one place of this room that knows a network.

No redirect is followed, no cookie is kept, no answer is read beyond `MAX_ANSWER_BYTES`, and no
request goes through a proxy of the environment. Bodies are compressed in a thread. Receivers may
answer with the credentials that they refuse, and what they say is logged and shown: values of our
headers are taken out of it.
"""

import asyncio
import gzip
import re
import ssl
from collections.abc import Iterable
from typing import Final

import aiohttp

from proxy.network.unanswered import why_unanswered
from proxy.otel.answers import Answer, Later
from proxy.otel.requests import PATHS, Signal
from proxy.process.tls import upstream_context
from proxy.process.version import VERSION
from proxy.settings.outgoing_model import OtelSettings

TIMEOUT_S: Final = 10.0
"""For a request and its answer: OTEL_EXPORTER_OTLP_TIMEOUT's default."""
MAX_ANSWER_BYTES: Final = 64 * 1024
_LEVEL: Final = 1
"""Of gzip: attributes repeat themselves so much that higher levels save little
(docs/opentelemetry.md).
"""

_MIN_SECRET_CHARACTERS: Final = 8
"""Shorter words of a header's value are names, such as `Bearer`, or found in any text."""


class Sender:
    """Sends requests, one at a time for each signal. Opens its connections when it needs them;
    `close` ends them.
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
        """Send one request, and return the answer, or why there is none."""
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
                    # aiohttp's own reading of it raises an IndexError over some that are malformed.
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
    """Return what finds values of headers, and the longer words in them, also where JSON escapes a
    slash.
    """
    words = {word.encode() for value in values for word in (value, *value.split())}
    known = sorted(
        (word for word in words if len(word) >= _MIN_SECRET_CHARACTERS), key=len, reverse=True
    )
    return re.compile(
        b"|".join(re.escape(word).replace(b"/", rb"\\?/") for word in known) or rb"(?!)"
    )


async def _read(content: aiohttp.StreamReader) -> bytes:
    """Read the beginning of an answer; what is beyond ends with the connection."""
    read = bytearray()
    while len(read) < MAX_ANSWER_BYTES and (
        piece := await content.read(MAX_ANSWER_BYTES - len(read))
    ):
        read += piece
    return bytes(read)
