"""Sessions with models: each response a call, their sum on the session's record; what was not seen
is said.

Messages as in https://platform.openai.com/docs/api-reference/realtime-server-events,
.../docs/guides/websocket-mode and https://ai.google.dev/api/live.
"""

import json
import time
from typing import Any

import pytest

from proxy.enrich.http.bodies import TooLong
from proxy.http1.websocket_frames import Opcode
from proxy.ring.message import IN, OUT, CapturedMessage
from storage.record import Record
from tests.proxy.enrich.live.world import LIVE, REALTIME, RESPONSES, USAGE, World, done
from tests.support.cases import each_of

NOTHING = (None,) * 5


def used(record: Record) -> tuple[Any, ...]:
    return (
        record.provider,
        record.model,
        record.input_tokens,
        record.output_tokens,
        record.usage_state,
    )


def test_each_response_of_a_realtime_session_is_a_call() -> None:
    """With its tokens by kind, its tools and its cost; the session has the sum, and no tokens of
    its own.
    """
    world = World()
    assert (
        used(world.say({"type": "session.created", "session": {"model": "gpt-realtime"}}))
        == NOTHING
    )
    call = world.say(done())
    assert used(call) == ("openai", "gpt-realtime", 132, 121, "exact")
    assert call.cache_read_tokens == 64
    assert call.stream is not None
    assert call.stream.meters == {
        "input_audio_tokens": 13, "output_audio_tokens": 91, "cache_audio_read_tokens": 4
    }  # fmt: skip
    assert (call.stream.finish_reason, call.stream.tools) == ("completed", ["weather"])
    # gpt-realtime: text 4, cached 0.4, audio 32, cached audio 0.4, output 16, output audio 64
    # dollars a million
    assert call.cost_usd == pytest.approx(
        ((119 - 60) * 4 + 60 * 0.4 + (13 - 4) * 32 + 4 * 0.4 + 30 * 16 + 91 * 64) / 1e6
    )
    world.say(done())
    summed = world.end()
    assert (summed["calls"], summed["input_tokens"], summed["output_tokens"]) == (2, 264, 242)
    assert summed["cost_usd"] == pytest.approx(2 * (call.cost_usd or 0))
    assert (summed["model"], summed["complete"], world.record.model) == (
        "gpt-realtime",
        True,
        "gpt-realtime",
    )


def test_a_response_without_cached_audio_has_a_cost() -> None:
    """Cached tokens may be text or audio: that none of them are audio is a count, too."""
    details = USAGE["input_token_details"] | {
        "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0}
    }  # type: ignore[operator]
    call = World().say(done(usage=USAGE | {"input_token_details": details}))
    dollars = (119 - 64) * 4 + 64 * 0.4 + 13 * 32 + 30 * 16 + 91 * 64
    assert call.cost_usd == pytest.approx(dollars / 1e6)
    assert call.stream is not None
    assert call.stream.cost_lacks is None


def test_pictures_that_were_cached_have_a_price() -> None:
    """What is seen is input too, and cached with the rest."""
    cached = {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 20}
    details = {"text_tokens": 60, "image_tokens": 40, "audio_tokens": 0, "cached_tokens": 20}
    usage = {
        "input_tokens": 100,
        "output_tokens": 10,
        "input_token_details": details | {"cached_tokens_details": cached},
    }
    call = World().say(done(usage=usage))
    assert call.cost_usd == pytest.approx((60 * 4 + 20 * 5 + 20 * 0.5 + 10 * 16) / 1e6)


def test_the_price_list_is_not_loaded_where_others_wait() -> None:
    """The first message of a session says so, before anything of it is read."""
    world = World()
    message = CapturedMessage(
        bytes(16), world.id, 0, 2, 0, Opcode.TEXT, OUT, False, b"", b"{}", session=REALTIME
    )  # fmt: skip
    collector = world.collector
    with pytest.raises(TooLong):
        collector.builder.message(message, collector.descriptor, 1000)
    world.say(done())
    read = collector.builder.message(message, collector.descriptor, 1000)
    assert read.record.name == "websocket_message"


