"""Tool calls whose answer comes on another stream, or never."""

import json

import pytest

from proxy.enrich.mcp import sessions as mcp_sessions
from proxy.enrich.mcp.sessions import Sessions
from tests.proxy.enrich.mcp.mcp_world import (
    ENDPOINT,
    POST,
    STREAM,
    World,
    answer,
    ask,
    details,
    error_of,
    notice,
    only,
    reply,
    request,
)


def test_answer_on_another_stream() -> None:
    """2024-11-05: the POST gets 202, the answer comes on the GET stream of the session, before or
    after.
    """
    world = World()
    waits = only(world.accept(ask(1), b"Accepted", **POST))
    assert (waits.status, waits.result) == ("processing", None)
    assert [call.tool_name for call in world.builder.waiting_tools()] == ["add"]
    late = only(world.listen(ENDPOINT, answer(1), **STREAM))
    assert world.listen(ENDPOINT, answer(2), **STREAM).tool_calls == []
    early = only(world.accept(ask(2), b"Accepted", **POST))

    for number, call in enumerate((late, early), 1):
        assert (call.status, call.rpc_id, json.loads(call.metadata)["transport"]) == (
            "success",
            str(number),
            "other_stream",
        )
    assert world.builder.waiting_tools() == []

    other = POST | {"path": "/messages/?session_id=zzz"}
    assert only(world.accept(ask(1), b"Accepted", **other)).status == "processing"
    assert world.listen(ENDPOINT, answer(1), **STREAM).tool_calls == []


@pytest.mark.parametrize("opening", [b"id:7d1f\n", b": hello\nretry: 3000\n"])
def test_servers_of_java_accept_with_200_and_nothing(opening: bytes) -> None:
    """The session is in the query of the message, and its stream begins with an id."""
    world = World()
    path = "/mcp/message?sessionId=abc"
    waits = only(world.pass_on(ask(7), path=path, request_headers=""))
    assert (waits.status, waits.rpc_id) == ("processing", "7")
    opening += b"event:endpoint\ndata:%b\n\n" % path.encode()
    call = only(world.listen(opening, answer(7), **STREAM))
    assert (call.status, call.record_id) == ("success", waits.record_id)
    assert world.builder.waiting_tools() == []


def test_a_call_that_waits_survives_its_collector() -> None:
    """What was stored as waiting is waited for again, and ends as if nothing had happened."""
    stored = only(World().accept(ask(7), b"Accepted", **POST))
    after = World()
    after.builder.await_answers([stored])
    assert after.builder.waiting_tools() == [stored]
    call = only(after.listen(ENDPOINT, answer(7), **STREAM))
    assert (call.status, call.record_id, call.rpc_id) == ("success", stored.record_id, "7")
    assert after.builder.waiting_tools() == []


BEGUN = reply({"protocolVersion": "2024-11-05", "serverInfo": {"name": "old-tools"}}, 0)


def test_names_of_a_session_on_two_streams() -> None:
    """The oldest transport answers `initialize` on the stream too: its calls are labelled when the
    stream has ended.
    """
    world = World(id="default")
    world.accept(request("initialize", 0, clientInfo={"name": "old-client"}), b"Accepted", **POST)
    world.accept(ask(1), b"Accepted", **POST)
    call = only(world.listen(ENDPOINT, BEGUN, answer(1), **STREAM))
    assert (call.server_label, json.loads(call.metadata)["client"]) == ("old-tools", "old-client")


def test_a_cancelled_call_waits_no_longer() -> None:
    """The client's own word ends a call whose answer would have come on another stream; others
    still wait.
    """
    world = World()
    first = world.accept(ask(1), **POST)
    assert [only(entry).status for entry in (first, world.accept(ask(2), **POST))] == [
        "processing"
    ] * 2
    stop = notice("notifications/cancelled", requestId=1, reason="enough")
    ended = world.accept(stop, **POST)
    assert error_of(ended)["type"] == "cancelled"
    assert only(ended).record_id == first.record.id
    assert only(ended).latency_us is not None
    assert world.accept(stop, **POST).tool_calls == []
    assert [waiting.rpc_id for waiting in world.builder.waiting_tools()] == ["2"]


def test_a_call_that_was_cancelled_before_it_was_recorded() -> None:
    """A small notice may overtake the exchange it is about."""
    world = World()
    world.accept([notice("notifications/cancelled", requestId="x")], **POST)
    assert error_of(world.accept(ask("x"), **POST))["type"] == "cancelled"


def test_a_cancelled_call_whose_own_stream_then_ends() -> None:
    """The notice is recorded first; a server that obeys it sends no answer."""
    world = World()
    world.accept(notice("notifications/cancelled", requestId=7))
    assert error_of(world.stream(ask(7), b": hi\n\n"))["type"] == "cancelled"


def test_calls_end_with_the_stream_of_their_session() -> None:
    """The oldest transport has one stream for all answers: what it did not bring will not come."""
    world = World(id="default")
    world.accept(ask(1), **POST)
    world.accept(ask(2), **POST)
    answered, lost = world.listen(ENDPOINT, BEGUN, answer(2), **STREAM).tool_calls
    assert (answered.rpc_id, answered.status, answered.server_label) == (
        "2",
        "success",
        "old-tools",
    )
    assert json.loads(answered.metadata)["protocol_version"] == "2024-11-05"
    assert (lost.rpc_id, lost.server_label) == ("1", "old-tools")
    assert details(lost)["error"]["type"] == "no_answer"
    assert world.builder.waiting_tools() == []


def test_waiting_calls_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits too long, or in too large a crowd, becomes a row without an answer."""
    monkeypatch.setattr(mcp_sessions, "MAX_PENDING", 3)
    world = World()
    calls = [call for number in range(5) for call in world.accept(ask(number)).tool_calls]
    assert [call.rpc_id for call in calls if call.status == "processing"] == [*"01234"]
    ended = [call for call in calls if call.status != "processing"]
    assert [call.rpc_id for call in ended] == ["0", "1"]
    assert {details(call)["error"]["type"] for call in ended} == {"no_answer"}
    assert None not in [call.latency_us for call in ended]
    sessions = Sessions()
    waiting = world.builder.waiting_tools()[0]
    sessions.add_pending(("s", "1"), waiting)
    assert sessions.expire(waiting.created_at_us) == []
    assert sessions.expire(waiting.created_at_us + mcp_sessions.PENDING_US) == [waiting]


def test_what_waits_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Early responses are as long as a captured body: a thousand of those were a gibibyte."""
    monkeypatch.setattr(mcp_sessions, "MAX_PENDING_BYTES", 2000)
    world = World()
    for number in range(3):
        world.pass_on(b"", answer(number, "x" * 900))
    late = [only(world.accept(ask(number))).status for number in range(3)]
    assert late == ["processing", "success", "success"]
    calls = [world.accept(ask(number, "add", "x" * 900)).tool_calls for number in range(3, 6)]
    assert [[call.rpc_id for call in made if call.status == "error"] for made in calls] == [
        [],
        [],
        ["0", "3"],
    ]
