"""Two sidelogs whose metrics show something of everything: traffic of all kinds, and what goes
wrong.
"""

import asyncio
import contextlib
import http.client
import random
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from examples import demo
from tests.support.certificate import self_signed
from tests.support.http2_client import Http2Client
from tests.support.ports import free_port
from tests.support.providers.upstream import application
from tests.support.sidelog import Sidelog, eventually
from tests.support.upstream import running

CONFIG: Final = """
[otel]
endpoint = "http://127.0.0.1:{closed_port}"
[[alerts]]
name = "any request"
above = 0
window_s = 3600
url = "http://127.0.0.1:{closed_port}/"
[[routes]]
id = "gone"
path = "/gone/"
upstream = "http://127.0.0.1:{closed_port}"
[[routes]]
id = "closed"
path = "/closed/"
upstream = "{upstream}"
auth = "required"
"""
VISITS: Final = (demo.use_api, demo.follow_prices, demo.ask_models, demo.use_tools)
CALL: Final = (
    *(
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", "/gone/shop.Stock/Get"),
    ),
    *(("content-type", "application/grpc"), ("te", "trailers")),
)
PROXY_HEADER: Final = b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 443\r\n"


@dataclass(frozen=True, slots=True)
class Monitored:
    """Both, and their upstream's traffic."""

    sidelog: Sidelog
    """Before models, tools and an ordinary API."""
    edge: Sidelog
    """Behind a load balancer, over TLS."""

    def make_traffic(self, seed: int) -> None:
        """Make some seventy requests of all kinds, and connections that come to nothing."""
        asyncio.run(_visit(self.sidelog.url, seed))
        for path in ("/gone/1", "/closed/1"):
            with contextlib.suppress(urllib.error.HTTPError):
                urllib.request.urlopen(self.sidelog.url + path, timeout=60).read()
        _call(self.sidelog.port)
        for sent in (
            b"GET / HTTP/1.1\r\n\r\n",
            PROXY_HEADER + b"GET / HTTP/1.1\r\nHost: edge\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", self.edge.port), 60) as connection:
                connection.sendall(sent)
                with contextlib.suppress(ConnectionResetError):
                    while connection.recv(4096):
                        pass

    def exposition(self) -> str:
        """Return what scrapes of both show together, in text."""
        shown = []
        for sidelog in (self.sidelog, self.edge):
            with urllib.request.urlopen(f"{sidelog.admin_url}/metrics", timeout=60) as response:
                shown.append(response.read().decode())
        return "".join(shown)

    @contextlib.contextmanager
    def live_stream(self) -> Iterator[None]:
        """Keep a live stream open."""
        connection = http.client.HTTPConnection("127.0.0.1", self.sidelog.admin_port, timeout=60)
        head = {"Authorization": f"Bearer {self.sidelog.token}"}
        try:
            connection.request("GET", "/api/records/stream", headers=head)
            assert connection.getresponse().status == 200
            yield
        finally:
            connection.close()


def _call(port: int) -> None:
    """Make a call of gRPC that fails, leave another, and end with a frame that no client sends."""
    with Http2Client(socket.create_connection(("127.0.0.1", port), 60)) as client:
        client.ask(CALL, bytes(5))
        left = client.begin(CALL, is_end=False)
        client.h2.reset_stream(left)
        client.flush()
        # DATA of the connection itself (RFC 9113 §6.1).
        client.socket.sendall(b"\0\0\0\0\0\0\0\0\0")
        client.hear_out()


async def _visit(url: str, seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(4):
        for visit in VISITS:
            await demo.make(url, draw, visit)


@contextlib.contextmanager
def monitored(directory: Path) -> Iterator[Monitored]:
    """Start both, make some traffic, and wait until it is stored."""
    cert, key = self_signed(directory)
    tls = {"SIDELOG_PROXY__TLS_CERT_FILE": str(cert), "SIDELOG_PROXY__TLS_KEY_FILE": str(key)}
    balanced = {
        "SIDELOG_PROXY__PROXY_PROTOCOL": "true",
        "SIDELOG_PROXY__TRUSTED_PROXIES": '["127.0.0.1"]',
    }
    config = directory / "sidelog.toml"

    with running(application(0.005)) as upstream:
        config.write_text(CONFIG.format(upstream=upstream, closed_port=free_port()))
        with Sidelog(directory / "data", upstream, "--config", str(config)) as sidelog:
            urllib.request.urlopen(f"{sidelog.url}/api/users", timeout=60).read()
            assert sidelog.settled_ledger()["stored"] == 1
            sidelog.stop()
            # How far its records reach back is looked up at the start, and once a minute.
            sidelog.start()

            with Sidelog(
                directory / "edge", upstream, "--workers", "0", environ=tls | balanced
            ) as edge:
                pair = Monitored(sidelog, edge)
                pair.make_traffic(1)
                assert sidelog.settled_ledger()["stored"] > 4 * len(VISITS)
                eventually(lambda: _has_all(pair.exposition()))
                yield pair


def _has_all(exposition: str) -> bool:
    """Whether what is counted or looked up behind the traffic is there."""
    return all(
        f"\nsidelog_{name}" in exposition
        for name in (
            "tls_failures_total{",
            "oldest_record_timestamp_seconds ",
            "alert_messages_waiting ",
        )
    )
