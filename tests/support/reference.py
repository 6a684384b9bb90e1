"""The reference engine: the complete data plane on aiohttp, in one file, to be read first. It
judges the product's.

It shares routes, heads, capture and recorder with the product's data plane (`proxy/worker`) and
differs only in I/O: tests send the same requests through both and explain every difference
(tests/proxy/worker/test_engines.py). It opens no upgrades, and leaves limits and deadlines to
aiohttp. The comparison leaves out what this engine lacks: PROXY headers, targets with bytes from
0x80 on (aiohttp's parser refuses them), trailers, late bodies.

One exchange is one call of `handle`: read the head, find the route, stream the request up and the
response down with a copy of both kept in windows, record before the last bytes go out.
"""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

from aiohttp import (
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientError,
    ClientResponse,
    ClientResponseError,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    InvalidURL,
    TCPConnector,
    UnixConnector,
    web,
)
from multidict import CIMultiDict
from yarl import URL

from proxy.http1.errors import (
    STATUS_OF,
    Refused,
    UpstreamError,
    error_response,
    no_route,
    unreached,
)
from proxy.http1.forwarded import TrustedProxies, forwarded_lines, plain_address
from proxy.http1.request_head import RequestHead, parse_request_head
from proxy.http1.request_line import parse_request_line
from proxy.http1.response_head import ResponseHead, parse_response_head
from proxy.http1.trace_context import drop_invalid_context, traceparent_line
from proxy.ring.body_window import Window
from proxy.ring.exchange import (
    ERROR_INDEX,
    FLAG_HTTP10,
    FLAG_OWN_RESPONSE,
    FLAG_REQUEST_COMPLETE,
    FLAG_TLS,
    NO_ROUTE,
    OUTCOME_INDEX,
    Exchange,
    client_section,
)
from proxy.settings.model import Settings
from proxy.worker.admission.key_auth import Gate
from proxy.worker.recorder import Recorder
from proxy.worker.routes import Route, RouteTable, settle_unrouted
from proxy.worker.server import tls_of
from storage.record import Outcome

log = logging.getLogger(__name__)

_AUTO_HEADERS: Final = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
"""What aiohttp's client would add by itself."""


