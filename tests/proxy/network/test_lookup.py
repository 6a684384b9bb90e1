"""Names that are looked up apart, and what is used while a resolver does not answer."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from proxy.network import lookup
from proxy.network.lookup import Address, Lookup, resolve
from tests.support.collecting import until

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
    monkeypatch.setattr(lookup, "resolve", made.resolve)
    monkeypatch.setattr(lookup, "PATIENCE_S", 0.02)
    monkeypatch.setattr(lookup, "FRESH_S", 0.0)
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
    monkeypatch.setattr(lookup, "PATIENCE_S", 60.0)
    name = Lookup("a.example", 80)
    resolver.answers["a.example"] = socket.gaierror(code, "no")
    with pytest.raises(socket.gaierror):
        await name.addresses()
    resolver.answers["a.example"] = [A]
    await name.addresses()
    resolver.answers["a.example"] = socket.gaierror(code, "no")
    if is_used:
        assert await name.addresses() == [A]
        monkeypatch.setattr(lookup, "STALE_S", 0)
    with pytest.raises(socket.gaierror):
        await name.addresses()


async def test_a_fresh_answer_needs_no_other(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And another is asked for when it has served its time."""
    name = Lookup("a.example", 80)
    resolver.answers["a.example"] = [A]
    monkeypatch.setattr(lookup, "FRESH_S", 60.0)
    for _ in range(10):
        assert await name.addresses() == [A]
    assert len(resolver.asked) == 1
    monkeypatch.setattr(lookup, "FRESH_S", 0.0)
    await name.addresses()
    assert len(resolver.asked) == 2


async def test_no_thread_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a limit of processes is reached, connecting fails as it does without a resolver."""

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(OSError, match="no thread"):
        await Lookup("a.example", 80).addresses()
