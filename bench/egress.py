"""What an outgoing call costs: `python -m bench.egress --hosts 200`.

Hosts over TLS stand at addresses of this machine, with certificates of an authority that both
programs trust. A client opens a connection to each through sidelog, then through mitmdump
(`make bench-setup`), each of which makes a certificate for it; then it asks again and again on
connections that it keeps, and the same of a route of sidelog from TLS to TLS. Printed are
milliseconds of CPU of a first connection, with its first request, and microseconds of a request on
a kept one, of all processes; a response has 1 KB of JSON.
"""

import argparse
import asyncio
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from bench.macro.place import program
from bench.steady_load import upstream_of
from proxy.egress.authority import Authority, open_authority
from proxy.process.data_dir import AUTHORITY_DIRECTORY, CERTIFICATE_FILE
from tests.support.outgoing import leaf_and_key, server_context
from tests.support.ports import free_port
from tests.support.sidelog import Sidelog

MAX_HOSTS: Final = 60_000
BODY: Final = b'{"items": ["%b"]}' % (b"a" * 1009)
_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
    % (len(BODY), BODY)
)
_KEPT: Final = 2000
"""Requests on one kept connection."""
_WARM: Final = 3
"""Hosts that are asked before anything is measured."""
_SETTLE_S: Final = 2.0
"""Until what was asked last is stored."""

Open = Callable[[str], ssl.SSLSocket]
"""Opens a connection over TLS that leads to a host."""


