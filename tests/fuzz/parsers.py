"""Parsers of other people as judges: h11, httptools, aiohttp's C and Python parsers, strict
(`lax=False`).
"""

import asyncio
import re
from collections.abc import Callable
from typing import Any, Final

import h11
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

_MAX_HEAD_BYTES: Final = 1 << 17
"""More than is ever forwarded: what is too large is not for these judges to say."""


_METHODS: Final = frozenset(
    b"GET HEAD POST PUT DELETE PATCH OPTIONS PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK "
    b"SEARCH BIND REBIND UNBIND "
    b"ACL REPORT MKACTIVITY CHECKOUT MERGE NOTIFY SUBSCRIBE UNSUBSCRIBE PURGE MKCALENDAR LINK UNLINK QUERY".split()
)
"""What all of them know. A method that is none of these is shown to them as one that is."""
_NOT_ASCII: Final = re.compile(rb"[\x80-\xff]")
"""Shown to them as a letter: h11 knows no such bytes in a target."""


def shown(data: bytes, expected: list[Identity]) -> tuple[bytes, list[Identity]]:
    """Return whole requests with methods and targets that every parser knows; they frame nothing."""
    at = 0
    seen: list[Identity] = []
    for method, target, body in expected:
        line = b"%b %b HTTP/1." % (method, target)
        method = method if method in _METHODS else b"PURGE"
        target = _NOT_ASCII.sub(b"x", target)
        seen.append((method, target, body))
        found = data.find(line, at)
        if found < 0:
            break

        at = found + len(method) + len(target) + 9
        data = data[:found] + b"%b %b HTTP/1." % (method, target) + data[found + len(line) :]

    return data, seen + expected[len(seen) :]


class Judge:
    """Holds the loop that aiohttp's parsers want; closed by `close`."""

    def __init__(self) -> None:
        """Make the loop; it never runs."""
        self._loop = asyncio.new_event_loop()
        self.readers: Final[dict[str, Callable[[bytes], list[Identity]]]] = {
            "h11": requests_by_h11,
            "httptools": requests_by_httptools,
            "aiohttp C": lambda data: self._requests(HttpRequestParserC, data),
            "aiohttp Python": lambda data: self._requests(HttpRequestParserPy, data),
        }
        """Reader of a connection's requests, each by name; an objection is an exception."""

    def close(self) -> None:
        """Close the loop."""
        self._loop.close()

    def disagreement(self, data: bytes, expected: list[Identity]) -> str:
        """Let every parser read whole requests; say which one reads something else, or objects."""
        data, expected = shown(data, expected)
        for name, read in self.readers.items():
            try:
                found = read(data)
            except Exception as error:  # each parser has errors of its own
                return f"{name} objects to what was forwarded: {error!r}"
            if found != expected:
                return f"{name} reads {found}, forwarded {expected}"

        return ""

    def _requests(self, parser: Any, data: bytes) -> list[Identity]:
        found: list[Identity] = []
        while data:
            reader = parser(BaseProtocol(self._loop), self._loop, 2**16, auto_decompress=False)
            messages, is_upgraded, data = reader.feed_data(data)
            found += [
                (m.method.encode(), m.path.encode(), _body(payload)) for m, payload in messages
            ]
            if not is_upgraded:
                break

        return found

    def responses(self, data: bytes, method: bytes) -> dict[str, tuple[int, bytes]]:
        """Read one final response, whose interims are cut off, with each parser: status and body."""
        found = {
            "httptools": _response_by_httptools(data, method),
            "h11": _response_by_h11(data, method),
        }
        kinds: dict[str, Any] = {
            "aiohttp C": HttpResponseParserC,
            "aiohttp Python": HttpResponseParserPy,
        }
        for name, kind in kinds.items():
            parser = kind(
                BaseProtocol(self._loop),
                self._loop,
                2**16,
                response_with_body=method != b"HEAD",
                read_until_eof=True,
                max_headers=1000,
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
        self._url = b""
        self._body = b""

    def on_message_begin(self) -> None:
        self._url = b""
        self._body = b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        self.found.append((self._method(), self._url, self._body))


def requests_by_httptools(data: bytes) -> list[Identity]:
    """Read a connection's requests; an upgrade is taken as refused, what follows is the next
    request.

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


def requests_by_h11(data: bytes) -> list[Identity]:
    """Read a connection's requests; each is answered, an upgrade is refused.

    Raises:
        h11.RemoteProtocolError: it objects, or a message is cut.
    """
    found: list[Identity] = []
    server = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD_BYTES)
    server.receive_data(data)
    server.receive_data(b"")

    while isinstance(request := server.next_event(), h11.Request):
        found.append((request.method, request.target, _body_by_h11(server)))
        server.send(h11.Response(status_code=200, headers=[(b"Content-Length", b"0")]))
        server.send(h11.EndOfMessage())
        server.start_next_cycle()

    if not isinstance(request, h11.ConnectionClosed):
        raise h11.RemoteProtocolError(f"not the end: {request!r}")

    return found


def _response_by_h11(data: bytes, method: bytes) -> tuple[int, bytes]:
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)
    client.send(h11.Request(method=method, target=b"/", headers=[(b"Host", b"a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    client.receive_data(b"")
    response = client.next_event()
    if not isinstance(response, h11.Response):
        raise ValueError(f"h11 reads {response!r}")

    return response.status_code, _body_by_h11(client)


def _body_by_h11(connection: h11.Connection) -> bytes:
    body = b""
    while isinstance(event := connection.next_event(), h11.Data):
        body += event.data
    if not isinstance(event, h11.EndOfMessage):
        raise h11.RemoteProtocolError(f"cut: {event!r}")
    return body
