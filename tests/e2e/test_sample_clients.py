"""The documents' own sample clients against a real sidelog: only base URL, token and ids are
changed.
"""

import importlib.util
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.e2e.sample_texts import (
    CLIENT_DETAIL_JAVA,
    CLIENT_DETAIL_JS,
    CLIENT_DETAIL_PY,
    CLIENT_LIST_JAVA,
    CLIENT_LIST_JS,
    CLIENT_LIST_PY,
    GATEWAY_JS,
    GSON_JAVA,
    PROXY_LOGS_JS,
    PROXY_STATS_JS,
    PROXY_STREAM_JS,
    REQUESTS,
    SDK_JS,
)
from tests.support.programs import PROGRAM_S, find
from tests.support.sidelog import Sidelog, eventually

CONFIG = """
[[routes]]
id = "proxy-1"
path = "/"
upstream = "{upstream}"
service = "user-api"
container = "cnt_x9y8z7w6"
project = "proj_a1b2c3d4"
client = "client-1"
"""

NUMBER = 25


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, upstream: str) -> Iterator[Sidelog]:
    """A sidelog with 25 exchanges of one client and proxy."""
    directory = tmp_path_factory.mktemp("samples")
    config = directory / "sidelog.toml"
    config.write_text(CONFIG.format(upstream=upstream))

    with Sidelog(directory / "data", "", "--config", str(config)) as sidelog:
        for number in range(NUMBER):
            body = json.dumps({"name": "John Doe", "n": number}).encode()
            request = urllib.request.Request(
                f"{sidelog.url}/api/users?position=center",
                body,
                {"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=60) as response:
                response.read()

        eventually(lambda: sidelog.api("/v1/requests")["total"] == NUMBER)
        yield sidelog


def adapted(sample: str, sidelog: Sidelog) -> str:
    """Change base URL, token and ids, and nothing else."""
    newest = sidelog.api("/api/records?limit=1")["records"][0]["id"]
    base = f"http://127.0.0.1:{sidelog.admin_port}"
    return (
        sample.replace("BASE", base)
        .replace("Bearer TOKEN", f"Bearer {sidelog.token}")
        .replace("REQUEST_ID", newest)
    )


def run(sidelog: Sidelog, *command: str, cwd: Path) -> str:
    """Run a sample with the token where the document has it."""
    environ = {**os.environ, "USER_TOKEN": sidelog.token, "PYTHONPATH": str(cwd)}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environ,
        capture_output=True,
        text=True,
        timeout=PROGRAM_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("sample", "lines"),
    [
        (GATEWAY_JS, [f"Showing 20 of {NUMBER} requests", "5 more"]),
        (CLIENT_LIST_JS, [f"Found {NUMBER} requests"]),
        (CLIENT_DETAIL_JS, ["Request: POST /api/users", "Status: 200, Duration: "]),
    ],
)
def test_javascript(running: Sidelog, tmp_path: Path, sample: str, lines: list[str]) -> None:
    """`fetch`, as in the documents of seeds 000 and 004."""
    node = find("node")
    (tmp_path / "sample.mjs").write_text(adapted(sample, running))
    printed = run(running, node, "sample.mjs", cwd=tmp_path).splitlines()
    for line, expected in zip(printed, lines, strict=True):
        assert line.startswith(expected)


@pytest.mark.parametrize(
    ("sample", "lines"),
    [
        (CLIENT_LIST_PY, [f"Found {NUMBER} requests"]),
        (CLIENT_DETAIL_PY, ["Request: POST /api/users", "Status: 200, Duration: "]),
    ],
)
def test_python(running: Sidelog, tmp_path: Path, sample: str, lines: list[str]) -> None:
    """`requests`, as in the Requests API; a naive local time is read as UTC."""
    if importlib.util.find_spec("requests") is None:
        (tmp_path / "requests.py").write_text(REQUESTS)
    (tmp_path / "sample.py").write_text(adapted(sample, running))
    printed = run(running, sys.executable, "sample.py", cwd=tmp_path).splitlines()
    for line, expected in zip(printed, lines, strict=True):
        assert line.startswith(expected)


@pytest.mark.long
def test_java(running: Sidelog, tmp_path: Path) -> None:
    """`java.net.http`, as in the Requests API."""
    samples = {"ListRequests": CLIENT_LIST_JAVA, "GetRequestDetails": CLIENT_DETAIL_JAVA}
    gson = tmp_path / "com/google/gson"
    gson.mkdir(parents=True)
    for part in GSON_JAVA.split("---\n"):
        (gson / f"{part.partition('public class ')[2].split()[0]}.java").write_text(part)
    for name, sample in samples.items():
        (tmp_path / f"{name}.java").write_text(adapted(sample, running))
    run(running, find("javac"), *(f"{name}.java" for name in samples), cwd=tmp_path)
    listed, shown = (
        run(running, find("java"), "-cp", ".", name, cwd=tmp_path).splitlines() for name in samples
    )
    assert listed == [f"Found {NUMBER} requests"]
    assert shown[0] == "Request: POST /api/users"
    assert shown[1].startswith("Status: 200, Duration: ")


def test_go(running: Sidelog, tmp_path: Path) -> None:
    """The Go samples of the Requests API: a local time with an unescaped `+`, the token bare,
    `Go-http-client`.
    """
    week_ago = datetime.now(timezone(timedelta(hours=2))) - timedelta(days=7)
    time = week_ago.isoformat(timespec="seconds")
    assert time.endswith("+02:00")
    url = adapted(
        f"BASE/api/clients/client-1/proxies/proxy-1/requests?limit=100&processedAfter={time}",
        running,
    )

    headers = {"Authorization": running.token, "User-Agent": "Go-http-client/1.1"}
    with urllib.request.urlopen(
        urllib.request.Request(url, headers=headers), timeout=60
    ) as response:
        answer = json.load(response)

    assert (answer["totalRequests"], answer["limitReached"], answer["message"]) == (
        NUMBER,
        False,
        "Success",
    )


@pytest.mark.parametrize(
    ("sample", "expected"),
    [(PROXY_LOGS_JS, 2 * NUMBER), (PROXY_STATS_JS, 2), (PROXY_STREAM_JS, 10)],
)
def test_the_sdk_of_the_proxy_logs(
    running: Sidelog, tmp_path: Path, sample: str, expected: int
) -> None:
    """The loops of the proxy logs over pages, figures and live frames, over a client made of its
    endpoints.
    """
    node = find("node")
    (tmp_path / "sdk.mjs").write_text(adapted(SDK_JS, running))
    (tmp_path / "sample.mjs").write_text(sample)
    printed = run(running, node, "sample.mjs", cwd=tmp_path).splitlines()
    assert len(printed) == expected

    if sample is PROXY_LOGS_JS:
        assert all(line.endswith(" info /api/users?position=center") for line in printed)
    elif sample is PROXY_STATS_JS:
        assert printed[1] == "Errors: 0"
    else:
        assert all(json.loads(line.partition(" ")[2])["level"] == "info" for line in printed)


@pytest.mark.parametrize(
    ("arguments", "member"),
    [
        (["BASE/v1/requests?limit=20&offset=0", "-H", "Authorization: Bearer SECRET"], "data"),
        (
            [
                "BASE/v1/requests?project_id=proj_a1b2c3d4&limit=50",
                "-H",
                "Authorization: Bearer SECRET",
            ],
            "data",
        ),
        (["BASE/api/proxy-logs/_logs?level=info", "-H", "Authorization: Bearer SECRET"], "entries"),
        (["BASE/api/request-logs", "-H", "Authorization: Bearer SECRET"], "logs"),
        (
            [
                "--request",
                "GET",
                "--url",
                "BASE/api/mcp-logs",
                "-H",
                "Authorization: Bearer SECRET",
            ],
            "logs",
        ),
        (
            [
                *("-X", "GET"),
                "BASE/api/clients/client-1/proxies/proxy-1/requests?limit=100&processedAfter=2024-01-15T00:00:00Z",
                *("-H", "Authorization: SECRET"),
            ],
            "requests",
        ),
        (
            [
                *("-X", "GET", "BASE/api/clients/client-1/proxies/proxy-1/requests/REQUEST_ID"),
                *("-H", "Authorization: SECRET"),
            ],
            "requests",
        ),
    ],
)
def test_curl(running: Sidelog, tmp_path: Path, arguments: list[str], member: str) -> None:
    """The command lines of the documents; the Requests API sends the token bare."""
    words = [adapted(word, running).replace("SECRET", running.token) for word in arguments]
    answer = json.loads(run(running, find("curl"), "-sS", *words, cwd=tmp_path))
    assert isinstance(answer[member], list), answer


def test_curl_follows_the_stream(running: Sidelog, tmp_path: Path) -> None:
    """The live tail of the proxy logs, resumed from its beginning: frames as the document shows
    them.
    """
    url = (
        f"http://127.0.0.1:{running.admin_port}/api/proxy-logs/_logs/stream?projectId=proj_a1b2c3d4"
    )
    headers = ["-H", f"Authorization: Bearer {running.token}", "-H", "Last-Event-ID: 0"]
    frames: list[str] = []

    for most_s in ("2", "20", "60"):  # the stream has no end: a busy machine is given more of it
        command = [find("curl"), "-sSN", "--max-time", most_s, *headers, url]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=PROGRAM_S, check=False
        )
        frames = [frame for frame in done.stdout.split("\n\n") if frame.startswith("id: ")]
        if len(frames) >= 2 * NUMBER:
            break

    assert len(frames) == 2 * NUMBER
    first, second = frames[0].split("\n")
    assert second.startswith('data: {"id":' + first.removeprefix("id: ") + ',"traceId":"')