def host_of(number: int) -> str:
    """Return an address of this machine, another for each number."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


class _Service(asyncio.Protocol):
    """Answers each head at once."""

    _transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(_ANSWER * data.count(b"\r\n\r\n"))


async def serve_hosts(directory: Path, hosts: int) -> None:
    """Serve all hosts at one port, which is printed."""
    theirs = open_authority(directory)
    contexts = {host_of(each): server_context(theirs, host_of(each)) for each in range(hosts)}
    loop = asyncio.get_running_loop()
    with socket.create_server(("0.0.0.0", 0), backlog=1024) as listener:
        listener.setblocking(False)
        print(listener.getsockname()[1], flush=True)
        async with asyncio.TaskGroup() as tasks:
            while True:
                connection, _ = await loop.sock_accept(listener)
                context = contexts[connection.getsockname()[0]]
                tasks.create_task(_serve(connection, context), name="connection")


async def _serve(connection: socket.socket, context: ssl.SSLContext) -> None:
    loop = asyncio.get_running_loop()
    with suppress(OSError):
        await loop.connect_accepted_socket(_Service, connection, ssl=context)


def cpu_s(pids: Sequence[int]) -> float:
    """Return the CPU time that processes took so far."""
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)


def through(proxy_port: int, port: int, trusted: Path) -> Open:
    """Return what opens connections through a proxy by CONNECT."""
    context = ssl.create_default_context(cafile=str(trusted))
    context.set_alpn_protocols(["http/1.1"])

    def connect(host: str) -> ssl.SSLSocket:
        connection = socket.create_connection(("127.0.0.1", proxy_port), timeout=30)
        connection.sendall(
            f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(4096)
        if b" 200 " not in head:
            raise RuntimeError(f"CONNECT was refused: {head!r}")
        return context.wrap_socket(connection, server_hostname=host)

    return connect


def ask(connection: ssl.SSLSocket, host: str, path: int) -> None:
    """Ask once, and read the whole answer."""
    head = f"GET /items/{path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\n\r\n"
    connection.sendall(head.encode())
    answer = b""
    while b"\r\n\r\n" not in answer or not answer.endswith(BODY):
        if not (data := connection.recv(65536)):
            raise RuntimeError(f"the connection ended behind {answer!r}")
        answer += data
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"not answered: {answer[:200]!r}")


def measure_first(connect: Open, hosts: Sequence[str], pids: Sequence[int]) -> float:
    """Return the CPU time of a connection to each host, in ms."""
    before_s = cpu_s(pids)
    for number, host in enumerate(hosts):
        with connect(host) as connection:
            ask(connection, host, number)
    time.sleep(_SETTLE_S)
    return (cpu_s(pids) - before_s) * 1e3 / len(hosts)


def measure_kept(connect: Open, host: str, pids: Sequence[int]) -> float:
    """Return the CPU time of a request on a kept connection, in µs."""
    with connect(host) as connection:
        for number in range(100):
            ask(connection, host, number)
        before_s = cpu_s(pids)
        for number in range(_KEPT):
            ask(connection, host, number)
        time.sleep(_SETTLE_S)
        return (cpu_s(pids) - before_s) * 1e6 / _KEPT


def report(name: str, connect: Open, hosts: Sequence[str], pids: Sequence[int]) -> None:
    """Measure and print one way to reach the hosts; no `hosts`: kept connections only."""
    warm = host_of(0)
    measure_first(connect, [warm] * _WARM, pids)
    first = f"{measure_first(connect, hosts, pids):8.1f} ms" if hosts else "-"
    print(f"{name:24} {first:>12} {measure_kept(connect, warm, pids):8.0f} µs", flush=True)


def measure_sidelog(directory: Path, port: int, hosts: Sequence[str], theirs: Authority) -> None:
    """Measure the port of outgoing calls, and a route from TLS to TLS beside it."""
    egress_port = free_port()
    certificate = _certificate(theirs, directory)
    config = directory / "sidelog.toml"
    config.write_text(
        f'[proxy]\ntls_cert_file = "{certificate}"\n'
        f'[egress]\nlisten = "127.0.0.1:{egress_port}"\nhosts = ["*"]\n'
        f'upstream_ca = "{theirs.path}"\n'
        f'[[routes]]\nid = "route"\nupstream = "https://{host_of(0)}:{port}"\n'
        f'upstream_ca_file = "{theirs.path}"\n'
    )
    data_dir = directory / "data"
    with Sidelog(data_dir, "", "--config", str(config), "--workers", "1") as sidelog:
        pids = [*sidelog.pids("proxy.worker"), *sidelog.pids("proxy.collector")]
        egress = through(egress_port, port, data_dir / AUTHORITY_DIRECTORY / CERTIFICATE_FILE)
        report("sidelog, outgoing", egress, hosts, pids)

        context = ssl.create_default_context(cafile=str(theirs.path))

        def to_route(host: str) -> ssl.SSLSocket:
            connection = socket.create_connection(("127.0.0.1", sidelog.port), timeout=30)
            return context.wrap_socket(connection, server_hostname=host)

        report("sidelog, a TLS route", to_route, [], pids)


def _certificate(theirs: Authority, directory: Path) -> Path:
    """Write what the data port shows its clients."""
    path = directory / "data-port.pem"
    path.write_bytes(leaf_and_key(theirs, host_of(0)))
    return path


def measure_mitmdump(directory: Path, port: int, hosts: Sequence[str], theirs: Authority) -> None:
    """Measure mitmdump with a file of flows."""
    own_port = free_port()
    home = directory / "mitmproxy"
    command = [
        program("mitmdump"),
        *("-q", "-p", str(own_port), "-w", str(directory / "flows")),
        *("--set", f"confdir={home}"),
        *("--set", f"ssl_verify_upstream_trusted_ca={theirs.path}"),
    ]
    with subprocess.Popen(command) as process:
        try:
            while not _listens(own_port):
                if process.poll() is not None:
                    raise RuntimeError(f"mitmdump ended with {process.returncode}")
                time.sleep(0.2)
            connect = through(own_port, port, home / "mitmproxy-ca-cert.pem")
            report("mitmdump", connect, hosts, [process.pid])
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def main() -> None:
    """Measure, or serve hosts for who measures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=200)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not 0 < options.hosts < MAX_HOSTS:
        sys.exit(f"--hosts: expected 1 to {MAX_HOSTS - 1}, got {options.hosts}")
    if options.serve:
        asyncio.run(serve_hosts(options.serve, options.hosts + 1))
        return

    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        theirs = open_authority(directory / "theirs")
        hosts = [host_of(number) for number in range(1, options.hosts + 1)]
        print(f"{'':24} {'first':>12} {'kept':>11}")
        serving = ("--hosts", str(options.hosts), "--serve", str(directory / "theirs"))
        with upstream_of("bench.egress", *serving) as url:
            port = int(url.rpartition(":")[2])
            measure_sidelog(directory, port, hosts, theirs)
            measure_mitmdump(directory, port, hosts, theirs)


if __name__ == "__main__":
    main()
