"""The systems side by side: how each is started, waited for, watched and stopped.

Each forwards everything to one upstream over kept-alive connections, with one worker, and writes an
access log the way it is run in production: JSON into a file, HAProxy `httplog` over UDP, sidelog
its whole record. Nothing needs root or touches the system's own configuration: each peer lives in a
directory of its own that is removed at the end.
"""

import os
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.macro.commands import LOGS_TO_FILE, peer_command, sidelog_command
from bench.macro.place import BUILT, PeerUnavailable, Place, make_certificate
from tests.support.ports import free_port

TIMEOUT_START_S: Final = 30.0
TIMEOUT_STOP_S: Final = 20.0
POLL_START_S: Final = 0.01
SYSTEMS: Final = ("nginx", "haproxy", "envoy", "caddy", "traefik", "mitmproxy", "sidelog")


class LogSink:
    """Reads and forgets HAProxy's log in a thread of this process, which belongs to the load."""

    def __init__(self) -> None:
        """Open the port, and begin to read."""
        self.received_bytes = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._read, name="log-sink", daemon=True).start()

    def _read(self) -> None:
        buffer = bytearray(65536)
        while True:
            self.received_bytes += self._socket.recv_into(buffer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A started system."""

    name: str
    url: str
    pid: int
    log: Path
    """What it printed."""
    admin_url: str = ""
    """sidelog only: base URL of the admin port."""
    data_directory: Path | None = None
    """sidelog only: where its token and its store are."""
    access_log: Path | None = None
    sink: LogSink | None = field(default=None, repr=False)

    def logged_bytes(self) -> int:
        """Return the size of its access log; 0 for what has none."""
        if self.sink is not None:
            return self.sink.received_bytes
        if self.access_log and self.access_log.exists():
            return self.access_log.stat().st_size
        return 0


@contextmanager
def started(name: str, place: Place, workers: int = 1) -> Iterator[Peer]:
    """Start one system, wait for its first answer, and stop it at the end.

    Raises:
        PeerUnavailable: it is not installed, ended at once, or does not answer in time; says what it printed.
    """
    place.directory.mkdir()
    is_sidelog = name == "sidelog" or name.startswith(BUILT)
    if place.is_tls:
        make_certificate(place)
    environment = dict(os.environ)
    sink = LogSink() if name == "haproxy" else None
    admin_port = free_port() if is_sidelog else 0

    if is_sidelog:
        command = sidelog_command(place, admin_port, workers)
        environment |= (
            {"SIDELOG_PROXY__TLS_CERT_FILE": str(place.certificate)} if place.is_tls else {}
        )
    else:
        command = peer_command(name, place, sink.port if sink else 0)

    peer = {
        "admin_url": f"http://127.0.0.1:{admin_port}" if is_sidelog else "",
        "data_directory": place.directory / "data" if is_sidelog else None,
        "access_log": place.access_log if name in LOGS_TO_FILE else None,
        "sink": sink,
    }
    with _running(name, place, command, environment) as (pid, url, log):
        yield Peer(name=name, url=url, pid=pid, log=log, **peer)  # type: ignore[arg-type]  # values of several types


@contextmanager
def _running(
    name: str, place: Place, command: list[str], environment: dict[str, str]
) -> Iterator[tuple[int, str, Path]]:
    log = place.directory / "output.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*place.prefix, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=place.tree,
            env=environment,
        )
        try:
            url = f"{'https' if place.is_tls else 'http'}://127.0.0.1:{place.port}"
            _wait_until_answering(name, url + "/json", process, log, is_http2=place.is_http2)
            yield process.pid, url, log
        finally:
            _stop(process)


def _wait_until_answering(
    name: str, url: str, process: subprocess.Popen[bytes], log: Path, *, is_http2: bool
) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # ours, made a moment ago

    deadline = time.monotonic() + TIMEOUT_START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if is_http2:
                asked = subprocess.run(
                    ["h2load", "-n1", url], capture_output=True, timeout=5, check=False
                )
                if b" 1 2xx" in asked.stdout:
                    return
                raise OSError("no answer by HTTP/2")

            with urllib.request.urlopen(url, timeout=2, context=context):
                return
        except (urllib.error.URLError, OSError, subprocess.TimeoutExpired):
            time.sleep(POLL_START_S)

    raise PeerUnavailable(f"{name} does not answer (exit code {process.poll()}): {last_words(log)}")


def last_words(log: Path) -> str:
    """Return the end of what a peer printed, in one line."""
    return " ".join(log.read_text(errors="replace")[-800:].split())


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(TIMEOUT_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
