"""Every route in every state of the token: who gets in, and in whose words others are refused."""

import hashlib

import pytest

from api.access.principal import Credential, Principal
from api.http.route import Route
from api.routes import routes
from storage.query import Scope
from tests.api.conftest import BEARER, TOKEN, Client, Start, World
from tests.api.samples import make_record
from tests.support.cases import each_of


def credential(token: str, principal: Principal) -> Credential:
    """Make a configured token."""
    return Credential(hashlib.sha256(token.encode()).digest(), principal)


CREDENTIALS = [
    credential("reader-token-of-a", Principal("a", "reader", Scope(projects=("proj_a",)))),
    credential("reader-token-of-all", Principal("all", "reader")),
    credential("second-admin-token", Principal("ops", "admin")),
]
STATES: dict[str, dict[str, str]] = {
    "none": {},
    "wrong": {"Authorization": "Bearer wrong"},
    "empty": {"Authorization": "Bearer "},
    "another scheme": {"Authorization": f"Basic {TOKEN}"},
    "a part of a token": {"Authorization": f"Bearer {TOKEN[:-1]}"},
    "not ascii": {"Authorization": "Bearer t\xf6ken"},
    "a token and more": {"Authorization": f"{BEARER['Authorization']}x"},
    "unknown session": {"Cookie": "sidelog_session=unknown"},
    "token as a session": {"Cookie": f"sidelog_session={TOKEN}"},
    "reader of a project": {"Authorization": "Bearer reader-token-of-a"},
    "reader of everything": {"Authorization": "Bearer reader-token-of-all"},
    "configured admin": {"Authorization": "second-admin-token"},
    "admin": BEARER,
    "admin without a scheme": {"Authorization": TOKEN},
    "admin in small letters": {"Authorization": f"bearer {TOKEN}"},
    "admin under a scoped name": BEARER | {"Host": "proj-a.logs.example"},
    "reader under a foreign name": {
        "Authorization": "reader-token-of-a",
        "Host": "proj-b.logs.example",
    },
}
OUTSIDE = {
    "none",
    "wrong",
    "empty",
    "another scheme",
    "a part of a token",
    "not ascii",
    "a token and more",
    "unknown session",
    "token as a session",
}
"""States of somebody whom nobody knows."""
ROUTES = routes()


def refusal(route: Route, state: str) -> int | None:
    """Say how a route refuses a state; None when it lets it in."""
    if route.is_open:
        return None
    is_proxy_logs = route.path.startswith("/api/proxy-logs/")
    hidden = 404 if route.path.startswith("/api/clients/") else 403
    if state in OUTSIDE:
        return 403 if is_proxy_logs else 401
    if state == "reader under a foreign name":
        return hidden

    is_reader = state.startswith("reader")
    is_restricted = state in ("reader of a project", "admin under a scoped name")
    if route.path.endswith("/send"):
        return 403  # readers may not, and others not before [replay] enables it
    if route.needs_admin and (is_reader or is_restricted):
        return 403

    return 403 if route.is_global and is_restricted else None


@pytest.fixture
async def scoped(world: World, start: Start) -> Client:
    """An application with readers, a second admin, and names with a scope."""
    world.credentials = CREDENTIALS
    world.host_scopes = {
        "proj-a.logs.example": Scope(projects=("proj_a",)),
        "proj-b.logs.example": Scope(projects=("proj_b",)),
    }
    await world.store(make_record(1), make_record(2, project="proj_b"))
    return await start(world.services())


@each_of("route", ROUTES)
async def test_a_route_in_every_token_state(scoped: Client, route: Route) -> None:
    """Refused exactly as the table says; who is let in never gets 401, nor 403."""
    path = route.path.replace("{name}", "app.js").replace("{", "").replace("}", "")
    method = "HEAD" if route.path.endswith("/stream") else route.method
    for state, headers in STATES.items():
        scoped.session.cookie_jar.clear()
        response = await scoped.request(method, path, headers=headers)

        expected = refusal(route, state)
        if expected is None:
            assert response.status not in (401, 403), (state, await response.text())
        else:
            assert response.status == expected, (state, await response.text())
            assert response.content_type.endswith("json")


async def test_a_scoped_name_is_one_of_ours(scoped: Client) -> None:
    """It needs no place in `allowed_hosts`; others stay strangers."""
    for host, status in (
        ("proj-a.logs.example:8090", 200),
        ("PROJ-A.logs.example", 200),
        ("proj-c.logs.example", 421),
    ):
        assert (await scoped.get("/api/records", headers=BEARER | {"Host": host})).status == status


async def test_scopes_come_from_the_token_and_the_name(scoped: Client) -> None:
    """Both are applied; what has nothing in common is refused in the document's words."""
    for headers, total in (
        (BEARER, 2),
        (STATES["reader of a project"], 1),
        (STATES["reader of everything"], 2),
        (STATES["admin under a scoped name"], 1),
    ):
        response = await scoped.get("/v1/requests", headers=headers)
        assert (await response.json())["total"] == total

    response = await scoped.get(
        "/api/proxy-logs/_logs", headers=STATES["reader under a foreign name"]
    )
    assert await response.json() == {
        "statusCode": 403,
        "error": "Forbidden",
        "message": "Caller is not permitted to read logs for this scope",
    }


@each_of("project", ["proj_b", "nobody"])
@each_of(
    ("path", "name"),
    [
        ("/v1/requests", "project_id"),
        ("/api/proxy-logs/_logs", "projectId"),
        ("/api/proxy-logs/_logs/stream", "projectId"),
        ("/api/records", "project"),
        ("/api/records/stream", "project"),
    ],
)
async def test_naming_a_foreign_project_is_refused(
    scoped: Client, path: str, name: str, project: str
) -> None:
    """403 whether or not it exists; for those who see everything an unknown one is merely empty."""
    response = await scoped.get(path, params={name: project}, headers=STATES["reader of a project"])
    assert response.status == 403
    if not path.endswith("/stream"):
        assert (await scoped.get(path, params={name: project}, headers=BEARER)).status == 200


async def test_a_reader_s_session_is_the_reader_s(scoped: Client) -> None:
    """Logging in with a token gives a session with that token's scope, not the admin's."""
    response = await scoped.post("/login", json={"token": "reader-token-of-a"})
    headers = {"Cookie": f"sidelog_session={response.cookies['sidelog_session'].value}"}
    scoped.session.cookie_jar.clear()
    assert (await (await scoped.get("/v1/requests", headers=headers)).json())["total"] == 1
    assert (await scoped.get("/api/ledger", headers=headers)).status == 403
    assert (await scoped.post("/logout", headers=headers)).status == 204
    assert (await scoped.get("/v1/requests", headers=headers)).status == 401
