"""A connection to the port of outgoing calls, until it is known what it becomes.

Strategy: bytes are peeked, so they stay in the kernel: the head of a CONNECT is taken out exactly,
and what follows is looked at and left to the protocol that serves it. What a connection becomes is
decided once, by the host of CONNECT and the first bytes behind it:

| first bytes | the host is listed | it is not |
|---|---|---|
| a TLS hello | TLS with a certificate of ours, read | a tunnel |
| a method of HTTP | HTTP without TLS, read | a tunnel |
| others, or none for 2 s | a tunnel, since the server may speak first | a tunnel |
| no CONNECT, but a request for a URL | HTTP, read | the same |

A CONNECT that fails is answered with the reason, and the connection goes on (RFC 9110 §9.3.6). One
that follows requests for URLs gets its connection back (`url_downstream.py`).
"""

import asyncio
import logging
import re
import socket
import ssl
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from proxy.egress.client_hello import HANDSHAKE, ClientHello, read_client_hello
from proxy.egress.hosts import HostList, plain_host
from proxy.egress.leaves import Leaves
from proxy.http1.errors import (
    KEEPS_CONNECTION,
    STATUS_OF,
    Refused,
    UpstreamError,
    error_response,
    shown,
)
from proxy.http1.request_head import VERSION_LINE_BYTES, parse_request_head
from proxy.network.accept import MAX_HANDSHAKE_S, SHUTDOWN_S, EarlyConnection, peer_of, tls_failure
from proxy.network.sockets import has_stopped_sending
from proxy.ring.body_window import Window
from proxy.ring.counters import METHODS
from proxy.ring.exchange import (
    ERROR_INDEX,
    FLAG_BODIES_OFF,
    FLAG_OWN_RESPONSE,
    FLAG_REQUEST_COMPLETE,
    NOTE_MESSAGE,
    Exchange,
)
from proxy.settings.addresses import UpstreamAddress, parse_upstream
from proxy.worker.downstream import Downstream
from proxy.worker.egress.admission import (
    OutgoingAdmission,
    destination_of_url,
    without_proxy_fields,
)
from proxy.worker.egress.destinations import HTTP2, HTTP11, Destination, Destinations
from proxy.worker.egress.tunnel import Tunnel
from proxy.worker.egress.url_downstream import UrlDownstream
from proxy.worker.engine import Engine
from proxy.worker.relay.ending import (
    CLIENT_CLOSED,
    OUTCOME_OF,
    REJECTED,
    SHUTDOWN,
    UPSTREAM_ERROR,
)
from proxy.worker.routes import CAPTURE_FLAGS
from proxy.worker.tls_downstream import TlsDownstream

log = logging.getLogger(__name__)

SILENT_NS: Final = 2_000_000_000
"""How long a client may say nothing behind CONNECT, before its server is taken to speak first."""
PAUSE_S: Final = 0.01
"""Time until the next look, where the kernel wakes us although there is nothing new."""
MAX_PEEKED_BYTES: Final = 1 << 16
MAX_REPORTED_HOSTS: Final = 1024
"""Of how many hosts it is said in the log that their certificate was rejected."""
_CONNECT: Final = b"CONNECT "
_REQUEST_LINE: Final = re.compile(rb"CONNECT ([^ \r\n]+) HTTP/1\.[01]\r\n")
_ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"
_PREFACE: Final = b"PRI "
"""The beginning of a client that speaks HTTP/2 unasked (RFC 9113 §3.4)."""
_METHODS: Final = (*(f"{method} ".encode() for method in METHODS), _PREFACE)


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressPort:
    """Shared state of the connections of one port of outgoing calls."""

    engine: Engine
    destinations: Destinations
    leaves: Leaves
    hosts: HostList
    unread: HostList
    """Hosts that are never read."""
    is_client: Callable[[bytes], bool]
    """Whether an address may use the port."""
    authority_file: str
    """What a client has to trust."""
    max_head_s: float
    reported: set[str] = field(default_factory=set)
    """Hosts whose certificate was rejected, as the log has said."""

    def accept(self, connection: socket.socket) -> None:
        """Take an accepted connection; above a limit it is closed at once."""
        ProxyClient(self, connection, peer_of(connection)).start()


