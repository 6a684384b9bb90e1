"""When a tool call has ended: at once where no answer can come any more, else when its time is up."""

import gzip
import json
from typing import Any

import pytest

from storage.record import Outcome
from storage.search.reason import reason_of
from tests.proxy.enrich.mcp.mcp_world import (
    ENDPOINT,
    NEW,
    OLD,
    POST,
    PROGRESS,
    SSE,
    STREAM,
    World,
    answer,
    ask,
    details,
    error_of,
    events,
    failed,
    notice,
    only,
    reply,
    request,
)
from tests.support.cases import each_of

RESUMABLE = events(b"id: 7\r\n", PROGRESS)
"""A stream with ids of events: a client may ask for the rest."""


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
    entry = world.pass_on(ask(), reply, content_type=kind)
    assert error_of(entry)["type"] == "no_answer"
    assert only(entry).latency_us is not None
    assert world.builder.waiting_tools() == []


def test_a_stream_that_can_be_resumed_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Event ids let the client ask for the rest; without it the time is up by itself, without other
    traffic.
    """
    world = World()
    assert only(world.stream(ask(), RESUMABLE)).status == "processing"
    assert only(world.listen(answer())).status == "success"
    assert only(world.stream(ask(2), RESUMABLE)).status == "processing"
    assert world.builder.expired() == []
    monkeypatch.setattr("proxy.enrich.mcp.reader.now_us", lambda: 1 << 60)
    (entry,) = world.builder.expired()
    assert (entry.record.kind, entry.record.name) == ("event", "unanswered_tool_calls")
    assert (only(entry).rpc_id, error_of(entry)["type"]) == ("2", "no_answer")
    assert only(entry).latency_us is not None
    assert (world.builder.waiting_tools(), world.builder.expired()) == ([], [])


@each_of("outcome", [Outcome.TRUNCATED, Outcome.UPSTREAM_TIMEOUT, Outcome.CLIENT_CLOSED])
@each_of("times", [1, 3])
def test_a_stream_that_breaks_off_is_answered_by_the_one_that_resumes_it(
    outcome: Outcome, times: int
) -> None:
    """However often it breaks off; the tool did not fail."""
    world = World()
    resume = OLD + "Last-Event-ID: 7\r\n"
    begun = world.stream(ask(), RESUMABLE, outcome=outcome)
    call = only(begun)
    assert (call.status, call.error_details) == ("processing", None)
    stream = begun.record.stream
    assert stream is None or not stream.failed_tools
    for _ in range(times - 1):
        world.listen(RESUMABLE, outcome=outcome, request_headers=resume)
    call = only(world.listen(answer(), request_headers=resume))
    assert (call.status, call.error_details, call.record_id) == ("success", None, begun.record.id)
    assert world.builder.waiting_tools() == []


def test_a_broken_stream_that_nobody_resumes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call failed as its stream did; without ids of events, or refused, at once."""
    world = World()
    broken: dict[str, Any] = {"outcome": Outcome.TRUNCATED}
    assert only(world.stream(ask(), PROGRESS, **broken)).status == "error"
    assert only(world.stream(ask(2), RESUMABLE, status=503, **broken)).status == "error"
    world.stream(ask(3), RESUMABLE, **broken)
    monkeypatch.setattr("proxy.enrich.mcp.reader.now_us", lambda: 1 << 60)
    (entry,) = world.builder.expired()
    assert error_of(entry)["type"] == "truncated"


def test_a_session_that_is_deleted_ends_its_calls() -> None:
    """Nothing of it will be answered; a refused DELETE ends nothing."""
    world = World()
    assert only(world.accept(ask())).status == "processing"
    assert world.pass_on(b"", method="DELETE", status=405).tool_calls == []
    ended = world.pass_on(b"", method="DELETE", status=204)
    assert error_of(ended)["type"] == "no_answer"
    assert only(ended).latency_us is not None