def test_a_response_that_was_cancelled_or_failed() -> None:
    """The reason is shown, tokens where it had some."""
    world = World()
    turned = world.say(
        done("cancelled", status_details={"type": "cancelled", "reason": "turn_detected"})
    )
    assert turned.stream is not None
    assert (turned.stream.finish_reason, turned.usage_state) == ("turn_detected", "exact")
    error = {
        "type": "failed",
        "error": {"type": "invalid_request_error", "code": "inference_rate_limit_exceeded"},
    }
    failed = world.say(done("failed", status_details=error, usage=None))
    assert (failed.error_type, failed.usage_state, failed.input_tokens) == (
        "inference_rate_limit_exceeded",
        "absent",
        None,
    )


@each_of(
    ("event", "code"),
    [
        ({"type": "error", "event_id": "e", "error": {"type": "invalid_request_error", "code": "invalid_value"}},
         "invalid_value"),
        ({"type": "error", "error": {"type": "server_error", "code": None, "message": "x"}}, "server_error"),
        ({"type": "error", "error": {"message": "x"}}, "error"),
        ({"type": "conversation.item.input_audio_transcription.failed", "item_id": "i",
          "error": {"type": "transcription_error", "code": "audio_unintelligible"}}, "audio_unintelligible"),
    ],
)  # fmt: skip
@each_of("handshake", [REALTIME, RESPONSES])
def test_an_error_beside_calls_has_its_code(
    event: dict[str, Any], code: str, handshake: bytes
) -> None:
    """On the message, and on the record of the connection, which neither status nor close code
    shows to have failed.
    """
    world = World(handshake)
    failed = world.say(event)
    assert (failed.error_type, failed.level, failed.provider) == (code, "error", None)
    assert world.say({"type": "session.updated", "session": {}}).error_type is None
    summary = world.end()
    assert (world.record.error_type, world.record.level, world.record.outcome) == (
        code,
        "error",
        "ok",
    )
    assert summary["calls"] == 0


def test_a_connection_whose_calls_were_well_has_no_error() -> None:
    """What a client sends is no error of the session, whatever it looks like."""
    world = World()
    world.say({"type": "error", "error": {"code": "invalid_value"}}, IN)
    world.say(done())
    world.end()
    assert (world.record.error_type, world.record.level) == (None, "info")


def test_a_transcription_is_a_call_of_its_own_model() -> None:
    """As the session was set up, in the words of today or of before."""
    for given in (
        {"audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}},
        {"input_audio_transcription": {"model": "gpt-4o-transcribe"}},
    ):
        world = World()
        world.say({"type": "session.update", "session": given}, IN)
        usage = {
            "type": "tokens", "total_tokens": 20, "input_tokens": 14, "output_tokens": 6,
            "input_token_details": {"text_tokens": 4, "audio_tokens": 10},
        }  # fmt: skip
        event = {
            "type": "conversation.item.input_audio_transcription.completed",
            "transcript": "hi",
            "usage": usage,
        }
        assert used(world.say(event)) == ("openai", "gpt-4o-transcribe", 14, 6, "exact")
        timed = world.say(event | {"usage": {"type": "duration", "seconds": 3}})
        assert timed.stream is not None
        assert timed.stream.meters == {"audio_seconds": 3}


def test_responses_over_a_web_socket() -> None:
    """Each ends with the event that ends a stream; its model is that of the request."""
    world = World(RESPONSES)
    world.say({"type": "response.create", "model": "gpt-5.1", "input": "hi"}, IN)
    response = {"object": "response", "status": "completed", "model": "gpt-5.1-2025-11-13"}
    assert (
        used(world.say({"type": "response.created", "response": response | {"usage": None}}))
        == NOTHING
    )
    usage = {"input_tokens": 36, "output_tokens": 87}
    call = world.say({"type": "response.completed", "response": response | {"usage": usage}})
    assert (*used(call), call.resolved_model) == (
        "openai",
        "gpt-5.1",
        36,
        87,
        "exact",
        "gpt-5.1-2025-11-13",
    )


def test_live_sessions_of_gemini() -> None:
    """The model stands in the client's first message, the counts with the turns, also in binary
    frames.
    """
    world = World(LIVE)
    world.say({"setup": {"model": "models/gemini-2.5-flash-native-audio"}}, IN)
    assert used(world.say({"serverContent": {"modelTurn": {"parts": [{"text": "a"}]}}})) == NOTHING
    counts = {
        "promptTokenCount": 700, "responseTokenCount": 40, "totalTokenCount": 740,
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 650}, {"modality": "TEXT", "tokenCount": 50}],
        "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 40}],
    }  # fmt: skip
    call = world.say(
        {"serverContent": {"turnComplete": True}, "usageMetadata": counts}, opcode=Opcode.BINARY
    )
    assert used(call) == ("gemini", "gemini-2.5-flash-native-audio", 700, 40, "exact")
    assert call.stream is not None
    assert call.stream.meters == {"input_audio_tokens": 650, "output_audio_tokens": 40}
    tools = {
        "toolCall": {"functionCalls": [{"name": "weather"}]},
        "usageMetadata": {"promptTokenCount": 5},
    }
    called = world.say(tools)
    assert called.stream is not None
    assert called.stream.tools == ["weather"]
    assert world.end()["calls"] == 2


