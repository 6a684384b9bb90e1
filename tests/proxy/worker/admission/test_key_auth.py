"""The key check in the data plane, both engines: what reaches the upstream, what is answered, what
is recorded.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import msgspec
import pytest

from proxy.ring.exchange import ACCESS, ERROR_CODES, NO_KEY
from proxy.ring.inflight import HEAD_BYTES, Caller, InflightReader
from proxy.ring.key_snapshot import SNAPSHOT_FILE, encode_snapshot, write_snapshot
from proxy.ring.segment_layout import KEYS_GENERATION
from proxy.worker.server import DataPlane
from storage.keys import ApiKey, new_secret, secret_digest
from tests.support.plane import EngineName, Plane, eventually, running_plane, settings_for
from tests.support.upstream import running, service

ID = "01920000-0000-7000-8000-000000000001"
SECRET = new_secret()
KEY = ApiKey(
    id=ID, name="n", last4="aaaa", secret_sha256=secret_digest(SECRET.encode()), scopes=("agent",)
)
ENGINES = ("protocol", "reference")


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """An ordinary service."""
    with running(service()) as url:
        yield url


class Start(Protocol):
    """Starts a plane that asks for keys, unless settings of its route say otherwise."""

    def __call__(self, engine: EngineName, keys: list[ApiKey] | None, **settings: Any) -> Plane: ...


@pytest.fixture
def start(upstream: str, tmp_path: Path) -> Iterator[Start]:
    """Start planes in front of the service, with a snapshot beside them or none."""
    with ExitStack() as stack:

        def enter(engine: EngineName, keys: list[ApiKey] | None, **settings: Any) -> Plane:
            if keys is not None:
                write_snapshot(tmp_path, encode_snapshot(keys))
            trusted = settings.pop("trusted_proxies", ())
            route = {"auth": "required"} | settings
            made = settings_for(upstream, route=route, trusted_proxies=trusted)
            made = msgspec.structs.replace(made, data_dir=str(tmp_path))
            return stack.enter_context(running_plane(made, tmp_path, engine=engine))

        yield enter


def ask(plane: Plane, *lines: str, method: str = "GET") -> tuple[int, Any]:
    """Send one request; return its status and the JSON answered, that of the echo or of an error."""
    head = "".join(f"{line}\r\n" for line in (f"{method} /x HTTP/1.1", "Host: a", *lines))
    with plane.connect() as client:
        client.send(head.encode("latin-1") + b"\r\n")
        answer = client.answer(method)
    return answer.status, json.loads(answer.body)


def seen(echo: Any) -> dict[str, str]:
    """What fields the upstream got, names in lower case."""
    return {name.lower(): value for name, value in echo["headers"]}


@pytest.mark.parametrize("trusted", [["127.0.0.1"], []])
def test_a_running_exchange_shows_whose_it_is(start: Start, trusted: list[str]) -> None:
    """Its key and what a trusted proxy names are noted, also from behind more than the slot keeps
    of a head.
    """
    headers = {"project_header": "X-Project", "user_header": "X-User"}
    plane = start("protocol", [KEY], trusted_proxies=tuple(trusted), **headers)
    lines = [
        "GET /slow?s=60 HTTP/1.1",
        "Host: a",
        f"X-Long: {'x' * 2 * HEAD_BYTES}",
        f"api-key: {SECRET}",
    ]
    lines += ["x-project:  tenant-b ", "X-Project: another", "x-user: ann", "", ""]
    with plane.connect() as client:
        client.send("\r\n".join(lines).encode())
        (shown,) = eventually(lambda: InflightReader(plane.segment).scan())
    access = ACCESS.pack(bool(trusted), UUID(ID).bytes)
    assert shown.caller == (Caller(access, b"tenant-b", b"ann") if trusted else Caller(access))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_good_key_opens_and_is_not_forwarded(start: Start, engine: EngineName) -> None:
    """The upstream sees every field but the key; the record is told whose call it was."""
    plane = start(engine, [KEY], scope="agent")
    status, echo = ask(plane, f"API-Key: {SECRET}", f"api_key: {SECRET}", "X-Other: 1")
    assert status == 200
    assert not {"api-key", "api_key"} & seen(echo).keys()
    assert seen(echo)["x-other"] == "1"
    assert SECRET not in json.dumps(echo)
    is_trusted, key_id = ACCESS.unpack(plane.exchange().access)
    assert (is_trusted, key_id.hex()) == (0, ID.replace("-", ""))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("lines", "members", "status", "code"),
    [
        ([], {}, 401, "missing_token"),
        (["api-key: nonsense"], {}, 401, "invalid_token"),
        ([f"api-key: {SECRET}"], {"disabled": True}, 401, "disabled"),
        ([f"api-key: {SECRET}"], {"expires_at_us": 1}, 401, "expired"),
        ([f"api-key: {SECRET}"], {"scopes": ()}, 403, "scope_denied"),
        ([f"api-key: {SECRET}"], {"agents": ("other",)}, 403, "agent_denied"),
    ],
)
def test_a_refused_call_never_reaches_the_upstream(
    start: Start,
    engine: EngineName,
    lines: list[str],
    members: dict[str, Any],
    status: int,
    code: str,
) -> None:
    """It is answered with its code, counted under it, and recorded with the key when that is known."""
    plane = start(engine, [msgspec.structs.replace(KEY, **members)], scope="agent", agent="billing")
    with plane.connect() as client:
        client.send(
            "".join(f"{line}\r\n" for line in ("GET /x HTTP/1.1", "Host: a", *lines, "")).encode()
        )
        answer = client.answer()

    assert answer.status == status
    assert answer.field("X-Sidelog-Error") == code
    assert (answer.field("WWW-Authenticate") is not None) == (status == 401)
    assert json.loads(answer.body)["error"]["code"] == code
    exchange = plane.exchange()
    assert ERROR_CODES[exchange.error] == code
    assert (exchange.upstream, exchange.sent_ns) == (b"", -1)
    assert (ACCESS.unpack(exchange.access)[1] != NO_KEY) == (
        code not in ("missing_token", "invalid_token")
    )
    assert plane.counters().auth_failures == {code: 1}


def test_a_refused_connection_goes_on(start: Start) -> None:
    """Without a body in doubt the client may try again on the same connection."""
    plane = start("protocol", [KEY])
    with plane.connect() as client:
        client.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.answer().status == 401
        client.send(f"GET /x HTTP/1.1\r\nHost: a\r\napi-key: {SECRET}\r\n\r\n".encode())
        assert client.answer().status == 200

    assert plane.exchanges(2)


@pytest.mark.parametrize("engine", ENGINES)
def test_optional_lets_others_values_through(start: Start, engine: EngineName) -> None:
    """Nothing, or a value that is not ours, is forwarded as it came; a bad key of ours is refused."""
    plane = start(engine, [KEY], auth="optional")
    assert ask(plane)[0] == 200
    status, echo = ask(plane, "api-key: azure-0123")
    assert status == 200
    assert seen(echo)["api-key"] == "azure-0123"
    status, echo = ask(plane, f"api-key: {SECRET}")
    assert status == 200
    assert "api-key" not in seen(echo)
    status, error = ask(plane, "api-key: sk_wrong")
    assert (status, error["error"]["code"]) == (401, "invalid_token")
    ids = [ACCESS.unpack(exchange.access)[1] for exchange in plane.exchanges(4)]
    assert [key_id != NO_KEY for key_id in ids] == [False, False, True, False]


@pytest.mark.parametrize("engine", ENGINES)
def test_without_a_snapshot_a_route_is_closed(
    start: Start, engine: EngineName, tmp_path: Path
) -> None:
    """503 until the collector has announced one; then open within a tick."""
    plane = start(engine, None)
    status, error = ask(plane, f"api-key: {SECRET}")
    assert (status, error["error"]["code"]) == (503, "keys_unavailable")
    write_snapshot(tmp_path, encode_snapshot([KEY]))
    plane.segment.cells[KEYS_GENERATION] = 5
    eventually(lambda: ask(plane, f"api-key: {SECRET}")[0] == 200)
    assert plane.exchange().error == ERROR_CODES.index("keys_unavailable")


def await_look(plane: Plane, generation: int) -> None:
    """Return when the keys of a generation were found to be none; the reference engine looks at
    each request.
    """
    if isinstance(plane.plane, DataPlane):
        gate = plane.engine.gate
        eventually(lambda: gate._failed_generation == generation)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_change_is_seen_when_it_is_announced(
    start: Start, engine: EngineName, tmp_path: Path
) -> None:
    """A damaged or missing file leaves the keys that are known in force, until there is a good one."""
    plane = start(engine, [KEY])
    assert ask(plane, f"api-key: {SECRET}")[0] == 200
    (tmp_path / SNAPSHOT_FILE).write_bytes(b"damaged")
    plane.segment.cells[KEYS_GENERATION] = 7
    await_look(plane, 7)
    assert ask(plane, f"api-key: {SECRET}")[0] == 200
    (tmp_path / SNAPSHOT_FILE).unlink()
    plane.segment.cells[KEYS_GENERATION] = 8
    await_look(plane, 8)
    assert ask(plane, f"api-key: {SECRET}")[0] == 200
    write_snapshot(tmp_path, encode_snapshot([]))
    eventually(lambda: ask(plane, f"api-key: {SECRET}")[0] == 401)


def test_a_body_of_a_refused_call_is_not_forwarded(start: Start) -> None:
    """Neither one that came with the head, nor one that follows; the connection ends."""
    plane = start("protocol", [KEY])
    for body in (b"12345", b"12"):
        with plane.connect() as client:
            client.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n" + body)
            answer = client.answer("POST")
            assert answer.status == 401
            assert answer.field("Connection") == "close"

    assert [exchange.sent_ns for exchange in plane.exchanges(2)] == [-1, -1]


def test_a_key_that_connection_names_is_no_key(start: Start) -> None:
    """A field the client calls hop-by-hop is dropped before it is looked at."""
    plane = start("protocol", [KEY])
    status, error = ask(plane, f"api-key: {SECRET}", "Connection: api-key")
    assert (status, error["error"]["code"]) == (401, "missing_token")


@pytest.mark.parametrize("engine", ENGINES)
def test_another_field_can_carry_the_key(start: Start, engine: EngineName) -> None:
    """As OpenAI's clients send it: Authorization, after the word Bearer."""
    plane = start(engine, [KEY], key_header="Authorization")
    status, echo = ask(plane, f"Authorization: Bearer {SECRET}", "api-key: sk_theirs")
    assert status == 200
    assert "authorization" not in seen(echo)
    assert seen(echo)["api-key"] == "sk_theirs"