def test_an_answer_with_the_id_of_another() -> None:
    """It settles no call but its own, which may wait on a stream that broke off."""
    world = World()
    assert only(world.pass_on(ask(1), answer(99))).status == "processing"
    assert only(world.pass_on(ask("7"), answer("8"))).status == "processing"
    settled = world.stream(ask(3), answer(1), answer(3)).tool_calls
    assert sorted((call.rpc_id, call.status) for call in settled) == [
        ("1", "success"),
        ("3", "success"),
    ]
    assert [call.rpc_id for call in world.builder.waiting_tools()] == ['"7"']
    nameless = world.pass_on(ask(4), failed(-32700, rpc_id=None))
    assert error_of(nameless)["type"] == "parse_error"


@each_of(("asked", "answered"), [(1, "1"), ("1", 1), (1, 1.0), ("1", 1.0), (1.0, 1), (-1, "-1")])
@each_of("way", ["json", "batch", "events", "other stream", "early", "cancelled"])
def test_an_id_of_another_type(asked: object, answered: object, way: str) -> None:
    """Official clients take `"1"` for the answer to 1, and the other way round, on whichever way it
    comes.
    """
    world = World()
    found = answer(answered)
    if way == "json":
        entry = world.pass_on(ask(asked), found)
    elif way == "batch":
        entry = world.pass_on([ask(asked), ask("b")], [answer("b"), found])
    elif way == "events":
        entry = world.stream(ask(asked), PROGRESS, found)
    elif way == "early":
        world.listen(found)
        entry = world.accept(ask(asked))
    else:
        world.accept(ask(asked))
        stop = notice("notifications/cancelled", requestId=answered)
        entry = world.accept(stop) if way == "cancelled" else world.listen(found)

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
    world.accept([ask(2), ask("2")])
    assert only(world.listen(answer("2"))).rpc_id == '"2"'


