"""Services nobody wrote for these tests, large bodies, many connections and streams, behind a real
sidelog.
"""

import asyncio
import hashlib
import http.client
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import psutil
import pytest
from aiohttp import web

from tests.support.ports import free_port
from tests.support.sidelog import Sidelog, eventually
from tests.support.upstream import running

LARGE_BYTES = 200 << 20
GROWTH_BYTES = 64 << 20
BLOCK = bytes(range(256)) * 1024


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of files to serve."""
    directory = tmp_path_factory.mktemp("files")
    (directory / "page.html").write_text("<h1>hello</h1>")
    (directory / "numbers.bin").write_bytes(BLOCK)
    return directory


@pytest.fixture(scope="module")
def directory_server(files: Path) -> Iterator[str]:
    """`python -m http.server`."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "http.server",
        str(port),
        "--bind",
        "127.0.0.1",
        "--directory",
        str(files),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:

        def is_up() -> bool:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60).close()
            except OSError:
                return False
            return True

        eventually(is_up)
        yield f"http://127.0.0.1:{port}"
        server.terminate()


def get(url: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Ask once; any status is an answer. Header names are in lower case."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, method=method, headers=named)
    try:
        response = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        response = error

    with response:
        return (
            response.status,
            {name.lower(): value for name, value in response.headers.items()},
            response.read(),
        )


def test_the_standard_library_server(tmp_path: Path, directory_server: str) -> None:
    """HTTP/1.0 answers that end with the connection: a listing, a file, HEAD, a redirect and a 404
    arrive unchanged.
    """
    with Sidelog(tmp_path / "data", directory_server) as sidelog:
        for path, method in (
            ("/", "GET"),
            ("/page.html", "GET"),
            ("/numbers.bin", "GET"),
            ("/numbers.bin", "HEAD"),
            ("/absent", "GET"),
            ("/page.html", "DELETE"),
        ):
            direct_status, direct, direct_body = get(directory_server + path, method)
            status, headers, body = get(sidelog.url + path, method)
            assert (status, body) == (direct_status, direct_body)
            kept = {"content-type", "content-length", "last-modified", "server"}
            assert {name: headers.get(name) for name in kept} == {
                name: direct.get(name) for name in kept
            }

        sidelog.settled_ledger()
        shown = [
            (record["method"], record["path"], record["status"])
            for record in sidelog.records("order=asc")
        ]
        assert shown == [
            ("GET", "/", 200), ("GET", "/page.html", 200), ("GET", "/numbers.bin", 200),
            ("HEAD", "/numbers.bin", 200), ("GET", "/absent", 404), ("DELETE", "/page.html", 501),
        ]  # fmt: skip
        head = sidelog.records("method=HEAD")[0]
        assert (head["response_bytes"], head["outcome"]) == (0, "ok")
        listing = sidelog.records("path=/&status=200")[-1]
        body = get(
            f"http://127.0.0.1:{sidelog.admin_port}/api/records/{listing['id']}/response-body",
            Authorization=f"Bearer {sidelog.token}",
        )[2]
        assert b"numbers.bin" in body


async def _compressed(request: web.Request) -> web.Response:
    response = web.json_response({"text": "compress me " * 1000})
    response.enable_compression(web.ContentCoding.gzip)
    return response


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


async def _events(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b"data: first\n\n")
    await request.app[GATE].wait()
    await response.write(b"data: second\n\n")
    return response


async def _open_gate(request: web.Request) -> web.Response:
    request.app[GATE].set()
    return web.Response()


async def _small(request: web.Request) -> web.Response:
    return web.Response(text=request.match_info["number"])


def service(files: Path) -> web.Application:
    """An aiohttp application: static files with ranges, gzip, large bodies in both directions,
    server-sent events.
    """
    app = web.Application()
    app[GATE] = asyncio.Event()
    app.router.add_static("/static", files)
    app.router.add_get("/compressed", _compressed)
    app.router.add_get("/download", _download)
    app.router.add_post("/upload", _upload)
    app.router.add_get("/events", _events)
    app.router.add_post("/open", _open_gate)
    app.router.add_get("/small/{number}", _small)
    return app


GATE = web.AppKey("gate", asyncio.Event)


@pytest.fixture(scope="module")
def aiohttp_service(files: Path) -> Iterator[str]:
    """The application above, served."""
    with running(service(files)) as url:
        yield url


@pytest.fixture(scope="module")
def before_service(
    tmp_path_factory: pytest.TempPathFactory, aiohttp_service: str
) -> Iterator[Sidelog]:
    """A sidelog in front of it."""
    with Sidelog(tmp_path_factory.mktemp("service") / "data", aiohttp_service) as sidelog:
        yield sidelog


def test_static_files_with_ranges_and_conditions(before_service: Sidelog) -> None:
    """Ranges, unsatisfiable ranges, conditional requests and content codings pass, and are recorded
    as they were.
    """
    status, headers, body = get(f"{before_service.url}/static/numbers.bin", Range="bytes=300-309")
    assert (status, body) == (206, BLOCK[300:310])
    assert headers["content-range"] == f"bytes 300-309/{len(BLOCK)}"
    assert get(f"{before_service.url}/static/numbers.bin", Range="bytes=99999999-")[0] == 416
    _, headers, body = get(f"{before_service.url}/static/numbers.bin")
    assert body == BLOCK
    status, _, body = get(f"{before_service.url}/static/numbers.bin", If_None_Match=headers["etag"])
    assert (status, body) == (304, b"")
    assert get(f"{before_service.url}/static/../secret")[0] in (400, 403, 404)

    _, headers, body = get(f"{before_service.url}/compressed", Accept_Encoding="gzip")
    assert (headers["content-encoding"], body[:2]) == ("gzip", b"\x1f\x8b")
    record = eventually(lambda: before_service.records("path=/compressed"))[0]
    assert record["response_bytes"] == len(body)
    stored = get(
        f"http://127.0.0.1:{before_service.admin_port}/api/records/{record['id']}/response-body",
        Authorization=f"Bearer {before_service.token}",
    )[2]
    assert b"compress me compress me" in stored


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


def test_an_event_arrives_while_the_upstream_still_waits(before_service: Sidelog) -> None:
    """The first event of a stream is with the client before the upstream has decided to send the
    second.
    """
    connection = http.client.HTTPConnection("127.0.0.1", before_service.port, timeout=60)
    connection.request("GET", "/events")
    response = connection.getresponse()
    assert response.readline() == b"data: first\n"
    (running_now,) = eventually(
        lambda: before_service.api("/api/records?in_flight=true&path=/events")["records"]
    )
    assert running_now["in_flight"]
    assert get(f"{before_service.url}/open", "POST")[0] == 200
    assert response.read() == b"\ndata: second\n\n"
    connection.close()
    record = eventually(lambda: before_service.records("path=/events"))[0]
    assert (record["outcome"], record["response_bytes"]) == ("ok", 28 - 1)
