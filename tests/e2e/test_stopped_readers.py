"""Clients that ask for much and read nothing of it: what each costs, through whole processes."""

import contextlib
import socket
import ssl
import time
from pathlib import Path

import pytest

from tests.support.certificate import self_signed
from tests.support.crowd import connect, raise_descriptor_limit, rss_bytes, sink_and_source
from tests.support.sidelog import Sidelog, await_pids
from tests.support.upstream import scripted

SIZE = 400_000_000
MAX_BYTES = 576 << 10
"""Each, at most (P16): what is on its way in both of its directions, one read of the loop, and what
TLS needs.
"""


def secured(connection: socket.socket) -> socket.socket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection)


def settled_bytes(pid: int) -> int:
    """Resident memory of a process, once it has been the same for a second."""
    seen: list[int] = []
    while len(set(seen[-5:])) != 1 or len(seen) < 10:
        seen.append(rss_bytes(pid))
        time.sleep(0.25)
    return seen[-1]


def check_stopped_readers(tmp_path: Path, count: int, *, is_tls: bool) -> str:
    """So many clients ask for 400 MB and read nothing; their worker's memory grows by no more than
    they may cost.
    """
    raise_descriptor_limit()
    cert, key = self_signed(tmp_path)
    environ = (
        {"SIDELOG_PROXY__TLS_CERT_FILE": str(cert), "SIDELOG_PROXY__TLS_KEY_FILE": str(key)}
        if is_tls
        else {}
    )
    wrap = secured if is_tls else lambda connection: connection

    with (
        scripted(lambda connection, _: sink_and_source(connection, SIZE)) as url,
        Sidelog(tmp_path / "data", url, environ=environ) as sidelog,
        contextlib.ExitStack() as stack,
    ):
        (pid,) = await_pids(sidelog, "proxy.worker")
        before = settled_bytes(pid)
        for number in range(count):
            client = stack.enter_context(wrap(connect(sidelog.port)))
            client.sendall(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
        each = (settled_bytes(pid) - before) / count

    assert each <= MAX_BYTES
    return f"{count} clients that stopped reading: {each / 1024:.0f} KiB each"


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("is_tls", [False, True])
@pytest.mark.parametrize("clients", [16, 300])
def test_a_client_that_stops_reading_costs_little(
    tmp_path: Path, is_tls: bool, clients: int
) -> None:
    """Whatever it asked for, and over TLS as well."""
    print(check_stopped_readers(tmp_path, clients, is_tls=is_tls))  # noqa: T201
