"""The listening sockets: one per worker on the data port (SO_REUSEPORT), one for each other port.

They are opened once by the supervisor and inherited, so a child's death never closes a port. A
service manager may hand them over instead (systemd socket activation, sd_listen_fds(3)): the first
descriptor is the data port, the second the admin port, the third the port of outgoing calls, unless
LISTEN_FDNAMES (`data`, `admin`, `egress`) or the addresses in the settings identify them.
The data port may be a Unix socket (unix(7)), which all workers share. Its file outlives a killed
program: a socket file on which nothing answers is replaced, anything else stays. Standard library
only.
"""

import errno
import os
import socket
import stat
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, Final

_PORTS: Final = ("data", "admin", "egress")
"""Ports that a service manager may hand over, in the order of sockets without a name."""
BACKLOG: Final = 4096
"""Capped by the kernel at net.core.somaxconn."""
FIRST_INHERITED: Final = 3
"""First inherited descriptor: SD_LISTEN_FDS_START."""
UNIX_PREFIX: Final = "unix:"
MAX_PATH_BYTES: Final = 107
"""Longest path of a Unix socket: `sun_path` of unix(7) has 108 bytes, and the last one is 0."""


class ListenError(Exception):
    """A port cannot be opened. The message names it and the remedy."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """Open listening sockets."""

    data: list[socket.socket]
    """Sockets of the data port: one per worker, at least one; none without a data port."""
    egress: list[socket.socket]
    """Sockets of the port of outgoing calls, one per worker; none if outgoing calls are off."""
    admin: socket.socket
    metrics: socket.socket | None = None
    """The open address with metrics and probes, if configured."""
    health: socket.socket | None = None
    """The supervisor's own port, if configured."""
    path: str = ""
    """Path of the Unix socket that we created for the data port."""
    inode: int = 0
    """Inode of its file; no other file has it while we listen."""

    def close_data(self) -> None:
        """Close the ports of the workers.

        The file of a Unix socket is removed first, unless another program has put its own there.
        """
        with suppress(OSError):
            if self.path and os.lstat(self.path).st_ino == self.inode:
                os.unlink(self.path)
        for listener in (*self.data, *self.egress):
            listener.close()

    @property
    def admin_address(self) -> tuple[str, int]:
        """Address of the admin port: host for a URL, port."""
        return url_address(self.admin)


def open_listeners(
    settings: Mapping[str, Any], environ: Mapping[str, str] = os.environ
) -> Listeners:
    """Open, or take over, all listening sockets.

    Raises:
        ListenError: a port is taken, not allowed, or the address is not on this machine.
    """
    with ExitStack() as undo:
        addresses = {
            "data": settings["proxy"]["listen"],
            "admin": settings["admin"]["listen"],
            "egress": settings.get("egress", {}).get("listen"),
        }
        inherited = _inherited(environ, addresses, undo)
        data = _data_listeners(settings["proxy"], inherited.get("data"), undo)
        egress = _egress_listeners(addresses["egress"], inherited.get("egress"), len(data), undo)
        admin = inherited.get("admin") or _listen(settings["admin"]["listen"], "--admin-listen")
        undo.callback(admin.close)
        metrics, health = (
            _listen_also(settings["admin"], name, undo)
            for name in ("metrics_listen", "health_listen")
        )
        undo.pop_all()

    is_ours = data and "data" not in inherited and data[0].family == socket.AF_UNIX
    path = data[0].getsockname() if is_ours else ""
    return Listeners(
        data, egress, admin, metrics, health, path, os.lstat(path).st_ino if path else 0
    )


def _data_listeners(
    proxy: Mapping[str, Any], inherited: socket.socket | None, undo: ExitStack
) -> list[socket.socket]:
    if not proxy["data_port"]:
        if inherited is not None:
            inherited.close()
        return []

    count = max(1, proxy["workers"])
    address = proxy["listen"]
    if inherited is None and not address.startswith(UNIX_PREFIX):
        return _reuse_port(address, count, undo, "--listen")

    return _share(inherited or _listen_at(address, undo), count, undo)


def _egress_listeners(
    address: str | None, inherited: socket.socket | None, count: int, undo: ExitStack
) -> list[socket.socket]:
    if not address or not count:
        if inherited is not None:
            inherited.close()
        return []

    if inherited is None:
        return _reuse_port(address, count, undo, "[egress] listen")

    return _share(inherited, count, undo)


def _listen_also(admin: Mapping[str, str], name: str, undo: ExitStack) -> socket.socket | None:
    address = admin.get(name)
    if not address:
        return None
    listener = _listen(address, f"[admin] {name}")
    undo.callback(listener.close)
    return listener


def _inherited(
    environ: Mapping[str, str], addresses: Mapping[str, str | None], undo: ExitStack
) -> dict[str, socket.socket]:
    """Return the sockets that a service manager hands over, by port.

    Raises:
        ListenError: fewer sockets than announced, one of another type, or one for no port.
    """
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return {}
    count = environ.get("LISTEN_FDS", "0")
    if not count.isdecimal():
        raise ListenError(f"LISTEN_FDS is {count!r}, expected the number of sockets handed over")

    handed = []
    for fd in range(FIRST_INHERITED, FIRST_INHERITED + int(count)):
        handed.append(_adopted(fd))
        undo.callback(handed[-1].close)
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    if not set(_PORTS) & set(names):
        names = _names_of(handed, addresses)

    found: dict[str, socket.socket] = {}
    for name, listener in zip(names, handed, strict=False):
        if name in found:
            raise ListenError(f"two sockets are handed over for the {name} port, expected one")
        if name in ("admin", "egress") and listener.family == socket.AF_UNIX:
            raise ListenError(
                f"a Unix socket is handed over for the {name} port, expected HOST:PORT"
            )
        if name in _PORTS:
            found[name] = listener
        else:
            listener.close()
    return found


