"""A service that is not there is answered for from a suite, by the command and to real clients."""

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_grpc_streams import CALL, framed
from tests.e2e.test_replay import call
from tests.support.http2_client import Http2Client
from tests.support.http2_upstream import OK, Connection, Http2Upstream, Request
from tests.support.ports import free_port
from tests.support.sidelog import ROOT, Sidelog, eventually
from tests.support.upstream import scripted


def line(
    path: str, answer: str, *, method: str = "GET", body: str | None = None, **more: Any
) -> dict[str, Any]:
    """Make a line of a suite, with no more than what the format asks for."""
    number = more.pop("number", 0)
    shown = {
        "encoding": "utf-8",
        "head": answer,
        "tail": "",
        "size": len(answer),
        "truncated": False,
    }
    sent = None if body is None else shown | {"head": body, "size": len(body)}
    path, _, query = path.partition("?")
    return {
        "id": f"{method} {path} {number}",
        "started_at_us": number,
        "method": method,
        "path": path,
        "query": query or None,
        "status": more.pop("status", 200),
        "request": {"headers": [], "body": sent},
        "response": {
            "headers": more.pop("headers", [["Content-Type", "application/json"]]),
            "body": shown | more.pop("kept", {}),
        },
        **more,
    }


LINES = [
    line("/users/7", '{"id": 7}'),
    line("/users/8?full=1", '{"id": 8, "full": true}'),
    line("/job", '{"state": "pending"}', number=1, status=202),
    line("/job", '{"state": "done"}', number=2),
    line("/ask", '"one"', method="POST", body='{"q": 1, "password": "[REDACTED]"}'),
    line("/ask", '"two"', method="POST", body='{"q": 2}'),
    line("/events", "data: 1\n\ndata: 2\n\n", timeline=[[9, 1000], [18, 900_000]]),
    line("/gone", "be", kept={"truncated": True, "size": 99}),
    line("/a.B/C", "[]", request={"headers": [["content-type", "application/grpc"]], "body": None}),
    line("/moved", "", status=301, headers=[["Location", "/x"], ["Set-Cookie", "a=b"], ["Connection", "close"]]),
]  # fmt: skip


@contextmanager
def mocked(suite: Path, *options: str) -> Iterator[tuple[str, str]]:
    """Run the command; give its URL and what it says at its start."""
    port = free_port()
    log = suite.with_suffix(".log")

    command = [
        sys.executable,
        "-m",
        "proxy",
        "mock",
        str(suite),
        "--listen",
        f"127.0.0.1:{port}",
        *options,
    ]
    with (
        log.open("wb") as stderr,
        subprocess.Popen(command, cwd=ROOT, stderr=stderr, env={**os.environ}) as process,
    ):

        def is_open() -> bool:
            assert process.poll() is None, log.read_text()
            with socket.socket() as connection:
                return connection.connect_ex(("127.0.0.1", port)) == 0

        try:
            eventually(is_open)
            yield f"http://127.0.0.1:{port}", log.read_text()
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    suite = tmp_path_factory.mktemp("mock") / "suite.ndjson"
    suite.write_text("".join(json.dumps(each) + "\n" for each in LINES))
    with mocked(suite) as found:
        yield found


def fetch(url: str, **request: Any) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, **request), timeout=60) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_replay_of_what_is_mocked_is_equal(tmp_path: Path) -> None:
    """Nothing is added to an answer, nor taken out of it: a type, a date, the name of a server."""
    html = "<p>hi</p>"
    lines = [
        line("/plain", "hi", headers=[["Date", "Mon, 01 Jun 2026 00:00:00 GMT"], ["Server", "shop"]]),
        line("/html", html, headers=[["Content-Type", "text/html"], ["Content-Length", "9"], ["Via", "1.1 cdn"]]),
        line("/chunks", "abc", headers=[["Transfer-Encoding", "chunked"], ["Connection", "keep-alive"]]),
        line("/none", "", status=204, headers=[["Keep-Alive", "timeout=5"]]),
        line("/moved", "", status=301, headers=[["Location", "/x"]]),
        line("/events", "data: 1\n\n", timeline=[[9, 1000]], headers=[["Content-Type", "text/event-stream"]]),
        line("/head", "", method="HEAD", headers=[["Content-Length", "77"]]),
    ]  # fmt: skip
    for each in lines:
        if not each["response"]["body"]["size"]:
            each["response"]["body"] = None
    lines[0]["response"]["trailers"] = [["X-Sum", "1"]]
    suite = tmp_path / "suite.ndjson"
    suite.write_text("".join(json.dumps(each) + "\n" for each in lines))
    with mocked(suite) as (url, _):
        found = json.loads(
            call("replay", str(suite), "--against", url, "--expect", "same", "--json")
        )
    assert (found["equal"], found["different"], found["not_sent"]) == (7, 0, 0)


