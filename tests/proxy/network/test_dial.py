"""Names and addresses of upstreams: looked up apart, tried in an order, avoided, and how many at once.

Names that are looked up apart, and what is used while a resolver does not answer.

Names with several addresses: their order, and what happens when some of them do not answer (RFC
8305).

Addresses of metadata services.

What is concluded from the connections that an upstream was seen to serve at once.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_address

import pytest

from proxy.network import dial
from proxy.network.dial import (
    AVOIDED_S,
    UNPROVEN_IDLE_NS,
    Address,
    AddressOrder,
    Concurrency,
    Dialer,
    Lookup,
    is_metadata,
    resolve,
)
from tests.proxy.conftest import Start
from tests.support.cases import each_of
from tests.support.client import GET
from tests.support.collecting import until
from tests.support.long import LOOPS
from tests.support.plane import Loop
from tests.support.ports import free_port
from tests.support.script import OK
from tests.support.upstream import read_head

V4 = socket.AF_INET
A: Address = (V4, ("10.0.0.1", 80))
B: Address = (V4, ("10.0.0.2", 80))


class Resolver:
    """Answers as it is told to; a name without an answer hangs."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Address] | Exception] = {}
        self.asked: list[str] = []
        self.released = threading.Event()

    def resolve(self, host: str, port: int) -> list[Address]:
        self.asked.append(host)
        if host not in self.answers:
            self.released.wait(30)
        answer = self.answers[host]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    made = Resolver()
    monkeypatch.setattr(dial, "resolve", made.resolve)
    monkeypatch.setattr(dial, "PATIENCE_S", 0.02)
    monkeypatch.setattr(dial, "FRESH_S", 0.0)
    with ExitStack() as last:
        last.callback(made.released.set)
        yield made


def test_a_name_becomes_its_addresses() -> None:
    """Each address once, whatever protocols the resolver lists."""
    found = resolve("localhost", 80)
    assert (V4, ("127.0.0.1", 80)) in found
    assert len(found) == len(set(found))


async def test_a_name_that_hangs_holds_no_other(resolver: Resolver) -> None:
    """Nor is it asked for once more by each who waits for it: they share the answer."""
    hanging = [Lookup(f"hangs-{number}.example", 80) for number in range(40)]
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(each.addresses()) for each in hanging for _ in range(3)]
        resolver.answers["a.example"] = [A]
        assert await Lookup("a.example", 80).addresses() == [A]
        assert not any(task.done() for task in waiting)
        resolver.answers |= {f"hangs-{number}.example": [B] for number in range(40)}
        resolver.released.set()

    assert [task.result() for task in waiting] == [[B]] * 120
    assert sorted(resolver.asked) == sorted(
        ["a.example", *(f"hangs-{number}.example" for number in range(40))]
    )


async def test_an_earlier_answer_is_used_while_a_question_hangs(resolver: Resolver) -> None:
    """Once it is answered, the new one is."""
    name = Lookup("a.example", 80)
    resolver.answers["a.example"] = [A]
    assert await name.addresses() == [A]
    del resolver.answers["a.example"]
    assert [await name.addresses(), await name.addresses()] == [[A], [A]]
    await until(lambda: resolver.asked == ["a.example"] * 2)
    resolver.answers["a.example"] = [B]
    resolver.released.set()
    assert name._question is not None
    await asyncio.wait([name._question])
    assert await name.addresses() == [B]


async def test_whoever_gives_up_leaves_the_question_to_others(resolver: Resolver) -> None:
    name = Lookup("a.example", 80)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await name.addresses()
    resolver.answers["a.example"] = [A]
    resolver.released.set()
    assert await name.addresses() == [A]
    assert resolver.asked == ["a.example"]


@pytest.mark.parametrize(
    ("code", "is_used"), [(socket.EAI_AGAIN, True), (socket.EAI_NONAME, False)]
)
async def test_an_earlier_answer_outlives_the_resolver_not_the_name(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch, code: int, is_used: bool
) -> None:
    """A resolver that is out of order has not said that the name is gone (RFC 8767); for some
    minutes.
    """
    monkeypatch.setattr(dial, "PATIENCE_S", 60.0)
    name = Lookup("a.example", 80)
    resolver.answers["a.example"] = socket.gaierror(code, "no")
    with pytest.raises(socket.gaierror):
        await name.addresses()
    resolver.answers["a.example"] = [A]
    await name.addresses()
    resolver.answers["a.example"] = socket.gaierror(code, "no")
    if is_used:
        assert await name.addresses() == [A]
        monkeypatch.setattr(dial, "STALE_S", 0)
    with pytest.raises(socket.gaierror):
        await name.addresses()


