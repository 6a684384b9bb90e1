"""The admin application as a whole: which door is open to whom, and in which words it is closed."""

import asyncio
import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.access.snapshot_cursor import SnapshotCursors
from api.routes import routes
from api.stream.tail import Tail
from storage.base import Storage
from storage.query import Scope
from storage.record import format_id
from storage.writer.deferred import DeferredStorage
from tests.api.conftest import BEARER, TOKEN, Client, Start, World, ask
from tests.api.samples import make_record
from tests.support.cases import each_of

GUARDED = [
    ("/v1/requests", 200),
    ("/api/proxy-logs/_logs", 200),
    ("/api/proxy-logs/_logs/stats", 200),
    ("/api/records", 200),
    ("/api/records/nothing", 404),
    ("/api/records/nothing/request-body", 404),
    ("/api/records/nothing/response-body", 404),
    ("/api/request-logs", 200),
    ("/api/clients/acme/proxies/default/requests", 404),
    ("/api/clients/acme/proxies/default/requests/nothing", 404),
    ("/api/ledger", 200),
    ("/api/status", 200),
    ("/no/such/path", 404),
]
OPEN = [
    "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/login", "/", "/requests", "/conversations",
    "/mcp-logs", "/request-logs", "/keys", "/endpoints", "/compare", "/run", "/alerts", "/health", "/ui/app.js",
    "/ui/style.css",
]  # fmt: skip


def test_every_route_is_in_one_of_the_tables() -> None:
    """A new route has to say here whether it is open."""
    patterns = {(route.method, route.path, route.is_open) for route in routes()}
    opened = {(method, path) for method, path, is_open in patterns if is_open}
    assert opened == {
        *(("GET", path) for path in OPEN if not path.startswith("/ui/")),
        ("GET", "/conversations/{id}"),
        ("GET", "/ui/{name}"),
        ("GET", "/ui/{version}/{name}"),
        ("GET", "/ui/{version}/{folder}/{name}"),
        ("POST", "/login"),
    }


async def test_auth_off_lets_everybody_in(world: World, start: Start) -> None:
    """Without a token nothing is asked for."""
    world.token = None
    client = await start(world.services())
    for path, status in GUARDED:
        assert (await client.get(path)).status == status, path


async def test_errors_come_in_the_words_of_the_dialect(client: Client) -> None:
    """A missing token and a bad number are worded by the path's own dialect."""
    response = await client.get("/v1/requests")
    assert await response.json() == {
        "error": {"type": "authentication_error", "message": "a valid token is required"}
    }
    assert (await ask(client, "/v1/requests?limit=+5", 400))["error"][
        "type"
    ] == "invalid_request_error"

    response = await client.get("/api/proxy-logs/_logs")
    assert await response.json() == {
        "statusCode": 403,
        "error": "Forbidden",
        "message": "Logs token missing or invalid / SNI gate denied",
    }
    answer = await ask(client, "/api/proxy-logs/_logs?offset=-1", 400)
    assert (answer["statusCode"], answer["error"]) == (400, "Bad Request")

    response = await client.get("/api/records?limit=1001", headers=BEARER)
    assert (response.status, response.content_type) == (400, "application/problem+json")
    assert await response.json() == {
        "title": "Bad Request",
        "status": 400,
        "detail": "limit is '1001', expected a decimal number from 1 to 1000",
        "parameter": "limit",
        "value": "1001",
        "limit": "a decimal number from 1 to 1000",
    }
    response = await client.get("/api/records")
    assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_unknown_paths_are_problems(client: Client) -> None:
    """A path that does not exist is 404 problem+json, also one with escapes and strange bytes."""
    for path in (
        "/no/such",
        "/ui/nothing.js",
        "/ui/..%2f..%2fapp.py",
        "/ui/%00",
        "/api/records/a/b/c",
        "/%ff",
    ):
        response = await client.get(path, headers=BEARER)
        assert (response.status, response.content_type) == (404, "application/problem+json"), path

    assert (await client.get("/no/such")).status == 401


