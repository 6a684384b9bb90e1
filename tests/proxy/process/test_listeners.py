"""Listening sockets: opened before anything starts, shared by the workers, or handed over by a
service manager.
"""

import fcntl
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from proxy.process.listeners import (
    ListenError,
    Listeners,
    open_listeners,
    path_error,
    port_of,
    url_address,
)
from tests.support.programs import PROGRAM_S
from tests.support.sidelog import ROOT


def settings(
    listen: str = "127.0.0.1:0", admin: str = "127.0.0.1:0", workers: int = 1
) -> dict[str, Any]:
    """What this module reads of the settings."""
    return {
        "proxy": {"listen": listen, "workers": workers, "data_port": True},
        "admin": {"listen": admin},
    }


@pytest.fixture
def opened() -> Iterator[list[Listeners]]:
    """Listeners that are closed at the end."""
    made: list[Listeners] = []
    yield made
    for listeners in made:
        for listener in (*listeners.data, listeners.admin):
            listener.close()


def connect(address: tuple[str, int]) -> None:
    """Connect once."""
    host, port = address
    socket.create_connection((host.strip("[]"), port), timeout=60).close()


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_each_worker_has_a_socket_on_the_same_port(opened: list[Listeners], workers: int) -> None:
    """Port 0 is chosen once for all of them; without workers there is one for this process."""
    listeners = open_listeners(settings(workers=workers), {})
    opened.append(listeners)
    assert len(listeners.data) == max(1, workers)
    assert len({listener.fileno() for listener in listeners.data}) == max(1, workers)
    assert {listener.getsockname() for listener in listeners.data} == {
        ("127.0.0.1", url_address(listeners.data[0])[1])
    }
    assert listeners.admin_address[1] not in (0, url_address(listeners.data[0])[1])
    connect(url_address(listeners.data[0]))
    connect(listeners.admin_address)


def test_without_a_data_port_only_the_others_are_opened(opened: list[Listeners]) -> None:
    """Its address may be taken: nobody asks for it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        wanted = settings(listen=f"127.0.0.1:{other.getsockname()[1]}")
        wanted["proxy"]["data_port"] = False
        listeners = open_listeners(wanted, {})
        opened.append(listeners)

    assert listeners.data == []
    connect(listeners.admin_address)


def test_connections_are_shared_out(opened: list[Listeners]) -> None:
    """The kernel spreads connections over the sockets of one port."""
    listeners = open_listeners(settings(workers=2), {})
    opened.append(listeners)
    clients = [socket.create_connection(url_address(listeners.data[0])) for _ in range(64)]
    clients_of = {client.getsockname(): client for client in clients}

    for listener in listeners.data:
        listener.setblocking(False)
        accepted, peer = listener.accept()
        assert peer in clients_of
        accepted.close()

    for client in clients:
        client.close()


@pytest.mark.parametrize(("port", "flag"), [("listen", "--listen"), ("admin", "--admin-listen")])
def test_a_taken_port_is_named_with_its_flag(port: str, flag: str) -> None:
    """Also when the other program would share it: two programs on one port are a mistake."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(ListenError) as caught:
            open_listeners(settings(address) if port == "listen" else settings(admin=address), {})

    assert str(caught.value) == (
        f"cannot listen on {address}: address already in use; stop what uses it, or choose "
        f"another address with {flag}"
    )


def test_an_address_of_another_machine_and_an_unknown_name_are_refused() -> None:
    """The message says what the system says, and nothing of another program: there is none to stop."""
    with pytest.raises(
        ListenError,
        match=r"cannot listen on 192\.0\.2\.1:1: cannot assign requested address; choose",
    ):
        open_listeners(settings("192.0.2.1:1"), {})

    with pytest.raises(ListenError, match=r"cannot listen on no-such-host\.invalid:1: "):
        open_listeners(settings("no-such-host.invalid:1"), {})


