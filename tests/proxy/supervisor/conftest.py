"""A supervisor whose children do nothing but what they are told."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from proxy.process.data_dir import DataDir, lock_data_dir
from proxy.process.listeners import Listeners, open_listeners
from proxy.process.memfd import hand_over
from proxy.process.ring_home import RingHome
from proxy.settings.model import RouteSettings, Settings
from proxy.supervisor.children import Collector, Worker
from proxy.supervisor.startup import RootContext
from proxy.supervisor.supervisor import Supervisor


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """Two workers on free ports."""
    (tmp_path / "rings").mkdir()
    made: dict[str, Any] = msgspec.to_builtins(
        Settings(routes=(RouteSettings(id="a", upstream="http://x"),))
    )
    made["proxy"].update(listen="127.0.0.1:0", workers=2)
    made["admin"]["listen"] = "127.0.0.1:0"
    made["ring"].update(bytes=1 << 20, directory=str(tmp_path / "rings"))
    return made


@pytest.fixture
def data(tmp_path: Path) -> Iterator[DataDir]:
    """A data directory of our own."""
    taken = lock_data_dir(tmp_path / "data")
    yield taken
    os.close(taken.lock_fd)


@pytest.fixture
def listeners(settings: dict[str, Any]) -> Iterator[Listeners]:
    """Its sockets."""
    opened = open_listeners(settings, {})
    yield opened
    for listener in (*opened.data, opened.admin):
        listener.close()


@pytest.fixture
def harmless_signals() -> Iterator[None]:
    """Give the test process its signal handlers back."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def supervised(
    settings: dict[str, Any],
    data: DataDir,
    listeners: Listeners,
    monkeypatch: pytest.MonkeyPatch,
    harmless_signals: None,
) -> Iterator[Supervisor]:
    """A supervisor whose children are processes of `tests.support.child`."""
    for kind in (Collector, Worker):
        monkeypatch.setattr(
            kind, "command", lambda self, fd: (["tests.support.child", str(fd)], [])
        )

    source = {
        "overrides": {"proxy.upstream": "http://x", "data_dir": str(data.path)},
        "config": None,
    }
    source_fd = hand_over(json.dumps(source).encode(), "test-source")
    settings_fd = hand_over(json.dumps(settings).encode(), "test-settings")
    made = Supervisor(RootContext(settings, settings_fd, source_fd, data, listeners, RingHome()))
    yield made

    for child in (made._collector, *made._all_workers):
        child.kill()
        if child.control is not None:
            child.control.close()

    os.close(made._reload.shared.settings_fd)
    os.close(source_fd)