def _adopted(fd: int) -> socket.socket:
    """Return the listening socket that systemd passed as the descriptor `fd`."""
    wrong = ListenError(
        f"descriptor {fd}, which LISTEN_FDS counts, is not a listening stream socket: the unit of "
        "systemd needs ListenStream= for the data port, and perhaps for the admin port and the port "
        "of outgoing calls"
    )
    try:
        listener = socket.socket(fileno=fd)
    except OSError as error:
        raise wrong from error

    is_stream = listener.type == socket.SOCK_STREAM
    if not is_stream or not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        listener.close()
        raise wrong
    return listener


def _names_of(handed: list[socket.socket], addresses: Mapping[str, str | None]) -> list[str]:
    """Return the ports of sockets without a name: by an address in the settings, else by their
    order.
    """
    if len(handed) > len(_PORTS):
        raise ListenError(
            f"{len(handed)} sockets are handed over, expected at most {len(_PORTS)}: data port, admin "
            "port and port of outgoing calls; FileDescriptorName=data, =admin and =egress in units "
            "of their own tell more apart"
        )
    known = {address: name for name, address in addresses.items()}
    named = [known.get(_address_of(listener), "") for listener in handed]
    left = [name for name in _PORTS if name not in named]
    return [name or left.pop(0) for name in named]


def _address_of(listener: socket.socket) -> str:
    name = listener.getsockname()
    if not isinstance(name, tuple):
        return UNIX_PREFIX + os.fsdecode(name)
    return host_port(*name[:2])


def _share(listener: socket.socket, count: int, undo: ExitStack) -> list[socket.socket]:
    """Return a descriptor of one socket for each worker, since workers identify sockets by
    descriptor.
    """
    undo.callback(listener.close)
    sockets = [listener]
    for _ in range(count - 1):
        sockets.append(listener.dup())
        undo.callback(sockets[-1].close)
    return sockets


def _reuse_port(address: str, count: int, undo: ExitStack, flag: str) -> list[socket.socket]:
    # Another program may have the port: a first socket without SO_REUSEPORT detects it, while with
    # it both would succeed.
    probe = _bind(address, flag, is_shared=False)
    host, port = probe.getsockname()[:2]
    probe.close()
    sockets = []

    for _ in range(count):
        listener = _bind(host_port(host, port), flag, is_shared=True)
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
        raise _cannot_listen(address, error, flag) from error

    return listener


def _cannot_listen(address: str, error: OSError, flag: str) -> ListenError:
    reason = error.strerror or str(error)
    if error.errno == errno.EADDRINUSE:
        holder = "stop what uses it, or "
    else:
        holder = ""
    return ListenError(
        f"cannot listen on {address}: {reason[:1].lower()}{reason[1:]}; {holder}choose another "
        f"address with {flag}"
    )


def socket_path(text: str) -> str:
    """Read `unix:/path` or `unix:///path` (RFC 8089 §2).

    Raises:
        ValueError: it is neither, or longer than the kernel allows.
    """
    path = text.removeprefix(UNIX_PREFIX)
    if path.startswith("///"):
        path = path[2:]  # an empty authority
    if not path.startswith("/") or path.startswith("//") or "\x00" in path:
        raise ValueError("expected unix: and an absolute path, as in unix:/run/app.sock")
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise ValueError(
            f"the path of a Unix socket has at most {MAX_PATH_BYTES} bytes, not "
            f"{len(os.fsencode(path))}"
        )

    return path


def path_error(path: str) -> OSError | None:
    """Return the error that keeps a Unix socket from being created at a path; None without one.

    The socket file of a killed program is not an error.
    """
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return FileExistsError(errno.EEXIST, "a file that is not a socket exists there")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            probe.connect(path)
    except FileNotFoundError:
        directory = os.path.dirname(path)
        if not os.path.isdir(directory):
            return FileNotFoundError(errno.ENOENT, f"there is no directory {directory}")

        is_writable = os.access(directory, os.W_OK | os.X_OK)
        if is_writable:
            return None

        return PermissionError(errno.EACCES, f"no permission to write in {directory}")
    except ConnectionRefusedError:
        return None
    except BlockingIOError:
        pass  # its queue is full
    except OSError as error:
        return error

    return OSError(errno.EADDRINUSE, "address already in use")


def _listen_at(address: str, undo: ExitStack) -> socket.socket:
    """Listen on a Unix socket open to every user of this machine, like a port on loopback.

    The permissions of its directory decide who finds it.
    """
    path = socket_path(address)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if error := path_error(path):
            raise error
        with suppress(FileNotFoundError):
            os.unlink(path)
        listener.bind(path)
        undo.callback(os.unlink, path)
        os.chmod(path, 0o666)  # noqa: S103 - connecting takes the right to write (unix(7))
    except OSError as error:
        listener.close()
        raise _cannot_listen(address, error, "--listen") from error

    listener.listen(BACKLOG)
    return listener


def port_of(listener: socket.socket) -> int | str:
    """Return the port of a listener, or the path of its Unix socket.

    The path of an abstract socket begins with a null byte.
    """
    name = listener.getsockname()
    if isinstance(name, tuple):
        return int(name[1])
    return os.fsdecode(name)


def host_port(host: str, port: int) -> str:
    """Return host:port, with brackets around an IPv6 address."""
    return f"{url_host(host)}:{port}"


def url_host(host: str) -> str:
    """Return a host as URLs have it, with brackets around an IPv6 address."""
    if ":" in host:
        return f"[{host}]"
    return host


def url_address(listener: socket.socket) -> tuple[str, int]:
    """Return the address of a listener with a port: host for a URL, and port."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return url_host(host), port
