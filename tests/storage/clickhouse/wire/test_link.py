"""Statements over HTTP: which host, how long, and what went wrong."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from storage.clickhouse.wire.answers import AlreadyThere, OutOfTime
from storage.clickhouse.wire.link import Link
from storage.clickhouse.wire.native import Column
from storage.errors import StorageRejected, StorageUnavailable
from tests.support.clickhouse import Server, own_server, server

_NOBODY = "http://127.0.0.1:1"


@contextlib.asynccontextmanager
async def peer(answer: bytes, *, hangs: bool = False) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that answers everything alike and closes, or never; yields its URL and what it was
    sent.
    """
    requests: list[bytes] = []
    serving: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            requests.append(await reader.readuntil(b"\r\n\r\n"))
            if hangs:
                await reader.read()
            writer.write(answer)
            await writer.drain()

        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", requests
    if running := [task for task in serving if task is not None]:
        await asyncio.wait(running, timeout=10)


@contextlib.asynccontextmanager
async def linked(*hosts: str, max_answer_bytes: int = 1 << 20) -> AsyncIterator[Link]:
    """A link to some hosts."""
    opened = Link(replace(server("debian").address(), hosts=hosts), max_answer_bytes)
    try:
        yield opened
    finally:
        await opened.close()


async def test_a_host_that_is_not_there_is_passed_over(engine: Server) -> None:
    """The next host of the address answers, and is asked first from then on."""
    [here] = engine.address().hosts
    async with linked(_NOBODY, here) as link:
        assert await link.fetch("SELECT 1", limit_s=30) == [(1,)]
        assert link.hosts == [here, _NOBODY]
        assert await link.fetch("SELECT 1", limit_s=30) == [(1,)]


async def test_no_host_at_all() -> None:
    """Where no host is there, each is named."""
    async with linked(_NOBODY, "http://127.0.0.1:2") as link:
        with pytest.raises(StorageUnavailable, match=r"(?s)127.0.0.1:1.*127.0.0.1:2"):
            await link.fetch("SELECT 1", limit_s=5)


async def test_a_statement_that_was_sent_is_not_sent_again() -> None:
    """A server that breaks off may have done it: nobody else is asked."""
    async with (
        peer(b"") as (first, asked),
        peer(b"") as (second, unasked),
        linked(first, second) as link,
    ):
        with pytest.raises(StorageUnavailable, match="disconnected"):
            await link.insert("t", [Column("a", "Int64", [1])], limit_s=5)
        assert (len(asked), len(unasked)) == (1, 0)


async def test_answers_are_asked_for_as_they_are() -> None:
    """A server whose profile has `enable_http_compression` would compress blocks and errors."""
    async with (
        peer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (host, asked),
        linked(host) as link,
    ):
        await link.execute("SELECT 1", limit_s=5)
        fields = asked[0].lower().split(b"\r\n")
        assert [field for field in fields if field.startswith(b"accept-encoding:")] == [
            b"accept-encoding: identity"
        ]


async def test_a_server_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait for an answer ends a little after the server's own limit."""
    monkeypatch.setattr("storage.clickhouse.wire.link.GRACE_S", 0.05)
    async with peer(b"", hangs=True) as (host, _), linked(host) as link:
        with pytest.raises(
            StorageUnavailable, match=r"no answer from http://127.0.0.1:\d+ within 0.1 s"
        ):
            await link.fetch("SELECT 1", limit_s=0.05)


@pytest.mark.parametrize(
    ("head", "body", "told"),
    [
        (b"502 Bad Gateway", b"", "status 502"),
        (b"302 Found", b"elsewhere", "elsewhere"),
        (b"200 OK", b"<html>", "cannot be read"),
        (b"200 OK", b"x" * 2000, "larger than 1000 bytes"),
    ],
)
async def test_a_peer_that_is_no_clickhouse(head: bytes, body: bytes, told: str) -> None:
    """Whatever answers in its place is told apart, and its answer has a bound."""
    answer = b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (head, len(body), body)
    async with peer(answer) as (host, _), linked(host, max_answer_bytes=1000) as link:
        with pytest.raises(StorageUnavailable, match=told):
            await link.fetch("SELECT 1", limit_s=5)


async def test_errors_of_a_server(link: Link) -> None:
    """Time that is up, a table that is there, a statement that is none: each is told in the
    server's words.
    """
    with pytest.raises(OutOfTime):
        await link.fetch("SELECT count() FROM system.numbers", limit_s=1)
    await link.execute("CREATE TABLE t (a Int64) ENGINE = MergeTree ORDER BY a", limit_s=30)
    with pytest.raises(AlreadyThere):
        await link.execute("CREATE TABLE t (a Int64) ENGINE = MergeTree ORDER BY a", limit_s=30)
    with pytest.raises(StorageUnavailable, match="never_heard_of"):
        await link.fetch("SELECT never_heard_of FROM t", limit_s=30)


async def test_an_error_in_the_middle_of_an_answer(link: Link) -> None:
    """Rows before the error are no answer."""
    with pytest.raises(StorageUnavailable):
        await link.fetch("SELECT throwIf(number = 1000000) FROM numbers(2000000)", limit_s=30)


async def test_a_value_that_cannot_be_stored(link: Link) -> None:
    """A value that its column cannot hold, or that has no literal, is refused, and nothing is
    stored.
    """
    await link.execute("CREATE TABLE t (a Int64) ENGINE = MergeTree ORDER BY a", limit_s=30)
    with pytest.raises(StorageRejected, match="cannot be stored"):
        await link.insert("t", [Column("a", "Int64", [1, 1 << 63])], limit_s=30)
    with pytest.raises(StorageRejected, match="cannot be stored"):
        await link.fetch("SELECT $1", (1 << 63,), limit_s=30)
    assert await link.fetch("SELECT a FROM t", limit_s=30) == []


async def test_a_wrong_password() -> None:
    """Who is not let in is told so, with the server's reason."""
    address = replace(server("debian").address(), user="locked", password="guess")
    link = Link(address)
    with pytest.raises(StorageUnavailable, match="does not let this user in"):
        await link.fetch("SELECT 1", limit_s=30)
    await link.close()
    link = Link(replace(address, password="secret"))
    assert await link.fetch("SELECT 1", limit_s=30) == [(1,)]
    await link.close()


async def test_a_server_that_comes_back() -> None:
    """A link finds its server again after it was killed."""
    with own_server("debian") as own:
        link = Link(own.address())
        assert await link.fetch("SELECT 1", limit_s=30) == [(1,)]
        own.kill()
        with pytest.raises(StorageUnavailable):
            await link.fetch("SELECT 1", limit_s=30)
        own.start()
        assert await link.fetch("SELECT 1", limit_s=30) == [(1,)]
        await link.close()


async def test_a_closed_link(link: Link) -> None:
    """It is closed twice, and asks nobody any more."""
    await link.close()
    await link.close()
    with pytest.raises(StorageUnavailable, match="closed"):
        await link.fetch("SELECT 1", limit_s=30)