@pytest.mark.parametrize(
    "fields", ["", "Accept: application/x-ndjson\r\nAccept-Encoding: gzip\r\n"]
)
async def test_head_has_no_body(world: World, start: Start, fields: str) -> None:
    """Nor has what is streamed or compressed: a body would be taken for the next response of the
    connection.
    """
    world.fanout = SnapshotCursors(secret=bytes(32))
    record = make_record(1)
    await world.store(record)
    client = await start(world.services())

    for path in (route.path for route in routes() if route.method == "GET"):
        path = path.replace("{id}", format_id(record.id)).replace("{", "").replace("}", "")
        reader, writer = await asyncio.open_connection(client.host, client.port)
        common = f"Host: localhost\r\nAuthorization: {BEARER['Authorization']}\r\n{fields}"
        writer.write(f"HEAD {path} HTTP/1.1\r\n{common}\r\n".encode())
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        _, between, second = (await reader.read()).split(b"HTTP/1.1 ")
        assert between.endswith(b"\r\n\r\n"), path
        assert second.startswith(b"200 "), path
        writer.close()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_refused_with_allow(client: Client, method: str) -> None:
    """Reading paths know GET and HEAD only, and say so in the dialect's shape."""
    for path in ("/v1/requests", "/api/proxy-logs/_logs", "/api/ledger", "/healthz", "/metrics"):
        response = await client.request(method, path, headers=BEARER)
        assert response.status == 405, path
        assert response.headers["Allow"] == "GET,HEAD", path
        assert response.content_type.endswith("json"), path

    assert (await client.request(method, "/healthz")).status == 405
    assert (await client.request(method, "/api/ledger")).status == 401


