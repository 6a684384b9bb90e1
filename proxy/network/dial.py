"""Connections to upstreams: the addresses of a name (P26), the first of them to answer, TLS (P16),
and how many idle connections to keep (P27).
"""

import asyncio
import errno
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_network
from itertools import chain, zip_longest
from typing import Any, Final, cast

from proxy.network.sockets import MAX_LAST_BYTES

Address = tuple[socket.AddressFamily, tuple[Any, ...]]
"""Family and socket address."""

PATIENCE_S: Final = 0.5
"""Time that a query may take if an earlier answer is known."""
STALE_S: Final = 600.0
"""Age to which an earlier answer is used; later the address may belong to another host."""
FRESH_S: Final = 1.0
"""Age to which an answer is used without a new query, whose thread costs 150 us."""


def resolve(host: str, port: int) -> list[Address]:
    """Return the distinct addresses of a name, in the resolver's order (RFC 6724).

    Raises:
        OSError: `socket.gaierror`, the name has no address.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(
        dict.fromkeys((socket.AddressFamily(family), address) for family, _, _, _, address in found)
    )


class Lookup:
    """Resolves one name, for one loop, in a thread of its own (RFC 8767).

    An event loop resolves all names in a few shared threads: with uvloop, two requests for a name
    with a silent server blocked all other names for ten seconds. Here each name has one query at a
    time; all callers wait for its answer, which is valid for a second. While a query hangs or
    fails, an earlier answer is used. Invariant: a caller only waits for its own name.
    """

    __slots__ = ("_asked_s", "_host", "_known", "_known_s", "_port", "_question")

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._question: asyncio.Future[list[Address] | Exception] | None = None
        """The running query."""
        self._asked_s = 0.0
        self._known: list[Address] = []
        """The last answer."""
        self._known_s = 0.0

    async def addresses(self) -> list[Address]:
        """Return the addresses of the name.

        Raises:
            OSError: as `resolve` does, or no thread can be started.
        """
        now_s = time.monotonic()
        if self._known and now_s - self._known_s < FRESH_S:
            return self._known

        question = self._question or self._ask()
        stale = self._known if now_s - self._known_s < STALE_S else []
        await asyncio.wait(
            [question], timeout=max(0.0, self._asked_s + PATIENCE_S - now_s) if stale else None
        )
        answer = question.result() if question.done() else stale
        if not isinstance(answer, Exception):
            return answer
        if stale and isinstance(answer, socket.gaierror) and answer.errno == socket.EAI_AGAIN:
            return stale

        raise answer

    def _ask(self) -> "asyncio.Future[list[Address] | Exception]":
        loop = asyncio.get_running_loop()
        try:
            threading.Thread(target=self._answer, args=(loop,), name="lookup", daemon=True).start()
        except RuntimeError as error:
            raise OSError(errno.EAGAIN, "no thread can be started to look the name up") from error

        self._asked_s = time.monotonic()
        self._question = loop.create_future()
        return self._question

    def _answer(self, loop: asyncio.AbstractEventLoop) -> None:
        """Resolve the host in a thread of its own, and pass the answer to the loop."""
        try:
            answer: list[Address] | Exception = resolve(self._host, self._port)
        except Exception as error:  # any: the callers wait for a result
            answer = error

        try:
            loop.call_soon_threadsafe(self._deliver, answer)
        except RuntimeError:
            pass  # the loop is closed, and its callers are gone

    def _deliver(self, answer: "list[Address] | Exception") -> None:
        question = self._question
        self._question = None
        if not isinstance(answer, Exception):
            self._known, self._known_s = answer, time.monotonic()
        if question is not None:
            question.set_result(answer)


ATTEMPT_DELAY_S: Final = 0.25
"""Silence of an address after which the next is tried as well (RFC 8305 §5)."""

AVOIDED_S: Final = 30.0
"""Time for which a failed address is tried after all others."""


class AddressOrder:
    """Order in which the addresses of one name are tried."""

    __slots__ = ("_avoided", "_turn")

    def __init__(self) -> None:
        self._avoided: dict[Address, float] = {}
        """Address → time until which it is tried last. Only has addresses of the name."""
        self._turn = 0

    def arrange(self, found: Sequence[Address], now_s: float) -> list[Address]:
        """Return the addresses in order: families alternate (RFC 8305 §4), each is rotated, failed
        ones last.
        """
        self._avoided = {
            a: until_s for a, until_s in self._avoided.items() if a in found and until_s > now_s
        }
        self._turn += 1
        families: dict[socket.AddressFamily, list[Address]] = {}
        for address in found:
            families.setdefault(address[0], []).append(address)
        rotated = [_rotate(addresses, self._turn - 1) for addresses in families.values()]
        ordered = [
            address for address in chain.from_iterable(zip_longest(*rotated)) if address is not None
        ]
        return sorted(ordered, key=self._avoided.__contains__)

    def avoid(self, address: Address, now_s: float) -> None:
        self._avoided[address] = now_s + AVOIDED_S


def _rotate(addresses: list[Address], by: int) -> list[Address]:
    by %= len(addresses)
    return addresses[by:] + addresses[:by]


class Dialer:
    """Opens connections to one name, at whichever of its addresses answers (RFC 8305 §4, §5).

    Addresses are tried in `AddressOrder`; the next one starts as soon as the previous one fails or
    has been silent for a quarter of a second. The first to connect wins. Invariant: exactly one
    opened socket is returned, or none is left open.
    """

    __slots__ = ("_judge", "_lookup", "_order")

    def __init__(
        self, host: str, port: int, judge: Callable[[Address], object] | None = None
    ) -> None:
        """Connect to a name; `judge` raises for an address that may not be reached."""
        self._judge = judge
        self._lookup = Lookup(host, port)
        self._order = AddressOrder()

    async def connect(self) -> tuple[socket.socket, Address]:
        """Return a connected, non-blocking socket and its address.

        Raises:
            OSError: no address could be reached (the first failure), or the judge refused an address.
        """
        found = await self._lookup.addresses()
        if self._judge is not None:
            for address in found:
                self._judge(address)
        addresses = self._order.arrange(found, time.monotonic())
        if len(addresses) == 1:
            return await _attempt(addresses[0]), addresses[0]
        return await self._race(addresses)

    def avoid(self, address: Address) -> None:
        """Try an address last for a while, because its connection failed."""
        self._order.avoid(address, time.monotonic())

    async def _race(self, addresses: list[Address]) -> tuple[socket.socket, Address]:
        won: asyncio.Future[tuple[socket.socket, Address]] = (
            asyncio.get_running_loop().create_future()
        )
        errors: list[OSError] = []

        started: list[asyncio.Future[Any]] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                for address in addresses:
                    started.append(
                        tasks.create_task(self._try(address, won, errors), name="connect")
                    )
                    await _first_of([started[-1], won], ATTEMPT_DELAY_S)
                    if won.done():
                        break

                while not won.done() and (
                    waiting := [attempt for attempt in started if not attempt.done()]
                ):
                    await _first_of([*waiting, won])

                if won.done():
                    self._give_up(addresses, started, won.result()[1])
        except BaseException:
            if won.done():
                won.result()[0].close()
            raise

        if won.done():
            return won.result()

        raise errors[0]

    def _give_up(
        self, addresses: list[Address], started: list[asyncio.Future[Any]], winner: Address
    ) -> None:
        """Cancel the connection attempts that have not ended. Avoid the addresses of those that
        started before the winner.
        """
        is_earlier = True
        for address, attempt in zip(addresses, started, strict=False):
            is_earlier = is_earlier and address != winner
            if not attempt.done():
                attempt.cancel()
                if is_earlier:
                    self.avoid(address)

    async def _try(
        self,
        address: Address,
        won: "asyncio.Future[tuple[socket.socket, Address]]",
        errors: list[OSError],
    ) -> None:
        try:
            connected = await _attempt(address)
        except OSError as error:
            self.avoid(address)
            errors.append(error)
            return

        if won.done():
            connected.close()
        else:
            won.set_result((connected, address))


async def _first_of(futures: list[asyncio.Future[Any]], timeout_s: float | None = None) -> None:
    await asyncio.wait(futures, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)


async def _attempt(address: Address) -> socket.socket:
    family, target = address
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(opened, target)
    except BaseException:
        opened.close()
        raise

    return opened


_LOOK_S: Final = 0.05
"""Time between two checks whether a paused reader reads again; only for connections that have
ended.
"""
_PIECE_BYTES: Final = 1 << 16
"""Size of one read."""
_NONE: Final = -1


class _FinalBytes(asyncio.BufferedProtocol):
    """Stands between a socket and the loop's TLS layer, and delivers the peer's last bytes even
    after a reset.

    A loop whose write fails stops reading. Without TLS the rest is read from the socket, which is
    still open then (`sockets.last_bytes`). With TLS the loop only has ciphertext, which its TLS
    layer discards. Therefore this protocol passes on the bytes that were unread when the connection
    failed. It also delays the end of a connection while its reader is paused, since uvloop drops
    decrypted data at the end. Meanwhile a second descriptor keeps the kernel's data of a reset
    connection.
    """

    __slots__ = ("_failure", "_look", "_secured", "_tls", "_transport", "_unread")

    def __init__(
        self,
        transport: asyncio.Transport,
        tls: asyncio.BufferedProtocol,
        secured: asyncio.Transport,
    ) -> None:
        """Stand between a socket's transport and its TLS layer, which `secured` reads and writes."""
        self._transport = transport
        self._tls = tls
        self._secured = secured
        self._look: asyncio.Handle | None = None
        self._failure: Exception | None = None
        self._unread = _NONE
        """Descriptor of a failed socket, to read what the kernel still has."""

    def get_buffer(self, sizehint: int) -> memoryview:
        # What is read at once is held twice.
        return memoryview(self._tls.get_buffer(sizehint))[:_PIECE_BYTES]

    def buffer_updated(self, nbytes: int) -> None:
        self._tls.buffer_updated(nbytes)

    def eof_received(self) -> bool | None:
        """Report the peer's end once all bytes before it are read."""
        if self._secured.is_reading() or self._secured.is_closing():
            return self._tls.eof_received()
        self._await_reading(self._report_end)
        return True

    def _await_reading(self, then: Callable[[], None]) -> None:
        self._look = asyncio.get_running_loop().call_later(_LOOK_S, self._look_again, then)

    def _look_again(self, then: Callable[[], None]) -> None:
        if self._secured.is_reading() or self._secured.is_closing():
            # Reading on is a call in the loop's queue, maybe behind us.
            self._look = asyncio.get_running_loop().call_soon(then)
        else:
            self._await_reading(then)

    def _report_end(self) -> None:
        if not self._secured.is_reading() and not self._secured.is_closing():
            self._await_reading(self._report_end)
        elif not self._tls.eof_received():
            self._transport.close()

    def pause_writing(self) -> None:
        self._tls.pause_writing()

    def resume_writing(self) -> None:
        self._tls.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._look is not None:
            self._look.cancel()
        self._failure = exc
        if exc is not None:
            try:
                self._unread = os.dup(self._transport.get_extra_info("socket").fileno())
            except OSError:
                pass  # no descriptor is left, or none was: what came is all there is

        self._read_rest()

    def _read_rest(self) -> None:
        """Deliver the rest as fast as the reader takes it; afterwards, or if the reader has closed,
        report the loss.
        """
        if self._unread != _NONE:
            # Asyncio closes after any failure, too, and still delivers what it can.
            if self._secured.is_closing():
                self._feed(self._take_unread(MAX_LAST_BYTES))
            elif not self._secured.is_reading():
                self._await_reading(self._read_rest)
                return
            elif data := self._take_unread(_PIECE_BYTES):
                self._feed(data)
                self._look = asyncio.get_running_loop().call_soon(self._read_rest)
                return

            os.close(self._unread)
            self._unread = _NONE

        self._tls.connection_lost(self._failure)

    def _take_unread(self, most_bytes: int) -> bytes:
        try:
            return os.read(self._unread, most_bytes)
        except OSError:
            return b""  # nothing more: the reset itself, or an empty queue

    def _feed(self, data: bytes) -> None:
        while data:
            buffer = self.get_buffer(len(data))
            size = min(len(buffer), len(data))
            buffer[:size] = data[:size]
            self._tls.buffer_updated(size)
            data = data[size:]


