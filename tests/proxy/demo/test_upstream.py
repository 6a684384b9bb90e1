"""The demo upstream as a whole: its index, its WebSocket, and its life as a process."""

import signal
import subprocess
import sys
import urllib.request

from aiohttp.test_utils import TestClient, TestServer

from proxy.demo.upstream import application


async def test_the_index_names_every_request() -> None:
    """Who opens the upstream sees what there is; what there is not has no answer."""
    async with TestClient(TestServer(application(pace_s=0))) as client:
        found = (await (await client.get("/")).json())["requests"]
        assert {
            "GET /api/users",
            "POST /v1/chat/completions",
            "POST /v1/messages",
            "POST /mcp",
        } <= set(found)
        assert (await client.get("/nothing")).status == 404


async def test_the_web_socket_echoes_text_and_bytes() -> None:
    """What is sent comes back as the same kind."""
    async with (
        TestClient(TestServer(application(pace_s=0))) as client,
        client.ws_connect("/ws") as socket,
    ):
        await socket.send_str("text")
        await socket.send_bytes(b"\x00\xff")
        assert await socket.receive_str() == "text"
        assert await socket.receive_bytes() == b"\x00\xff"


def test_the_process_prints_its_port_and_stops_when_told() -> None:
    """The first line of output is the port; SIGTERM ends it with exit code 0."""
    command = [sys.executable, "-m", "proxy.demo.upstream"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/users/1", timeout=60) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
