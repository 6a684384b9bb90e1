"""A Jupyter server with a kernel: files over its REST API, code over its WebSocket."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.realworld.programs import python_program, serving
from tests.realworld.proxied import proxied
from tests.support.ports import free_port

pytestmark = [pytest.mark.realworld, pytest.mark.timeout(300)]

TOKEN = "a-token-that-no-record-shows"
CODE = """
import sys
for number in range(3):
    print("line", number)
print("to stderr", file=sys.stderr)
sum(range(1000))
"""


@contextlib.contextmanager
def jupyter(home: Path) -> Iterator[str]:
    """Serve an empty folder."""
    home.mkdir()
    port = free_port()
    command = [
        *(
            python_program("jupyter-server"),
            "--no-browser",
            "--allow-root",
            "--ServerApp.ip=127.0.0.1",
        ),
        *(
            f"--ServerApp.port={port}",
            f"--IdentityProvider.token={TOKEN}",
            f"--ServerApp.root_dir={home}",
        ),
    ]

    own = {
        name: str(home / "own")
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    }
    with serving(
        command, port, home, own | {"IPYTHONDIR": str(home / "own")}, ready_path="/api"
    ) as url:
        yield url


def execute_request(code: str) -> dict[str, Any]:
    """Return the message that asks a kernel to run code."""
    name = uuid.uuid4().hex
    header = {
        "msg_id": name,
        "msg_type": "execute_request",
        "username": "",
        "session": name,
        "version": "5.3",
    }
    content = {
        "code": code,
        "silent": False,
        "store_history": True,
        "user_expressions": {},
        "allow_stdin": False,
    }
    return {
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": content,
        "channel": "shell",
        "buffers": [],
    }


async def execute(socket: aiohttp.ClientWebSocketResponse, code: str) -> tuple[str, dict[str, str]]:
    """Run code; return the reply's status and what was put out, by stream."""
    request = execute_request(code)
    await socket.send_json(request)
    out: dict[str, str] = {}
    status = ""

    is_idle = False
    while not (status and is_idle):
        message = await socket.receive_json(timeout=60)
        if message["parent_header"].get("msg_id") != request["header"]["msg_id"]:
            continue

        content = message["content"]
        match message["msg_type"]:
            case "stream":
                out[content["name"]] = out.get(content["name"], "") + content["text"]
            case "execute_result":
                out["result"] = content["data"]["text/plain"]
            case "error":
                out["error"] = content["ename"]
            case "execute_reply":
                status = content["status"]
            case "status":
                is_idle = content["execution_state"] == "idle"
            case _:
                pass

    return status, out


async def work(url: str) -> list[Any]:
    """Write and read a notebook, run code in a kernel, interrupt it, end it; return what came of
    it.
    """
    notebook = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    headers = {"Authorization": f"token {TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        path = f"{url}/api/contents/a notebook.ipynb"
        async with session.put(path, json={"type": "notebook", "content": notebook}) as answer:
            seen: list[Any] = [answer.status]
        async with session.get(path) as answer:
            seen += [answer.status, (await answer.json())["content"]["nbformat"]]
        async with session.get(f"{url}/api/contents/absent.txt") as answer:
            seen += [answer.status]
        async with session.post(f"{url}/api/kernels", json={"name": "python3"}) as answer:
            seen += [answer.status]
            kernel = f"{url}/api/kernels/{(await answer.json())['id']}"
        async with session.ws_connect(f"{kernel}/channels") as socket:
            seen += [await execute(socket, CODE), await execute(socket, "1 / 0")]
            seen += [await execute(socket, "print('x' * 500_000)")]
            async with asyncio.TaskGroup() as tasks:
                endless = tasks.create_task(
                    execute(socket, "print('begun')\nimport time\ntime.sleep(600)")
                )
                # Until the kernel has begun; it does not matter whether it has.
                await asyncio.sleep(1)
                async with session.post(f"{kernel}/interrupt") as answer:
                    seen += [answer.status]

            seen += [endless.result()]

        async with session.delete(kernel) as answer:
            seen += [answer.status]

    return seen


async def test_kernel(tmp_path: Path) -> None:
    """Code gives the same output, error and interruption; the WebSocket is one exchange with its
    messages.
    """
    with jupyter(tmp_path / "a") as url:
        direct = await work(url)
    assert direct[0] == 201
    with jupyter(tmp_path / "b") as url, proxied(tmp_path, url) as way:
        assert await work(way.url) == direct
        records = way.check_record()
        details = [way.sidelog.record(record["id"]) for record in records]
        assert TOKEN not in json.dumps(details)

    statuses = [(record["method"], record["status"]) for record in records]
    assert sorted(statuses) == [
        *(("DELETE", 204), ("GET", 101), ("GET", 200), ("GET", 404)),
        *(("POST", 201), ("POST", 204), ("PUT", 201)),
    ]
    (channel,) = [record for record in records if record["status"] == 101]
    assert channel["response_bytes"] > 500_000
