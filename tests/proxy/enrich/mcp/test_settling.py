"""When a tool call has ended: at once where no answer can come any more, else when its time is up."""

import gzip
import json
from typing import Any

import pytest

from proxy.enrich.mcp import sessions as mcp_sessions
from storage.record import Entry, Outcome
from storage.search.reason import reason_of
from tests.proxy.enrich.mcp.mcp_world import NEW, OLD, World, answer, ask, details, events, only
from tests.support.cases import each_of

PROGRESS = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1}}
SSE = "text/event-stream"


@each_of(
    ("reply", "kind"),
    [
        (events(PROGRESS), SSE),
        (b"", SSE),
        (b"", "application/json"),
        (b"<html>welcome</html>", "text/html"),
        (b"null", "application/json"),
    ],
)
def test_no_answer_can_come(reply: bytes, kind: str) -> None:
    """A stream that ended without event ids, nothing at all, a page: the call failed, and took as
    long as that.
    """
    world = World()
    call = only(world.pass_on(ask(), reply, content_type=kind))
    assert (call.status, details(call)["error"]["type"]) == ("error", "no_answer")
    assert call.latency_us is not None
    assert world.builder.waiting_tools() == []


def test_a_stream_that_can_be_resumed_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Event ids let the client ask for the rest; without it the time is up by itself, without other
    traffic.
    """
    world = World()
    broken = b"id: 7\r\n" + events(PROGRESS)
    assert only(world.pass_on(ask(), broken, content_type=SSE)).status == "processing"
    resumed = world.pass_on(b"", events(answer()), method="GET", content_type=SSE)
    assert only(resumed).status == "success"
    assert only(world.pass_on(ask(2), broken, content_type=SSE)).status == "processing"
    assert world.builder.expired() == []
    monkeypatch.setattr("proxy.enrich.mcp.reader.now_us", lambda: 1 << 60)
    (entry,) = world.builder.expired()
    assert (entry.record.kind, entry.record.name) == ("event", "unanswered_tool_calls")
    call = only(entry)
    assert (call.status, call.rpc_id, details(call)["error"]["type"]) == ("error", "2", "no_answer")
    assert call.latency_us is not None
    assert (world.builder.waiting_tools(), world.builder.expired()) == ([], [])


@each_of("outcome", [Outcome.TRUNCATED, Outcome.UPSTREAM_TIMEOUT, Outcome.CLIENT_CLOSED])
@each_of("times", [1, 3])
def test_a_stream_that_breaks_off_is_answered_by_the_one_that_resumes_it(
    outcome: Outcome, times: int
) -> None:
    """However often it breaks off; the tool did not fail."""
    world = World()
    broken = b"id: 7\r\n" + events(PROGRESS)
    resume = OLD + "Last-Event-ID: 7\r\n"
    begun = world.pass_on(ask(), broken, content_type=SSE, outcome=outcome)
    call = only(begun)
    assert (call.status, call.error_details) == ("processing", None)
    stream = begun.record.stream
    assert stream is None or not stream.failed_tools
    for _ in range(times - 1):
        world.pass_on(
            b"", broken, method="GET", content_type=SSE, outcome=outcome, request_headers=resume
        )
    resumed = world.pass_on(
        b"", events(answer()), method="GET", content_type=SSE, request_headers=resume
    )
    call = only(resumed)
    assert (call.status, call.error_details, call.record_id) == ("success", None, begun.record.id)
    assert world.builder.waiting_tools() == []


def test_a_broken_stream_that_nobody_resumes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call failed as its stream did; without ids of events, or refused, at once."""
    world = World()
    broken: dict[str, Any] = {"content_type": SSE, "outcome": Outcome.TRUNCATED}
    assert only(world.pass_on(ask(), events(PROGRESS), **broken)).status == "error"
    refused = world.pass_on(ask(2), b"id: 7\n" + events(PROGRESS), status=503, **broken)
    assert only(refused).status == "error"
    world.pass_on(ask(3), b"id: 7\n" + events(PROGRESS), **broken)
    monkeypatch.setattr("proxy.enrich.mcp.reader.now_us", lambda: 1 << 60)
    (entry,) = world.builder.expired()
    call = only(entry)
    assert (call.status, details(call)["error"]["type"]) == ("error", "truncated")