def test_a_key_under_a_name_that_often_varies_is_not_forwarded(start: Start) -> None:
    """Nor in the other spelling of its name, from the first request to the last."""
    plane = start("protocol", [KEY], auth="optional", key_header="x_correlation_id")
    for number in range(3):
        status, echo = ask(plane, f"X-Correlation-Id: {SECRET}{number}", f"X-Request-Id: {number}")
        assert (status, SECRET in json.dumps(echo)) == (200, False)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_route_without_keys_forwards_everything(start: Start, engine: EngineName) -> None:
    """It needs no snapshot, and what looks like a key is the service's own."""
    plane = start(engine, None, auth="off")
    status, echo = ask(plane, "api-key: sk_theirs")
    assert status == 200
    assert seen(echo)["api-key"] == "sk_theirs"
    assert plane.exchange().access == b""


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("trusted", "word"), [(("127.0.0.1",), 1), (("10.0.0.0/8",), 0), ((), 0)])
def test_a_trusted_proxys_word_is_marked(
    start: Start, trusted: tuple[str, ...], word: int, engine: EngineName
) -> None:
    """The record is told whether the connection came from one, where a route believes headers."""
    plane = start(engine, None, auth="off", user_header="x-user", trusted_proxies=trusted)
    assert ask(plane, "x-user: ann", "X-Forwarded-For: 192.0.2.9")[0] == 200
    assert ACCESS.unpack(plane.exchange().access) == (word, NO_KEY)


def test_a_refused_call_is_recorded_with_its_client(start: Start) -> None:
    """Behind a trusted proxy it is the client that failed, not the proxy."""
    plane = start("protocol", [KEY], trusted_proxies=("127.0.0.1",))
    assert ask(plane, "X-Forwarded-For: 192.0.2.9")[0] == 401
    assert plane.exchange().client == b"192.0.2.9"