def test_tools_of_a_live_session_are_those_of_the_next_counts() -> None:
    """A turn calls them in messages of their own, and is counted behind them."""
    world = World(LIVE)
    for name in ("get_weather", "get_time"):
        called = world.say(
            {"toolCall": {"functionCalls": [{"id": "c1", "name": name, "args": {}}]}}
        )
        assert (called.provider, called.stream) == (None, None)

    counts = {
        "usageMetadata": {"promptTokenCount": 7, "responseTokenCount": 4, "totalTokenCount": 11}
    }
    turn = world.say(counts)
    next_turn = world.say(counts)
    assert turn.stream is not None
    assert (turn.input_tokens, turn.stream.tools) == (7, ["get_weather", "get_time"])
    assert next_turn.stream is None or next_turn.stream.tools is None


def test_whose_api_it_is() -> None:
    """By the upstream, as of any call."""
    for handshake, provider, model in (
        (
            b"x.openai.azure.com:443 /openai/realtime?api-version=2024-10-01-preview&deployment=rt",
            "azure",
            "rt",
        ),
        (b"api.x.ai:443 /v1/realtime?model=grok-voice", "x-ai", "grok-voice"),
        (b"127.0.0.1:9 /openai/v1/realtime?" + b"&" * 100, "openai", None),
    ):
        assert used(World(handshake).say(done()))[:2] == (provider, model)


def test_what_was_cut_has_lost_its_counts() -> None:
    """A message that must have had some is a call without figures; the sum says that it is not all."""
    world = World()
    data = json.dumps(done()).encode()
    assert used(world.say(data[:200], size=len(data))) == (
        "openai",
        "gpt-realtime",
        None,
        None,
        "lost",
    )
    assert (
        used(world.say(b'{"type":"response.audio.delta","delta":"' + b"a" * 50, size=9000))
        == NOTHING
    )
    assert (world.end()["calls"], world.record.level) == (1, "info")

    for omitted in (
        {"data": b"", "size": 500},
        {"is_compressed": True, "data": b"\xff\xff\xff"},
        {"follows_gap": True},
    ):
        shed = World()
        shed.say(done())
        assert used(shed.say({"type": "response.audio.done"}, **omitted)) == NOTHING
        summed = shed.end()
        assert (summed["calls"], summed["complete"]) == (1, False)

    dropped = World()
    dropped.say(done())
    assert dropped.end(dropped=3)["complete"] is False


def test_a_session_that_began_before_the_collector_is_not_complete() -> None:
    """What was said before may have been counted by the one before it."""
    before_ns = time.time_ns() - 10**10
    world = World()
    world.say(done())
    assert world.end(started_at_ns=before_ns)["complete"] is False


def test_nothing_of_a_text_is_kept_where_only_counts_are_wanted() -> None:
    """The message says why."""
    record = World().say(done(output=[{"content": "the-very-words"}]), keeps_text=False)
    assert used(record)[2:] == (132, 121, "exact")
    shown = json.loads(record.data or b"")
    assert (shown["text"], shown["omitted"]) == (None, "level")
    assert "the-very-words" not in str(record)


def test_hostile_messages_are_no_calls() -> None:
    """Wrong types, no JSON, what a client says of usage, and what is quoted in a text."""
    world = World()
    for what in (
        b'{"type":"response.done","response":5,"usage":{"input_tokens":1}}', b'{"usage":', b'[{"usage":{}}]',
        {"type": "response.done", "response": []}, {"type": 7, "response": {"usage": {}}},
        {"type": "response.text.done", "text": '{"type":"response.done","usage":{"input_tokens":9}}'},
        {"type": "session.updated", "session": {"model": {}, "audio": {"input": 7}}},
    ):  # fmt: skip
        assert used(world.say(what)) == NOTHING

    assert used(world.say(done(), IN)) == NOTHING
    assert world.end()["calls"] == 0