async def test_a_fresh_answer_needs_no_other(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And another is asked for when it has served its time."""
    name = Lookup("a.example", 80)
    resolver.answers["a.example"] = [A]
    monkeypatch.setattr(dial, "FRESH_S", 60.0)
    for _ in range(10):
        assert await name.addresses() == [A]
    assert len(resolver.asked) == 1
    monkeypatch.setattr(dial, "FRESH_S", 0.0)
    await name.addresses()
    assert len(resolver.asked) == 2


async def test_no_thread_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a limit of processes is reached, connecting fails as it does without a resolver."""

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(OSError, match="no thread"):
        await Lookup("a.example", 80).addresses()


V4, V6 = socket.AF_INET, socket.AF_INET6


def v4(host: str, port: int = 80) -> Address:
    return V4, (host, port)


A, B, C = v4("10.0.0.1"), v4("10.0.0.2"), v4("10.0.0.3")
SIX: Address = (V6, ("2001:db8::1", 80, 0, 0))


def test_addresses_take_turns() -> None:
    """Each of them is first in its turn."""
    order = AddressOrder()
    assert [order.arrange([A, B, C], 0)[0] for _ in range(4)] == [A, B, C, A]


def test_families_alternate() -> None:
    """The family that the resolver prefers is first; a family that leads nowhere costs one attempt
    (RFC 8305 §4).
    """
    order = AddressOrder()
    assert order.arrange([SIX, A, B], 0) == [SIX, A, B]
    assert order.arrange([SIX, A, B], 0) == [SIX, B, A]
    assert AddressOrder().arrange([A, B, SIX], 0) == [A, SIX, B]


def test_failed_addresses_come_last_for_a_while() -> None:
    """They are not left out: when all others fail too, they are tried."""
    order = AddressOrder()
    order.avoid(A, now_s=100)
    assert order.arrange([A, B], 101) == [B, A]
    assert order.arrange([A, B], 101) == [B, A]
    assert order.arrange([A, B], 100 + AVOIDED_S) == [A, B]


def test_only_addresses_of_the_name_are_remembered() -> None:
    """A name whose addresses change all the time fills no memory."""
    order = AddressOrder()
    for number in range(100):
        order.avoid(v4(f"10.1.0.{number}"), 0)
    order.arrange([A], 1)
    assert not order._avoided


@contextlib.contextmanager
def serving(host: str, port: int = 0) -> Iterator[int]:
    """Accept on an address and answer each request with OK; gives the port."""
    with socket.create_server((host, port)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,)).start()

        def answer(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                while read_head(connection):
                    connection.sendall(OK)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)

    thread.join()


@contextlib.contextmanager
def silent(host: str, port: int) -> Iterator[None]:
    """Answer no attempt to connect: the queue of those that were not accepted is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((host, port), backlog=0))
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> list[Address]:
    """What every name leads to."""
    found: list[Address] = []

    monkeypatch.setattr(dial, "resolve", lambda host, port: list(found))
    return found


async def answering_host() -> str:
    """Connect once; return the host that answered."""
    async with asyncio.timeout(30):
        connected, (_, target) = await Dialer("a.example", 1).connect()
    with connected:
        assert connected.getpeername() == target
    return str(target[0])


async def test_a_silent_address_is_left_behind(names: list[Address]) -> None:
    """The next is tried beside it after a moment, and whoever answers first has the connection."""
    with serving("127.0.0.3") as port, silent("127.0.0.2", port):
        names[:] = [v4("127.0.0.2", port), v4("127.0.0.3", port)]
        assert await answering_host() == "127.0.0.3"


async def test_a_refusing_address_costs_nothing(names: list[Address]) -> None:
    """The next is tried at once, and the one that refused comes last from then on."""
    with serving("127.0.0.3") as port:
        names[:] = [v4("127.0.0.2", port), v4("127.0.0.3", port)]
        made = Dialer("a.example", 1)
        for _ in range(2):
            connected, address = await made.connect()
            connected.close()
            assert address == names[1]

        assert list(made._order._avoided) == names[:1]


async def test_an_address_behind_the_first_that_answers_is_not_avoided(
    names: list[Address], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was begun because the first was late, or the loop was, and had no time to show what it is
    worth.
    """
    monkeypatch.setattr("proxy.network.dial.ATTEMPT_DELAY_S", 0)
    with serving("127.0.0.2") as port, silent("127.0.0.3", port):
        names[:] = [v4("127.0.0.2", port), v4("127.0.0.3", port)]
        made = Dialer("a.example", 1)
        connected, address = await made.connect()
        connected.close()

    assert address == names[0]
    assert not made._order._avoided


