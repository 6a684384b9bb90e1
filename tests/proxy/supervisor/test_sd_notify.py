"""The service manager hears states, if there is one."""

import os
import socket
from pathlib import Path

import pytest

from proxy.supervisor.host import notify


@pytest.mark.parametrize("is_abstract", [False, True])
def test_states_reach_the_manager(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_abstract: bool
) -> None:
    """One datagram for each state, on a path or in the abstract namespace."""
    name = f"@sidelog-{tmp_path.name}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if is_abstract else name)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        notify("READY=1")
        notify("WATCHDOG=1")
        assert [manager.recv(100), manager.recv(100)] == [b"READY=1", b"WATCHDOG=1"]


@pytest.mark.parametrize("address", ["", "/no/such/socket"])
def test_without_a_listening_manager_nothing_happens(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """Not serving because nobody listens would be absurd."""
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    before = set(os.listdir("/proc/self/fd"))
    notify("READY=1")
    assert set(os.listdir("/proc/self/fd")) <= before


def test_a_manager_that_reads_nothing_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its queue is full after some states; the rest are lost, and the process goes on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setattr("proxy.supervisor.host.TIMEOUT_S", 0.001)
        for _ in range(1000):
            notify("WATCHDOG=1")
        assert manager.recv(100) == b"WATCHDOG=1"


def test_without_a_manager_no_socket_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is not set at all."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    made: list[object] = []
    monkeypatch.setattr(socket, "socket", lambda *arguments: made.append(arguments))
    notify("READY=1")
    assert made == []