def test_nothing_stays_open_after_a_refusal() -> None:
    """A data port that was opened before the admin port failed is closed with the exception."""
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(ListenError):
        open_listeners(settings("127.0.0.1:0", "192.0.2.1:1", workers=3), {})
    assert set(os.listdir("/proc/self/fd")) <= before


def test_an_empty_host_means_every_address(opened: list[Listeners]) -> None:
    """`:0` listens on all IPv4 addresses and is shown as loopback, which a browser can open."""
    listeners = open_listeners(settings(":0"), {})
    opened.append(listeners)
    assert listeners.data[0].getsockname()[0] == "0.0.0.0"
    assert url_address(listeners.data[0])[0] == "127.0.0.1"
    connect(url_address(listeners.data[0]))


def test_ipv6(opened: list[Listeners]) -> None:
    """A literal in brackets, on several sockets; the address for URLs has them too."""
    if not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6"):
        pytest.skip("this machine has no IPv6")
    listeners = open_listeners(settings("[::1]:0", "[::1]:0", workers=2), {})
    opened.append(listeners)
    assert url_address(listeners.data[0])[0] == listeners.admin_address[0] == "[::1]"
    connect(url_address(listeners.data[0]))
    assert len({listener.getsockname()[1] for listener in listeners.data}) == 1


def test_a_unix_socket_is_shared_by_workers_and_open_to_all_users(
    opened: list[Listeners], tmp_path: Path
) -> None:
    """Its directory is what keeps users out; at the end of the data port its file is gone."""
    path = tmp_path / "data.sock"
    listeners = open_listeners(settings(f"unix:{path}", workers=2), {})
    opened.append(listeners)
    assert [port_of(listener) for listener in listeners.data] == [str(path)] * 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o666

    for listener in listeners.data:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            listener.accept()[0].close()

    listeners.close_data()
    assert not path.exists()


def test_what_a_killed_program_left_is_replaced(opened: list[Listeners], tmp_path: Path) -> None:
    """A socket that nothing answers on; closing does not remove its file."""
    path = tmp_path / "data.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert path_error(str(path)) is None
    opened.append(open_listeners(settings(f"unix:///{path.relative_to('/')}"), {}))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_unix_socket_that_took_the_place_of_ours_stays(
    opened: list[Listeners], tmp_path: Path
) -> None:
    """Its file was removed by hand, and another program has begun to listen there."""
    path = tmp_path / "data.sock"
    for _ in range(2):
        opened.append(open_listeners(settings(f"unix:{path}"), {}))
        if len(opened) == 1:
            path.unlink()

    opened[0].close_data()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_unix_socket_that_another_program_has_stays(tmp_path: Path) -> None:
    """Whether its program accepts or has its hands full."""
    path = tmp_path / "data.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen(0)
        for _ in range(2):
            with pytest.raises(
                ListenError, match="address already in use; stop what uses it, or choose another"
            ):
                open_listeners(settings(f"unix:{path}"), {})

    assert path.exists()


def test_a_file_that_is_no_socket_is_never_removed(tmp_path: Path) -> None:
    """Nor is what a link leads to."""
    file = tmp_path / "Data.toml"
    link = tmp_path / "link.sock"
    file.write_text("precious")
    link.symlink_to(tmp_path / "nowhere")

    for path in (file, link):
        expected = (
            f"cannot listen on unix:{path}: a file that is not a socket exists there; choose another "
            "address"
        )
        with pytest.raises(ListenError, match=expected):
            open_listeners(settings(f"unix:{path}"), {})

    assert (file.read_text(), link.is_symlink()) == ("precious", True)


def test_a_unix_socket_without_its_directory_names_it(tmp_path: Path) -> None:
    """As it is written."""
    with pytest.raises(
        ListenError, match=f"there is no directory {tmp_path}/Run; choose another address"
    ):
        open_listeners(settings(f"unix:{tmp_path}/Run/data.sock"), {})


def test_a_unix_socket_goes_with_the_start_that_failed(tmp_path: Path) -> None:
    """The admin port cannot be opened: nothing is left of the data port."""
    with pytest.raises(ListenError):
        open_listeners(settings(f"unix:{tmp_path}/data.sock", "192.0.2.1:1"), {})
    assert list(tmp_path.iterdir()) == []