class ReferenceEngine:
    """All connections of one process, served by aiohttp."""

    def __init__(
        self, settings: Settings, routes: RouteTable, recorder: Recorder, gate: Gate, instance: str
    ) -> None:
        """Wire up; sessions are opened by `start`."""
        self._limits = settings.proxy.limits
        self._routes = routes
        self._level = settings.capture.level
        self._makes_traces = settings.proxy.trace_context
        self.recorder = recorder
        self._gate = gate
        self._instance = instance.encode()
        self._trusted = TrustedProxies(
            settings.proxy.trusted_proxies, settings.proxy.client_address_header
        )
        self._id_header = settings.proxy.record_id_header
        self._sessions: list[ClientSession] = []
        self._server = web.Server(self.handle, auto_decompress=False)
        self.in_flight: set[Exchange] = set()

    async def start(self) -> None:
        for route in self._routes.routes:
            self._sessions.append(
                _session(route, route.limits.timeout_connect_s, route.limits.timeout_first_byte_s)
            )

    @property
    def protocol_factory(self) -> Callable[[], asyncio.Protocol]:
        return self._server

    async def drain(self, timeout_s: float) -> None:
        await self._server.shutdown(timeout_s)
        for session in self._sessions:
            await session.close()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        peer = plain_address(request.remote or "").encode()
        exchange = self.recorder.begin(time.monotonic_ns(), peer)
        self.in_flight.add(exchange)

        try:
            return await self._exchange(request, exchange, peer)
        except Refused as refusal:
            settle_unrouted(exchange, self._level, NO_ROUTE)
            return self._own_response(exchange, refusal.code, refusal.message, Outcome.REJECTED)
        except UpstreamError as error:
            outcome = (
                Outcome.UPSTREAM_TIMEOUT
                if error.code == "upstream_timeout"
                else Outcome.UPSTREAM_ERROR
            )
            return self._own_response(exchange, error.code, error.message, outcome)
        except (asyncio.CancelledError, ConnectionResetError):
            self._finish(exchange, Outcome.CLIENT_CLOSED, exchange.status or 499)
            raise
        finally:
            self.in_flight.discard(exchange)

    async def _exchange(
        self, request: web.BaseRequest, exchange: Exchange, peer: bytes
    ) -> web.StreamResponse:
        raw = _raw_head(request)
        exchange.request_head = raw
        line, _, rest = raw.partition(b"\r\n")
        method, target, authority, is_http10 = parse_request_line(
            line, max_bytes=self._limits.max_line_bytes, is_tls=request.secure
        )
        exchange.method = method
        block = line[-8:] + b"\r\n" + rest
        head = parse_request_head(
            block,
            max_headers=self._limits.max_headers or 1 << 20,
            max_line_bytes=self._limits.max_line_bytes,
        )
        exchange.flags = (FLAG_HTTP10 if is_http10 else 0) | (
            0 if request.body_exists else FLAG_REQUEST_COMPLETE
        )
        exchange.flags |= FLAG_TLS if request.secure else 0
        head.is_websocket = head.accepts_trailers = False  # aiohttp reads trailers and drops them
        if authority is not None:
            head.host = authority
        original = self._trusted.original(peer, head)
        exchange.client = client_section(*original)
        if self._makes_traces:
            head.lacks_trace = drop_invalid_context(head)
        route = self._admit(exchange, head, target, peer)
        lines = route.render(head, self._instance)
        lines += forwarded_lines(head, peer, request.scheme.encode(), head.host, original)
        if not head.request_id:
            lines += b"X-Request-Id: %b\r\n" % exchange.id_text
        if head.lacks_trace:
            lines += traceparent_line(exchange.id)
        upstream = await self._send(request, exchange, route, route.target(target), lines)
        try:
            return await self._relay(request, exchange, route, upstream)
        finally:
            upstream.release()

    def _admit(self, exchange: Exchange, head: RequestHead, target: bytes, peer: bytes) -> Route:
        route = self._routes.match(head.host, target)
        if route is None:
            raise no_route(head.host, target)

        exchange.route = route.index
        exchange.flags |= route.flags
        exchange.is_recorded = route.is_recorded
        if target == b"*":
            raise Refused("bad_request", "the reference engine cannot forward the target *")
        if self._instance in head.hops:
            raise Refused("loop_detected", "this request has passed this proxy before")

        limit = route.max_body_bytes
        if 0 < limit < head.content_length:
            raise Refused(
                "body_too_large", f"body of {head.content_length} bytes, the limit is {limit}"
            )

        if route.access is not None:
            self._gate.refresh()  # there is no tick here
            self._gate.admit(exchange, route.access, head, peer)
        return route

    async def _send(
        self,
        request: web.BaseRequest,
        exchange: Exchange,
        route: Route,
        target: bytes,
        lines: bytes,
    ) -> ClientResponse:
        headers = _multidict(lines)
        headers.pop("Transfer-Encoding", None)
        body = None

        if request.body_exists:
            windows = route.windows.of(exchange.request_head)
            window = Window(windows.request_bytes, windows.request_tail_bytes)
            exchange.request_body = window
            body = self._request_body(request, exchange, window)

        exchange.upstream = route.address_text
        exchange.sent_ns = time.monotonic_ns() - exchange.started_ns
        scheme = "https" if route.tls else "http"

        url = URL(f"{scheme}://{route.address.authority}{target.decode('ascii')}", encoded=True)
        try:
            return await self._sessions[route.index].request(
                exchange.method.decode(),
                url,
                headers=headers,
                data=body,
                allow_redirects=False,
                ssl=route.tls or True,
            )
        except TimeoutError as error:
            self.recorder.count_upstream_error(route.index, "upstream_timeout")
            raise UpstreamError("upstream_timeout", "timed out waiting for the response") from error
        except ClientError as error:
            code = _failure(error)
            if isinstance(error, ClientConnectorError):
                exchange.sent_ns = -1
            self.recorder.count_upstream_error(route.index, code)
            raise UpstreamError(code, f"cannot reach the upstream: {error}") from error

    async def _request_body(
        self, request: web.BaseRequest, exchange: Exchange, window: Window
    ) -> AsyncIterator[bytes]:
        async for data in request.content.iter_any():
            window.add(data)
            yield data
        exchange.flags |= FLAG_REQUEST_COMPLETE

    async def _relay(
        self, request: web.BaseRequest, exchange: Exchange, route: Route, upstream: ClientResponse
    ) -> web.StreamResponse:
        raw = _raw_response_head(upstream)
        head = parse_response_head(raw, max_headers=self._limits.max_headers or 1 << 20)
        route.response_rules.apply(head)
        exchange.first_byte_ns = time.monotonic_ns() - exchange.started_ns
        exchange.status = head.status
        exchange.response_head = raw
        response = self._response(
            exchange, head, (upstream.reason or "").encode("utf-8", "replace").decode()
        )
        windows = route.windows.of_response(
            exchange.request_head, is_event_stream=head.is_event_stream
        )
        window = Window(windows.response_bytes, windows.response_tail_bytes)
        exchange.response_body = window

        if head.body_length(exchange.method) == 0:
            exchange.response_body = None
            self._complete(exchange)
            await response.prepare(request)
            await response.write_eof()
            return response

        await response.prepare(request)
        try:
            await self._copy(upstream, response, window, exchange, head.content_length)
        except (ClientError, TimeoutError) as error:
            exchange.error = ERROR_INDEX[
                "upstream_timeout" if isinstance(error, TimeoutError) else "upstream_reset"
            ]
            self._finish(exchange, Outcome.TRUNCATED, head.status)
            log.debug("the upstream broke off", extra={"error": str(error)})
            _reset(request)
            return response

        await response.write_eof()
        return response

    async def _copy(
        self,
        upstream: ClientResponse,
        response: web.StreamResponse,
        window: Window,
        exchange: Exchange,
        length: int,
    ) -> None:
        """Pass the body on chunk by chunk; the record goes before the chunk that completes it."""
        async for data in upstream.content.iter_any():
            window.add(data)
            if 0 <= length <= window.size:
                self._complete(exchange)
            await response.write(data)
        self._complete(exchange)

    def _response(self, exchange: Exchange, head: ResponseHead, reason: str) -> web.StreamResponse:
        response = web.StreamResponse(
            status=head.status, reason=reason, headers=_multidict(head.fields)
        )
        if head.content_length >= 0 and head.status != 204:
            response.headers["Content-Length"] = str(head.content_length)
        elif head.body_length(exchange.method) < 0:
            response.enable_chunked_encoding()

        if self._id_header:
            response.headers[self._id_header] = exchange.id_text.decode()
        return response

    def _complete(self, exchange: Exchange) -> None:
        """Record an exchange whose response is all here; once."""
        if exchange.done_ns < 0:
            exchange.done_ns = time.monotonic_ns() - exchange.started_ns
            self._finish(exchange, Outcome.OK, exchange.status)

    def _finish(self, exchange: Exchange, outcome: Outcome, status: int) -> None:
        if exchange.ended_ns < 0:
            exchange.outcome = OUTCOME_INDEX[outcome]
            exchange.status = status
            self.recorder.finish(exchange, time.monotonic_ns())

    def _own_response(
        self, exchange: Exchange, code: str, message: str, outcome: Outcome
    ) -> web.Response:
        head, body = error_response(code, message, close=False)
        exchange.error = ERROR_INDEX[code]
        exchange.flags |= FLAG_OWN_RESPONSE
        exchange.response_head = head
        exchange.response_body = Window(len(body), 0)
        if exchange.method != b"HEAD":
            exchange.response_body.add(body)
        headers = _multidict(head.partition(b"\r\n")[2][:-2])
        if self._id_header:
            headers[self._id_header] = exchange.id_text.decode()
        self._finish(exchange, outcome, STATUS_OF[code])
        return web.Response(status=STATUS_OF[code], headers=headers, body=body)