@pytest.mark.parametrize("count", [1, 2])
async def test_no_address_that_answers_is_a_failure(names: list[Address], count: int) -> None:
    """The reason is that of the first."""
    port = free_port()
    names[:] = [v4(f"127.0.0.{number}", port) for number in range(2, 2 + count)]
    with pytest.raises(ConnectionRefusedError):
        await answering_host()


async def test_giving_up_leaves_no_socket(
    names: list[Address], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits no longer, while all addresses are silent, cancels every attempt."""
    monkeypatch.setattr(dial, "ATTEMPT_DELAY_S", 0.0)
    with serving("127.0.0.4") as port, silent("127.0.0.2", port), silent("127.0.0.3", port):
        names[:] = [v4("127.0.0.2", port), v4("127.0.0.3", port)]
        async with asyncio.TaskGroup() as tasks:
            connecting = tasks.create_task(Dialer("a.example", 1).connect(), name="test")
            while sum(task.get_name() == "connect" for task in asyncio.all_tasks()) < 2:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
            connecting.cancel()

        assert connecting.cancelled()
    # An open socket would be a ResourceWarning, which is an error here.


@pytest.mark.parametrize("loop", LOOPS)
def test_the_address_used_is_on_the_record(start: Start, names: list[Address], loop: Loop) -> None:
    """A request goes to the address that answers; addresses take turns, and reused connections keep
    theirs.
    """
    with serving("127.0.0.3") as port, serving("127.0.0.4", port), silent("127.0.0.2", port):
        names[:] = [v4(f"127.0.0.{number}", port) for number in (2, 3, 4)]
        plane = start(f"http://a.example:{port}", loop=loop, upstream_keep_alive_s=0)
        for _ in range(6):
            assert plane.call(GET) == b"ok"
        used = {exchange.upstream for exchange in plane.exchanges(6)}
        assert used == {b"127.0.0.%d:%d" % (number, port) for number in (3, 4)}


def test_an_ipv6_address_is_recorded_in_brackets(start: Start, names: list[Address]) -> None:
    """As in a URL (RFC 3986 §3.2.2)."""
    listener = socket.socket(V6)
    try:
        listener.bind(("::1", 0))
    except OSError:
        listener.close()
        pytest.skip("no IPv6 here")

    port = listener.getsockname()[1]
    names[:] = [(V6, ("::1", port, 0, 0))]
    with listener:
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                read_head(connection)
                connection.sendall(OK)

        thread = threading.Thread(target=serve)
        thread.start()
        plane = start(f"http://a.example:{port}")
        assert plane.call(GET) == b"ok"
        thread.join()
        assert plane.exchange().upstream == b"[::1]:%d" % port


@each_of(
    "text",
    [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "fe80::1",
        "fd00:ec2::254",
        "100.100.100.200",
        "168.63.129.16",
        "fd20:ce::254",
        "fd00:c1::a9fe:a9fe",
        "fd00:42::42",
        "192.0.0.192",
    ],
)
def test_they_are_known_in_every_form(text: str) -> None:
    assert is_metadata(ip_address(text))


@each_of(
    "text", ["127.0.0.1", "::1", "10.0.0.1", "100.64.0.1", "2001:db8::1", "fd00::1", "fd20:ce::1"]
)
def test_others_are_none(text: str) -> None:
    assert not is_metadata(ip_address(text))


LONG_NS = 60_000_000_000


def test_idle_connections_are_kept_when_two_were_served() -> None:
    """One after the other shows nothing; a shorter time that was set stays."""
    concurrency = Concurrency()
    for _ in range(3):
        concurrency.served(1)
        assert concurrency.idle_ns(LONG_NS) == UNPROVEN_IDLE_NS
    assert concurrency.idle_ns(5) == 5
    concurrency.served(2)
    assert concurrency.idle_ns(LONG_NS) == LONG_NS
    concurrency.served(1)
    assert concurrency.idle_ns(LONG_NS) == LONG_NS


def test_only_what_was_seen_is_believed() -> None:
    """As many as were seen may be all there is; fewer leave room."""
    concurrency = Concurrency()
    concurrency.served(4)
    assert [concurrency.may_hold(answered) for answered in (3, 4, 5)] == [False, True, True]


def test_a_suspicion_ends_with_more_than_was_seen() -> None:
    """The same again proves nothing."""
    concurrency = Concurrency()
    concurrency.served(2)
    concurrency.is_wary = True
    concurrency.served(2)
    assert concurrency.is_wary
    concurrency.served(3)
    assert not concurrency.is_wary
