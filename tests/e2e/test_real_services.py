"""Large bodies and many connections behind a real sidelog."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import psutil
import pytest
from aiohttp import web

from tests.support.sidelog import Sidelog
from tests.support.upstream import running

LARGE_BYTES = 200 << 20
GROWTH_BYTES = 64 << 20
BLOCK = bytes(range(256)) * 1024


async def _download(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    response.content_length = LARGE_BYTES
    await response.prepare(request)
    for _ in range(LARGE_BYTES // len(BLOCK)):
        await response.write(BLOCK)
    await response.write_eof()
    return response


async def _upload(request: web.Request) -> web.Response:
    digest = hashlib.sha256()
    size = 0
    async for data in request.content.iter_any():
        digest.update(data)
        size += len(data)
    chunked = request.headers.get("Transfer-Encoding")
    return web.json_response(
        {"sha256": digest.hexdigest(), "bytes": size, "transfer_encoding": chunked}
    )


async def _small(request: web.Request) -> web.Response:
    return web.Response(text=request.match_info["number"])


def service() -> web.Application:
    """An aiohttp application: large bodies in both directions, and small answers."""
    app = web.Application()
    app.router.add_get("/download", _download)
    app.router.add_post("/upload", _upload)
    app.router.add_get("/small/{number}", _small)
    return app


@pytest.fixture(scope="module")
def aiohttp_service() -> Iterator[str]:
    """The application above, served."""
    with running(service()) as url:
        yield url


def worker_memory(sidelog: Sidelog) -> int:
    """Private bytes of the only worker; the ring is shared and of a fixed size."""
    (pid,) = sidelog.pids("proxy.worker")
    return int(psutil.Process(pid).memory_full_info().uss)


async def _blocks(digest: "hashlib._Hash") -> AsyncIterator[bytes]:
    for number in range(LARGE_BYTES // len(BLOCK)):
        block = number.to_bytes(8, "big") + BLOCK[8:]
        digest.update(block)
        yield block


@pytest.mark.long
async def test_large_bodies_in_constant_memory(tmp_path: Path, aiohttp_service: str) -> None:
    """200 MiB down and 200 MiB up (chunked) arrive unchanged, and the worker does not grow with
    them.
    """
    with Sidelog(tmp_path / "data", aiohttp_service) as sidelog:
        before = worker_memory(sidelog)
        largest = before

        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(sidelog.url, timeout=timeout) as session:
            received = hashlib.sha256()
            expected = hashlib.sha256()
            for _ in range(LARGE_BYTES // len(BLOCK)):
                expected.update(BLOCK)
            size = 0
            async with session.get("/download") as response:
                async for data in response.content.iter_any():
                    received.update(data)
                    size += len(data)
                    if size % (32 << 20) < len(data):
                        largest = max(largest, worker_memory(sidelog))

            assert (size, received.digest()) == (LARGE_BYTES, expected.digest())
            sent = hashlib.sha256()
            async with session.post("/upload", data=_blocks(sent)) as response:
                answer = await response.json()
            largest = max(largest, worker_memory(sidelog))
            assert answer == {
                "sha256": sent.hexdigest(),
                "bytes": LARGE_BYTES,
                "transfer_encoding": "chunked",
            }

        assert largest - before < GROWTH_BYTES
        sidelog.settled_ledger()
        upload, download = sidelog.records()
        assert (download["response_bytes"], download["outcome"]) == (LARGE_BYTES, "ok")
        assert (upload["request_bytes"], upload["outcome"], upload["request_complete"]) == (
            LARGE_BYTES,
            "ok",
            True,
        )


async def _client(port: int, number: int, is_open: asyncio.Barrier) -> list[bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = []
    try:
        await is_open.wait()
        for turn in range(3):
            writer.write(f"GET /small/{number}.{turn} HTTP/1.1\r\nHost: many\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 "), head
            (length,) = [
                line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
            ]
            answers.append(await reader.readexactly(int(length.partition(b":")[2])))
    finally:
        writer.close()

    return answers


@pytest.mark.long
async def test_a_thousand_connections_at_once(tmp_path: Path, aiohttp_service: str) -> None:
    """1 000 connections that are open at the same time get three answers each, their own, and all
    are recorded.
    """
    with Sidelog(tmp_path / "data", aiohttp_service) as sidelog:
        count = 1000
        is_open = asyncio.Barrier(count)
        async with asyncio.timeout(200), asyncio.TaskGroup() as tasks:
            clients = [
                tasks.create_task(_client(sidelog.port, number, is_open)) for number in range(count)
            ]

        for number, client in enumerate(clients):
            assert client.result() == [f"{number}.{turn}".encode() for turn in range(3)]
        assert sidelog.settled_ledger()["stored"] == 3 * count
        paths = {record["path"] for record in sidelog.records()}
        assert paths == {f"/small/{number}.{turn}" for number in range(count) for turn in range(3)}
