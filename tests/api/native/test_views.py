"""Views over HTTP: saved, listed, named anew, deleted; each scope has its own, and nothing is
widened.
"""

import json
from typing import Any

from api.native.views import read_view
from storage.query import Scope
from storage.search.view import MAX_VIEW_BYTES, MAX_VIEWS, View
from tests.api.conftest import BEARER, Client, World, ask
from tests.api.samples import make_record
from tests.support.cases import each_of

VIEW: dict[str, Any] = {
    "name": "Slow tenants",
    "query": "status:5xx duration:>1s",
    "columns": ["status", "path", "body.user.id"],
    "since": "24h",
    "order": "asc",
    "group_by": "header.x-tenant",
}
DEFAULTS: dict[str, Any] = {
    "query": "",
    "columns": [],
    "since": None,
    "until": None,
    "order": "desc",
    "group_by": None,
}


async def put(
    client: Client, view: dict[str, Any], status: int = 200, headers: dict[str, str] = BEARER
) -> Any:
    response = await client.put("/api/views", json=view, headers=headers)
    found = await response.json()
    assert response.status == status, found
    return found


async def names(client: Client, headers: dict[str, str] = BEARER) -> list[str]:
    response = await client.get("/api/views", headers=headers)
    return [view["name"] for view in (await response.json())["views"]]


async def test_a_view_is_saved_named_anew_and_deleted(client: Client) -> None:
    """It is shown as it was given, with defaults and the time; saving it again replaces it."""
    saved = await put(client, VIEW)
    assert saved == DEFAULTS | VIEW | {"until": None, "changed_at": "2024-06-12T15:07:14.000Z"}
    await put(client, VIEW | {"query": "status:404"})
    await put(client, {"name": "b"})
    assert await names(client) == ["Slow tenants", "b"]
    assert (await put(client, {"name": "b", "replaces": "Slow tenants"}, 409))[
        "detail"
    ] == "there is a view 'b' already"
    await put(client, VIEW | {"name": "a/b?", "replaces": "Slow tenants"})
    assert await names(client) == ["a/b?", "b"]
    await put(client, {"name": "x", "replaces": "nobody"}, 404)
    assert (await client.delete("/api/views/a%2Fb%3F", headers=BEARER)).status == 204
    assert (await client.delete("/api/views/a%2Fb%3F", headers=BEARER)).status == 404
    assert await names(client) == ["b"]


@each_of(
    ("change", "said"),
    [
        ({"name": " "}, "name is ' ', expected a text of 1 to 100 characters"),
        ({"name": "x" * 101}, "expected a text of 1 to 100 characters"),
        ({"name": "a\nb"}, "without control characters"),
        ({"name": " .."}, "name is ' ..', expected"),
        ({"query": "statsu:500"}, "query, at character 1: 'statsu' is an unknown search word"),
        ({"columns": ["a b"]}, "columns is 'a b', expected a column, or a field"),
        (
            {"columns": [f"body.a{n}" for n in range(31)]},
            "columns is '31 columns', expected at most 30",
        ),
        ({"since": "last week"}, "since is 'last week', expected an RFC 3339 time"),
        ({"group_by": "moon"}, "group_by is 'moon', expected one of endpoint"),
        ({"order": "up"}, "the view cannot be read: Invalid enum value 'up'"),
        ({"column": []}, "the view cannot be read: Object contains unknown field `column`"),
        (
            {"columns": [f"body.{chr(0x2603) * 190}{n:02}" for n in range(30)]},
            f"the limit is {MAX_VIEW_BYTES}",
        ),
    ],
)
async def test_what_is_no_view_is_refused(
    client: Client, change: dict[str, Any], said: str
) -> None:
    """With the value and the limit; nothing is saved."""
    assert said in (await put(client, VIEW | change, 400))["detail"]
    assert await names(client) == []


async def test_a_scope_has_so_many(client: Client, world: World) -> None:
    """One more is refused, with the limit."""
    for number in range(MAX_VIEWS):
        await world.storage.put_view("", View(name=f"{number}"))
    assert f"the limit is {MAX_VIEWS}" in (await put(client, VIEW, 409))["detail"]


async def test_a_scope_sees_its_own_views_only(client: Client, world: World) -> None:
    """Tokens of the same scope share views, also a reader's; others, the admin among them, see none
    of them.
    """
    scopes = {
        "a": Scope(projects=("proj_a", "proj_c")),
        "same": Scope(projects=("proj_c", "proj_a")),
        "b": Scope(projects=("proj_a",)),
        "c": Scope(containers=("proj_a",)),
    }
    asking = {name: world.admit(name, scope) for name, scope in scopes.items()} | {"admin": BEARER}
    await put(client, {"name": "mine", "query": "-project:proj_a or status:*"}, headers=asking["a"])
    assert {name: await names(client, headers) for name, headers in asking.items()} == {
        "a": ["mine"], "same": ["mine"], "b": [], "c": [], "admin": [],
    }  # fmt: skip
    await put(client, {"name": "mine", "replaces": "mine"}, 404, asking["b"])
    assert (await client.delete("/api/views/mine", headers=asking["admin"])).status == 404
    assert (await client.delete("/api/views/mine", headers=asking["same"])).status == 204
    assert await names(client, asking["a"]) == []


async def test_a_view_widens_nothing(client: Client, world: World) -> None:
    """Whoever asks what it says sees what the same caller sees without it."""
    await world.store(*(make_record(n, project=f"proj_{'ab'[n % 2]}") for n in range(4)))
    headers = world.admit("reader", Scope(projects=("proj_a",)))
    saved = await put(
        client, {"name": "all", "query": "project:* or -project:proj_a"}, headers=headers
    )
    found = await ask(client, "/api/records", 200, headers, query=saved["query"])
    assert {record["project"] for record in found["records"]} == {"proj_a"}


def test_a_name_is_trimmed_and_columns_are_there_once() -> None:
    """What is saved is what is meant."""
    view, replaced = read_view(
        json.dumps({"name": " a ", "columns": ["status", "status"], "replaces": "b"}).encode(), 5
    )
    assert (view, replaced) == (View(name="a", columns=("status",), changed_at_us=5), "b")