def _session(route: Route, connect_s: float, first_byte_s: float) -> ClientSession:
    timeout = ClientTimeout(
        total=None, sock_connect=connect_s or None, sock_read=first_byte_s or None
    )
    if route.address.scheme == "unix":
        connector: TCPConnector | UnixConnector = UnixConnector(path=route.address.path, limit=0)
    else:
        connector = TCPConnector(limit=0)

    return ClientSession(
        connector=connector,
        timeout=timeout,
        auto_decompress=False,
        skip_auto_headers=_AUTO_HEADERS,
        cookie_jar=DummyCookieJar(),
    )


def _failure(error: ClientError) -> str:
    if isinstance(error, ClientConnectorDNSError | InvalidURL):
        return "upstream_unresolved"
    if isinstance(error, OSError):
        return unreached(error)
    if isinstance(error, ClientResponseError):
        return "upstream_bad_response"
    return "upstream_reset"


def _multidict(lines: bytes) -> CIMultiDict[str]:
    headers: CIMultiDict[str] = CIMultiDict()
    for line in lines.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon:
            headers.add(
                name.decode("ascii"), value.strip(b" \t").decode("utf-8", "surrogateescape")
            )

    return headers


def _raw_head(request: web.BaseRequest) -> bytes:
    """Write the head as it came; aiohttp keeps names and values as bytes, so only white space may
    differ.
    """
    version = request.version
    line = f"{request.method} {request._message.path} HTTP/{version.major}.{version.minor}\r\n"
    return line.encode() + _raw_fields(request.raw_headers)


def _raw_response_head(response: ClientResponse) -> bytes:
    line = f"HTTP/1.1 {response.status} {response.reason or ''}\r\n"
    return line.encode("utf-8", "surrogateescape") + _raw_fields(response.raw_headers)


def _raw_fields(fields: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return b"".join(b"%b: %b\r\n" % field for field in fields) + b"\r\n"


def _reset(request: web.BaseRequest) -> None:
    """End the connection so that the client cannot take the truncated answer for a finished one
    (P14).
    """
    transport = request.transport
    if transport is not None:
        raw_socket = transport.get_extra_info("socket")
        if raw_socket is not None:
            raw_socket.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
            )
        transport.abort()


class ReferencePlane:
    """The face of a `DataPlane`, with this engine behind it."""

    def __init__(
        self, settings: Settings, routes: RouteTable, recorder: Recorder, gate: Gate, instance: str
    ) -> None:
        self._drain_timeout_s = settings.proxy.limits.drain_timeout_s
        self._tls = tls_of(settings)
        self._server: asyncio.Server | None = None
        self.engine = ReferenceEngine(settings, routes, recorder, gate, instance)

    async def listen(self, listener: socket.socket) -> None:
        await self.engine.start()
        self._server = await asyncio.get_running_loop().create_server(
            self.engine.protocol_factory, sock=listener.dup(), ssl=self._tls
        )

    async def drain(self) -> None:
        if self._server is not None:
            self._server.close()
        await self.engine.drain(self._drain_timeout_s)
