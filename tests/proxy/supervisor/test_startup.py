"""What a root process writes for others to find it, and what becomes of it where nothing can be
written.
"""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from proxy.cli.commands.authority import proxy_of
from proxy.collector.startup import _holder
from proxy.process.data_dir import lock_data_dir, read_state
from proxy.process.listeners import open_listeners
from proxy.settings.model import AdminSettings, ProxySettings, RouteSettings, Settings
from proxy.supervisor.startup import write_addresses

SETTINGS: dict[str, Any] = msgspec.to_builtins(
    Settings(
        routes=(RouteSettings(id="a", upstream="http://x"),),
        proxy=ProxySettings(listen="127.0.0.1:0"),
        admin=AdminSettings(listen="127.0.0.1:0"),
    )
)


def test_a_full_disk_stops_no_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Other ports than before are told in the log; a sidecar without a known holder makes one for
    this time.
    """

    def refuse(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    data = lock_data_dir(tmp_path)
    listeners = open_listeners(SETTINGS, {})
    monkeypatch.setattr("proxy.process.data_dir.replace_file", refuse)
    assert (
        write_addresses(data, listeners, SETTINGS)
        == f"http://127.0.0.1:{listeners.admin_address[1]}"
    )
    assert _holder(tmp_path) != _holder(tmp_path)
    assert read_state(tmp_path) == {"instance": data.instance}
    assert caplog.text.count("No space left on device") == 3
    for listener in (*listeners.data, listeners.admin):
        listener.close()
    os.close(data.lock_fd)


def test_a_copy_of_a_data_directory_is_another_holder(tmp_path: Path) -> None:
    """Both would write under one name; the same directory is known again, wherever it is."""
    one = tmp_path / "one"
    one.mkdir()
    holder = _holder(one)
    shutil.copytree(one, tmp_path / "copy")
    assert _holder(tmp_path / "copy") != holder
    assert _holder(one.rename(tmp_path / "moved")) == holder


def test_programs_find_the_port_of_outgoing_calls_where_it_listens(tmp_path: Path) -> None:
    """By an address that they can reach."""
    data = lock_data_dir(tmp_path)
    for own, host in (("127.0.0.2", "127.0.0.2"), ("0.0.0.0", "127.0.0.1"), ("[::1]", "[::1]")):
        settings = SETTINGS | {"egress": {"listen": f"{own}:0"}}
        listeners = open_listeners(settings, {})
        write_addresses(data, listeners, settings)
        port = listeners.egress[0].getsockname()[1]
        assert proxy_of(tmp_path) == f"http://{host}:{port}"
        for listener in (*listeners.data, *listeners.egress, listeners.admin):
            listener.close()

    listeners = open_listeners(SETTINGS, {})
    write_addresses(data, listeners, SETTINGS)
    assert proxy_of(tmp_path) == ""
    for listener in (*listeners.data, listeners.admin):
        listener.close()
    os.close(data.lock_fd)
