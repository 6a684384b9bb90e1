"""The admin port below a path of another proxy, which may pass the path on or take it off."""

from dataclasses import replace
from typing import Any

import pytest

from tests.api.conftest import BEARER, TOKEN, Client, Start, World, ask

SAID = {"X-Forwarded-Prefix": "/sidelog"}


async def below(
    world: World, start: Start, *, base_path: str = "/sidelog", is_trusted: bool = True
) -> Client:
    """The application, told of its path by the settings."""
    services = replace(
        world.services(), base_path=base_path, is_trusted_proxy=lambda address: is_trusted
    )
    return await start(services)


@pytest.mark.parametrize(("base_path", "headers"), [("/sidelog", {}), ("", SAID)])
@pytest.mark.parametrize("prefix", ["/sidelog", ""])
async def test_a_path_is_found_with_and_without_the_base_path(
    world: World, start: Start, prefix: str, base_path: str, headers: dict[str, str]
) -> None:
    """Pages, files, probes and API; errors are in the words of the dialect that was asked."""
    client = await below(world, start, base_path=base_path)
    for path, status in (
        ("/", 200),
        ("/requests", 200),
        ("/docs", 200),
        ("/ui/app.js", 200),
        ("/healthz", 200),
    ):
        assert (await client.get(prefix + path, headers=headers)).status == status, path

    assert (
        await client.get(f"{prefix}/api/records?limit=1", headers=headers | BEARER)
    ).status == 200
    assert (await client.get(f"{prefix}/api/records", headers=headers)).status == 401
    assert (await client.get(f"{prefix}/no/such", headers=headers | BEARER)).status == 404
    refused = await client.get(f"{prefix}/v1/requests?limit=x", headers=headers | BEARER)
    assert (refused.status, "error" in await refused.json()) == (400, True)
    assert (await client.post(f"{prefix}/requests", headers=headers)).status == 405
    made = await client.post(
        f"{prefix}/api/keys", json={"name": "n", "scopes": []}, headers=headers | BEARER
    )
    assert (made.status, made.headers["Location"]) == (201, "keys/" + (await made.json())["id"])


@pytest.mark.parametrize(
    ("asked", "location"),
    [("/sidelog", "sidelog/"), ("/sidelog?period=1h&a=b", "sidelog/?period=1h&a=b")],
)
async def test_the_base_path_alone_leads_to_the_overview(
    world: World, start: Start, asked: str, location: str
) -> None:
    """Relatively, as there may be further proxies in front."""
    client = await below(world, start)
    response = await client.get(asked, allow_redirects=False)
    assert (response.status, response.headers["Location"]) == (308, location)
    assert (await client.get(asked)).status == 200


@pytest.mark.parametrize("path", ["/sidelog/", "/sidelog", "/sidelog/requests"])
async def test_a_stranger_names_no_path(world: World, start: Start, path: str) -> None:
    """The field counts from trusted proxies; a proxy that is not listed yet is named, to a browser
    and to a script.
    """
    client = await below(world, start, base_path="", is_trusted=False)
    for accept in ("text/html", "*/*"):
        response = await client.get(path, headers=SAID | BEARER | {"Accept": accept})
        assert response.status == 404
        assert "its sender, 127.0.0.1, is not in [proxy] trusted_proxies" in await response.text()

    assert "trusted_proxies" not in await (await client.get(path, headers=BEARER)).text()
    document: dict[str, Any] = await (await client.get("/openapi.json", headers=SAID)).json()
    assert document["servers"] == [{"url": "/"}]


async def test_only_the_whole_base_path_is_taken_off(world: World, start: Start) -> None:
    """Neither a longer name, nor what would then be another host."""
    client = await below(world, start)
    for path in (
        "/sidelogs/requests",
        "/sidelog//requests",
        "/other/requests",
        "/sidelog/sidelog/requests",
    ):
        await ask(client, path, 404)


async def test_the_description_names_the_base_path(world: World, start: Start) -> None:
    """As the server below which its paths are."""
    client = await below(world, start)
    for headers, url in (({}, "/sidelog"), ({"X-Forwarded-Prefix": "/ops/"}, "/ops")):
        document: dict[str, Any] = await (await client.get("/openapi.json", headers=headers)).json()
        assert document["servers"] == [{"url": url}]
        assert "/api/records" in document["paths"]


async def test_a_login_below_a_path_that_a_tls_proxy_serves(world: World, start: Start) -> None:
    """The cookie is secure, for the folder alone, and works; the origin is the one that the proxy
    names.
    """
    client = await below(world, start)
    front = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "ops.example"}
    own = {"Origin": "https://ops.example"}
    response = await client.post("/sidelog/login", json={"token": TOKEN}, headers=front | own)
    assert response.status == 204
    set_cookie = response.headers["Set-Cookie"]
    assert set_cookie.startswith("__Secure-sidelog_session=")
    assert "Secure" in set_cookie.split("; ")
    assert "path=" not in set_cookie.lower()
    session = {"Cookie": set_cookie.partition(";")[0]}
    client.session.cookie_jar.clear()
    assert (await client.get("/sidelog/api/records", headers=front | session)).status == 200
    assert (await client.post("/sidelog/logout", headers=front | own | session)).status == 204
    assert (await client.get("/sidelog/api/records", headers=front | session)).status == 401
    refused = await client.post(
        "/sidelog/login", json={"token": TOKEN}, headers=front | {"Origin": "https://evil.example"}
    )
    assert refused.status == 403
    assert "'https://evil.example', ours 'ops.example'" in (await refused.json())["detail"]
