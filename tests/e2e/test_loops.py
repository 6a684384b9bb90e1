"""A proxy that would talk to itself says so, and its admin port is never reached through the data
port (P19).
"""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Final

import pytest

from tests.support.ports import free_port
from tests.support.sidelog import Sidelog


def fetch(url: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    """GET; return status and error code."""
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=headers or {}), timeout=60
        ) as response:
            response.read()
            return response.status, ""
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())["error"]["code"]


OPEN: Final = "0.0.0.0"
"""Each port of ours is reached under any name of the machine then."""


@pytest.fixture(scope="module")
def looping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidelog]:
    """One whose routes lead to its own ports, under the machine's name, and the rest to nobody."""
    sidelog = Sidelog(
        tmp_path_factory.mktemp("loops") / "data", nobody := f"http://127.0.0.1:{free_port()}"
    )
    sidelog.use_upstream(nobody, listen_host=OPEN)
    metrics = free_port()
    health = free_port()
    own = {"data": sidelog.port, "admin": sidelog.admin_port, "metrics": metrics, "health": health}
    # The machine's own name is not compared at the start: only the connection shows where it leads.
    routes = [
        {"id": name, "path": f"/{name}/", "upstream": f"http://{socket.gethostname()}:{port}"}
        for name, port in own.items()
    ]
    sidelog.environ |= {
        "SIDELOG_ROUTES": json.dumps(routes),
        "SIDELOG_ADMIN__METRICS_LISTEN": f"{OPEN}:{metrics}",
        "SIDELOG_ADMIN__HEALTH_LISTEN": f"{OPEN}:{health}",
    }
    with sidelog:
        yield sidelog


@pytest.mark.parametrize("port", ["data", "admin", "metrics", "health"])
def test_a_name_that_leads_to_ourselves_is_a_loop(looping: Sidelog, port: str) -> None:
    """The address of the connected peer is checked, whatever the name was at the start."""
    assert fetch(f"{looping.url}/{port}/healthz") == (508, "loop_detected")
