"""Calls over a WebSocket: how long each took, what was said, and which conversation it belongs to.

Messages as in https://platform.openai.com/docs/guides/websocket-mode, and as Codex sends them.
"""

import itertools
import json
import time
from typing import Any, Final

from proxy.enrich.live.session import EndedCall
from proxy.enrich.live.sessions import LiveSessions
from proxy.http1.websocket_frames import Opcode
from proxy.ring.handshake import pack_handshake
from proxy.ring.message import IN, OUT, CapturedMessage
from storage.record import Outcome, new_id, now_us
from tests.proxy.enrich.exchanges import entry_of
from tests.proxy.enrich.live.world import RESPONSES, World, done
from tests.support.cases import each_of

SESSION = "01a205e4-73dc-78f3-8e9f-c764c011a8ab"
_numbers: Final = itertools.count(1)


def message_of(exchange_id: bytes, data: bytes, direction: int = OUT) -> CapturedMessage:
    """A message as it was captured."""
    return CapturedMessage(
        new_id(time.time_ns(), 6, 1), exchange_id, time.time_ns(), len(data), 0, Opcode.TEXT, direction,
        is_compressed=False, traceparent=b"", data=data, session=RESPONSES,
    )  # fmt: skip


def asked(**members: Any) -> dict[str, Any]:
    """A request of the Responses API, as Codex sends it."""
    return {"type": "response.create", "model": "gpt-5.1", "stream": True} | members


def answered(**members: Any) -> dict[str, Any]:
    """The event that ends its response."""
    response = {
        "id": f"resp_{next(_numbers)}",
        "object": "response",
        "status": "completed",
        "output": [],
    }
    return {
        "type": "response.completed",
        "response": response | {"usage": {"input_tokens": 3}} | members,
    }


def test_a_call_says_how_long_it_took_and_what_was_said() -> None:
    """From the request to the message that ends it; both are its bodies, redacted, and there are no
    heads.
    """
    world = World(RESPONSES)
    at_ns = time.time_ns()
    request = asked(input=[{"role": "user", "content": "hi"}], password="hunter2")
    world.say(request, IN, at_ns=at_ns)
    world.say({"type": "response.created", "response": {}}, at_ns=at_ns + 5_000_000)
    for number in (1, 2):
        delta = {"type": "response.output_text.delta", "delta": "x"}
        world.say(delta, at_ns=at_ns + number * 20_000_000)
    output = [{"type": "custom_tool_call", "name": "exec", "input": "x"}]
    entry = world.pass_on(answered(output=output), at_ns=at_ns + 90_000_000)
    record = entry.record
    payload = entry.payload
    assert (record.duration_us, record.started_at_us) == (90_000, record.ended_at_us)
    stream = record.stream
    assert stream is not None
    assert (stream.first_content_us, stream.frames, stream.finished, stream.end) == (
        20_000,
        4,
        True,
        "complete",
    )
    assert (stream.finish_reason, stream.tools) == ("completed", ["exec"])
    assert payload is not None
    assert (payload.request_head, payload.response_head) == (b"", b"")
    assert payload.request_body is not None
    assert json.loads(payload.request_body.head) == request | {"password": "[REDACTED]"}
    assert payload.response_body is not None
    assert json.loads(payload.response_body.head)["response"]["output"] == output
    assert world.pass_on(answered()).record.duration_us == 0, "nothing is known of its beginning"


def test_calls_of_a_connection_are_one_conversation() -> None:
    """Also without a name; one that a request states is that of calls that were posted, for each
    tenant its own.
    """
    world = World(RESPONSES)
    other = World(RESPONSES)
    ids = []
    for members in ({}, {"previous_response_id": "resp_1"}, {"prompt_cache_key": "short"}):
        world.say(asked(**members), IN)
        ids.append(world.say(answered()).conversation)
    assert ids == [world.id] * 3
    other.say(asked(prompt_cache_key=SESSION), IN)
    named = other.say(answered()).conversation
    other.say(asked(), IN)
    assert other.say(answered()).conversation == named, "it is stated once"
    body = {"model": "gpt-5.1", "input": "hi", "prompt_cache_key": SESSION}
    posted = [
        entry_of("/v1/responses", body, b'{"object":"response"}', route=route).record.conversation
        for route in ({}, {"project": "p"})
    ]
    assert posted[0] == named
    assert posted[1] not in (None, named)


