"""`POST /api/records/{id}/send` through a whole application: who may, what is refused, what comes
back.
"""

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from api.access.principal import Credential, Principal, Role
from api.services import SendAgain
from storage.query import Scope
from storage.record import Entry, Payload, Record, format_id
from tests.api.conftest import BEARER, Client, Start, World, ask
from tests.api.samples import make_body, make_payload, make_record
from tests.support.cases import each_of

OPERATOR = {"Authorization": "Bearer operator"}
AGAIN: dict[str, Any] = {
    "method": "POST",
    "target": "/v1/users?a=1",
    "headers": [["X-A", "1"]],
    "body": "{}",
}


class Sender:
    """Answers, and keeps what it was to send."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Entry, str]] = []
        self.error: Exception | None = None

    async def send(self, caller: str, request: Entry, target: str) -> Entry:
        self.sent.append((caller, request, target))
        if self.error is not None:
            raise self.error
        answer = Record(1, b"", "", "exchange", 1, 2, status=201, duration_us=7)
        head = b"HTTP/1.1 201 Made\r\nX-Sidelog-Id: the-new-one"
        return Entry(answer, Payload(b"", head, None, make_body(b'{"a": 2}')))


@pytest.fixture
def sender() -> Sender:
    return Sender()


@pytest.fixture
async def stored(world: World) -> Record:
    record = make_record(1, response_bytes=8)
    await world.store((record, make_payload(make_body(b"[REDACTED]"), make_body(b'{"a": 1}'))))
    return record


@pytest.fixture
async def replaying(world: World, sender: Sender, start: Start) -> Client:
    """An application where it is on, with an operator of one project."""
    add(world, "operator", "operate", Scope(projects=("proj_a",)))
    add(world, "reader", "reader")
    again = SendAgain(targets=("http://staging:80",), send=sender.send)
    return await start(replace(world.services(), send_again=again))


def add(world: World, name: str, role: Role, scope: Scope | None = None) -> None:
    principal = Principal(name, role, scope) if scope else Principal(name, role)
    world.credentials.append(Credential(hashlib.sha256(name.encode()).digest(), principal))


async def send(
    client: Client, record: Record, caller: dict[str, str] = OPERATOR, /, **changes: Any
) -> tuple[int, Any]:
    path = f"/api/records/{format_id(record.id)}/send"
    response = await client.post(path, headers=caller, data=json.dumps(AGAIN | changes))
    return response.status, await response.json()


async def test_a_request_is_sent_as_edited(
    replaying: Client, sender: Sender, stored: Record
) -> None:
    """The answer is compared with the recorded one, and names the new record."""
    status, found = await send(replaying, stored, to="http://staging:80")
    assert status == 200
    assert (found["status"], found["duration_us"], found["record"], found["equal"]) == (
        201,
        7,
        "the-new-one",
        False,
    )
    differing = [part["part"] for part in found["parts"] if part["changes"]]
    assert differing == ["status", "response_headers", "response_body"]
    assert found["response"]["body"]["head"] == '{"a": 2}'
    caller, request, target = sender.sent[0]
    assert request.payload is not None
    assert (caller, target) == ("operator", "http://staging:80")
    assert (request.record.method, request.record.path, request.record.query) == (
        "POST",
        "/v1/users",
        "a=1",
    )
    assert request.payload.request_head == b"POST /v1/users?a=1 HTTP/1.1\r\nX-A: 1"
    assert request.payload.request_body == make_body(b"{}")


async def test_octets_that_were_not_edited_are_sent_as_they_were(
    world: World, replaying: Client, sender: Sender
) -> None:
    """What the caller gives back as it was shown; anything else is UTF-8, in a target escaped."""
    head = b"GET /\xe9 HTTP/1.1\r\nX-A: caf\xe9\r\nX-B: caf\xe9\r\nX-A: \xff"
    record = make_record(1, method="GET", path="/%E9")
    await world.store((record, Payload(head, b"", None, None)))
    headers = [["x-a", "caf\xe9"], ["X-B", "caf\xe9s"], ["X-A", "\xff"], ["X-C", "caf\xe9"]]

    for target, line in (("/%E9", b"GET /\xe9 HTTP/1.1"), ("/b\xe9", b"GET /b%C3%A9 HTTP/1.1")):
        status, _ = await send(
            replaying, record, method="GET", target=target, headers=headers, body=None
        )
        assert status == 200
        request = sender.sent.pop()[1]
        assert request.payload is not None
        assert request.payload.request_head.split(b"\r\n") == [
            line, b"x-a: caf\xe9", b"X-B: caf\xc3\xa9s", b"X-A: \xff", b"X-C: caf\xc3\xa9",
        ]  # fmt: skip


@each_of(
    ("changes", "status", "detail"),
    [
        ({"to": "http://169.254.169.254"}, 400, "one of the targets"),
        ({"to": "http://staging:80/x"}, 400, "one of the targets"),
        ({"headers": [["X-A", "1\r\nX-B: 2"]]}, 400, "without line breaks"),
        ({"headers": [["X-A\r\nX-B", "1"]]}, 400, "without line breaks"),
        ({"headers": [["", "1"]]}, 400, "without line breaks"),
        ({"method": "GET / HTTP/1.1\r\nX: y\r\n\r\nGET"}, 409, "no method that can be sent again"),
        ({"method": "CONNECT"}, 409, "no method that can be sent again"),
        ({"target": "/a HTTP/1.1\r\nX: y"}, 409, "not a valid path"),
        ({"target": "http://elsewhere/"}, 409, "not a valid path"),
        ({"target": "@elsewhere/"}, 409, "not a valid path"),
        ({"headers": [["Authorization", "[REDACTED]"]]}, 409, "header authorization"),
        ({"target": "/a?token=[REDACTED]"}, 409, "query.token"),
        ({"body": '{"password": "[REDACTED]"}'}, 409, "body.password"),
        ({"body": None}, 409, "body"),
        ({"host": "x"}, 400, "host"),
    ],
)
async def test_what_must_not_be_sent_is_refused(
    replaying: Client,
    sender: Sender,
    stored: Record,
    changes: dict[str, Any],
    status: int,
    detail: str,
) -> None:
    """No address of the caller's, no second header or request, nothing redacted."""
    found = await send(replaying, stored, **changes)
    assert found[0] == status
    assert detail in found[1]["detail"]
    assert sender.sent == []


