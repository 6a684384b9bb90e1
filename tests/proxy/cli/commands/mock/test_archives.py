"""Archives as browsers and proxies write them, their text decoded and its coding still named, read
by real clients.
"""

import asyncio
import base64
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from proxy.cli.commands.files.source import recorded_in
from proxy.cli.commands.mock.service import Service
from proxy.cli.commands.mock.serving import listening

ARCHIVES = sorted((Path(__file__).parents[4] / "fixtures/har").glob("*.har"))
ENTRIES = {path.stem: json.loads(path.read_text())["log"]["entries"] for path in ARCHIVES}
Fetch = Callable[[str, str, Mapping[str, str], bytes | None], tuple[int, bytes]]


def by_urllib(
    method: str, url: str, headers: Mapping[str, str], body: bytes | None
) -> tuple[int, bytes]:
    class AsItIs(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    request = urllib.request.Request(url, method=method, headers=dict(headers), data=body)
    try:
        with urllib.request.build_opener(AsItIs).open(request, timeout=60) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def by_requests(
    method: str, url: str, headers: Mapping[str, str], body: bytes | None
) -> tuple[int, bytes]:
    with requests.Session() as session:
        answer = session.request(
            method, url, headers=dict(headers), data=body, allow_redirects=False, timeout=60
        )
        return answer.status_code, answer.content


def by_curl(
    method: str, url: str, headers: Mapping[str, str], body: bytes | None
) -> tuple[int, bytes]:
    command = [
        "curl",
        "--silent",
        "--show-error",
        "--compressed",
        "--request",
        method,
        "--write-out",
        "%{http_code}",
    ]
    command += [
        word for name, value in headers.items() for word in ("--header", f"{name}: {value}")
    ]
    command += ["--data-binary", "@-"] if body is not None else []
    answer = subprocess.run(
        [*command, url], input=body or b"", capture_output=True, check=True, timeout=60
    ).stdout
    return int(answer[-3:]), answer[:-3]


@pytest.mark.parametrize("fetch", [by_urllib, by_requests, by_curl])
@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.stem)
async def test_every_answer_is_readable(archive: Path, fetch: Fetch) -> None:
    """The codings that the client accepts do not matter."""
    service = Service(recorded_in(archive))
    entries = ENTRIES[archive.stem]
    assert (service.answers, service.left_out) == (len(entries), {})

    async with listening(service, "127.0.0.1", 0) as port:
        for entry in entries:
            asked = entry["request"]
            answer = entry["response"]
            url = asked["url"].replace("https://shop.example", f"http://127.0.0.1:{port}")
            wanted = {"accept", "content-type", "accept-encoding"}
            headers = {
                each["name"]: each["value"]
                for each in asked["headers"]
                if each["name"].lower() in wanted
            }
            body = asked["postData"]["text"].encode() if "postData" in asked else None
            status, content = await asyncio.to_thread(fetch, asked["method"], url, headers, body)
            text = answer["content"].get("text", "")
            is_base64 = answer["content"].get("encoding") == "base64"
            expected = base64.b64decode(text) if is_base64 else text.encode()
            assert (status, content) == (answer["status"], expected), url
