"""Python's `http.server` in HTTP/1.1 mode: it serves one connection at a time, however many clients
there are.
"""

import contextlib
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.realworld.programs import SERVERS, serving
from tests.realworld.proxied import proxied
from tests.support.ports import free_port
from tests.support.sidelog import Sidelog, eventually

pytestmark = [pytest.mark.realworld, pytest.mark.timeout(300)]

PATIENCE_S = 2.0
"""The server alone takes some milliseconds; an idle connection that held it would do so for 4 s."""


@contextlib.contextmanager
def file_server(home: Path) -> Iterator[str]:
    """Serve three files."""
    home.mkdir()
    for name in ("a.txt", "b.txt", "c.bin"):
        (home / name).write_bytes(name.encode() * 20_000)
    port = free_port()
    with serving(
        [sys.executable, str(SERVERS / "http11_files.py"), str(port)],
        port,
        home,
        ready_path="/a.txt",
    ) as url:
        yield url


def get(url: str) -> tuple[int, bytes, str | None]:
    """Get once, over a connection of its own, as curl does."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.status, answer.read(), answer.headers["Content-Type"]


def test_one_client_after_the_other(tmp_path: Path) -> None:
    """Files and listings are the same, and each request is recorded."""
    paths = ("/a.txt", "/", "/c.bin", "/b.txt")
    with file_server(tmp_path / "files") as url:
        direct = [get(url + path) for path in paths]
        with proxied(tmp_path, url) as way:
            assert [get(way.url + path) for path in paths] == direct
            assert [record["path"] for record in way.check_record()] == list(paths)


def test_two_clients_at_once(tmp_path: Path) -> None:
    """Eight requests of two clients at once are answered as fast as the server alone answers them."""
    paths = ["/a.txt", "/b.txt", "/c.bin", "/"] * 2
    with file_server(tmp_path / "files") as url, ThreadPoolExecutor(2) as clients:
        direct = list(clients.map(get, [url + path for path in paths]))
        with Sidelog(tmp_path / "data", url) as sidelog:
            began_s = time.monotonic()
            through = list(clients.map(get, [sidelog.url + path for path in paths]))
            taken_s = time.monotonic() - began_s
            assert through == direct
            records = eventually(
                lambda: found if len(found := sidelog.records()) == len(paths) else None
            )
            assert {(record["status"], record["outcome"]) for record in records} == {(200, "ok")}
            assert sidelog.settled_ledger()["dropped"] == {}

        assert taken_s < PATIENCE_S


def test_client_beside_sidelog(tmp_path: Path) -> None:
    """Who asks the server directly is served at once, although sidelog asked before."""
    with file_server(tmp_path / "files") as url, Sidelog(tmp_path / "data", url) as sidelog:
        assert get(f"{sidelog.url}/a.txt")[0] == 200
        began_s = time.monotonic()
        assert get(f"{url}/b.txt")[0] == 200
        assert time.monotonic() - began_s < PATIENCE_S