def test_a_session_that_is_deleted_ends_its_calls() -> None:
    """Nothing of it will be answered; a refused DELETE ends nothing."""
    world = World()
    assert only(world.pass_on(ask(), b"", status=202)).status == "processing"
    assert world.pass_on(b"", b"", method="DELETE", status=405).tool_calls == []
    call = only(world.pass_on(b"", b"", method="DELETE", status=204))
    assert (call.status, details(call)["error"]["type"]) == ("error", "no_answer")
    assert call.latency_us is not None


def test_an_answer_with_the_id_of_another() -> None:
    """It settles no call but its own, which may wait on a stream that broke off."""
    world = World()
    assert only(world.pass_on(ask(1), answer(99))).status == "processing"
    assert only(world.pass_on(ask("7"), answer("8"))).status == "processing"
    settled = world.pass_on(ask(3), events(answer(1), answer(3)), content_type=SSE).tool_calls
    assert sorted((call.rpc_id, call.status) for call in settled) == [
        ("1", "success"),
        ("3", "success"),
    ]
    assert [call.rpc_id for call in world.builder.waiting_tools()] == ['"7"']
    nameless = {"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "what?"}}
    assert details(only(world.pass_on(ask(4), nameless)))["error"]["type"] == "parse_error"


_OTHER_TYPES: list[tuple[object, object]] = [
    (1, "1"),
    ("1", 1),
    (1, 1.0),
    ("1", 1.0),
    (1.0, 1),
    (-1, "-1"),
]


@each_of(("asked", "answered"), _OTHER_TYPES)
@each_of("way", ["json", "batch", "events", "other stream", "early", "cancelled"])
def test_an_id_of_another_type(asked: object, answered: object, way: str) -> None:
    """Official clients take `"1"` for the answer to 1, and the other way round, on whichever way it
    comes.
    """
    world = World()
    reply = answer(answered)
    if way == "json":
        entry = world.pass_on(ask(asked), reply)
    elif way == "batch":
        entry = world.pass_on([ask(asked), ask("b")], [answer("b"), reply])
    elif way == "events":
        entry = world.pass_on(ask(asked), events(PROGRESS, reply), content_type=SSE)
    elif way == "other stream":
        world.pass_on(ask(asked), b"", status=202)
        entry = world.pass_on(b"", events(reply), method="GET", content_type=SSE)
    elif way == "early":
        world.pass_on(b"", events(reply), method="GET", content_type=SSE)
        entry = world.pass_on(ask(asked), b"", status=202)
    else:
        world.pass_on(ask(asked), b"", status=202)
        stop = {
            "jsonrpc": "2.0",
            "method": "notifications/cancelled",
            "params": {"requestId": answered},
        }
        entry = world.pass_on(stop, b"", status=202)

    call = entry.tool_calls[0]
    assert call.status == ("error" if way == "cancelled" else "success")
    assert call.rpc_id == json.dumps(asked)
    assert (world.builder.waiting_tools(), entry.record.error_type) == ([], None)


def test_ids_that_differ_in_nothing_but_their_type() -> None:
    """They are those of two calls, each with its own answer, whatever the order."""
    world = World()
    calls = world.pass_on(
        [ask(1), ask("1")], [answer("1", "of the text"), answer(1, "of the number")]
    ).tool_calls
    assert [b"of the number" in (call.result or b"") for call in calls] == [True, False]
    world.pass_on([ask(2), ask("2")], b"", status=202)
    (call,) = world.pass_on(b"", events(answer("2")), method="GET", content_type=SSE).tool_calls
    assert call.rpc_id == '"2"'


@pytest.mark.parametrize("status", [401, 500])
def test_errors_in_plain_words_are_named_by_their_status(status: int) -> None:
    """A gateway before the server speaks no JSON-RPC."""
    shown = details(only(World().pass_on(ask(), {"error": "go away"}, status=status)))
    assert shown["error"] == {"type": f"http_{status}", "message": "go away"}


@each_of("status", [401, 404, 500])
def test_such_a_failure_has_one_name(status: int) -> None:
    """A record without a code of its own is found by its status."""
    entry = World().pass_on(ask(), {"error": "go away"}, status=status)
    assert entry.record.error_type is None
    assert (
        reason_of(entry.record.error_type, entry.record.outcome, entry.record.status)
        == details(only(entry))["error"]["type"]
    )


REFUSED = {"error": "invalid_token", "error_description": "it has expired"}
SCOPE = (
    'WWW-Authenticate: Bearer resource_metadata="https://a.example/x?error=no", '
    'error="insufficient_scope", '
    'scope="files:write", error_description="it has \\"few\\" scopes"\r\n'
)


@each_of(
    ("status", "reply", "headers", "code", "message"),
    [
        (401, REFUSED, "", "invalid_token", "it has expired"),
        (401, {"error": "invalid_token"}, "", "invalid_token", None),
        (403, {"error": "insufficient_scope"}, SCOPE, "insufficient_scope", 'it has \\"few\\" scopes'),
        (403, b"", SCOPE, "insufficient_scope", 'it has \\"few\\" scopes'),
        (401, b"<p>no</p>", "www-authenticate: DPoP error=invalid_token\r\n", "invalid_token", None),
        (403, {"jsonrpc": "2.0", "id": 1, "error": {"code": -32001, "message": "x"}}, SCOPE, "insufficient_scope",
         'it has \\"few\\" scopes'),
        (400, {"error": "invalid_request"}, "", "invalid_request", None),
    ],
)  # fmt: skip
@each_of("request_headers", [OLD, NEW, ""])
def test_a_refusal_of_a_token_has_the_code_of_oauth(
    status: int, reply: object, headers: str, code: str, message: str | None, request_headers: str
) -> None:
    """In body or challenge: one word on the record, for searches, and of the tool's call."""
    more: dict[str, Any] = {
        "status": status,
        "response_headers": headers,
        "request_headers": request_headers,
    }
    entry = World().pass_on(ask(), reply, **more)
    assert (
        entry.record.error_type,
        reason_of(entry.record.error_type, entry.record.outcome, entry.record.status),
        entry.record.level,
    ) == (code, code, "warn")
    shown = details(only(entry))["error"]
    assert (shown["type"], shown.get("message")) == (code, message)
    listing = {"method": "tools/list", "id": 1, "jsonrpc": "2.0"}
    assert World().pass_on(listing, reply, **more).record.error_type == code


def test_an_id_that_is_a_secret_is_not_kept() -> None:
    """Neither of a call nor of its metadata; its response still finds it, also on another stream."""
    ids = ["sk-proj-" + letter + "B3dE5gH7jK9" * 4 for letter in "ab"]
    world = World()
    calls = world.pass_on(
        [ask(rpc_id) for rpc_id in ids], [answer(ids[1], "one"), answer(ids[0], "two")]
    ).tool_calls
    assert [b"two" in (call.result or b"") for call in calls] == [True, False]
    world.pass_on(ask(ids[0]), b"", status=202)
    (late,) = world.pass_on(b"", events(answer(ids[0])), method="GET", content_type=SSE).tool_calls
    assert late.status == "success"
    assert calls[0].rpc_id == late.rpc_id != calls[1].rpc_id
    assert not any(rpc_id in repr((*calls, late)) for rpc_id in ids)


def test_what_is_no_code_of_oauth_is_none() -> None:
    """Whatever a server writes, and behind other statuses."""
    key = "sk-proj-" + "aB3dE5gH7jK9" * 4
    for status, reply in (
        (401, {"error": key}),
        (500, {"error": "invalid_token"}),
        (401, {"error": ["invalid_token"]}),
    ):
        assert World().pass_on(ask(), reply, status=status).record.error_type is None

    said = {"error": "invalid_token", "error_description": f"{key} is old"}
    assert key not in repr(World().pass_on(ask(), said, status=401))


def test_names_inside_huge_arguments() -> None:
    """Whatever stands in the arguments, the tool is the one that was called, or unknown."""
    inside = {
        "name": "inner",
        "id": 55,
        "method": "tools/list",
        "isError": True,
        "text": "x" * 9000,
    }
    for params in ({"name": "real", "arguments": inside}, {"arguments": inside, "name": "real"}):
        sent = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        call = only(World().pass_on(sent, answer(), windows=(2000, 500)))
        assert (call.tool_name, call.rpc_id, call.status) == ("real", "1", "success")

    turned = {
        "params": {"arguments": inside, "name": "real"},
        "method": "tools/call",
        "id": 1,
        "jsonrpc": "2.0",
    }
    assert only(World().pass_on(turned, answer(), windows=(2000, 500))).tool_name == "real"
    hidden = {
        "method": "tools/call",
        "id": 1,
        "params": {"a": "y" * 4000, "name": "real", "arguments": inside},
    }
    assert only(World().pass_on(hidden, answer(), windows=(2000, 500))).tool_name == "unknown"


def test_failures_inside_huge_results() -> None:
    """`isError` is that of the result, wherever it stands, not a word of its content."""
    for failed in (False, True):
        result: dict[str, Any] = {
            "structuredContent": {"isError": not failed, "text": "z" * 9000},
            "isError": failed,
        }
        reply = {"jsonrpc": "2.0", "id": 1, "result": result}
        for windows in ((2000, 500), (2000, 30)):
            assert only(World().pass_on(ask(), reply, windows=windows)).status == (
                "error" if failed else "success"
            )


def test_a_coded_stream_is_timed_to_the_answer() -> None:
    """The latency ends with the chunk that brought the answer, not with the stream."""
    first = events(PROGRESS, answer())
    second = events(PROGRESS)
    packed = gzip.compress(first), gzip.compress(second)
    timeline = [(len(packed[0]), 40_000), (len(packed[0]) + len(packed[1]), 900_000)]
    entry: Entry = World().pass_on(
        ask(), b"".join(packed), content_type=SSE, response_headers="Content-Encoding: gzip\r\n", timeline=timeline,
        request_headers=OLD,
    )  # fmt: skip
    assert (only(entry).latency_us, json.loads(only(entry).metadata)["transport"]) == (
        40_000,
        "sse",
    )


def test_evicted_calls_have_a_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crowd of waiting calls is bounded; those that fall out have ended."""
    monkeypatch.setattr(mcp_sessions, "MAX_PENDING", 1)
    world = World()
    world.pass_on(ask(1), b"", status=202)
    ended = [
        call for call in world.pass_on(ask(2), b"", status=202).tool_calls if call.status == "error"
    ]
    assert [call.rpc_id for call in ended] == ["1"]
    assert ended[0].latency_us is not None


def test_a_client_that_stops_listening_was_not_interrupted() -> None:
    """The stream of a session has no other end; what was waited for on it is missing all the same."""
    world = World()
    listening: dict[str, Any] = {
        "method": "GET",
        "content_type": SSE,
        "outcome": Outcome.CLIENT_CLOSED,
    }
    idle = world.pass_on(b"", events(PROGRESS), **listening).record
    assert (idle.outcome, idle.level) == ("ok", "info")
    assert (
        only(world.pass_on(ask(), b"id: 7\r\n" + events(PROGRESS), content_type=SSE)).status
        == "processing"
    )
    waited = world.pass_on(b"", events(PROGRESS), **listening).record
    assert (waited.outcome, waited.level) == ("client_closed", "warn")
    assert only(world.pass_on(b"", events(answer()), **listening)).status == "success"
    elsewhere = world.pass_on(
        b"", b"data: 1\n\n", "/prices", request_headers="", **listening
    ).record
    assert elsewhere.outcome == "client_closed"


def test_who_ends_a_subscription_was_not_interrupted() -> None:
    """Such a stream is asked for with a request, which is answered only when the server ends it."""
    listen = {"jsonrpc": "2.0", "id": 3, "method": "subscriptions/listen", "params": {}}
    told = events({"jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": {}})
    new = "mcp-protocol-version: 2026-07-28\r\n"
    left: dict[str, Any] = {
        "content_type": SSE,
        "outcome": Outcome.CLIENT_CLOSED,
        "request_headers": new,
    }
    record = World().pass_on(listen, told, **left).record
    assert (record.outcome, record.level) == ("ok", "info")
    assert World().pass_on([listen, ask(4)], told, **left).record.outcome == "client_closed"
    broken = World().pass_on(listen, told, **left | {"outcome": Outcome.TRUNCATED}).record
    assert broken.outcome == "truncated"


def test_the_stream_of_the_oldest_transport_ends_when_its_client_leaves() -> None:
    """All answers came on it; one that did not is lost with it."""
    world = World()
    opening = b"event: endpoint\r\ndata: /messages/?session_id=s-1\r\n\r\n"
    listening: dict[str, Any] = {
        "method": "GET",
        "content_type": SSE,
        "outcome": Outcome.CLIENT_CLOSED,
    }
    listening |= {"path": "/sse", "request_headers": ""}
    asked: dict[str, Any] = {
        "path": "/messages/?session_id=s-1",
        "request_headers": "",
        "status": 202,
    }
    world.pass_on(ask(1), b"", **asked)
    assert world.pass_on(b"", opening + events(answer(1)), **listening).record.outcome == "ok"
    world.pass_on(ask(2), b"", **asked)
    failed = world.pass_on(b"", opening + events(answer(2, isError=True)), **listening).record
    assert (failed.outcome, failed.level, failed.error_type) == ("ok", "error", "tool_error")
    world.pass_on(ask(3), b"", **asked)
    assert world.pass_on(b"", opening, **listening).record.outcome == "client_closed"


def test_an_answer_that_was_not_captured_is_not_missing() -> None:
    """Of a long stream the middle is not kept: what came there nobody knows."""
    world = World()
    opening = b"event: endpoint\r\ndata: /messages/?session_id=s-1\r\n\r\n"
    asked: dict[str, Any] = {
        "path": "/messages/?session_id=s-1",
        "request_headers": "",
        "status": 202,
    }
    stream = opening + events(answer(1, "x" * 9000), answer(2))
    for number in (1, 2, 3):
        world.pass_on(ask(number), b"", **asked)
    ended = world.pass_on(
        b"",
        stream,
        "/sse",
        method="GET",
        content_type=SSE,
        request_headers="",
        windows=(2000, 1000),
    ).tool_calls
    kinds = {
        call.rpc_id: None if call.error_details is None else details(call)["error"]["type"]
        for call in ended
    }
    assert kinds == {"1": "not_captured", "2": None, "3": "not_captured"}


def test_a_tool_that_asks_back_costs_nothing_yet() -> None:
    """It is called again with what it asked for, and that call has the price."""
    world = World(tool_cost_usd={"add": 0.002})
    asking = only(world.pass_on(ask(), answer(resultType="input_required", inputRequests={})))
    done = only(world.pass_on(ask(2), answer(2, resultType="complete")))
    assert (asking.status, asking.cost_usd, done.cost_usd) == ("success", 0.0, 0.002)
