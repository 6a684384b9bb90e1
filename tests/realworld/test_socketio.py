"""python-socketio, server and client: long polling, an upgrade to a WebSocket, and a WebSocket at
once.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.realworld.programs import SERVERS, python_program, run, uvicorn_app
from tests.realworld.proxied import proxied

pytestmark = [pytest.mark.realworld, pytest.mark.timeout(300)]


def talk(url: str, cwd: Path, *transports: str) -> Any:
    """Run the client; return what it got."""
    return json.loads(
        run([python_program(), str(SERVERS / "socketio_client.py"), url, *transports], cwd)
    )


@pytest.mark.parametrize(
    ("transports", "ends_as", "has_polled"),
    [
        (["polling"], "polling", True),
        (["polling", "websocket"], "websocket", True),
        (["websocket"], "websocket", False),
    ],
    ids=["polling", "upgraded", "websocket"],
)
def test_transports(tmp_path: Path, transports: list[str], ends_as: str, has_polled: bool) -> None:
    """The client gets the same events, texts and bytes, over the transport it gets without sidelog."""
    with uvicorn_app("socketio_app", tmp_path / "app") as url:
        direct = talk(url, tmp_path, *transports)
        assert direct["transport"] == ends_as
        with proxied(tmp_path, url) as way:
            assert talk(way.url, tmp_path, *transports) == direct
            records = way.check_record()

    kinds = Counter((record["method"], record["status"]) for record in records)
    assert kinds[("GET", 101)] == (ends_as == "websocket")
    assert (kinds[("GET", 200)] > 0) == has_polled
    assert {record["path"] for record in records} == {"/socket.io/"}
