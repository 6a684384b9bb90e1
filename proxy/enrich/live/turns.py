"""Texts of Gemini's Live API: pieces joined, and stored with the message that ends the turn.

A message is stored before the next one comes, so a secret that is split over several messages could
not be found in any of them. So pieces are stored as sizes only. The message that ends a turn, or a
transcription, is stored with the whole text, which is redacted like any other. Bounded: a text that
is incomplete or too long is left out entirely, since it may begin or end within a secret.
<https://ai.google.dev/api/live>
"""

import re
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from proxy.enrich.formats.json_parts import decode

MAX_SESSIONS: Final = 4096
MAX_TURN_CHARACTERS: Final = 65_536
"""Limit of one turn. A model outputs at most 8,192 tokens."""
MAX_CHARACTERS: Final = 16 << 20
"""Limit of all unfinished turns."""
_TEXT: Final = b'"text"'
_TOLD: Final = re.compile(rb'"(?:text|turnComplete|finished)"')
"""Matches every message with a piece or an end."""
_BEGINS: Final = re.compile(rb'\s*\{\s*"setupComplete"')
"""Matches the first message of a session."""
_TRANSCRIPTIONS: Final = ("inputTranscription", "outputTranscription")
_INTERIM: Final = "interimInputTranscription"
"""Transcription that may still change and is sent again."""
_CUT: Final = b'{"serverContent": {"omitted": "text", "truncated": true}}'
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])


@dataclass(slots=True)
class _Turn:
    """The texts since the previous turn."""

    is_lost: bool = False
    """True if a part of the turn is missing."""
    texts: dict[str, list[str]] = field(default_factory=dict)
    """Pieces of the model's `text` and `thought`, and of the transcriptions."""
    characters: int = 0


class LiveTurns:
    """The turns of one sidecar's sessions. Not thread-safe."""

    def __init__(
        self, max_sessions: int = MAX_SESSIONS, max_characters: int = MAX_CHARACTERS
    ) -> None:
        self._max_sessions = max_sessions
        self._max_characters = max_characters
        self._characters = 0
        self._turns: OrderedDict[bytes, _Turn] = OrderedDict()

    def stored(
        self, session: bytes, data: bytes | None, *, is_whole: bool, follows_gap: bool
    ) -> bytes | None:
        """Return the form in which a message of the model is stored: unchanged if it has no pieces.

        `data` are the message, or its beginning unless `is_whole`; None if unreadable.
        `follows_gap` means that messages before it were not seen.
        """
        turn = self._turn_of(session, is_known=data is not None and _BEGINS.match(data) is not None)
        if follows_gap or not is_whole:
            self._lose(turn)
        if data is None or _TOLD.search(data) is None:
            return data

        message = decode(_OBJECT, data) if is_whole else None
        if message is None:
            self._lose(turn)
            if _TEXT in data:
                return _CUT
            return data

        content = message.get("serverContent")
        if not isinstance(content, dict):
            return data

        self._take_pieces(turn, content)
        self._give_texts(turn, content)
        if self._characters > self._max_characters:
            self._lose_oldest()
        return msgspec.json.encode(message)

    def forget(self, session: bytes) -> None:
        """Drop the texts of a session that has ended."""
        turn = self._turns.pop(session, None)
        if turn is not None:
            self._lose(turn)

    def _turn_of(self, session: bytes, *, is_known: bool) -> _Turn:
        turn = self._turns.get(session)
        if turn is None:
            if len(self._turns) >= self._max_sessions:
                self._lose(self._turns.popitem(last=False)[1])
            turn = self._turns[session] = _Turn(is_lost=not is_known)
        self._turns.move_to_end(session)
        return turn

    def _take_pieces(self, turn: _Turn, content: dict[str, Any]) -> None:
        for holder, name in _holders(content):
            text = holder["text"]
            if name != _INTERIM and not turn.is_lost:
                turn.texts.setdefault(name, []).append(text)
                turn.characters += len(text)
                self._characters += len(text)
            holder["text"] = {"omitted": "text", "characters": len(text)}

        if turn.characters > MAX_TURN_CHARACTERS:
            self._lose(turn)

    def _give_texts(self, turn: _Turn, content: dict[str, Any]) -> None:
        """Write the joined transcript texts of a turn into the content that ends them."""
        has_ended = content.get("turnComplete") is True
        for name in _TRANSCRIPTIONS:
            given = content.get(name)
            holder = given if isinstance(given, dict) else {}
            if (has_ended or holder.get("finished") is True) and (said := self._join(turn, name)):
                content[name] = holder | {"text": said}

        if has_ended:
            self._give_turn(turn, content)
            turn.is_lost = False

    def _give_turn(self, turn: _Turn, content: dict[str, Any]) -> None:
        """Put the model's joined text before the other parts of a turn's last message."""
        thought = self._join(turn, "thought")
        said = self._join(turn, "text")
        parts: list[object] = [{"text": thought, "thought": True}] if thought else []

        parts += [{"text": said}] if said else []
        if parts:
            given = content.get("modelTurn")
            parts += [
                part
                for part in _parts_in(content)
                if not (isinstance(part, dict) and "text" in part)
            ]
            content["modelTurn"] = (given if isinstance(given, dict) else {"role": "model"}) | {
                "parts": parts
            }

    def _join(self, turn: _Turn, name: str) -> str:
        said = "".join(turn.texts.pop(name, ()))
        turn.characters -= len(said)
        self._characters -= len(said)
        return said

    def _lose(self, turn: _Turn) -> None:
        self._characters -= turn.characters
        turn.characters = 0
        turn.texts.clear()
        turn.is_lost = True

    def _lose_oldest(self) -> None:
        """Drop the oldest half of the texts. That happens seldom enough to visit all turns."""
        for turn in self._turns.values():
            if turn.characters:
                self._lose(turn)
            if self._characters <= self._max_characters // 2:
                return


def _holders(content: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Return the objects in a message of a live session that hold a piece of spoken or written text
    as `text`, each with the kind of its piece: `thought`, `text`, or a transcription.
    """
    parts = [part for part in _parts_in(content) if isinstance(part, dict)]
    found = [(part, "thought" if part.get("thought") is True else "text") for part in parts]
    found += [
        (content[name], name)
        for name in (*_TRANSCRIPTIONS, _INTERIM)
        if isinstance(content.get(name), dict)
    ]
    return [
        (holder, name)
        for holder, name in found
        if isinstance(holder.get("text"), str) and holder["text"]
    ]


def _parts_in(content: dict[str, Any]) -> list[Any]:
    model_turn = content.get("modelTurn")
    if isinstance(model_turn, dict):
        parts = model_turn.get("parts")
    else:
        parts = None
    if isinstance(parts, list):
        return parts
    return []