@each_of(
    ("host", "is_ours"),
    [
        ("127.0.0.1:8090", True),
        ("localhost", True),
        ("LOCALHOST:1", True),
        ("[::1]:8090", True),
        ("10.1.2.3", True),
        ("admin.internal:8090", True),
        ("logs.example", True),
        ("logs.example.:443", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example:8090", False),
        ("", False),
    ],
)
async def test_only_our_own_names_are_answered(client: Client, host: str, is_ours: bool) -> None:
    """Another Host name is 421 (DNS rebinding), with or without a token, but probes and scrapers
    are answered.
    """
    for path in ("/api/records", "/login", "/ui/app.js"):
        assert (await client.get(path, headers=BEARER | {"Host": host})).status == (
            200 if is_ours else 421
        ), path
    for path in ("/healthz", "/readyz", "/metrics"):
        assert (await client.get(path, headers={"Host": host})).status == 200


@each_of("path", ["/api/ledger", "/", "/ui/app.js", "/login", "/api/records/stream"])
async def test_an_absolute_target_counts_as_the_host(client: Client, path: str) -> None:
    """One of another server is 421, whatever Host says; open paths are answered under any name."""
    for version in ("1.0", "1.1"):
        for origin, status in (
            *(("http://evil.example", 421), ("HTTPS://evil.example.:80", 421)),
            *(("http://localhost@evil.example", 421), ("http://u:p@localhost", 421)),
            *(("http://localhost:8090", 200), ("http://logs.example.", 200)),
        ):
            for target, expected in ((path, status), ("/metrics", 200)):
                reader, writer = await asyncio.open_connection(client.host, client.port)
                writer.write(
                    f"HEAD {origin}{target} HTTP/{version}\r\nHost: localhost\r\n"
                    f"Authorization: {TOKEN}\r\nUpgrade: websocket\r\n"
                    "Connection: close, upgrade\r\n\r\n".encode()
                )
                line = await reader.readline()
                writer.close()
                assert line.split()[1] == str(expected).encode(), (origin, target)


async def test_every_answer_carries_the_security_headers(client: Client) -> None:
    """Pages, answers and refusals alike; answers of the API are not cached."""
    for path in ("/", "/api/records", "/healthz", "/no/such", "/v1/requests"):
        response = await client.get(path)
        assert "default-src 'self'" in response.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
        assert "unsafe" not in response.headers["Content-Security-Policy"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Server"] == "sidelog"
        assert response.headers["Cache-Control"] == ("no-cache" if path == "/" else "no-store")
        assert not [name for name in response.headers if name.startswith("Access-Control-")]


@pytest.mark.parametrize("coding", ["deflate", "zstd", "gzip"])
async def test_a_body_that_is_not_encoded_as_it_says_is_refused(
    client: Client, caplog: pytest.LogCaptureFixture, coding: str
) -> None:
    """Anybody may send one to the login: it is their fault, and no bug of ours."""
    with caplog.at_level("ERROR", logger="api"):
        response = await client.post("/login", data=b"hello", headers={"Content-Encoding": coding})
    assert response.status == 400
    assert "Content-Encoding" in (await response.json())["detail"]
    assert not [record for record in caplog.records if record.name.startswith("api")]


async def test_a_store_that_is_away_is_503_in_every_dialect(world: World, client: Client) -> None:
    """Readers are told to come back, and why to whom /api/status says it; probes and metrics still
    answer.
    """
    world.host_scopes["a.example"] = Scope(projects=("a",))
    await world.storage.close()
    for path in (
        "/v1/requests",
        "/api/proxy-logs/_logs",
        "/api/proxy-logs/_logs/stats",
        "/api/records",
    ):
        for host, reason in (
            ("127.0.0.1", "the store is closed"),
            ("a.example", "the store cannot be reached"),
        ):
            response = await client.get(path, headers={**BEARER, "Host": host})
            assert (response.status, response.headers["Retry-After"]) == (503, "5"), path
            assert reason in await response.text(), path

    assert (await client.get("/metrics")).status == 200
    assert (await client.get("/healthz")).status == 200


async def test_a_store_that_is_being_opened_is_said_and_soon_there(
    start: Start, world: World
) -> None:
    """Readers of lists and of streams are told to come back at once."""

    async def never() -> Storage:
        raise AssertionError("nobody opens it")

    storage = DeferredStorage(never)
    services = replace(world.services(), storage=storage)
    tail = Tail(storage, head_seq=0, offset=0)
    tail.is_begun = False
    client = await start(replace(services, streams=replace(services.streams, tail=tail)))

    for path in ("/v1/requests", "/api/proxy-logs/_logs", "/api/records", "/api/records/stream"):
        response = await client.get(path, headers=BEARER)
        assert (response.status, response.headers["Retry-After"]) == (503, "1"), path
        assert "the store is being opened" in await response.text()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(
        [
            "limit", "offset", "last", "afterId", "max_seq", "cursor", "kind", "level", "since", "status", "order",
            "method",
        ]
    ),
    value=st.text(max_size=30),
)  # fmt: skip
async def test_no_parameter_makes_a_500(client: Client, name: str, value: str) -> None:
    """Whatever stands in a parameter, the answer is a page or a 400."""
    for path in ("/v1/requests", "/api/proxy-logs/_logs", "/api/records"):
        value = value.encode("utf-8", "ignore").decode()
        response = await client.get(path, params={name: value}, headers=BEARER)
        assert response.status in (200, 400), (path, name, value)


async def test_hostile_text_travels_only_inside_json(world: World, client: Client) -> None:
    """A path full of markup comes back as JSON that a browser will not take for a page."""
    markup = "/<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    await world.store(make_record(1, path=markup, user_agent=markup, error_type=markup))
    for path in ("/v1/requests", "/api/proxy-logs/_logs", "/api/records"):
        response = await client.get(path, headers=BEARER)
        assert response.content_type == "application/json"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert json.dumps(markup)[1:-1] in await response.text()

    response = await client.get("/api/records", params={markup: markup}, headers=BEARER)
    assert (response.status, response.content_type) == (400, "application/problem+json")


@each_of("headers", [{}, BEARER, {"Authorization": "Bearer wrong"}])
async def test_there_is_no_authorization_server_to_discover(
    client: Client, headers: dict[str, str]
) -> None:
    """A client of MCP that looks for one is told so (RFC 9728 §3, RFC 8414 §3), and then uses its
    token.
    """
    for path in (
        "oauth-protected-resource",
        "oauth-protected-resource/mcp",
        "oauth-authorization-server",
    ):
        response = await client.get(f"/.well-known/{path}", headers=headers)
        assert response.status == 404, path
