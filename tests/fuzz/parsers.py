"""Parsers of other people as judges: httptools, aiohttp's C and Python parsers, strict (`lax=False`)."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import httptools
from aiohttp import http_exceptions
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import (
    HttpRequestParserC,
    HttpRequestParserPy,
    HttpResponseParserC,
    HttpResponseParserPy,
)

Identity = tuple[bytes, bytes, bytes]
"""Method, target, body."""


class Judge:
    """Holds the loop that aiohttp's parsers want; closed by `close`."""

    def __init__(self) -> None:
        """Make the loop; it never runs."""
        self._loop = asyncio.new_event_loop()
        self.readers: Final[dict[str, Callable[[bytes], list[Identity]]]] = {
            "httptools": requests_by_httptools,
            "aiohttp C": lambda data: self._requests(HttpRequestParserC, data),
            "aiohttp Python": lambda data: self._requests(HttpRequestParserPy, data),
        }
        """Reader of a connection's requests, each by name; an objection is an exception."""

    def close(self) -> None:
        """Close the loop."""
        self._loop.close()

    def _requests(self, parser: Any, data: bytes) -> list[Identity]:
        found: list[Identity] = []
        while data:
            reader = parser(BaseProtocol(self._loop), self._loop, 2**16)
            messages, is_upgraded, data = reader.feed_data(data)
            found += [(m.method.encode(), m.path.encode(), _body(payload)) for m, payload in messages]
            if not is_upgraded:
                break
        return found

    def responses(self, data: bytes, method: bytes) -> dict[str, tuple[int, bytes]]:
        """Read one final response, whose interims are cut off, with each parser: status and body."""
        found = {"httptools": _response_by_httptools(data, method)}
        kinds: dict[str, Any] = {"aiohttp C": HttpResponseParserC, "aiohttp Python": HttpResponseParserPy}
        for name, kind in kinds.items():
            parser = kind(
                BaseProtocol(self._loop),
                self._loop,
                2**16,
                response_with_body=method != b"HEAD",
                read_until_eof=True,
                max_line_size=2**16,
                max_field_size=2**16,
                auto_decompress=False,
            )
            try:
                messages, _, _ = parser.feed_data(data)
                parser.feed_eof()
            except http_exceptions.HttpProcessingError as error:
                raise ValueError(f"{name}: {error!r}") from error
            ((message, payload),) = messages
            found[name] = (message.code, _body(payload))
        return found


def _body(payload: Any) -> bytes:
    if payload.exception() is not None:
        raise ValueError(f"{payload.exception()!r}")
    return b"".join(getattr(payload, "_buffer", ()))


class _Heard:
    def __init__(self, method: Callable[[], bytes]) -> None:
        self._method = method
        self.found: list[Identity] = []
        self._url = self._body = b""

    def on_message_begin(self) -> None:
        self._url = self._body = b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        self.found.append((self._method(), self._url, self._body))


def requests_by_httptools(data: bytes) -> list[Identity]:
    """Read a connection's requests; an upgrade is taken as refused, what follows is the next request.

    Raises:
        httptools.HttpParserError: it objects.
    """
    found: list[Identity] = []
    while data:
        heard = _Heard(lambda: parser.get_method())  # noqa: B023 - called only while this parser is fed
        parser = httptools.HttpRequestParser(heard)
        try:
            parser.feed_data(data)
            data = b""
        except httptools.HttpParserUpgrade as upgrade:
            data = data[upgrade.args[0] :]
        found += heard.found
    return found


def _response_by_httptools(data: bytes, method: bytes) -> tuple[int, bytes]:
    heard = _Heard(lambda: b"")
    parser = httptools.HttpResponseParser(heard)
    if method == b"HEAD":  # the parser cannot be told, so it is shown the head alone
        parser.feed_data(data)
        return parser.get_status_code(), b""
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        return parser.get_status_code(), b""
    body = heard.found[0][2] if heard.found else heard._body
    return parser.get_status_code(), body
