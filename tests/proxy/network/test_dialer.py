"""Names with several addresses: their order, and what happens when some of them do not answer (RFC
8305).
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from proxy.network import dialer, lookup
from proxy.network.dialer import AVOIDED_S, AddressOrder, Dialer
from proxy.network.lookup import Address
from tests.proxy.conftest import Start
from tests.support.client import GET
from tests.support.long import LOOPS
from tests.support.plane import Loop
from tests.support.ports import free_port
from tests.support.script import OK
from tests.support.upstream import read_head

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

    monkeypatch.setattr(lookup, "resolve", lambda host, port: list(found))
    return found


async def dial() -> str:
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
        assert await dial() == "127.0.0.3"


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
    monkeypatch.setattr("proxy.network.dialer.ATTEMPT_DELAY_S", 0)
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
        await dial()


async def test_giving_up_leaves_no_socket(
    names: list[Address], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits no longer, while all addresses are silent, cancels every attempt."""
    monkeypatch.setattr(dialer, "ATTEMPT_DELAY_S", 0.0)
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