TURN = json.dumps({"session_id": SESSION, "turn_id": "t", "sandbox": "none"})


@each_of(
    ("lines", "members"),
    [
        (f"session_id: {SESSION}", {}),
        (f"Thread-Id: {SESSION}", {}),
        (f"x-codex-turn-metadata: {TURN}", {}),
        ("", {"client_metadata": {"x-codex-turn-metadata": TURN}}),
        ("", {"client_metadata": {"session_id": SESSION}}),
        ("", {"conversation": "conv_1"}),
        ("", {"conversation": {"id": "conv_68542dc602388199a30af27d040cefd4"}}),
        ("session_id: short", {}),
    ],
)
def test_a_session_is_one_conversation_over_connections_and_posts(
    lines: str, members: dict[str, Any]
) -> None:
    """However it is named, in the heads of two upgrades or in what is asked; a short name of
    another caller is not.
    """

    def connect(key: str) -> bytes:
        head = (
            "GET /v1/responses HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer "
            f"{key}\r\n{lines}\r\n\r\n"
        )
        world = World(pack_handshake(b"api.openai.com:443", head.encode()))
        world.say(asked(**members), IN)
        found = world.say(answered()).conversation
        assert found is not None
        return found

    named = connect("k1")
    assert connect("k1") == named
    is_short = "short" in lines or members.get("conversation") == "conv_1"
    assert (connect("k2") == named) is not is_short
    body = {"model": "gpt-5.1", "input": "hi"} | members
    headers = "Authorization: Bearer k1\r\n" + (lines and f"{lines}\r\n")
    posted = entry_of("/v1/responses", body, b'{"object":"response"}', request_headers=headers)
    assert posted.record.conversation == named


def test_a_request_that_was_cut_still_begins_a_call() -> None:
    """Its beginning is kept, and its size; the name of its session stands behind its input, and is
    then not known.
    """
    world = World(RESPONSES)
    raw = json.dumps(asked(input="x" * 5000, prompt_cache_key=SESSION)).encode()
    world.say(raw[:300], IN, size=len(raw))
    entry = world.pass_on(answered())
    assert (entry.record.model, entry.record.conversation) == ("gpt-5.1", world.id)
    assert entry.payload is not None
    body = entry.payload.request_body
    assert body is not None
    assert (body.size, body.truncated, body.head[:40]) == (len(raw), True, raw[:40])


def test_a_request_that_is_refused_is_a_call_that_failed() -> None:
    """The error stands for its response; one that comes by itself is no call."""
    world = World(RESPONSES)
    error = {
        "type": "error",
        "status": 429,
        "error": {"type": "requests", "code": "rate_limit_exceeded"},
    }
    alone = world.say(error)
    assert (alone.error_type, alone.provider) == ("rate_limit_exceeded", None)
    world.say(asked(), IN)
    failed = world.say(error)
    assert (failed.error_type, failed.level, failed.usage_state) == (
        "rate_limit_exceeded",
        "error",
        "absent",
    )
    assert (failed.conversation, failed.model) == (world.id, "gpt-5.1")
    assert failed.stream is not None
    assert failed.stream.end == "error"
    assert world.end()["calls"] == 1


def test_a_turn_that_nobody_asked_for_begins_by_itself() -> None:
    """Realtime answers when somebody stops speaking; what the client asks there has its session's
    own form.
    """
    world = World()
    at_ns = time.time_ns()
    world.say({"type": "response.created", "response": {}}, at_ns=at_ns)
    entry = world.pass_on(done(), at_ns=at_ns + 7_000_000)
    assert (entry.record.duration_us, entry.record.conversation) == (7000, world.id)
    assert entry.payload is not None
    assert entry.payload.request_body is None
    world.say({"type": "response.create", "response": {"instructions": "be kind"}}, IN)
    entry = world.pass_on(done())
    assert entry.payload is not None
    assert entry.payload.request_body is not None
    assert b"be kind" in entry.payload.request_body.head