async def test_only_operators_may_and_only_in_their_scope(
    world: World, replaying: Client, sender: Sender, stored: Record
) -> None:
    """A reader may not; a record out of scope is not there; an operator changes nothing else."""
    foreign = make_record(2, project="proj_b")
    await world.store((foreign, make_payload()))
    reader = {"Authorization": "Bearer reader"}
    assert (await send(replaying, stored, reader))[0] == 403
    assert (await send(replaying, foreign))[0] == 404
    assert sender.sent == []
    assert (await send(replaying, foreign, BEARER))[0] == 200
    assert (await replaying.delete("/api/records?path=x", headers=OPERATOR)).status == 403
    for headers, enabled in ((reader, False), (OPERATOR, True), (BEARER, True)):
        shown = await (await replaying.get("/api/replay", headers=headers)).json()
        assert shown == {"enabled": enabled, "targets": ["http://staging:80"] if enabled else []}


async def test_it_is_off_unless_it_is_switched_on(client: Client, stored: Record) -> None:
    """For an admin, too."""
    status, found = await send(client, stored, BEARER)
    assert (status, found["detail"]) == (
        403,
        "sending again is off: [replay] enabled switches it on",
    )
    assert (await ask(client, "/api/replay"))["enabled"] is False


async def test_why_there_is_no_answer_is_said(
    replaying: Client, sender: Sender, stored: Record
) -> None:
    """As an error of ours, or of what was to answer."""
    for error, status in (
        (ValueError("its route is gone"), 409),
        (ConnectionError("refused"), 502),
    ):
        sender.error = error
        found = await send(replaying, stored)
        assert (found[0], str(error) in found[1]["detail"]) == (status, True)
