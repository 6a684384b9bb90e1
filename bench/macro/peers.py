"""The systems side by side: how each is configured, started, waited for and stopped.

Each forwards everything to one upstream over kept-alive connections, with one worker, and writes an access log the way
it is run in production: nginx a buffered JSON file, HAProxy `httplog` over UDP, sidelog its whole record. Nothing needs
root or touches the system's own configuration: each peer lives in a directory of its own that is removed at the end.
"""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.macro.configurations import HAPROXY, NGINX_PROXY, NGINX_UPSTREAM
from bench.macro.scenarios import JSON_BYTES, LARGE_BYTES, POST_BYTES, STREAM_EVENTS, event_stream, json_text

TIMEOUT_START_S: Final = 15.0
TIMEOUT_STOP_S: Final = 20.0
SYSTEM_PATH: Final = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"))
"""Debian keeps nginx and HAProxy in sbin, which is on root's PATH only."""


class PeerUnavailable(Exception):
    """A system cannot be started here; the others are measured without it."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a peer is started: its own directory and port, the upstream's port, the core it may use."""

    directory: Path
    port: int
    upstream_port: int
    core: int
    tree: Path = Path()
    """The source tree sidelog is started from."""


def free_port() -> int:
    """Return a TCP port of the loopback address that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def program(name: str) -> str:
    """Return the path of an installed program.

    Raises:
        PeerUnavailable: it is not installed.
    """
    path = shutil.which(name, path=SYSTEM_PATH)
    if path is None:
        raise PeerUnavailable(f"{name} is not installed")
    return path


def nginx_text(template: str, place: Place, **more: object) -> str:
    """Fill in an nginx configuration; the user directive is only for root, nginx warns about it otherwise."""
    user = "user root;" if os.geteuid() == 0 else ""
    fields = {"directory": place.directory, "port": place.port, "upstream_port": place.upstream_port}
    return template.format(user=user, **fields, **more)


def _nginx_command(place: Place, text: str) -> list[str]:
    (place.directory / "nginx.conf").write_text(text)
    own = ["-p", str(place.directory), "-e", str(place.directory / "error.log")]
    return [program("nginx"), *own, "-c", str(place.directory / "nginx.conf")]


def _upstream(place: Place) -> list[str]:
    files = place.directory / "files"
    files.mkdir()
    (files / "16k").write_text(json_text(LARGE_BYTES))
    (files / "events").write_text(event_stream(STREAM_EVENTS))
    # A variable of nginx as long as what it becomes: each answer differs.
    bodies = {
        "small": json_text(JSON_BYTES),
        "answer": json_text(POST_BYTES),
        "varying": json_text(POST_BYTES, name="#" * 32).replace("#" * 32, "$request_id"),
    }
    return _nginx_command(place, nginx_text(NGINX_UPSTREAM, place, **bodies))


def _nginx(place: Place) -> list[str]:
    return _nginx_command(place, nginx_text(NGINX_PROXY, place))


def _haproxy(place: Place) -> list[str]:
    text = HAPROXY.format(port=place.port, upstream_port=place.upstream_port, log_port=_start_udp_sink())
    (place.directory / "haproxy.cfg").write_text(text)
    return [program("haproxy"), "-db", "-f", str(place.directory / "haproxy.cfg")]


def _aiohttp(place: Place) -> list[str]:
    upstream = f"http://127.0.0.1:{place.upstream_port}"
    return [sys.executable, "-m", "bench.macro.baseline", "--port", str(place.port), "--upstream", upstream]


def _sidelog(place: Place, engine: str, admin_port: int) -> list[str]:
    command = [sys.executable, "-m", "proxy", "serve", "--upstream", f"http://127.0.0.1:{place.upstream_port}"]
    command += ["--listen", f"127.0.0.1:{place.port}", "--admin-listen", f"127.0.0.1:{admin_port}"]
    return [*command, "--data-dir", str(place.directory / "data"), "--workers", "1", "--engine", engine]


def _start_udp_sink() -> int:
    """Read and forget HAProxy's log in a thread of this process, which lives on the load's core; return its port."""
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.bind(("127.0.0.1", 0))

    def read() -> None:
        buffer = bytearray(65536)
        while True:
            sink.recv_into(buffer)

    threading.Thread(target=read, name="udp-sink", daemon=True).start()
    return int(sink.getsockname()[1])


PEERS: Final[dict[str, Callable[[Place], list[str]]]] = {
    "upstream": _upstream,
    "nginx": _nginx,
    "haproxy": _haproxy,
    "aiohttp": _aiohttp,
}
SIDELOG_ENGINES: Final = {"sidelog": "protocol", "sidelog-reference": "reference"}
SYSTEMS: Final = ("nginx", "haproxy", "aiohttp", *SIDELOG_ENGINES)


@contextmanager
def started(name: str, place: Place) -> Iterator[Peer]:
    """Start one system, wait for its first answer, and stop it at the end.

    Raises:
        PeerUnavailable: it is not installed, ended at once, or does not answer in time; says what it printed.
    """
    place.directory.mkdir()
    engine = SIDELOG_ENGINES.get(name)
    admin_port = free_port() if engine else 0
    command = _sidelog(place, engine, admin_port) if engine else PEERS[name](place)
    log = place.directory / "output.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "-c", str(place.core), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=place.tree,
        )
        try:
            url = f"http://127.0.0.1:{place.port}"
            _wait_until_answering(name, url + "/json", process, log)
            yield Peer(
                name=name,
                url=url,
                pid=process.pid,
                log=log,
                admin_url=f"http://127.0.0.1:{admin_port}" if engine else "",
                data_directory=place.directory / "data" if engine else None,
            )
        finally:
            _stop(process)


def _wait_until_answering(name: str, url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + TIMEOUT_START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
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
