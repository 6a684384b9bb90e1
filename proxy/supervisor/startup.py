"""Start of a root process: lock the data directory, bind the sockets, claim a ring directory.

Shared by the supervisor and by the single process of `workers = 0`. Standard library only.
"""

import argparse
import json
import logging
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.process.data_dir import (
    EGRESS_URL_NAME,
    LISTENS_NAME,
    STORAGE_URL_NAME,
    DataDir,
    DataDirError,
    lock_data_dir,
    update_state,
)
from proxy.process.descriptors import (
    DescriptorLimitError,
    check_descriptor_limit,
    raise_descriptor_limit,
)
from proxy.process.listeners import (
    UNIX_PREFIX,
    ListenError,
    Listeners,
    open_listeners,
    port_of,
    url_address,
)
from proxy.process.logs import detach_from_stderr, set_up_log
from proxy.process.memfd import read_document
from proxy.process.ring_home import RingHome, claim_ring_home
from proxy.process.shared_memory import SharedMemoryError
from proxy.supervisor.host import notify

log = logging.getLogger("proxy.supervisor")


@dataclass(frozen=True, slots=True)
class RootContext:
    """The settings and resources that a root process starts with."""

    settings: dict[str, Any]
    """Frozen settings as plain values."""
    settings_fd: int
    source_fd: int
    """Descriptor with the source of the settings, for a reload."""
    data: DataDir
    listeners: Listeners
    rings: RingHome


def run_root(program: str, argv: list[str], run: Callable[[RootContext], int]) -> int:
    """Prepare a root process and run it. A problem becomes one line on stderr and exit code 1."""
    parser = argparse.ArgumentParser(prog=program, description="started by `sidelog serve`")
    parser.add_argument("--settings-fd", type=int, required=True)
    parser.add_argument(
        "--source-fd", type=int, required=True, help="where the settings came from, for a reload"
    )
    options = parser.parse_args(argv)
    settings: dict[str, Any] = json.loads(read_document(options.settings_fd))
    detach_from_stderr()
    set_up_log(settings["log"]["level"], role="supervisor")
    raise_descriptor_limit()

    try:
        os.umask(0o077)
        check_descriptor_limit(settings["proxy"]["workers"])
        data = lock_data_dir(Path(settings["data_dir"]), settings["proxy"]["instance"])
        listeners = open_listeners(settings)
        rings = claim_ring_home(settings["ring"]["directory"], data.path)

        try:
            _announce(data, listeners, settings, greeting=_greeting(options.source_fd))
            return run(
                RootContext(
                    settings, options.settings_fd, options.source_fd, data, listeners, rings
                )
            )
        finally:
            rings.release()
    except (DataDirError, DescriptorLimitError, ListenError, SharedMemoryError) as error:
        sys.stderr.write(f"sidelog: {error}\n")
        return 1


def _greeting(source_fd: int) -> str:
    """Return the greeting for a person at the terminal; empty for a service."""
    return str(json.loads(read_document(source_fd)).get("greeting", ""))


def _announce(
    data: DataDir, listeners: Listeners, settings: dict[str, Any], *, greeting: str
) -> None:
    """Announce all addresses, after the ports are bound: on the terminal, in the log, to the
    service manager.

    The addresses of ports and store are also written to `state.json`, for the command line.
    """
    admin_url = write_addresses(data, listeners, settings)
    if greeting:
        sys.stdout.write(greeting)
        sys.stdout.flush()
    notify(f"STATUS=listening on {_data_url(listeners, settings) or admin_url}")
    # The link logs its user in, so it goes to the terminal that started sidelog, and into no file.
    has_link = sys.stderr.isatty() and settings["admin"]["auth"] != "off"
    extra = {
        "proxy": _data_url(listeners, settings),
        "admin": admin_url,
        "ui": f"{admin_url}/login#token={data.token}" if has_link else f"{admin_url}/",
        "data_dir": str(data.path),
    }

    others = (
        ("egress", next(iter(listeners.egress), None)),
        ("metrics", listeners.metrics),
        ("health", listeners.health),
    )
    for name, listener in others:
        if listener is not None:
            extra[name] = _plain_url(listener)

    log.info("sidelog is starting", extra=extra)


def _plain_url(listener: socket.socket) -> str:
    host, port = url_address(listener)
    return f"http://{host}:{port}"


def _data_url(listeners: Listeners, settings: dict[str, Any]) -> str | None:
    if not listeners.data:
        return None
    path = port_of(listeners.data[0])
    if isinstance(path, str):
        return UNIX_PREFIX + path
    host, port = url_address(listeners.data[0])
    return f"{'https' if settings['proxy']['tls_cert_file'] else 'http'}://{host}:{port}"


def write_addresses(data: DataDir, listeners: Listeners, settings: dict[str, Any]) -> str:
    """Write the addresses of admin port and store into `state.json`; return the admin port's URL."""
    host, port = listeners.admin_address
    cert_file = settings["admin"]["tls_cert_file"]
    admin_url = f"{'https' if cert_file else 'http'}://{host}:{port}"
    url = settings["storage"]["url"]
    ports = {
        "proxy.listen": next(iter(listeners.data), None),
        "egress.listen": next(iter(listeners.egress), None),
        "admin.listen": listeners.admin,
        "admin.metrics_listen": listeners.metrics,
        "admin.health_listen": listeners.health,
    }

    found = {
        LISTENS_NAME: {name: port_of(port) for name, port in ports.items() if port is not None},
        EGRESS_URL_NAME: next(map(_plain_url, listeners.egress), ""),
        "admin_url": admin_url,
        "admin_cert_file": cert_file,
        STORAGE_URL_NAME: url if url.startswith(("sqlite:", "memory:")) else "",
    }
    try:
        update_state(data.path, **found)
    except OSError as error:  # a full disk stops neither a start nor a reload
        log.warning(
            "cannot write state.json; commands may not find the ports and the store: %s",
            error.strerror,
        )

    return admin_url