class _Placeholder(asyncio.Protocol):
    """Stands in for a protocol until the handshake is done."""

    has_data = False

    def data_received(self, data: bytes) -> None:
        self.has_data = True


async def secure(
    raw: asyncio.Transport, protocol: asyncio.Protocol, context: ssl.SSLContext, host: str
) -> None:
    """Run the handshake on a new connection and start the protocol; on failure the connection is
    closed.

    Raises:
        OSError: The handshake failed, or the peer sent data before it.
    """
    if raw.is_closing():
        # The peer has left already, and uvloop would begin the handshake in vain, in a callback.
        raise ConnectionResetError("the connection ended before the TLS handshake")

    placeholder = _Placeholder()
    try:
        transport = await asyncio.get_running_loop().start_tls(
            raw, placeholder, context, server_hostname=host
        )
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the connection ended within the TLS handshake")
        if placeholder.has_data:
            raise ConnectionAbortedError("the upstream sent something before it was asked")
    except BaseException:
        raw.abort()
        raise

    raw.set_protocol(
        _FinalBytes(raw, cast(asyncio.BufferedProtocol, raw.get_protocol()), transport)
    )
    transport.set_protocol(protocol)
    protocol.connection_made(transport)


_METADATA: Final = tuple(
    map(
        ip_network,
        (
            "169.254.0.0/16",
            "fe80::/10",
            "fd00:ec2::/32",
            "100.100.100.200/32",
            "168.63.129.16/32",
            "fd20:ce::254/128",
            "fd00:c1::a9fe:a9fe/128",
            "fd00:42::42/128",
            "192.0.0.192/32",
        ),
    )
)
"""Link-local addresses, and the metadata addresses of AWS, Alibaba, Azure, Google, Oracle, Scaleway
and Oracle Classic.
"""
_TRANSLATED: Final = tuple(
    map(ip_network, ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48"))
)
"""IPv6 addresses that embed an IPv4 address: compatible and mapped (RFC 4291), translated (RFC
2765, 6052, 8215).
"""


def is_metadata(ip: IPv4Address | IPv6Address) -> bool:
    """Return whether an address, in whatever form, is link-local or belongs to a metadata service.

    At metadata addresses clouds give a machine's credentials to any process that asks. Requests to
    addresses that others choose are kept away from them.
    """
    if isinstance(ip, IPv6Address):
        is_translated = any(ip in network for network in _TRANSLATED)
        if is_translated:
            ip = IPv4Address(int(ip) & 0xFFFFFFFF)
        else:
            ip = ip.sixtofour or ip
    return any(ip in network for network in _METADATA)


UNPROVEN_IDLE_NS: Final = 500_000_000
"""Time that an idle connection is kept before the upstream has served two at the same time."""

SILENT_NS: Final = 250_000_000
"""Silence of a new connection after which idle ones are suspected of blocking it."""


class Concurrency:
    """Estimates how many connections an upstream serves at once, and how long idle ones may be
    kept.

    Python's `http.server` and many development servers serve one connection at a time, others one
    per thread. There an idle connection of ours blocks everyone behind it. Until two connections
    were seen served at the same time, idle ones are kept for half a second only. If a new
    connection gets no answer while idle ones fill the observed concurrency, they are closed, and
    from then on none becomes idle while another waits. Invariant: an upstream is only credited with
    concurrency that it has shown.
    """

    __slots__ = ("is_wary", "seen")

    def __init__(self) -> None:
        self.seen = 0
        """Largest number of open connections that had all been answered."""
        self.is_wary = False
        """Whether idle connections were once suspected of blocking others, and no more concurrency
        was seen since.
        """

    def served(self, answered: int) -> None:
        """Note that `answered` open connections have been answered, the newest for the first
        time just now.
        """
        if answered > self.seen:
            self.seen = answered
            self.is_wary = False

    def may_hold(self, answered: int) -> bool:
        """Return True if this many open connections may be all that the upstream serves at once."""
        return answered >= self.seen

    def idle_ns(self, keep_alive_ns: int) -> int:
        """Return how long to keep an idle connection that may be kept for `keep_alive_ns`."""
        if self.seen > 1:
            return keep_alive_ns
        return min(keep_alive_ns, UNPROVEN_IDLE_NS)
