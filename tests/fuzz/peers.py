"""`python -m tests.fuzz.peers [--count N]`: bad input through nginx and HAProxy too, as a floor of
strictness.

What both of them refuse, we must refuse: input of which we forward more messages than either is a
violation. The rest is reported: what we refuse and both forward is where we are stricter. Needs
both installed; not part of the suite.
"""

import argparse
import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from tests.fuzz.request_grammar import make_request_case
from tests.proxy.worker.vectors.conformance import CONFORMANCE_PASSAGES, CONFORMANCE_REFUSALS
from tests.proxy.worker.vectors.published import published
from tests.proxy.worker.vectors.requests import PASSAGES, REFUSALS
from tests.support.plane import running_plane, settings_for
from tests.support.ports import free_port
from tests.support.recording import Recording
from tests.support.upstream import scripted

PATIENCE_S: Final = 0.6
"""How long an answer, or the end, is waited for after the input and the end of sending."""

_POLICY: Final = re.compile(rb"(?i)/\.\.|https?://")
"""Well-formed, but refused by a policy of one peer: a path that leaves the root (nginx), an
authority that differs from Host (HAProxy; RFC 9112 §3.2.2 lets it win).
"""

NGINX: Final = """
{user}daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log {directory}/error.log crit;
events {{ worker_connections 1024; }}
http {{
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi; access_log off; client_header_timeout 1s;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass {upstream}; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
      proxy_ignore_client_abort on;
    }}
  }}
}}
"""

HAPROXY: Final = """
defaults
  mode http
  timeout connect 1s
  timeout client 2s
  timeout server 2s
frontend front
  bind 127.0.0.1:{port}
  default_backend back
backend back
  server upstream {address}
"""


class Outcome(NamedTuple):
    """What a proxy made of an input."""

    statuses: list[int]
    messages: list[tuple[bytes, bytes, bytes]]

    @property
    def is_refused(self) -> bool:
        """Whether some of it was answered with an error."""
        return any(status >= 400 for status in self.statuses)

    def __str__(self) -> str:
        """Statuses, and how many messages went on."""
        return f"{'/'.join(map(str, self.statuses)) or 'closed'}→{len(self.messages)}"


class Peer(NamedTuple):
    """A running proxy and what its upstream is sent."""

    port: int
    recording: Recording

    def ask(self, raw: bytes) -> Outcome:
        """Send an input on a connection of its own."""
        self.recording.take()
        answered = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S) as connection:
            with contextlib.suppress(OSError):
                connection.sendall(raw)
                connection.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):
                while data := connection.recv(65536):
                    answered += data

        statuses = [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3})", answered)]
        found = self.recording.read()
        return Outcome(
            statuses, [message.identity for requests in found for message in requests.messages]
        )


@contextlib.contextmanager
def _process(command: list[str], port: int, recording: Recording) -> Iterator[Peer]:
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            _await_port(port)
            yield Peer(port, recording)
        finally:
            process.terminate()
            process.wait(10)


def _await_port(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@contextlib.contextmanager
def _nginx(directory: Path) -> Iterator[Peer]:
    recording = Recording()
    port = free_port()
    with scripted(recording) as url:
        file = directory / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        file.write_text(NGINX.format(user=user, directory=directory, port=port, upstream=url))
        with _process(["nginx", "-p", str(directory), "-c", str(file)], port, recording) as peer:
            yield peer


@contextlib.contextmanager
def _haproxy(directory: Path) -> Iterator[Peer]:
    recording = Recording()
    port = free_port()
    with scripted(recording) as url:
        file = directory / "haproxy.cfg"
        file.write_text(HAPROXY.format(port=port, address=url.removeprefix("http://")))
        with _process(["haproxy", "-f", str(file)], port, recording) as peer:
            yield peer


@contextlib.contextmanager
def _sidelog(directory: Path) -> Iterator[Peer]:
    recording = Recording()
    with (
        scripted(recording) as url,
        running_plane(settings_for(url, timeout_headers_s=1.0), directory / "ring") as plane,
    ):
        yield Peer(plane.port, recording)
        while plane.reader.pushed > plane.reader.taken:
            plane.reader.read(1000, 1 << 30)


def inputs(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """The vectors, ours and published ones, then so many mutated requests."""
    for refusal in (*REFUSALS, *CONFORMANCE_REFUSALS):
        yield f"refusal {refusal.name}", refusal.raw
    for passage in (*PASSAGES, *CONFORMANCE_PASSAGES):
        yield f"passage {passage.name}", passage.raw
    for vector in published():
        if not vector.is_response and not _POLICY.search(vector.raw):
            yield f"published {vector.name}", vector.with_host
    for number in range(count):
        data = make_request_case(Random(f"{seed}:{number}")).data
        if not _POLICY.search(data):
            yield f"mutation {seed}:{number}", data


def compare(cases: Iterable[tuple[str, bytes]]) -> int:
    """Ask all three; print the differences; return how many are violations."""
    violations = 0
    total = 0
    stricter = 0

    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        (directory / "ring").mkdir()
        peers = [stack.enter_context(start(directory)) for start in (_sidelog, _nginx, _haproxy)]

        for what, raw in cases:
            ours, nginx, haproxy = (peer.ask(raw) for peer in peers)
            total += 1
            line = f"{what}: sidelog {ours}, nginx {nginx}, haproxy {haproxy}"

            is_refused = nginx.is_refused and haproxy.is_refused
            if is_refused and len(ours.messages) > max(len(nginx.messages), len(haproxy.messages)):
                violations += 1
                print(f"VIOLATION {line}\n  {raw[:300]!r}")  # noqa: T201
            elif len(ours.messages) < min(len(nginx.messages), len(haproxy.messages)):
                stricter += 1
                print(f"stricter {line}")  # noqa: T201

    print(f"{total} inputs: {violations} that only we forward, {stricter} that only we refuse")  # noqa: T201
    return violations


def main(argv: list[str]) -> int:
    """Compare; the exit code says whether we were ever the laxest."""
    parser = argparse.ArgumentParser(prog="tests.fuzz.peers", description=__doc__)
    parser.add_argument("--count", type=int, default=0, help="mutated requests beside the vectors")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    missing = [name for name in ("nginx", "haproxy") if shutil.which(name) is None]
    if missing:
        print(f"not installed: {', '.join(missing)}")  # noqa: T201
        return 2
    if compare(inputs(options.count, options.seed)):
        return 1

    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
