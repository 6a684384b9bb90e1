"""Outgoing calls through real processes: what clients see, what is on record, and what a kill
leaves.
"""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from proxy.egress.authority import open_authority
from tests.e2e.test_kill import check_accounts
from tests.e2e.test_reload import reload
from tests.proxy.worker.egress.test_client import echo
from tests.support.client import Client
from tests.support.outgoing import server_context
from tests.support.ports import free_port
from tests.support.sidelog import Sidelog, eventually
from tests.support.upstream import running, scripted, service

CLIENTS = {
    "curl": ["curl", "-sS", "--fail", "URL"],
    "urllib": [
        sys.executable,
        "-c",
        "import urllib.request as u; print(u.urlopen('URL').read().decode())",
    ],
    "requests": [sys.executable, "-c", "import requests; print(requests.get('URL').text)"],
    "httpx": [sys.executable, "-c", "import httpx; print(httpx.get('URL').text)"],
    "aiohttp": [
        sys.executable,
        "-c",
        "import aiohttp, asyncio\n"
        "async def main():\n"
        "    async with aiohttp.ClientSession(trust_env=True) as session:\n"
        "        async with session.get('URL') as response:\n"
        "            print(await response.text())\n"
        "asyncio.run(main())",
    ],
}
"""Programs that ask for a URL and print what they get."""


class Egress:
    """A sidelog with a port of outgoing calls."""

    def __init__(self, directory: Path, *arguments: str, hosts: str = '["localhost"]') -> None:
        self.port = free_port()
        self.theirs = open_authority(directory / "theirs")
        self.config = directory / "sidelog.toml"
        self.sidelog = Sidelog(
            directory / "data",
            "http://127.0.0.1:9",
            *("--config", str(self.config)),
            *arguments,
            environ={"SSL_CERT_FILE": os.devnull},
        )
        self.set_hosts(hosts)

    def set_hosts(self, hosts: str) -> None:
        self.config.write_text(
            f'[egress]\nlisten = "127.0.0.1:{self.port}"\nhosts = {hosts}\n'
            f'upstream_ca = "{self.theirs.path}"\n'
        )

    @property
    def environ(self) -> dict[str, str]:
        """What a program needs that is to use it."""
        proxy = f"http://127.0.0.1:{self.port}"
        bundle = str(self.sidelog.data_dir / "ca" / "bundle.pem")
        names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
        proxies = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"), proxy)
        return {"PATH": os.environ["PATH"], **proxies, **dict.fromkeys(names, bundle)}

    def connect_to(self, authority: str) -> Client:
        client = Client(socket.create_connection(("127.0.0.1", self.port), timeout=60))
        client.send(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        assert client.head().startswith(b"HTTP/1.1 200 ")
        return client


@pytest.mark.parametrize("workers", ["0", "1"])
def test_programs_are_recorded_by_two_variables(tmp_path: Path, workers: str) -> None:
    """Each reads its own URL, through TLS and without."""
    egress = Egress(tmp_path, "--workers", workers)
    context = server_context(egress.theirs, "localhost")
    with running(service(), context) as secured, running(service()) as plain, egress.sidelog:
        for name, command in CLIENTS.items():
            for url in (secured.replace("127.0.0.1", "localhost"), plain):
                asked = [part.replace("URL", f"{url}/{name}?key=1") for part in command]
                done = subprocess.run(
                    asked, env=egress.environ, capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, (name, url, done.stderr)
                assert json.loads(done.stdout)["path"] == f"/{name}?key=1"
        records = eventually(
            lambda: found if len(found := egress.sidelog.records()) == 10 else None
        )
    for record in records:
        assert record["route_id"] == "egress"
        assert record["status"] == 200
        assert record["direction"] == "out"
    assert {record["scheme"] for record in records} == {"http", "https"}


def test_a_kill_amid_tunnels_leaves_no_hole(tmp_path: Path) -> None:
    """Those that were open are on record as lost with their worker."""
    egress = Egress(tmp_path)
    with scripted(echo) as url, egress.sidelog as sidelog, ExitStack() as open_:
        for number in range(100):
            client = open_.enter_context(egress.connect_to(url.removeprefix("http://")))
            client.send(b"%d" % number)
            client.socket.recv(100)
        eventually(lambda: sidelog.is_in_flight(url.removeprefix("http://")))
        eventually(
            lambda: len(sidelog.api("/api/records?in_flight=true&limit=1000")["records"]) >= 100
        )
        os.kill(sidelog.pids("proxy.worker")[0], signal.SIGKILL)
        records = eventually(
            lambda: found if len(found := sidelog.records("kind=exchange")) == 100 else None
        )
        assert {record["outcome"] for record in records} == {"worker_lost"}
        with egress.connect_to(url.removeprefix("http://")) as client:
            client.send(b"again")
            assert client.socket.recv(100) == b"again"
        eventually(lambda: len(sidelog.records("kind=exchange")) == 101)
        check_accounts(sidelog, [], is_dense=False)


def test_a_reload_changes_hosts_for_new_connections(tmp_path: Path) -> None:
    """An open tunnel goes on, and the same host is read from then on."""
    egress = Egress(tmp_path, hosts="[]")
    context = server_context(egress.theirs, "localhost")
    with running(service(), context) as url, egress.sidelog as sidelog:
        authority = f"localhost:{url.rpartition(':')[2]}"
        before = egress.connect_to(authority)
        egress.set_hosts('["localhost"]')
        reload(sidelog)

        ours = ssl.create_default_context(cafile=str(sidelog.data_dir / "ca" / "ca.pem"))
        theirs = ssl.create_default_context(cafile=str(egress.theirs.path))
        for client, trust in ((before, theirs), (egress.connect_to(authority), ours)):
            with Client(trust.wrap_socket(client.socket, server_hostname="localhost")) as own:
                own.send(b"GET /after HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert own.answer().status == 200
        records = eventually(lambda: found if len(found := sidelog.records()) == 2 else None)
    assert {record["method"] for record in records} == {"CONNECT", "GET"}
