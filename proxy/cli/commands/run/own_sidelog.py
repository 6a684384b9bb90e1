"""The sidelog of a run: one process on free ports of this machine.

Strategy: it is started as `serve` does with `workers = 0`. It has a session of its own, so that
keys of the terminal do not reach it, and it ends with this process. It reports that it is ready to
a socket, as to a service manager. Its log goes to a file in the data directory, since the terminal
belongs to the command.
"""

import json
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from proxy.cli.commands.client import Client
from proxy.cli.commands.output import CommandError, complain
from proxy.cli.commands.run.outgoing import upstream_proxy
from proxy.cli.commands.run.providers import Route
from proxy.process.data_dir import LISTENS_NAME, read_state
from proxy.process.die_with_parent import bound_to_this_process
from proxy.process.memfd import hand_over
from proxy.process.own_packages import module_command, module_environment
from proxy.settings.load import load
from proxy.settings.model import Settings, freeze

Environ = Mapping[str, str]
LOG_FILE: Final = "sidelog.log"
START_S: Final = 60.0
"""Timeout of the start, on a busy machine."""
STOP_S: Final = 60.0
"""Time to store the remaining records at the end."""
POLL_S: Final = 0.1
MAX_NOTICE_BYTES: Final = 4096
_OWN: Final[Mapping[str, str]] = {
    "proxy.listen": "127.0.0.1:0",
    "proxy.workers": "0",
    "admin.listen": "127.0.0.1:0",
}
_DEFAULTS: Final[Mapping[str, str]] = {
    "SIDELOG_CAPTURE__REQUEST_BODY_BYTES": "1MiB",
    "SIDELOG_CAPTURE__RESPONSE_BODY_BYTES": "1MiB",
    "SIDELOG_PROXY__LIMITS__DRAIN_TIMEOUT_S": "5",
}
"""Defaults for runs: whole conversations are kept, and connections that the command left open are
not waited for.
"""
_PREFIX: Final = "SIDELOG_"
_SECTIONS: Final = (
    "CAPTURE",
    "LLM",
    "LOG",
    "OTEL",
    "PROXY__LIMITS",
    "REDACT",
    "RETENTION",
)
"""Sections of settings that are taken from the environment; the others belong to a service."""


class Running(NamedTuple):
    """Addresses of a running sidelog."""

    url: str
    """The data port."""
    admin_url: str


def settings_environment(
    environ: Environ, routes: Sequence[Route], service: str, hosts: Sequence[str] = ()
) -> dict[str, str]:
    """Return the environment from which settings are read. Records have `service`; calls to `hosts`
    are decrypted. Without hosts there is no port of outgoing calls.
    """
    sections = (*_SECTIONS, "EGRESS") if hosts else _SECTIONS
    kept_prefixes = tuple(f"{_PREFIX}{section}__" for section in sections)
    kept = {
        name: value  # variables of other programs may name the proxy to an upstream
        for name, value in environ.items()
        if not name.startswith(_PREFIX) or name.startswith(kept_prefixes)
    }
    tables: list[dict[str, Any]] = [
        {
            "id": route.name,
            "path": f"{route.path}/",
            "strip_prefix": True,
            "upstream": route.upstream,
            "service": service,
        }
        for route in routes
    ]
    own = {"SIDELOG_ROUTES": json.dumps(tables)}
    if hosts:
        own |= {
            "SIDELOG_EGRESS__LISTEN": "127.0.0.1:0",
            "SIDELOG_EGRESS__HOSTS": json.dumps(hosts),
            "SIDELOG_EGRESS__SERVICE": service,
        }
        if proxy := upstream_proxy(environ):
            own["SIDELOG_EGRESS__VIA"] = proxy
    return {**_DEFAULTS, **kept, **own}


@contextmanager
def stored_records(data_dir: Path) -> Iterator[Client]:
    """Yield a client that reads the store of a data directory whose sidelog has ended."""
    from proxy.cli.commands.store import served  # not in the time before the command starts

    with served(Settings(data_dir=str(data_dir))) as client:
        yield client


@contextmanager
def own_sidelog(data_dir: Path, environ: Environ) -> Iterator[Running]:
    """Run a sidelog with settings of `environ`; at the end, all received records are stored.

    Raises:
        CommandError: it does not start.
        SettingsError: a setting of the environment is invalid.
    """
    settings = load({**_OWN, "data_dir": str(data_dir)}, environ, None)
    with _notices() as (notices, address):
        its_environ = {**module_environment(), "NOTIFY_SOCKET": address}
        process = _started(data_dir, freeze(settings), its_environ)
        try:
            _await_ready(notices, process, data_dir)
        except BaseException:
            _end(process)
            raise

        try:
            state = read_state(data_dir)
            port = state[LISTENS_NAME]["proxy.listen"]
            yield Running(f"http://127.0.0.1:{port}", str(state["admin_url"]))
        finally:
            _stop(process, data_dir)


def _started(data_dir: Path, settings: bytes, environ: Environ) -> subprocess.Popen[bytes]:
    handed = [hand_over(b"{}", "sidelog-source"), hand_over(settings, "sidelog-settings")]
    source, frozen = map(str, handed)
    command = module_command("proxy.single", "--source-fd", source, "--settings-fd", frozen)

    with open(data_dir / LOG_FILE, "wb") as log:
        return subprocess.Popen(  # noqa: S603 - our own interpreter, our own module
            bound_to_this_process(command),
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=handed,
            start_new_session=True,
        )


@contextmanager
def _notices() -> Iterator[tuple[socket.socket, str]]:
    """Yield a socket for notifications (sd_notify), and its name for the environment."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notices:
        name = f"sidelog-run-{secrets.token_hex(16)}"
        notices.bind(f"\0{name}")
        yield notices, f"@{name}"


def _await_ready(notices: socket.socket, process: subprocess.Popen[bytes], data_dir: Path) -> None:
    """Wait until the sidelog reports that it is ready.

    Raises:
        CommandError: it ended instead, or reported nothing in time.
    """
    notices.settimeout(POLL_S)
    until_s = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < until_s:
        with suppress(TimeoutError):
            if b"READY=1" in notices.recv(MAX_NOTICE_BYTES):
                return

    *_, last = ["no message", *(data_dir / LOG_FILE).read_text(errors="replace").splitlines()]
    said = last.removeprefix("sidelog: ")
    text = f"the sidelog of this run did not start: {said}"
    raise CommandError(f"{text}; its log: {data_dir / LOG_FILE}")


def _stop(process: subprocess.Popen[bytes], data_dir: Path) -> None:
    """Stop the sidelog; report if it did not store all records."""
    ended_before = process.poll() is not None
    code = _end(process)
    if code or ended_before:
        if ended_before:
            what = "ended before the command"
        else:
            what = "did not store all that it received"
        text = f"the sidelog of this run {what} (exit code {code})"
        complain(f"sidelog: {text}; its log: {data_dir / LOG_FILE}")


def _end(process: subprocess.Popen[bytes]) -> int:
    """Terminate a process, and kill it if that takes too long; return its exit code."""
    process.terminate()
    try:
        return process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
