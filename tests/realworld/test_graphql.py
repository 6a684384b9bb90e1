"""Strawberry, a GraphQL server, and gql, a client: queries, errors, an upload, subscriptions over
WebSocket.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.realworld.programs import SERVERS, python_program, run, uvicorn_app
from tests.realworld.proxied import proxied

pytestmark = [pytest.mark.realworld, pytest.mark.timeout(300)]


def talk(url: str, cwd: Path) -> Any:
    """Run the client; return what it got."""
    return json.loads(run([python_program(), str(SERVERS / "graphql_client.py"), url], cwd))


def test_operations(tmp_path: Path) -> None:
    """The client gets the same; the record names operations and failures, and has no secret."""
    with uvicorn_app("graphql_app", tmp_path / "app") as url:
        direct = talk(url, tmp_path)
        assert direct[4] == {"size": 256_000}
        with proxied(tmp_path, url) as way:
            assert talk(way.url, tmp_path) == direct
            records = way.check_record()
            sidelog = way.sidelog
            events = [
                record for record in sidelog.records("kind=event&order=asc") if record["error_type"]
            ]
            everything = json.dumps(
                [sidelog.api(f"/api/records/{record['id']}") for record in records]
            )
            sessions = [record for record in records if record["status"] == 101]
            messages = json.dumps(
                [sidelog.api(f"/api/records/{record['id']}/messages") for record in sessions]
            )

    posts = Counter(
        (record["endpoint"], record["error_type"])
        for record in records
        if record["method"] == "POST"
    )
    assert posts == {
        ("/graphql#GetUser", None): 1,
        ("/graphql#GetUser", "graphql_error"): 1,
        ("/graphql#Login", None): 1,
        ("/graphql", None): 1,
        ("/graphql#Size", None): 1,
    }
    assert [(record["name"], record["error_type"]) for record in events] == [
        ("websocket_message", "graphql_error")
    ] * 2
    assert "broke at 3" in messages
    assert "canary-" not in everything + messages
