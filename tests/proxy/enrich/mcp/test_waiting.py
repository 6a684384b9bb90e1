"""Tool calls whose answer comes on another stream, or never."""

import json
from typing import Any

import pytest

from proxy.enrich.mcp import sessions as mcp_sessions
from proxy.enrich.mcp.sessions import Sessions
from storage.record import Entry
from tests.proxy.enrich.mcp.mcp_world import World, answer, ask, details, events, only


def test_answer_on_another_stream() -> None:
    """2024-11-05: the POST gets 202, the answer comes on the GET stream of the session, before or
    after.
    """
    world = World()
    endpoint = b"event: endpoint\r\ndata: /messages/?session_id=abc\r\n\r\n"
    for rpc_id, is_early in ((1, False), (2, True)):
        post: dict[str, Any] = {
            "path": "/messages/?session_id=abc",
            "status": 202,
            "request_headers": "",
        }
        get: dict[str, Any] = {
            "path": "/sse",
            "method": "GET",
            "content_type": "text/event-stream",
            "request_headers": "",
        }
        if not is_early:
            waits = only(world.pass_on(ask(rpc_id), b"Accepted", **post))
            assert (waits.status, waits.result) == ("processing", None)
            assert [call.tool_name for call in world.builder.waiting_tools()] == ["add"]

        stream = world.pass_on(b"", endpoint + events(answer(rpc_id)), **get)
        if is_early:
            assert stream.tool_calls == []
            stream = world.pass_on(ask(rpc_id), b"Accepted", **post)
        call = only(stream)
        assert (call.status, call.rpc_id, json.loads(call.metadata)["transport"]) == (
            "success",
            str(rpc_id),
            "other_stream",
        )
        assert world.builder.waiting_tools() == []

    other = world.pass_on(
        ask(1), b"Accepted", path="/messages/?session_id=zzz", status=202, request_headers=""
    )
    assert only(other).status == "processing"
    assert (
        world.pass_on(
            b"",
            endpoint + events(answer(1)),
            path="/sse",
            method="GET",
            content_type="text/event-stream",
            request_headers="",
        ).tool_calls
        == []
    )


@pytest.mark.parametrize(
    "opening",
    [
        b"id:7d1f\nevent:endpoint\ndata:/mcp/message?sessionId=abc\n\n",
        b": hello\nretry: 3000\nevent: endpoint\ndata: /mcp/message?sessionId=abc\n\n",
    ],
)
def test_servers_of_java_accept_with_200_and_nothing(opening: bytes) -> None:
    """The session is in the query of the message, and its stream begins with an id."""
    world = World()
    waits = only(
        world.pass_on(
            ask(7), b"", path="/mcp/message?sessionId=abc", status=200, request_headers=""
        )
    )
    assert (waits.status, waits.rpc_id) == ("processing", "7")
    get: dict[str, Any] = {
        "path": "/sse",
        "method": "GET",
        "content_type": "text/event-stream",
        "request_headers": "",
    }
    call = only(world.pass_on(b"", opening + events(answer(7)), **get))
    assert (call.status, call.record_id) == ("success", waits.record_id)
    assert world.builder.waiting_tools() == []


def test_a_call_that_waits_survives_its_collector() -> None:
    """What was stored as waiting is waited for again, and ends as if nothing had happened."""
    post: dict[str, Any] = {
        "path": "/messages/?session_id=abc",
        "status": 202,
        "request_headers": "",
    }
    stored = only(World().pass_on(ask(7), b"Accepted", **post))
    after = World()
    after.builder.await_answers([stored])
    assert after.builder.waiting_tools() == [stored]
    stream = b"event: endpoint\r\ndata: /messages/?session_id=abc\r\n\r\n" + events(answer(7))
    get: dict[str, Any] = {
        "path": "/sse",
        "method": "GET",
        "content_type": "text/event-stream",
        "request_headers": "",
    }
    call = only(after.pass_on(b"", stream, **get))
    assert (call.status, call.record_id, call.rpc_id) == ("success", stored.record_id, "7")
    assert after.builder.waiting_tools() == []


def test_names_of_a_session_on_two_streams() -> None:
    """The oldest transport answers `initialize` on the stream too: its calls are labelled when the
    stream has ended.
    """
    world = World(id="default")
    post: dict[str, Any] = {
        "path": "/messages/?session_id=abc",
        "status": 202,
        "request_headers": "",
    }
    start = {
        "method": "initialize",
        "id": 0,
        "jsonrpc": "2.0",
        "params": {"clientInfo": {"name": "old-client"}},
    }
    world.pass_on(start, b"Accepted", **post)
    world.pass_on(ask(1), b"Accepted", **post)
    begun = {
        "jsonrpc": "2.0",
        "id": 0,
        "result": {"protocolVersion": "2024-11-05", "serverInfo": {"name": "old-tools"}},
    }
    stream = b"event: endpoint\r\ndata: /messages/?session_id=abc\r\n\r\n" + events(
        begun, answer(1)
    )
    get: dict[str, Any] = {
        "path": "/sse",
        "method": "GET",
        "content_type": "text/event-stream",
        "request_headers": "",
    }
    call = only(world.pass_on(b"", stream, **get))
    assert (call.server_label, json.loads(call.metadata)["client"]) == ("old-tools", "old-client")


