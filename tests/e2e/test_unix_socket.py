"""A data port that is a Unix socket: all that a port serves, and a file that comes and goes with
its sidelog.
"""

import json
import os
import socket
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_behind_nginx import guide
from tests.support.nginx import nginx
from tests.support.programs import PROGRAM_S, find
from tests.support.sidelog import Sidelog

TRUSTING = {"SIDELOG_PROXY__TRUSTED_PROXIES": '["127.0.0.1"]'}


def curl(path: Path, url: str, *more: str) -> str:
    """Ask by the socket; the id of the record, behind a 200."""
    told = "%{http_code} %header{x-sidelog-id}"
    command = [
        find("curl"),
        "-s",
        "-o",
        os.devnull,
        "-w",
        told,
        "--unix-socket",
        str(path),
        url,
        *more,
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PROGRAM_S, check=True)
    status, name = ended.stdout.split(" ")
    assert status == "200"
    return name


@pytest.fixture(scope="module")
def socketed(
    tmp_path_factory: pytest.TempPathFactory, upstream: str
) -> Iterator[tuple[Sidelog, Path]]:
    """A sidelog of two workers at a socket, one of whose routes leads back to it by a link."""
    directory = tmp_path_factory.mktemp("unix")
    path = directory / "proxy.sock"
    link = directory / "link.sock"
    link.symlink_to(path)
    routes = json.dumps([{"id": "loop", "path": "/loop", "upstream": f"unix:{link}"}])
    sidelog = Sidelog(
        directory / "data",
        upstream,
        "--workers",
        "2",
        environ={**TRUSTING, "SIDELOG_ROUTES": routes},
    )
    sidelog.listen_at(path)
    with sidelog:
        yield sidelog, path


@pytest.mark.parametrize(("more", "version"), [((), "1.1"), (("--http2-prior-knowledge",), "2")])
def test_requests_are_recorded_as_of_this_machine(
    socketed: tuple[Sidelog, Path], more: tuple[str, ...], version: str
) -> None:
    """Or of whom a trusted proxy names."""
    sidelog, path = socketed
    record = sidelog.record(curl(path, "http://shop.example/x", *more))
    assert (record["client_ip"], record["host"], record["http_version"]) == (
        "127.0.0.1",
        "shop.example",
        version,
    )
    again = sidelog.api(f"/api/records/{record['id']}/curl")["command"]
    assert f"--unix-socket {path} " in again
    subprocess.run(["sh", "-c", again], check=True, capture_output=True, timeout=PROGRAM_S)
    record = sidelog.record(
        curl(path, "http://shop.example/x", "-H", "X-Forwarded-For: 203.0.113.7", *more)
    )
    assert record["client_ip"] == "203.0.113.7"


def test_a_link_that_leads_back_is_a_loop(socketed: tuple[Sidelog, Path]) -> None:
    """The connected peer says that it is ours, under whatever name."""
    _, path = socketed
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(str(path))
        client.sendall(b"GET /loop HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 508")


def test_nginx_reaches_it_as_the_guide_says(tmp_path: Path, upstream: str) -> None:
    """And names its client; its workers, of another user, find the socket in an open directory."""
    sidelog = Sidelog(tmp_path / "data", upstream, environ=TRUSTING)
    page = guide("guides/behind-a-proxy.md")
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        path = Path(directory, "proxy.sock")
        sidelog.listen_at(path)
        blocks = page.replace("server 127.0.0.1:8080;", f"server unix:{path};")
        record = _through_nginx(sidelog, tmp_path, blocks)

    assert (record["client_ip"], record["path"]) == ("198.51.100.7", "/through")


def _through_nginx(sidelog: Sidelog, tmp_path: Path, blocks: str) -> dict[str, object]:
    with sidelog, nginx(tmp_path / "nginx", blocks) as front:
        request = urllib.request.Request(
            f"{front}/through", headers={"X-Forwarded-For": "198.51.100.7"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            response.read()
            return sidelog.record(response.headers["X-Sidelog-Id"])


@pytest.mark.long
def test_a_killed_sidelog_starts_again_at_its_socket(tmp_path: Path, upstream: str) -> None:
    """A stop removes the file, and the next start may be at another place."""
    path = tmp_path / "proxy.sock"
    other = tmp_path / "other.sock"
    sidelog = Sidelog(tmp_path / "data", upstream)
    sidelog.listen_at(path)
    sidelog.start()
    curl(path, "http://a/")
    sidelog.kill_all()
    assert path.exists()
    sidelog.start()
    curl(path, "http://a/")
    sidelog.listen_at(other)
    sidelog.stop()
    assert not path.exists()
    with sidelog:
        curl(other, "http://a/")
    assert not other.exists()