class ProxyClient(EarlyConnection, asyncio.Protocol):
    """A connection that is not known to be a tunnel or to be read yet.

    It is the protocol of a transport only while that gives the connection back.
    """

    __slots__ = (
        "_address", "_asked_ns", "_hello_ns", "_is_established", "_is_transports", "_port", "_raw",
        "_resumption", "_seen_bytes", "_step", "_task",
    )  # fmt: skip

    _address: UpstreamAddress
    """The host and port of the CONNECT that was read last."""

    def __init__(self, port: EgressPort, connection: socket.socket, peer: bytes) -> None:
        engine = port.engine
        super().__init__(
            connection,
            peer,
            engine,
            count_failure=lambda _: engine.recorder.count("egress", "closed"),
            max_s=port.max_head_s,
        )
        self._port = port
        self._step: Callable[[bytes], None] = self._read_head
        """What the next bytes are for."""
        self._seen_bytes = 0
        """How many of them have been looked at."""
        self._resumption: asyncio.TimerHandle | None = None
        """Timer of the next look, during a pause."""
        self._raw = b""
        """The head of the CONNECT, as records show it."""
        self._asked_ns = 0
        """When it was read."""
        self._is_established = False
        """Whether it was answered with 200."""
        self._hello_ns = 0
        """When the wait for a hello, or then for the rest of the handshake, began; 0 outside it."""
        self._task: asyncio.Task[None] | None = None
        self._is_transports = False
        """Whether the socket is a transport's by now."""

    # Reading.

    def _look(self) -> None:
        # Asked first, so that no byte can come between the last that are peeked and the end.
        has_ended = has_stopped_sending(self._connection)
        try:
            data = self._connection.recv(MAX_PEEKED_BYTES, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            self._fail("closed")
            return
        if len(data) <= self._seen_bytes:
            if has_ended:
                self._fail("closed")
            else:
                self._pause()
            return

        self._await_more_than(len(data))
        self._step(data)

    def _await_more_than(self, seen_bytes: int) -> None:
        """Wake when more bytes are there than were looked at: what is only peeked is there still."""
        self._seen_bytes = seen_bytes
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, seen_bytes + 1)

    def _pause(self) -> None:
        """Look again in a moment. Linux wakes us without a further byte while its receive buffer is
        nearly full or memory is short, and gVisor always does, as it ignores `SO_RCVLOWAT`.
        """
        self._loop.remove_reader(self._connection.fileno())
        self._resumption = self._loop.call_later(PAUSE_S, self._resume)

    def _resume(self) -> None:
        self._loop.add_reader(self._connection.fileno(), self._look)

    def _remove_reader(self) -> None:
        self._loop.remove_reader(self._connection.fileno())
        if self._resumption is not None:
            self._resumption.cancel()

    def _stop_looking(self) -> None:
        self._remove_reader()
        self._await_more_than(0)

    def _look_again(self) -> None:
        self._await_more_than(0)
        self.since_ns = time.monotonic_ns()
        self._resume()

    def _read_head(self, data: bytes) -> None:
        """Read the head of a CONNECT; a request for a URL is left to HTTP."""
        if not data.startswith(_CONNECT[: len(data)]) and self._port.is_client(self.peer):
            self._serve_urls()
            return
        end = data.find(b"\r\n\r\n") + 4
        if end < 4 and len(data) <= self._max_head_bytes:
            return

        raw = data[:end] if end >= 4 else data
        self._connection.recv(len(raw))
        self._await_more_than(0)
        self._take_head(raw)

    def _take_head(self, raw: bytes) -> None:
        """Do what a CONNECT asks for."""
        self._raw = without_proxy_fields(raw)
        self._asked_ns = time.monotonic_ns()
        limit = self._max_head_bytes
        try:
            if len(raw) > limit:
                raise Refused("header_too_large", f"request head over {limit} bytes")
            self._address = self._address_of(raw)
        except Refused as refusal:
            self._refuse(refusal)
            return

        self._decide(plain_host(self._address.host))

    @property
    def _max_head_bytes(self) -> int:
        return min(self._port.engine.max_head_bytes, MAX_PEEKED_BYTES - 1)

    def _address_of(self, raw: bytes) -> UpstreamAddress:
        """Return where a CONNECT wants to go.

        Raises:
            Refused: it is malformed, or its client may not use this port.
        """
        port = self._port
        if not port.is_client(self.peer):
            peer = self.peer.decode()
            raise Refused("egress_denied", f"{peer} may not use this port ([egress] clients)")
        line = _REQUEST_LINE.match(raw)
        if line is None:
            first = raw.partition(b"\r")[0]
            raise Refused("bad_request", f"malformed request line {shown(first)}")
        engine = port.engine
        parse_request_head(
            raw[line.end() - VERSION_LINE_BYTES :],
            max_headers=engine.max_headers,
            max_line_bytes=engine.max_line_bytes,
        )

        authority = line[1].decode("latin-1")
        try:
            if not authority.rpartition(":")[2].isdecimal():
                raise ValueError("CONNECT needs host:port")
            return parse_upstream(f"https://{authority}")
        except ValueError as error:
            raise Refused("bad_request", f"{error}, got {shown(line[1])}") from error

    def _decide(self, host: str) -> None:
        """Begin a tunnel, or look at what follows to a host that may be read."""
        port = self._port
        why = "excepted" if port.unread.has(host) else "unlisted"
        if why == "unlisted" and port.hosts.has(host):
            self._establish()
            self._step = self._read_first
            self._look_again()
        else:
            self._begin(self._tunnel(why, None))

    def _establish(self) -> None:
        self._is_established = True
        self._send(_ESTABLISHED)

    def _send(self, data: bytes) -> None:
        """Send a short answer, which the kernel takes at once, unless the client is gone."""
        try:
            self._connection.send(data)
        except OSError:
            pass  # the next look finds its end

    def _read_first(self, data: bytes) -> None:
        """Decide by the first bytes behind a CONNECT."""
        if data[0] == HANDSHAKE:
            self._hello_ns = self._hello_ns or time.monotonic_ns()
            try:
                hello = read_client_hello(data)
            except ValueError:
                self._begin(self._tunnel("not_http", None))
                return
            if hello is not None:
                self._secure(hello)
        elif data.startswith(_METHODS):
            self._serve_plain(HTTP2 if data.startswith(_PREFACE) else HTTP11)
        elif not any(method.startswith(data) for method in _METHODS):
            self._begin(self._tunnel("not_http", None))

    # What it becomes.

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do work that takes time, while nothing is looked at, and the client is not waited for."""
        self._stop_looking()
        self._hello_ns = 0
        tasks = self._port.engine.tasks
        self._task = tasks.create_task(self._guard(work), name="outgoing connection")

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except OSError as error:
            log.debug("a connection to the port of outgoing calls was lost: %s", error)
            self._fail("closed")
        except Exception:
            # A fault of ours in one connection must not end the others with the task group.
            log.exception("unexpected error on a connection to the port of outgoing calls")
            self._fail("closed")

    def _serve_urls(self) -> None:
        port = self._port
        self._count("forwarded")
        find = partial(destination_of_url, port.unread)
        admission = OutgoingAdmission(
            port.engine, self.peer, port.destinations, find, takes_https=True
        )
        self._begin(
            self._serve(lambda: UrlDownstream(port.engine, self.peer, admission, self._take_back))
        )

    def _take_back(
        self, served: Downstream, connection: socket.socket, raw: bytes
    ) -> asyncio.Protocol:
        """Go on with the CONNECT that follows requests for URLs, once its transport is closed."""
        connection.setblocking(False)
        again = ProxyClient(self._port, connection, self.peer)
        again._raw = raw
        again._is_waiting = True
        self._port.engine.hand_over(served, again)
        return again

    def connection_lost(self, error: Exception | None) -> None:
        """Begin on a connection that was taken back, if it is still there."""
        if self._is_waiting:
            self._look_again()
            self._take_head(self._raw)

    def _serve_plain(self, protocol: str) -> None:
        self._count("plain")
        admission = self._admission(protocol, is_tls=False)
        self._begin(self._serve(lambda: Downstream(self._port.engine, self.peer, admission)))

    def _admission(self, protocol: str, *, is_tls: bool) -> OutgoingAdmission:
        """Return the admission of requests within a CONNECT, which all go to its host."""
        port = self._port
        destination = Destination(is_tls, self._address.host, self._address.port, protocol)
        return OutgoingAdmission(
            port.engine, self.peer, port.destinations, lambda *_: destination, takes_https=is_tls
        )

    async def _serve(self, protocol: Callable[[], asyncio.Protocol]) -> None:
        self._is_transports = True
        self.hand_over()
        await self._loop.connect_accepted_socket(protocol, self._connection)

    def _secure(self, hello: ClientHello) -> None:
        """Read what is said over TLS, unless HTTP is not among what the client offers to speak."""
        spoken = (HTTP2, HTTP11) if self._port.engine.http2 is not None else (HTTP11,)
        offered = tuple(name for name in hello.protocols if name in spoken)
        if hello.protocols and not offered:
            self._begin(self._tunnel("alpn", hello))
        else:
            self._begin(self._shake_hands(offered))

    async def _shake_hands(self, offered: tuple[str, ...]) -> None:
        port = self._port
        host = self._address.host
        protocol = await port.destinations.protocol_of(host, self._address.port, offered)
        admission = self._admission(protocol, is_tls=True)
        context = port.leaves.context(plain_host(host), protocol)
        self._is_transports = True
        self._hello_ns = time.monotonic_ns()
        try:
            await self._loop.connect_accepted_socket(
                lambda: TlsDownstream(port.engine, self, admission),
                self._connection,
                ssl=context,
                ssl_handshake_timeout=2 * MAX_HANDSHAKE_S,  # the tick comes first
                ssl_shutdown_timeout=SHUTDOWN_S,
            )
        except OSError as error:
            if tls_failure(error) == "certificate" and isinstance(error, ssl.SSLError):
                self._note_rejected(error)
                self._close()
            else:
                self._fail("closed")
        else:
            self._count("read")

    def _note_rejected(self, error: ssl.SSLError) -> None:
        """Record that a client does not trust our certificate, and say what to do about it."""
        host = plain_host(self._address.host)
        file = self._port.authority_file
        message = (
            f"the client does not trust sidelog's authority ({error.reason}): have it trust {file}, "
            f'or leave the host unread: [egress] tunnel = ["{host}"]'
        )
        exchange = self._exchange()
        exchange.status = 200
        self._end(exchange, "certificate_rejected", message, CLIENT_CLOSED)
        self._count("untrusted")
        if host not in self._port.reported and len(self._port.reported) < MAX_REPORTED_HOSTS:
            self._port.reported.add(host)
            log.warning("a client rejected the certificate of %s: %s", host, message)

    async def _tunnel(self, why: str, hello: ClientHello | None) -> None:
        port = self._port
        engine = port.engine
        address = self._address
        exchange = self._exchange()
        exchange.flags |= FLAG_BODIES_OFF
        engine.in_flight.add(exchange)
        began_ns = time.monotonic_ns()
        try:
            connected, exchange.upstream = await port.destinations.dial(address.host, address.port)
        except UpstreamError as error:
            engine.in_flight.discard(exchange)
            self._fail_tunnel(exchange, error)
            return
        except asyncio.CancelledError:
            engine.in_flight.discard(exchange)
            outcome = SHUTDOWN if engine.is_draining else CLIENT_CLOSED
            self._end(exchange, "", "", outcome)
            raise

        now_ns = time.monotonic_ns()
        exchange.connect_ns = now_ns - began_ns
        exchange.sent_ns = now_ns - exchange.started_ns
        exchange.status = 200
        if not self._is_established:
            self._establish()
        self._count("tunnel")
        tunnel = Tunnel(engine, exchange, self.peer, why, hello)
        self._is_transports = True
        self._is_waiting = False
        engine.hand_over(self, tunnel)
        await self._loop.create_connection(lambda: tunnel.upstream, sock=connected)
        await self._loop.connect_accepted_socket(lambda: tunnel.client, self._connection)

    # Ends.

    def _exchange(self) -> Exchange:
        """Begin the exchange of the CONNECT that was read last."""
        port = self._port
        exchange = port.engine.recorder.begin(self._asked_ns, self.peer)
        exchange.method = b"CONNECT"
        exchange.request_head = self._raw
        exchange.route = port.destinations.route_index
        exchange.flags = FLAG_REQUEST_COMPLETE | CAPTURE_FLAGS[port.engine.level]
        exchange.is_recorded = port.engine.level != "none"
        return exchange

    def _end(self, exchange: Exchange, code: str, message: str, outcome: int) -> None:
        """Record an exchange that became no tunnel."""
        exchange.error = ERROR_INDEX[code]
        exchange.outcome = outcome
        if message:
            exchange.note(NOTE_MESSAGE, message.encode())
        self._port.engine.recorder.finish(exchange, time.monotonic_ns())

    def _answer(self, exchange: Exchange, code: str, message: str, *, closes: bool) -> None:
        """Answer a CONNECT with the reason why it fails."""
        engine = self._port.engine
        id_format = engine.record_id_format
        head, body = error_response(
            code,
            message,
            close=closes,
            record_id_line=id_format % exchange.id_text if id_format else b"",
        )
        exchange.status = STATUS_OF[code]
        exchange.flags |= FLAG_OWN_RESPONSE
        exchange.response_head = head
        exchange.response_body = Window(len(body), 0)
        exchange.response_body.add(body)
        self._send(head + body)

    def _refuse(self, refusal: Refused) -> None:
        """Refuse a request; the connection goes on where its framing is certain."""
        closes = refusal.code not in KEEPS_CONNECTION
        exchange = self._exchange()
        self._answer(exchange, refusal.code, refusal.message, closes=closes)
        self._end(exchange, refusal.code, refusal.message, REJECTED)
        self._count("refused")
        self.since_ns = time.monotonic_ns()
        if closes:
            self._close_behind_answer()

    def _close_behind_answer(self) -> None:
        """Close so that the answer arrives: unread input would turn the close into a reset."""
        try:
            self._connection.shutdown(socket.SHUT_WR)
            self._connection.recv(MAX_PEEKED_BYTES)
        except OSError:
            pass  # nothing is there, or the client is gone
        self._close()

    def _fail_tunnel(self, exchange: Exchange, error: UpstreamError) -> None:
        """Answer that a host was not reached; behind a 200 only the connection can say so."""
        is_established = self._is_established
        if is_established:
            exchange.status = 200
        else:
            self._answer(exchange, error.code, error.message, closes=False)
        outcome = OUTCOME_OF.get(error.code, UPSTREAM_ERROR)
        self._end(exchange, error.code, error.message, outcome)
        self._port.engine.recorder.count_upstream_error(
            exchange.route, error.code.removeprefix("upstream_")
        )
        self._count("refused" if error.code == "egress_denied" else "failed")
        self._task = None
        if is_established:
            self._close()
        else:
            self._look_again()

    def _count(self, outcome: str) -> None:
        self._port.engine.recorder.count("egress", outcome)

    @property
    def waits_since_ns(self) -> int:
        """Since when it waits for its client; 0: it is busy, gone, or another by now."""
        if self._is_waiting and self._task is None:
            return self.since_ns
        return 0

    def check(self, now_ns: int) -> None:
        """Enforce the deadlines: of a head, of silence behind CONNECT, and of a handshake."""
        waited_ns = now_ns - self.since_ns
        if self._hello_ns and now_ns - self._hello_ns >= MAX_HANDSHAKE_S * 1e9:
            self._fail("timeout")
        elif self._task is not None or self._hello_ns:
            return
        elif self._is_established and waited_ns >= SILENT_NS:
            self._begin(self._tunnel("silent" if not self._seen_bytes else "not_http", None))
        elif not self._is_established and waited_ns >= self._max_s * 1e9:
            self._end_waiting()

    def _end_waiting(self) -> None:
        """Refuse a head that did not become complete in time; close where none began."""
        if not self._seen_bytes:
            self._fail("timeout")
            return
        self._raw = b""
        self._asked_ns = self.since_ns
        limit = f"{self._max_s:g} s, timeout_headers_s"
        message = f"timed out waiting for the request head ({limit})"
        self._refuse(Refused("timeout_headers", message))

    def _drop(self) -> None:
        if self._task is None:
            self._remove_reader()
        else:
            self._task.cancel()
        if not self._is_transports:
            self._connection.close()