def test_a_transcription_ends_no_response() -> None:
    """It is a call beside one that goes on."""
    world = World()
    at_ns = time.time_ns()
    world.say({"type": "response.create"}, IN, at_ns=at_ns)
    heard = {
        "type": "conversation.item.input_audio_transcription.completed",
        "usage": {"input_tokens": 5},
    }
    assert world.say(heard, at_ns=at_ns + 2_000_000).duration_us == 0
    assert world.say(done(), at_ns=at_ns + 9_000_000).duration_us == 9000


def test_nothing_of_a_call_is_kept_where_only_counts_are_wanted() -> None:
    """Neither what was asked nor what was answered."""
    world = World(RESPONSES)
    world.say(asked(input="the-very-words"), IN, keeps_text=False)
    entry = world.pass_on(answered(), keeps_text=False)
    assert (entry.record.input_tokens, entry.payload) == (3, None)


def test_requests_that_wait_are_bounded() -> None:
    """The oldest are let go: their calls are counted, without what was asked."""
    sessions = LiveSessions(max_request_bytes=1000)
    request = json.dumps(asked(input="x" * 300)).encode()
    worlds = [bytes([number]) * 16 for number in range(5)]
    for world in worlds:
        sessions.read(message_of(world, request, IN), request, len(request))
    raw = json.dumps(answered()).encode()
    kept: list[bool] = []
    for world in worlds:
        ended = sessions.read(message_of(world, raw), raw, len(raw))
        assert isinstance(ended, EndedCall)
        assert ended.begun is not None
        kept.append(bool(ended.begun.request))

    assert kept == [False, False, False, False, True], "half of them at a time"
    assert sessions.evictions == 4
    for world in worlds:
        sessions.read(message_of(world, request, IN), request, len(request))
        assert sessions.end(world, 0, 0) is not None
    sessions.read(message_of(worlds[0], request, IN), request, len(request))
    ended = sessions.read(message_of(worlds[0], raw), raw, len(raw))
    assert isinstance(ended, EndedCall)
    assert ended.begun is not None
    assert ended.begun.request == request, "what has ended takes no room"


def test_sessions_are_bounded() -> None:
    """Of one that made room for another it is known that something of it is missing, should it go
    on.
    """
    sessions = LiveSessions(max_sessions=1)
    request = json.dumps(asked(input="x")).encode()
    first, second = (bytes([number]) * 16 for number in range(2))
    began_us = now_us()
    for world in (first, second):
        sessions.read(message_of(world, request, IN), request, len(request))
    assert (sessions.evictions, sessions.end(first, began_us, 0)) == (1, None)
    found = sessions.end(second, now_us() + 1, 0)
    assert found is not None
    assert found[1], "nothing of the newest is missing"
    sessions.read(message_of(first, request, IN), request, len(request))
    found = sessions.end(first, began_us, 0)
    assert found is not None
    assert not found[1]


def test_an_agent_that_leaves_between_calls_has_had_everything() -> None:
    """It sends no close frame; with a call under way it has been cut off."""
    for has_more in (False, True):
        world = World(RESPONSES)
        world.say(asked(), IN)
        world.say(answered())
        if has_more:
            world.say(asked(), IN)
        world.end(outcome=Outcome.CLIENT_CLOSED)
        assert (world.record.outcome, world.record.level) == (
            ("client_closed", "warn") if has_more else ("ok", "info")
        )  # fmt: skip

    plain = World(RESPONSES)
    plain.say({"type": "session.update"}, IN)
    plain.end(outcome=Outcome.CLIENT_CLOSED)
    assert plain.record.outcome == "client_closed"