def test_the_strongest_match_answers(mock: tuple[str, str]) -> None:
    """The same request, else one with other ids; else a 404 that names the nearest."""
    url, _ = mock
    for target, answer in (
        ("/users/7", '{"id": 7}'),
        ("/users/8?full=1", '{"id": 8, "full": true}'),
    ):
        assert fetch(url + target) == (200, answer)

    assert fetch(f"{url}/users/99") == (200, '{"id": 7}')
    assert [fetch(f"{url}/job") for _ in range(3)] == [
        (202, '{"state": "pending"}'),
        *[(200, '{"state": "done"}')] * 2,
    ]
    for body, answer in ((b'{"q": 2}', '"two"'), (b'{"q": 1, "password": "hunter2"}', '"one"')):
        assert fetch(f"{url}/ask", data=body, headers={"Content-Type": "application/json"}) == (
            200,
            answer,
        )

    status, said = fetch(f"{url}/users/8?full=0")
    assert (status, json.loads(said)["first_difference"]) == (
        404,
        'query.full[0]: "1" recorded, "0" asked for',
    )
    assert json.loads(fetch(f"{url}/none")[1])["error"] == "no recorded exchange answers GET /none"


def test_how_strong_a_match_has_to_be_is_an_option(tmp_path: Path) -> None:
    """As are places that are left out; a place that is none is refused."""
    suite = tmp_path / "suite.ndjson"
    suite.write_text("".join(json.dumps(each) + "\n" for each in LINES))
    with mocked(suite, "--match", "endpoint", "--ignore", "body.q") as (url, _):
        assert fetch(f"{url}/users/8?full=0") == (200, '{"id": 8, "full": true}')
        body = b'{"q": 99, "password": "hunter2"}'
        assert fetch(f"{url}/ask", data=body, headers={"Content-Type": "application/json"}) == (
            200,
            '"one"',
        )

    for option, text in (
        ("--ignore=a[", "is not a place"),
        ("--match=weak", "endpoint"),
        ("--protobuf=none", "No such file"),
    ):
        command = [sys.executable, "-m", "proxy", "mock", str(suite), option]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
        assert (done.returncode, text in done.stderr) == (2, True), done.stderr


def test_what_was_cut_answers_nothing(mock: tuple[str, str]) -> None:
    """It is left out, and so is a call of gRPC whose end is not known; the start says so."""
    url, said = mock
    assert "1 exchange is left out: the body of the answer was cut" in said
    assert "1 exchange is left out: they are calls of gRPC without a status" in said
    assert "answering for 8 recorded exchanges" in said
    assert fetch(f"{url}/gone")[0] == 404


def test_a_stream_has_its_recorded_timing(mock: tuple[str, str]) -> None:
    """Its first event is there while the second is awaited."""
    with urllib.request.urlopen(f"{mock[0]}/events", timeout=60) as response:
        assert response.read1(100) == b"data: 1\n\n"
        assert response.read() == b"data: 2\n\n"


def test_fields_are_as_recorded(mock: tuple[str, str]) -> None:
    """But for those of one connection."""
    host, _, port = mock[0].removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), 60) as connection:
        connection.sendall(b"GET /moved HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head = b"".join(iter(lambda: connection.recv(4096), b"")).decode()
    assert head.startswith(
        "HTTP/1.1 301 Moved Permanently\r\nLocation: /x\r\nSet-Cookie: a=b\r\nX-Sidelog-Mock: "
        "exact;"
    )


def test_a_suite_without_answers_is_refused(tmp_path: Path) -> None:
    """As is one that is not there, or no suite."""
    empty = tmp_path / "empty.ndjson"
    none = tmp_path / "none"
    empty.write_text(json.dumps({"suite": 1}) + "\n")

    for path, message in (
        (empty, "has no answer"),
        (none, f"there is no file {none}"),
        (tmp_path, f"cannot read {tmp_path}: Is a directory"),
        (Path(__file__), "neither a suite"),
    ):
        command = [sys.executable, "-m", "proxy", "mock", str(path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
        assert message in done.stderr
        assert done.returncode == (1 if path == empty else 2)


def answer_call(connection: Connection, request: Request) -> None:
    """Answer a unary call by its message, and one of several with three messages."""
    if not request.is_ended:
        return
    texts = (
        ("one", "two", "three")
        if request.fields[":path"].endswith("Watch")
        else (f"to {request.body[7:].decode()}",)
    )
    fields = (*OK, ("content-type", "application/grpc"))
    connection.respond(
        request, b"".join(map(framed, texts)), fields, (("grpc-status", "0"), ("x-end", "yes"))
    )


def test_calls_of_grpc_are_answered_as_they_were_recorded(tmp_path: Path) -> None:
    """Through a sidelog, a suite and a mock: the bytes and trailers are those of the service."""
    asked = [("/shop.Cart/Add", "a"), ("/shop.Cart/Add", "b"), ("/shop.Cart/Watch", "c")]

    def answers(port: int) -> list[tuple[bytes, dict[str, str]]]:
        with Http2Client(socket.create_connection(("127.0.0.1", port), 60)) as client:
            came = [
                client.ask((*CALL[:3], (":path", path), *CALL[4:]), framed(text))
                for path, text in asked
            ]
        return [(each.body, each.trailers) for each in came]

    suite = tmp_path / "calls.ndjson"
    with scripted(Http2Upstream(answer_call)) as url, Sidelog(tmp_path / "data", url) as sidelog:
        expected = answers(sidelog.port)
        sidelog.settled_ledger()
        save = ["save", "calls", "-o", str(suite), "--data-dir", str(sidelog.data_dir)]
        subprocess.run([sys.executable, "-m", "proxy", *save], cwd=ROOT, check=True, timeout=300)

    assert expected[0] == (framed("to a"), {"grpc-status": "0", "x-end": "yes"})
    with mocked(suite) as (mock_url, said):
        assert "answering for 3 recorded exchanges" in said
        assert answers(int(mock_url.rpartition(":")[2])) == expected
