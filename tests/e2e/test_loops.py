"""A proxy that would talk to itself says so, and its admin port is never reached through the data port (P19)."""

import json
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.support.sidelog import Sidelog, free_port
from tests.support.wide import wide


def fetch(url: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    """GET; return status and error code."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=60) as response:
            return response.status, ""
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())["error"]["code"]


@pytest.mark.parametrize("port_name", ["port", wide("admin_port")])
def test_a_name_that_leads_to_ourselves_is_a_loop(tmp_path: Path, port_name: str) -> None:
    """The address of the connected peer is checked, whatever the name was at the start."""
    sidelog = Sidelog(tmp_path / "data", f"http://127.0.0.1:{free_port()}")
    own_port = getattr(sidelog, port_name)
    # The machine's own name is not compared at the start: only the connection shows where it leads.
    sidelog.use_upstream(f"http://{socket.gethostname()}:{own_port}", listen_host="0.0.0.0")
    with sidelog:
        assert fetch(sidelog.url + "/api/records") == (508, "loop_detected")


def test_a_request_that_passed_here_before_is_refused(tmp_path: Path) -> None:
    """The hop header with our own name ends a loop over other proxies."""
    with Sidelog(tmp_path / "data", f"http://127.0.0.1:{free_port()}") as sidelog:
        instance = json.loads((sidelog.data_dir / "state.json").read_text())["instance"]
        assert fetch(sidelog.url, {"X-Sidelog-Hop": f"other, {instance}"}) == (508, "loop_detected")
        assert fetch(sidelog.url, {"X-Sidelog-Hop": "other"}) == (502, "upstream_refused")