def oldest(world: World, number: int) -> Entry:
    """Post a call to the oldest transport; its answer will come on the stream, if at all."""
    return world.pass_on(
        ask(number), b"", "/messages/?session_id=s-1", request_headers="", status=202
    )


def stream(world: World, *messages: object) -> Entry:
    """End the stream of the oldest transport, with what came on it."""
    opening = b"event: endpoint\r\ndata: /messages/?session_id=s-1\r\n\r\n"
    return world.pass_on(
        b"",
        opening + events(*messages),
        "/sse",
        request_headers="",
        method="GET",
        content_type="text/event-stream",
    )


def test_a_cancelled_call_waits_no_longer() -> None:
    """The client's own word ends a call whose answer would have come on another stream; others
    still wait.
    """
    world = World()
    first = oldest(world, 1)
    assert {call.status for call in (*first.tool_calls, *oldest(world, 2).tool_calls)} == {
        "processing"
    }
    notice = {
        "jsonrpc": "2.0",
        "method": "notifications/cancelled",
        "params": {"requestId": 1, "reason": "enough"},
    }
    call = only(
        world.pass_on(notice, b"", "/messages/?session_id=s-1", request_headers="", status=202)
    )
    assert (call.record_id, call.status, details(call)["error"]["type"]) == (
        first.record.id,
        "error",
        "cancelled",
    )
    assert call.latency_us is not None
    assert (
        world.pass_on(
            notice, b"", "/messages/?session_id=s-1", request_headers="", status=202
        ).tool_calls
        == []
    )
    assert [waiting.rpc_id for waiting in world.builder.waiting_tools()] == ["2"]


def test_a_call_that_was_cancelled_before_it_was_recorded() -> None:
    """A small notice may overtake the exchange it is about."""
    world = World()
    notice = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "x"}}
    path = "/messages/?session_id=s-1"
    world.pass_on([notice], b"", path, request_headers="", status=202)
    call = only(world.pass_on(ask("x"), b"", path, request_headers="", status=202))
    assert (call.status, details(call)["error"]["type"]) == ("error", "cancelled")


def test_a_cancelled_call_whose_own_stream_then_ends() -> None:
    """The notice is recorded first; a server that obeys it sends no answer."""
    world = World()
    world.pass_on(
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}},
        b"",
        status=202,
    )
    call = only(world.pass_on(ask(7), b": hi\n\n", content_type="text/event-stream"))
    assert (call.status, details(call)["error"]["type"]) == ("error", "cancelled")


def test_calls_end_with_the_stream_of_their_session() -> None:
    """The oldest transport has one stream for all answers: what it did not bring will not come."""
    world = World(id="default")
    oldest(world, 1)
    oldest(world, 2)
    info = {"protocolVersion": "2024-11-05", "serverInfo": {"name": "old-tools"}}
    answered, lost = stream(
        world, {"jsonrpc": "2.0", "id": 0, "result": info}, answer(2)
    ).tool_calls
    assert (answered.rpc_id, answered.status, answered.server_label) == (
        "2",
        "success",
        "old-tools",
    )
    assert json.loads(answered.metadata)["protocol_version"] == "2024-11-05"
    assert (lost.rpc_id, lost.status, details(lost)["error"]["type"]) == ("1", "error", "no_answer")
    assert lost.server_label == "old-tools"
    assert world.builder.waiting_tools() == []


def test_waiting_calls_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits too long, or in too large a crowd, becomes a row without an answer."""
    monkeypatch.setattr(mcp_sessions, "MAX_PENDING", 3)
    world = World()
    calls = [
        call
        for number in range(5)
        for call in world.pass_on(ask(number), b"", status=202).tool_calls
    ]
    assert [call.rpc_id for call in calls if call.status == "processing"] == [
        "0",
        "1",
        "2",
        "3",
        "4",
    ]
    ended = [call for call in calls if call.status != "processing"]
    assert [call.rpc_id for call in ended] == ["0", "1"]
    assert {details(call)["error"]["type"] for call in ended} == {"no_answer"}
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
    late = [only(world.pass_on(ask(number), b"", status=202)).status for number in range(3)]
    assert late == ["processing", "success", "success"]
    calls = [
        world.pass_on(ask(number, "add", "x" * 900), b"", status=202).tool_calls
        for number in range(3, 6)
    ]
    assert [[call.rpc_id for call in made if call.status == "error"] for made in calls] == [
        [],
        [],
        ["0", "3"],
    ]
