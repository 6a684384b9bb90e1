"""Aedes, an MQTT broker, and MQTT.js, a client, over WebSockets: each field of a packet is a
message of its own.
"""

import base64
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.realworld.programs import HOME, SERVERS, npm_file, run, serving, system_program
from tests.realworld.proxied import proxied
from tests.support.ports import free_port

pytestmark = [pytest.mark.realworld, pytest.mark.timeout(300)]

_MODULES = HOME / "npm/node_modules"


@contextlib.contextmanager
def broker(home: Path) -> Iterator[str]:
    """Run the broker."""
    npm_file("aedes/package.json")
    home.mkdir()
    port = free_port()
    command = [system_program("node"), str(SERVERS / "mqtt_broker.mjs"), str(_MODULES), str(port)]
    with serving(command, port, home) as url:
        yield url


def talk(url: str, cwd: Path, password: str) -> str:
    """Connect, subscribe, publish; return what came."""
    return run(
        [system_program("node"), str(SERVERS / "mqtt_client.mjs"), str(_MODULES), url, password],
        cwd,
    )


def test_sessions(tmp_path: Path) -> None:
    """Messages come back, a wrong password is refused, and what a client sent is recorded."""
    passwords = ("canary-right", "canary-wrong")
    with broker(tmp_path / "broker") as url:
        direct = [talk(url, tmp_path, password) for password in passwords]
        assert direct[0] == "a/text 5\na/large 200000\n"
        assert direct[1] == "Connection refused: Bad username or password\n"

        with proxied(tmp_path, url) as way:
            assert [talk(way.url, tmp_path, password) for password in passwords] == direct
            records = way.records()
            pages = [
                way.sidelog.api(f"/api/records/{record['id']}/messages?limit=1000")
                for record in records
            ]

    assert [record["status"] for record in records] == [101, 101]
    sent = [
        [
            base64.b64decode(each["base64"])
            for each in page["messages"]
            if each["direction"] == "in" and each["base64"]
        ]
        for page in pages
    ]
    for session in sent:
        assert b"".join(session).startswith(b"\x10")
        assert b"alice" in b"".join(session)
