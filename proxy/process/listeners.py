"""The listening sockets: one per worker on the data port (SO_REUSEPORT), one for each other port. stdlib only.

They are opened once by the supervisor and inherited, so a child's death never closes a port. A service manager may hand
them over instead (systemd socket activation, sd_listen_fds(3)): the first descriptor is the data port, the second the
admin port, or as LISTEN_FDNAMES says (`data`, `admin`).
"""

import errno
import os
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

BACKLOG: Final = 4096
"""Capped by the kernel at net.core.somaxconn."""
FIRST_INHERITED: Final = 3
"""SD_LISTEN_FDS_START."""


class ListenError(Exception):
    """A port cannot be listened on; the message names it and says what to do."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """Open listening sockets."""

    data: list[socket.socket]
    """One per worker, at least one; none without a data port."""
    admin: socket.socket
    metrics: socket.socket | None = None
    """The open address with metrics and probes, if configured."""
    health: socket.socket | None = None
    """The supervisor's own, if configured."""

    @property
    def data_address(self) -> tuple[str, int]:
        """Address of the data port: host for a URL, port."""
        return url_address(self.data[0])

    @property
    def admin_address(self) -> tuple[str, int]:
        """Address of the admin port: host for a URL, port."""
        return url_address(self.admin)


def open_listeners(settings: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Listeners:
    """Open, or take over, all listening sockets.

    Raises:
        ListenError: a port is taken, not allowed, or the address is not on this machine.
    """
    with ExitStack() as undo:
        inherited = _inherited(environ)
        data = _data_listeners(settings["proxy"], inherited.get("data"), undo)
        admin = inherited.get("admin") or _listen(settings["admin"]["listen"], "--admin-listen")
        undo.callback(admin.close)
        metrics, health = (_listen_also(settings["admin"], name, undo) for name in ("metrics_listen", "health_listen"))
        undo.pop_all()
    return Listeners(data, admin, metrics, health)


def _data_listeners(proxy: Mapping[str, Any], inherited: socket.socket | None, undo: ExitStack) -> list[socket.socket]:
    if not proxy["data_port"]:
        if inherited is not None:
            inherited.close()
        return []
    count = max(1, proxy["workers"])
    return _share(inherited, count, undo) if inherited else _reuse_port(proxy["listen"], count, undo)


def _listen_also(admin: Mapping[str, str], name: str, undo: ExitStack) -> socket.socket | None:
    address = admin.get(name)
    if not address:
        return None
    listener = _listen(address, f"[admin] {name}")
    undo.callback(listener.close)
    return listener


def _inherited(environ: Mapping[str, str]) -> dict[str, socket.socket]:
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return {}
    count = int(environ.get("LISTEN_FDS", "0"))
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    if not {"data", "admin"} & set(names):
        names = ["data", "admin"]
    return {
        name: socket.socket(fileno=FIRST_INHERITED + index)
        for index, name in zip(range(count), names, strict=False)
        if name in ("data", "admin")
    }


def _share(listener: socket.socket, count: int, undo: ExitStack) -> list[socket.socket]:
    """Return a descriptor of one socket for each worker, which is known, adopted and closed by its descriptor."""
    undo.callback(listener.close)
    sockets = [listener]
    for _ in range(count - 1):
        sockets.append(listener.dup())
        undo.callback(sockets[-1].close)
    return sockets


def _reuse_port(address: str, count: int, undo: ExitStack) -> list[socket.socket]:
    # A first socket without SO_REUSEPORT finds out whether another program has the port: with it, both would succeed.
    probe = _bind(address, "--listen", is_shared=False)
    host, port = probe.getsockname()[:2]
    probe.close()
    sockets = []
    for _ in range(count):
        listener = _bind(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", "--listen", is_shared=True)
        undo.callback(listener.close)
        listener.listen(BACKLOG)
        sockets.append(listener)
    return sockets


def _listen(address: str, flag: str) -> socket.socket:
    listener = _bind(address, flag, is_shared=False)
    listener.listen(BACKLOG)
    return listener


def _bind(address: str, flag: str, *, is_shared: bool) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]") or "0.0.0.0"  # noqa: S104 - what an empty host before the colon means
    try:
        family, _, _, _, target = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared and hasattr(socket, "SO_REUSEPORT"):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            listener.bind(target)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        holder = "stop what uses it, or " if error.errno == errno.EADDRINUSE else ""
        raise ListenError(
            f"cannot listen on {address}: {reason}; {holder}choose another address with {flag}"
        ) from error
    return listener


def url_address(listener: socket.socket) -> tuple[str, int]:
    """Address of a listener: host for a URL, port."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return (f"[{host}]" if ":" in host else host), port