@each_of("status", [401, 404, 500])
def test_errors_in_plain_words_are_named_by_their_status(status: int) -> None:
    """A gateway before the server speaks no JSON-RPC; a record without a code of its own is found by
    its status.
    """
    entry = World().pass_on(ask(), {"error": "go away"}, status=status)
    record = entry.record
    assert error_of(entry) == {"type": f"http_{status}", "message": "go away"}
    assert record.error_type is None
    assert reason_of(None, record.outcome, record.status) == f"http_{status}"


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
        (403, failed(-32001), SCOPE, "insufficient_scope",
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
    record = entry.record
    assert reason_of(record.error_type, record.outcome, record.status) == code
    assert (record.error_type, record.level) == (code, "warn")
    shown = error_of(entry)
    assert (shown["type"], shown.get("message")) == (code, message)
    assert World().pass_on(request("tools/list"), reply, **more).record.error_type == code


def test_an_id_that_is_a_secret_is_not_kept() -> None:
    """Neither of a call nor of its metadata; its response still finds it, also on another stream."""
    ids = ["sk-proj-" + letter + "B3dE5gH7jK9" * 4 for letter in "ab"]
    world = World()
    calls = world.pass_on(
        [ask(rpc_id) for rpc_id in ids], [answer(ids[1], "one"), answer(ids[0], "two")]
    ).tool_calls
    assert [b"two" in (call.result or b"") for call in calls] == [True, False]
    world.accept(ask(ids[0]))
    late = only(world.listen(answer(ids[0])))
    assert late.status == "success"
    assert calls[0].rpc_id == late.rpc_id != calls[1].rpc_id
    assert not any(rpc_id in repr((*calls, late)) for rpc_id in ids)


def test_what_is_no_code_of_oauth_is_none() -> None:
    """Whatever a server writes, and behind other statuses."""
    key = "sk-proj-" + "aB3dE5gH7jK9" * 4
    for status, said in (
        (401, {"error": key}),
        (500, {"error": "invalid_token"}),
        (401, {"error": ["invalid_token"]}),
    ):
        assert World().pass_on(ask(), said, status=status).record.error_type is None

    told = {"error": "invalid_token", "error_description": f"{key} is old"}
    assert key not in repr(World().pass_on(ask(), told, status=401))


def test_names_inside_huge_arguments() -> None:
    """Whatever stands in the arguments, the tool is the one that was called, or unknown."""
    inside: dict[str, Any] = {"name": "inner", "id": 55, "method": "tools/list", "isError": True}
    inside["text"] = "x" * 9000
    before = {"arguments": inside, "name": "real"}
    turned = {"params": before, "method": "tools/call", "id": 1, "jsonrpc": "2.0"}
    behind = {"name": "real", "arguments": inside}
    first = {"jsonrpc": "2.0", "id": 1} | request("tools/call", **behind)
    for sent in (first, request("tools/call", **before), turned):
        call = only(World().pass_on(sent, answer(), windows=(2000, 500)))
        assert (call.tool_name, call.rpc_id, call.status) == ("real", "1", "success")

    hidden = request("tools/call", a="y" * 4000, **behind)
    assert only(World().pass_on(hidden, answer(), windows=(2000, 500))).tool_name == "unknown"


@each_of("windows", [(2000, 500), (2000, 30)])
@each_of(("failed", "status"), [(False, "success"), (True, "error")])
def test_failures_inside_huge_results(
    windows: tuple[int, int], status: str, *, failed: bool
) -> None:
    """`isError` is that of the result, wherever it stands, not a word of its content."""
    content = {"isError": not failed, "text": "z" * 9000}
    found = reply({"structuredContent": content, "isError": failed})
    assert only(World().pass_on(ask(), found, windows=windows)).status == status


def test_a_coded_stream_is_timed_to_the_answer() -> None:
    """The latency ends with the chunk that brought the answer, not with the stream."""
    packed = [gzip.compress(events(*part)) for part in ((PROGRESS, answer()), (PROGRESS,))]
    timeline = [(len(packed[0]), 40_000), (sum(map(len, packed)), 900_000)]
    coding = "Content-Encoding: gzip\r\n"
    call = only(World().stream(ask(), *packed, response_headers=coding, timeline=timeline))
    assert (call.latency_us, json.loads(call.metadata)["transport"]) == (40_000, "sse")


LEFT: dict[str, Any] = {"outcome": Outcome.CLIENT_CLOSED}


def test_a_client_that_stops_listening_was_not_interrupted() -> None:
    """The stream of a session has no other end; what was waited for on it is missing all the same."""
    world = World()
    idle = world.listen(PROGRESS, **LEFT).record
    assert (idle.outcome, idle.level) == ("ok", "info")
    assert only(world.stream(ask(), RESUMABLE)).status == "processing"
    waited = world.listen(PROGRESS, **LEFT).record
    assert (waited.outcome, waited.level) == ("client_closed", "warn")
    assert only(world.listen(answer(), **LEFT)).status == "success"
    elsewhere = world.listen(b"data: 1\n\n", path="/prices", request_headers="", **LEFT).record
    assert elsewhere.outcome == "client_closed"


def test_who_ends_a_subscription_was_not_interrupted() -> None:
    """Such a stream is asked for with a request, which is answered only when the server ends it."""
    listen = request("subscriptions/listen", 3)
    told = notice("notifications/tools/list_changed")
    new = LEFT | {"request_headers": "mcp-protocol-version: 2026-07-28\r\n"}
    record = World().stream(listen, told, **new).record
    assert (record.outcome, record.level) == ("ok", "info")
    assert World().stream([listen, ask(4)], told, **new).record.outcome == "client_closed"
    broken = World().stream(listen, told, **new | {"outcome": Outcome.TRUNCATED}).record
    assert broken.outcome == "truncated"


def test_the_stream_of_the_oldest_transport_ends_when_its_client_leaves() -> None:
    """All answers came on it; one that did not is lost with it."""
    world = World()
    left = STREAM | LEFT
    world.accept(ask(1), **POST)
    assert world.listen(ENDPOINT, answer(1), **left).record.outcome == "ok"
    world.accept(ask(2), **POST)
    wrong = world.listen(ENDPOINT, answer(2, isError=True), **left).record
    assert (wrong.outcome, wrong.level, wrong.error_type) == ("ok", "error", "tool_error")
    world.accept(ask(3), **POST)
    assert world.listen(ENDPOINT, **left).record.outcome == "client_closed"


def test_an_answer_that_was_not_captured_is_not_missing() -> None:
    """Of a long stream the middle is not kept: what came there nobody knows."""
    world = World()
    for number in (1, 2, 3):
        world.accept(ask(number), **POST)
    ended = world.listen(
        ENDPOINT, answer(1, "x" * 9000), answer(2), windows=(2000, 1000), **STREAM
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
