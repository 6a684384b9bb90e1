"""API keys through whole processes: made over the API, obeyed by every worker within a second,
logged, never kept.
"""

import http.client
import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from proxy.ring.key_snapshot import SNAPSHOT_FILE
from tests.support.sidelog import Sidelog, eventually
from tests.support.upstream import running

CONFIG = """
[ring]
bytes = 8388608
[[routes]]
id = "agent"
path = "/agent/"
upstream = "{upstream}"
auth = "required"
scope = "agent"
agent = "billing"
project = "of-route"
[[routes]]
id = "optional"
path = "/optional/"
upstream = "{upstream}"
auth = "optional"
"""
PATIENCE_S = 60.0
"""A change takes effect within a second; a machine under load gets longer."""


class Service:
    """An upstream that remembers which paths reached it, and the keys that came along."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.keys: list[str] = []

    def app(self) -> web.Application:
        """Answer everything."""

        async def answer(request: web.Request) -> web.Response:
            self.paths.append(request.path)
            self.keys += request.headers.getall("api-key", ())
            return web.Response(text="ok")

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        return app


class World:
    """A sidelog with two workers in front of the service."""

    def __init__(self, sidelog: Sidelog, service: Service) -> None:
        self.sidelog = sidelog
        self.service = service
        self.secrets: list[str] = []

    def ask(self, path: str, key: str | None = None) -> tuple[int, str | None]:
        """Send one request on a connection of its own; return status and error code."""
        connection = http.client.HTTPConnection("127.0.0.1", self.sidelog.port, timeout=60)
        try:
            connection.request("GET", path, headers={} if key is None else {"api-key": key})
            response = connection.getresponse()
            response.read()
            return response.status, response.headers["X-Sidelog-Error"]
        finally:
            connection.close()

    def becomes(self, path: str, key: str | None, expected: tuple[int, str | None]) -> None:
        """Wait until a change is in effect: so many new connections in a row have met every worker."""
        began_s = time.monotonic()
        in_a_row = 0
        while in_a_row < 20:
            in_a_row = in_a_row + 1 if self.ask(path, key) == expected else 0
            assert time.monotonic() - began_s < PATIENCE_S

    def change(self, method: str, at: str, content: object) -> Any:
        """Change keys over the API."""
        connection = http.client.HTTPConnection("127.0.0.1", self.sidelog.admin_port, timeout=60)
        try:
            headers = {"Authorization": f"Bearer {self.sidelog.token}"}
            connection.request(method, f"/api/keys{at}", json.dumps(content), headers)
            response = connection.getresponse()
            body = response.read()
            assert response.status < 300, body
            return json.loads(body) if body else None
        finally:
            connection.close()

    def create(self, **members: Any) -> dict[str, Any]:
        """Create a key."""
        key: dict[str, Any] = self.change("POST", "", {"name": "Production Key"} | members)
        self.secrets.append(key["secret"])
        return key

    def rows(self, path: str, count: int) -> list[dict[str, Any]]:
        """The records of a path, newest first by their start, once there are so many."""

        def enough() -> list[dict[str, Any]] | None:
            found = self.sidelog.records(f"path={path}")
            return found if len(found) >= count else None

        found = eventually(enough)
        assert found is not None
        return sorted(found, key=lambda row: str(row["started_at_us"]), reverse=True)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One sidelog for the module; at its end no secret is anywhere it wrote."""
    directory: Path = tmp_path_factory.mktemp("keys")
    service = Service()
    with running(service.app()) as upstream:
        config = directory / "sidelog.toml"
        config.write_text(CONFIG.format(upstream=upstream))
        with Sidelog(
            directory / "data", upstream, "--config", str(config), "--workers", "2"
        ) as sidelog:
            world = World(sidelog, service)
            # Every worker has read the keys.
            world.becomes("/agent/started", None, (401, "missing_token"))
            yield world

        kept = [file for file in (directory / "data").rglob("*") if file.is_file()]
        assert (directory / "data" / SNAPSHOT_FILE) in kept
        for file in (*kept, sidelog.log_path):
            content = file.read_bytes()
            assert not [secret for secret in world.secrets if secret.encode() in content], file
        assert not set(service.keys) & set(world.secrets)


