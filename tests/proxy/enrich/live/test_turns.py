"""Texts of Gemini's Live API: pieces are stored as their size, all of a text with the end of its
turn, redacted.

Messages as in https://ai.google.dev/api/live.
"""

import base64
import json
from typing import Any

from proxy.enrich.live.turns import MAX_TURN_CHARACTERS, LiveTurns
from proxy.http1.websocket_frames import Opcode
from proxy.ring.message import IN
from storage.record import Record
from tests.proxy.enrich.live.world import LIVE, World

KEY = ("your key is sk-proj-Abc12", "3Def456Ghi78", "9Jkl012Mno345")
WHOLE = "your key is [REDACTED]"
COUNTS = {"usageMetadata": {"promptTokenCount": 7, "responseTokenCount": 4}}


def begun() -> World:
    """A session from its beginning."""
    world = World(LIVE)
    world.say({"setup": {"model": "models/gemini-2.5-flash"}}, IN)
    world.say({"setupComplete": {}})
    return world


def content(**members: Any) -> dict[str, Any]:
    return {"serverContent": members}


def said(*texts: str, **more: Any) -> dict[str, Any]:
    """A part of a turn."""
    return content(modelTurn={"role": "model", "parts": [{"text": text} for text in texts]}, **more)


def shown(record: Record) -> Any:
    """What is stored of a message, decoded."""
    data = json.loads(record.data or b"")
    return json.loads(base64.b64decode(data["base64"]) if "base64" in data else data["text"])


def omitted(text: str) -> dict[str, Any]:
    return {"omitted": "text", "characters": len(text)}


def test_a_text_stands_with_the_end_of_its_turn() -> None:
    """Redacted as one, in the event and with the call, also in binary frames; of its pieces there
    are sizes.
    """
    for more in ({}, {"opcode": Opcode.BINARY}):
        world = begun()
        for piece in KEY[:2]:
            told = shown(world.say(said(piece), **more))
            assert told == content(modelTurn={"role": "model", "parts": [{"text": omitted(piece)}]})
        image = {"inlineData": {"mimeType": "image/png", "data": "QUFB"}}
        last = said(KEY[2], turnComplete=True) | COUNTS
        last["serverContent"]["modelTurn"]["parts"].append(image)
        entry = world.pass_on(last, **more)
        whole = {"role": "model", "parts": [{"text": WHOLE}, image]}
        assert shown(entry.record) == content(modelTurn=whole, turnComplete=True) | COUNTS
        assert (entry.record.input_tokens, entry.record.output_tokens) == (7, 4)
        assert entry.payload is not None
        assert entry.payload.response_body is not None
        assert json.loads(entry.payload.response_body.head)["serverContent"]["modelTurn"] == whole


def test_an_end_without_a_text_of_its_own_has_that_of_its_turn() -> None:
    """Thoughts apart from what is said; the next turn begins anew."""
    world = begun()
    for piece in KEY:
        world.say(content(modelTurn={"parts": [{"text": piece, "thought": True}]}))
        world.say(said(piece))
    told = shown(world.say(content(turnComplete=True)))["serverContent"]["modelTurn"]
    assert told == {"role": "model", "parts": [{"text": WHOLE, "thought": True}, {"text": WHOLE}]}
    assert shown(world.say(content(turnComplete=True))) == content(turnComplete=True)
    assert shown(world.say(said("short", turnComplete=True))) == said("short", turnComplete=True)


def test_transcriptions_stand_where_they_are_finished() -> None:
    """Or with the end of the turn; what may still change comes again."""
    world = begun()
    for piece in KEY:
        told = shown(
            world.say(
                content(inputTranscription={"text": piece}, outputTranscription={"text": piece})
            )
        )
        assert told == content(
            inputTranscription={"text": omitted(piece)},
            outputTranscription={"text": omitted(piece)},
        )
        world.say(content(interimInputTranscription={"text": piece}))

    told = shown(world.say(content(inputTranscription={"finished": True})))
    assert told == content(inputTranscription={"finished": True, "text": WHOLE})
    assert shown(world.say(content(turnComplete=True)))["serverContent"]["outputTranscription"] == {
        "text": WHOLE
    }


def test_a_text_of_which_something_is_missing_is_left_out() -> None:
    """It may begin or end within a secret: after a gap, a message that was cut, in the middle of a
    session.
    """
    raw = json.dumps(said("x" * 3000)).encode()
    for more in (
        {"follows_gap": True},
        {"data": raw[:200], "size": len(raw)},
        {"data": b"", "size": 9},
        None,
    ):
        world = World(LIVE) if more is None else begun()
        world.say(said(KEY[0]))
        if more is not None:
            record = world.say(said(KEY[1]), **more)
            assert KEY[1] not in str(record.data)
            assert "xxx" not in str(record.data)

        world.say(said(KEY[1]))
        told = shown(world.say(said(KEY[2], turnComplete=True)))["serverContent"]
        assert told["modelTurn"]["parts"] == [{"text": omitted(KEY[2])}]
        assert shown(world.say(said("short", turnComplete=True))) == said(
            "short", turnComplete=True
        )


def test_what_has_no_piece_stays_as_it_is() -> None:
    """Sound, calls of tools, what is no object, what a client says."""
    sound = content(
        modelTurn={"parts": [{"inlineData": {"mimeType": "audio/pcm", "data": "QUFB"}}]}
    )
    call = {
        "toolCall": {"functionCalls": [{"id": "c", "name": "n", "args": {"text": "all of it"}}]}
    }
    asked = {
        "clientContent": {
            "turns": [{"role": "user", "parts": [{"text": "all of it"}]}],
            "turnComplete": True,
        }
    }
    world = begun()

    for what in (
        sound,
        call,
        content(modelTurn={"parts": [7, {"text": 7}]}),
        content(modelTurn="text"),
        {"text": 1},
    ):
        assert shown(world.say(what)) == what

    assert shown(world.say(asked, IN)) == asked
    assert (
        json.loads(world.say(b'["text"]').data or b"")["text"]
        == '{"serverContent": {"omitted": "text", "truncated": true}}'
    )


def test_what_is_kept_of_turns_is_bounded() -> None:
    """Of one, of all, and by the number of sessions."""

    def tell(turns: LiveTurns, session: bytes, message: dict[str, Any]) -> Any:
        data = json.dumps(message).encode()
        return json.loads(turns.stored(session, data, is_whole=True, follows_gap=False) or b"")

    def parts(turns: LiveTurns, session: bytes) -> Any:
        return tell(turns, session, content(turnComplete=True))["serverContent"].get("modelTurn")

    turns = LiveTurns(max_sessions=4, max_characters=3000)
    sessions = [bytes([number]) for number in range(4)]
    for session in sessions:
        tell(turns, session, {"setupComplete": {}})
        tell(turns, session, said("x" * 800))
    assert [parts(turns, session) is None for session in sessions] == [True, True, True, False]
    assert turns._characters == 0
    tell(turns, sessions[0], said("x"))
    tell(turns, b"new", {"setupComplete": {}})
    assert len(turns._turns) == 4
    assert parts(turns, sessions[1]) is None, "it has made room"
    one = LiveTurns()
    tell(one, b"s", {"setupComplete": {}})
    tell(one, b"s", said("x" * MAX_TURN_CHARACTERS))
    tell(one, b"s", said("x"))
    assert (parts(one, b"s"), one._characters) == (None, 0)
    tell(one, b"s", said("x"))
    one.forget(b"s")
    assert (one._characters, len(one._turns)) == (0, 0)