def test_a_unix_socket_of_a_service_manager_stays_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is used, and its file is not removed."""
    monkeypatch.setattr(
        "proxy.process.listeners.FIRST_INHERITED", (held := socket.socket(socket.AF_UNIX)).fileno()
    )
    held.bind(str(path := tmp_path / "data.sock"))
    held.listen()
    held.detach()
    wanted = settings(f"unix:{tmp_path}/other.sock")
    listeners = open_listeners(wanted, {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"})
    assert port_of(listeners.data[0]) == str(path)
    listeners.close_data()
    listeners.admin.close()
    assert path.exists()


@pytest.mark.parametrize(
    ("kinds", "count", "names", "expected"),
    [
        (["listening"], "x", "", "LISTEN_FDS is 'x', expected the number of sockets"),
        (["listening"], "-1", "", "LISTEN_FDS is '-1'"),
        (
            ["closed"],
            "1",
            "",
            r"descriptor \d+, which LISTEN_FDS counts, is not a listening stream",
        ),
        (["file"], "1", "", "is not a listening stream socket"),
        (["datagrams"], "1", "", "is not a listening stream socket"),
        (["bound"], "1", "admin", "is not a listening stream socket"),
        (["listening"] * 4, "4", "", "4 sockets are handed over, expected at most 3"),
        (["listening"] * 2, "2", "data:data", "two sockets are handed over for the data port"),
        (["listening", "unix"], "2", "", "a Unix socket is handed over for the admin port"),
        (["unix"], "1", "egress", "a Unix socket is handed over for the egress port"),
    ],
)
def test_what_cannot_be_taken_over_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kinds: list[str],
    count: str,
    names: str,
    expected: str,
) -> None:
    """In words of the unit, and nothing stays open."""
    first = 200
    for number, kind in enumerate(kinds, first):
        if kind == "file":
            made = os.open(tmp_path / "file", os.O_CREAT)
        else:
            family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
            type_ = socket.SOCK_DGRAM if kind == "datagrams" else socket.SOCK_STREAM
            listener = socket.socket(family, type_)
            if kind in ("listening", "bound"):
                listener.bind(("127.0.0.1", 0))
            elif kind == "unix":
                listener.bind(str(tmp_path / "admin.sock"))
            if kind in ("listening", "unix"):
                listener.listen()
            made = listener.detach()
        os.dup2(made, number)
        os.close(made)
        if kind == "closed":
            os.close(number)

    monkeypatch.setattr("proxy.process.listeners.FIRST_INHERITED", first)
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count, "LISTEN_FDNAMES": names}
    with pytest.raises(ListenError, match=expected):
        open_listeners(settings("127.0.0.1:0"), environ)
    for number in range(first, first + len(kinds)):
        with suppress(OSError):
            os.close(number)


@pytest.mark.parametrize("order", [[0, 1], [1, 0], [1]])
def test_an_address_of_the_settings_names_a_socket(
    monkeypatch: pytest.MonkeyPatch, order: list[int]
) -> None:
    """In any order, and the admin port alone; the data port is opened then."""
    made = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    data, admin = (f"127.0.0.1:{each.getsockname()[1]}" for each in made)
    for number, index in enumerate(order, 200):
        os.dup2(made[index].fileno(), number)
    if order == [1]:
        data = "127.0.0.1:0"
    monkeypatch.setattr("proxy.process.listeners.FIRST_INHERITED", 200)
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(order))}
    listeners = open_listeners(settings(data, admin), environ)
    assert port_of(listeners.admin) == made[1].getsockname()[1]
    assert (port_of(listeners.data[0]) == made[0].getsockname()[1]) is (order != [1])
    for each in (*listeners.data, listeners.admin, *made):
        each.close()


ACTIVATED = """
import json, os
from proxy.process.listeners import open_listeners