def test_a_key_lives_as_the_api_says(world: World) -> None:
    """Created, disabled, enabled, out of scope, not for this agent, expired, deleted: each within a
    second.
    """
    assert world.ask("/agent/life") == (401, "missing_token")
    key = world.create(scopes=["agent"], agents=["billing"])
    secret = key["secret"]
    at = f"/{key['id']}"
    world.becomes("/agent/life", secret, (200, None))
    world.change("PATCH", at, {"disabled": True})
    world.becomes("/agent/life", secret, (401, "disabled"))
    world.change("PATCH", at, {"disabled": False, "scopes": ["voice_agent"]})
    world.becomes("/agent/life", secret, (403, "scope_denied"))
    world.change("PATCH", at, {"scopes": None, "agents": ["other"]})
    world.becomes("/agent/life", secret, (403, "agent_denied"))
    soon = datetime.now(UTC) + timedelta(seconds=1.5)
    world.change("PATCH", at, {"agents": "all", "expires_at": soon.isoformat()})
    assert world.ask("/agent/life", secret) != (401, "expired") or datetime.now(UTC) >= soon
    world.becomes("/agent/life", secret, (401, "expired"))
    world.change("DELETE", at, None)
    world.becomes("/agent/life", secret, (401, "invalid_token"))


def test_refused_calls_are_logged_and_go_no_further(world: World) -> None:
    """Each attempt is a record with its code, and the key's name where one was known; the service
    saw none of them.
    """
    key = world.create(name="Old Key", disabled=True, project="of-key", user_id="ann")
    world.becomes("/agent/warm", key["secret"], (401, "disabled"))
    for presented in (None, "nonsense", "sk_wrong", key["secret"]):
        assert world.ask("/agent/refused", presented)[0] == 401
    world.change("DELETE", f"/{key['id']}", None)
    rows = world.rows("/agent/refused", 4)
    assert [row["auth_code"] for row in rows] == [
        "disabled",
        "invalid_token",
        "invalid_token",
        "missing_token",
    ]
    assert [row["error_type"] for row in rows] == [row["auth_code"] for row in rows]
    assert {(row["keyed"], row["outcome"], row["upstream"]) for row in rows} == {
        (True, "rejected", None)
    }
    named = [
        (row["key_id"], row["key_name"], row["key_last4"], row["project"], row["user_id"])
        for row in rows
    ]
    nobody = (None, None, None, "of-route", None)
    assert named == [
        (key["id"], "Old Key", key["secret"][-4:], "of-key", "ann"),
        nobody,
        nobody,
        nobody,
    ]
    assert "/agent/refused" not in world.service.paths

    def told() -> bool:
        events = [
            row["data"]
            for row in world.sidelog.records("kind=event")
            if row["name"] == "key_changed"
        ]
        changes = {(event["change"], event["keyName"]) for event in events}
        return changes >= {("created", "Old Key"), ("deleted", "Old Key")}

    eventually(told)


def test_a_new_collector_and_new_workers_know_the_keys(world: World) -> None:
    """A killed collector changes nothing for callers; its follower publishes changes to workers old
    and new.
    """
    key = world.create(name="Lasting", scopes=["agent"])
    world.becomes("/agent/lasting", key["secret"], (200, None))
    (collector,) = world.sidelog.pids("proxy.collector")
    os.kill(collector, signal.SIGKILL)
    assert {world.ask("/agent/lasting", key["secret"]) for _ in range(10)} == {(200, None)}
    eventually(
        lambda: (
            world.sidelog.pids("proxy.collector") not in ([collector], [])
            and world.sidelog.is_ready()
        )
    )
    world.change("PATCH", f"/{key['id']}", {"disabled": True})
    world.becomes("/agent/lasting", key["secret"], (401, "disabled"))
    workers = world.sidelog.pids("proxy.worker")
    os.kill(workers[0], signal.SIGKILL)
    eventually(
        lambda: (
            len(set(world.sidelog.pids("proxy.worker")) - set(workers)) == 1
            and world.sidelog.is_ready()
        )
    )
    world.change("PATCH", f"/{key['id']}", {"disabled": False})
    world.becomes("/agent/lasting", key["secret"], (200, None))
    rows = world.rows("/agent/lasting", 30)
    assert {row["key_name"] for row in rows if row["auth_code"] != "invalid_token"} == {"Lasting"}


def test_the_last_use_is_kept(world: World, tmp_path: Path) -> None:
    """Not with every call, but at the latest when sidelog stops."""
    key = world.create(name="Used")
    world.becomes("/optional/used", key["secret"], (200, None))
    world.sidelog.settled_ledger()
    world.sidelog.stop()
    world.sidelog.start()
    keys = world.sidelog.api("/api/keys")["keys"]
    (used,) = [shown for shown in keys if shown["id"] == key["id"]]
    assert used["last_used_at"] >= used["created_at"]
    assert world.ask("/optional/used", key["secret"]) == (200, None)
