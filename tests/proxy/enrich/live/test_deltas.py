"""Secrets that a model's messages split: pieces of a text are stored as their size, all of it with
the event behind.

Messages as in https://developers.openai.com/api/reference/resources/responses/streaming-events and
.../realtime.
"""

import json
from typing import Any

from proxy.ring.message import IN
from storage.record import Record
from tests.proxy.enrich.formats.test_message_deflate import Sender
from tests.proxy.enrich.live.world import REALTIME, RESPONSES, World
from tests.support.cases import each_of

KEY = ("sk-proj-Abc12", "3Def456Ghi78", "9Jkl012Mno345")
ARGUMENTS = ('{"user":"bob","pass', 'word":"hun', 'ter2-and-more"}')
PLACE = {
    "response_id": "resp_1",
    "item_id": "msg_1",
    "output_index": 0,
    "content_index": 1,
    "sequence_number": 7,
}


def text_of(record: Record) -> str:
    """What is stored of a message."""
    text: str = json.loads(record.data or b"")["text"]
    return text


def shown(record: Record) -> Any:
    """What is stored of a message, decoded."""
    return json.loads(text_of(record))


@each_of(
    ("handshake", "name", "whole", "pieces"),
    [
        (RESPONSES, "response.output_text", "text", KEY),
        (RESPONSES, "response.reasoning_summary_text", "text", KEY),
        (RESPONSES, "response.function_call_arguments", "arguments", ARGUMENTS),
        (RESPONSES, "response.custom_tool_call_input", "input", KEY),
        (REALTIME, "response.output_text", "text", KEY),
        (REALTIME, "response.output_audio_transcript", "transcript", KEY),
        (REALTIME, "response.function_call_arguments", "arguments", ARGUMENTS),
    ],
)
def test_no_secret_is_stored_in_pieces(
    handshake: bytes, name: str, whole: str, pieces: tuple[str, ...]
) -> None:
    """Of a piece there is its size and its place; the event that has the whole text is redacted."""
    world = World(handshake)
    kind = f"{name}.delta"
    for piece in pieces:
        told = shown(world.say({"type": kind, **PLACE, "delta": piece, "logprobs": []}))
        omitted = {"omitted": "text", "characters": len(piece)}
        assert told == {"type": kind, **PLACE, "delta": omitted, "logprobs": []}

    done = world.say({"type": f"{name}.done", **PLACE, whole: "".join(pieces)})
    assert "[REDACTED]" in text_of(done)
    assert not any(piece in text_of(done) for piece in pieces[1:])


def test_tokens_beside_a_piece_are_its_text() -> None:
    """So is whatever else stands there, but for names and numbers."""
    tokens = [{"token": piece, "logprob": -0.1, "bytes": [1]} for piece in KEY]
    told = shown(
        World(RESPONSES).say(
            {"type": "response.output_text.delta", "delta": {"a": 1}, "logprobs": tokens}
        )
    )
    assert told["delta"] == {"omitted": "text", "bytes": 8}
    assert told["logprobs"].keys() == {"omitted", "bytes"}


def test_a_piece_that_was_cut_is_left_out() -> None:
    """Also where its type would stand behind the cut, and where it is no JSON that could be read."""
    piece = KEY[1] + "x" * 9000
    first = json.dumps({"type": "response.output_text.delta", **PLACE, "delta": piece}).encode()
    last = json.dumps({**PLACE, "delta": piece, "type": "response.output_text.delta"}).encode()
    named = {"type": "response.output_text.delta", "response_id": "resp_1", "item_id": "msg_1"}
    omitted = {"delta": {"omitted": "text", "truncated": True}}

    for raw, size, kept in (
        (first[:2000], len(first), named),
        (last[:2000], len(last), {"response_id": "resp_1", "item_id": "msg_1"}),
        (
            b'{"type":"response.output_text.delta","delta":"' + KEY[1].encode() + b'","n":nan}',
            None,
            None,
        ),
    ):
        told = shown(World(RESPONSES).say(raw, **({} if size is None else {"size": size})))
        assert told == (kept or {"type": "response.output_text.delta"}) | omitted


def test_a_long_piece_is_left_out_before_it_is_cut_to_size() -> None:
    """More was copied than is stored."""
    record = World(RESPONSES).say(
        {"type": "response.function_call_arguments.delta", "delta": "x" * 100_000}
    )
    assert shown(record)["delta"] == {"omitted": "text", "characters": 100_000}
    assert "truncated" not in json.loads(record.data or b"")


def test_a_compressed_piece_is_left_out() -> None:
    """As agents and providers send them."""
    raw = json.dumps({"type": "response.output_text.delta", "delta": KEY[0]}).encode()
    data = Sender().send(raw)
    record = World(RESPONSES).say(data, is_compressed=True)
    assert json.loads(record.data or b"")["inflated_size"] == len(raw)
    assert shown(record)["delta"] == {"omitted": "text", "characters": len(KEY[0])}


def test_other_messages_stay_as_they_are() -> None:
    """Sound, which does not come again; what a client says; what only speaks of pieces; other
    WebSockets.
    """
    sound = {"type": "response.output_audio.delta", "delta": "QUFB" * 20}
    quoted = {
        "type": "response.output_text.done",
        "text": '{"type":"response.output_text.delta","delta":"a"}',
    }

    chat = {"type": "room.delta", "delta": "hello"}
    for handshake, what, direction in (
        (REALTIME, sound, {}), (RESPONSES, quoted, {}), (RESPONSES, chat, {"direction": IN}), (b"", chat, {}),
    ):  # fmt: skip
        assert shown(World(handshake).say(what, **direction)) == what

    raw = json.dumps(sound | {"delta": "QUFB" * 5000}).encode()
    assert text_of(World(REALTIME).say(raw[:9000], size=len(raw))).startswith(raw[:1000].decode())