os.environ["LISTEN_PID"] = os.environ["LISTEN_PID"].replace("self", str(os.getpid()))
settings = {
    "proxy": {"listen": "127.0.0.1:0", "workers": 2, "data_port": True},
    "admin": {"listen": "127.0.0.1:0"},
    "egress": {"listen": "127.0.0.1:0"},
}
listeners = open_listeners(settings)
for each in (listeners.data, listeners.egress):
    assert len({listener.fileno() for listener in each}) == 2, "each worker closes its own"
ports = {
    "data": [listener.getsockname()[1] for listener in listeners.data],
    "egress": [listener.getsockname()[1] for listener in listeners.egress],
    "admin": listeners.admin.getsockname()[1],
}
print(json.dumps(ports))
"""


def activated(
    pid: str, count: int, names: str | None, sockets: list[socket.socket]
) -> dict[str, Any]:
    """Start a process that was handed some sockets from descriptor 3 on; return the ports it uses:
    a list of those that its workers share.
    """
    environ = {**os.environ, "LISTEN_PID": pid, "LISTEN_FDS": str(count)}
    if names is not None:
        environ["LISTEN_FDNAMES"] = names

    def hand_over() -> None:
        copies = [fcntl.fcntl(listener, fcntl.F_DUPFD, 3 + len(sockets)) for listener in sockets]
        for index, fd in enumerate(copies):
            os.dup2(fd, 3 + index, inheritable=True)

    ended = subprocess.run(
        [sys.executable, "-c", ACTIVATED],
        cwd=ROOT,
        env=environ,
        preexec_fn=hand_over,
        close_fds=False,
        capture_output=True,
        text=True,
        timeout=PROGRAM_S,
        check=True,
    )
    ports: dict[str, Any] = json.loads(ended.stdout)
    return ports


@pytest.fixture
def handed() -> Iterator[list[socket.socket]]:
    """Three sockets of a service manager."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    yield sockets
    for listener in sockets:
        listener.close()


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (None, (0, 1, 2)),
        ("admin:egress:data", (2, 0, 1)),
        ("data:admin:egress", (0, 1, 2)),
        ("a.socket:b.socket:c.socket", (0, 1, 2)),
    ],
)
def test_socket_activation(
    handed: list[socket.socket], names: str | None, order: tuple[int, int, int]
) -> None:
    """Handed sockets are used instead of the settings, by order or by name; workers share those of
    data and of outgoing calls.
    """
    ports = [listener.getsockname()[1] for listener in handed]
    assert activated("self", 3, names, handed) == {
        "data": [ports[order[0]]] * 2,
        "admin": ports[order[1]],
        "egress": [ports[order[2]]] * 2,
    }


def test_only_the_data_port_may_be_handed_over(handed: list[socket.socket]) -> None:
    """What is missing is opened as the settings say."""
    ports = activated("self", 1, None, handed[:1])
    assert ports["data"] == [handed[0].getsockname()[1]] * 2
    theirs = {listener.getsockname()[1] for listener in handed}
    assert not theirs & {ports["admin"], *ports["egress"]}


def test_sockets_of_another_process_are_not_ours(handed: list[socket.socket]) -> None:
    """LISTEN_PID names somebody else: the variables were inherited by accident."""
    ports = activated("1", 3, None, handed)
    assert not set(ports["data"]) & {listener.getsockname()[1] for listener in handed}


def test_a_socket_for_outgoing_calls_is_closed_where_they_are_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A client is refused, and does not wait for what nobody accepts."""
    made = socket.create_server(("127.0.0.1", 0))
    port = made.getsockname()[1]
    os.dup2(made.fileno(), 200)
    made.close()
    monkeypatch.setattr("proxy.process.listeners.FIRST_INHERITED", 200)
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "egress"}
    listeners = open_listeners(settings(), environ)
    assert listeners.egress == []
    with pytest.raises(ConnectionRefusedError):
        connect(("127.0.0.1", port))
    listeners.close_data()
    listeners.admin.close()
