"""API keys over HTTP: created once, shown without secrets, changed member by member, deleted for
good.
"""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.http.errors import Refused
from api.native.keys import read_changes
from storage.keys import ApiKey, KeyChanges, secret_digest
from tests.api.conftest import BEARER, Client, World
from tests.support.cases import each_of


async def send(client: Client, method: str, at: str, content: Any = None) -> tuple[int, Any]:
    """Send JSON; return status and what was answered, None when that is empty."""
    response = await client.request(method, at, json=content, headers=BEARER)
    text = await response.text()
    return response.status, json.loads(text) if text else None


async def test_a_key_is_created_with_defaults(world: World, client: Client) -> None:
    """A name is enough; the secret is in this answer only, and the store has its hash."""
    status, key = await send(client, "POST", "/api/keys", {"name": " Production Key "})
    assert status == 201
    secret = key.pop("secret")
    assert key == {
        "id": key["id"], "name": "Production Key", "last4": secret[-4:], "scopes": None, "agents": "all",
        "expires_at": None, "disabled": False, "project": None, "user_id": None,
        "created_at": key["created_at"], "last_used_at": None,
    }  # fmt: skip
    assert await send(client, "GET", "/api/keys") == (200, {"keys": [key]})
    (stored,) = await world.storage.keys()
    assert stored.secret_sha256 == secret_digest(secret.encode())


async def test_every_member_can_be_given_and_changed(client: Client) -> None:
    """What is left out stays; null takes a restriction away."""
    given_members = {
        "name": "n", "scopes": ["agent", "agent", "data_agent"], "agents": [], "disabled": True, "project": "shop",
        "expires_at": "2030-01-02T03:04:05+01:00", "user_id": "ann",
    }  # fmt: skip
    status, key = await send(client, "POST", "/api/keys", given_members)
    assert status == 201
    assert (key["scopes"], key["agents"], key["disabled"]) == (["agent", "data_agent"], [], True)
    assert (key["expires_at"], key["project"], key["user_id"]) == (
        "2030-01-02T02:04:05.000Z",
        "shop",
        "ann",
    )
    at = f"/api/keys/{key['id']}"
    status, changed = await send(
        client, "PATCH", at, {"disabled": False, "agents": "all", "expires_at": None}
    )
    assert status == 200
    assert (changed["disabled"], changed["agents"], changed["expires_at"]) == (False, "all", None)
    assert (changed["name"], changed["scopes"], changed["project"]) == (
        "n",
        ["agent", "data_agent"],
        "shop",
    )
    status, changed = await send(
        client, "PATCH", at, {"scopes": None, "project": None, "user_id": None, "name": "m"}
    )
    assert (changed["scopes"], changed["project"], changed["user_id"], changed["name"]) == (
        None,
        None,
        None,
        "m",
    )
    assert "secret" not in changed


async def test_a_deleted_key_is_gone(client: Client) -> None:
    """From the list, for changes, and for a second deletion."""
    _, key = await send(client, "POST", "/api/keys", {"name": "n"})
    at = f"/api/keys/{key['id']}"
    assert await send(client, "DELETE", at) == (204, None)
    assert await send(client, "GET", "/api/keys") == (200, {"keys": []})
    for method in ("DELETE", "PATCH"):
        status, problem = await send(client, method, at, {})
        assert (status, problem["title"]) == (404, "Not Found")


async def test_every_change_is_told(world: World, start: Any) -> None:
    """What happened, and to which key; a change that changes nothing is none."""
    told: list[tuple[str, ApiKey]] = []

    async def on_key_changed(change: str, key: ApiKey) -> None:
        told.append((change, key))

    client = await start(replace(world.services(), on_key_changed=on_key_changed))
    _, key = await send(client, "POST", "/api/keys", {"name": "n"})
    at = f"/api/keys/{key['id']}"
    await send(client, "PATCH", at, {"disabled": True})
    await send(client, "PATCH", at, {"disabled": True})
    await send(client, "DELETE", at)
    await send(client, "DELETE", at)
    assert [(change, told_key.id) for change, told_key in told] == [
        ("created", key["id"]), ("updated", key["id"]), ("deleted", key["id"]),
    ]  # fmt: skip
    assert told[1][1].disabled
    assert told[2][1].secret_sha256 is None


@each_of(
    "content",
    [
        {},
        {"name": ""},
        {"name": "  "},
        {"name": None},
        {"name": 5},
        {"name": "x" * 129},
        {"name": "a\nb"},
        {"name": "a\x9bb"},
        {"name": "n", "scope": ["agent"]},
        {"name": "n", "scopes": "agent"},
        {"name": "n", "scopes": [1]},
        {"name": "n", "scopes": [""]},
        {"name": "n", "scopes": ["s"] * 101},
        {"name": "n", "agents": "billing"},
        {"name": "n", "agents": {"all": True}},
        {"name": "n", "expires_at": "tomorrow"},
        {"name": "n", "expires_at": 1790000000},
        {"name": "n", "disabled": "yes"},
        {"name": "n", "disabled": None},
        {"name": "n", "project": ""},
        {"name": "n", "user_id": "x" * 257},
        {"name": "n", "id": "mine"},
        {"name": "n", "secret": "sk_mine"},
        [],
        "name",
        None,
    ],
)
async def test_what_cannot_be_is_refused(world: World, client: Client, content: Any) -> None:
    """With a problem that says what is wrong, and nothing is stored."""
    response = await client.post("/api/keys", data=json.dumps(content), headers=BEARER)
    assert response.status == 400
    assert response.content_type == "application/problem+json"
    assert (await response.json())["detail"]
    assert await world.storage.keys() == []


@each_of("raw", [b"", b"{", b"\xff", b'{"name": "\\ud800"}', b'{"name": "n"} x', b"[" * 10_000])
async def test_a_body_that_is_no_json_is_refused(client: Client, raw: bytes) -> None:
    """Whatever its bytes."""
    response = await client.post("/api/keys", data=raw, headers=BEARER)
    assert response.status == 400


async def test_a_body_beyond_the_limit_is_refused(client: Client) -> None:
    """Before it is read."""
    response = await client.post("/api/keys", data=b" " * 70_000, headers=BEARER)
    assert response.status == 413


async def test_keys_have_an_end(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers hold them all; deleted ones do not count."""
    monkeypatch.setattr("api.native.keys.MAX_KEYS", 1)
    _, key = await send(client, "POST", "/api/keys", {"name": "n"})
    status, problem = await send(client, "POST", "/api/keys", {"name": "m"})
    assert (status, problem["status"]) == (409, 409)
    await send(client, "DELETE", f"/api/keys/{key['id']}")
    assert (await send(client, "POST", "/api/keys", {"name": "m"}))[0] == 201


@settings(max_examples=40)
@given(
    st.dictionaries(
        st.sampled_from(
            ("name", "scopes", "agents", "expires_at", "disabled", "project", "user_id", "other")
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda part: st.lists(part, max_size=2),
            max_leaves=3,
        ),
    )
    | st.binary(max_size=20)
)
def test_any_body_is_changes_or_a_refusal(content: object) -> None:
    """Reading one never fails in another way, and never reads a member that is not there."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    try:
        changes: KeyChanges | int = read_changes(raw)
    except Refused as refusal:
        changes = refusal.status

    if isinstance(changes, int):
        assert changes == 400
    else:
        assert isinstance(content, dict)
        assert "other" not in content
