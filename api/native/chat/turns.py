"""Reads the calls of a conversation in turn, with the new texts of each.

Every call repeats the whole history, and agents also ask side questions. New are the messages after
the longest beginning shared with an earlier call; in a request whose middle was cut or replaced,
those after the last known message. The model's answer is repeated in the next request, where it is
left out if the answer could be read.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from api.http.times import format_time
from api.native.chat.chat import common_length, read_chat
from api.native.chat.message import Message, Part
from storage.failure_message import error_message
from storage.record import Payload, Record, format_id

_ASIDE_CHARACTERS: Final = 400
"""Number of characters shown of instructions and thoughts."""


class Piece(NamedTuple):
    """One part of the text."""

    label: str
    """Role, or the tool that was called or answered."""
    text: str
    has_failed: bool = False


class Turn(NamedTuple):
    """One call."""

    seq: int
    head: str
    """A line with time, model, outcome and id."""
    pieces: list[Piece]


class _History(NamedTuple):
    """The history up to a call."""

    marks: list[int]
    is_answered: bool


class Turns:
    """Reads the calls of one conversation, oldest first."""

    def __init__(self) -> None:
        self._histories: list[_History] = []
        self._names: dict[str, str] = {}
        self._instructions: set[int] = set()

    def read(self, record: Record, payload: Payload | None) -> Turn:
        """Return the turn of a call: the texts that no earlier call of the conversation had."""
        request, answer = read_chat(record, payload, self._names)
        sent = [] if request is None else request.all
        answered = () if answer is None else answer.parts
        said = [message for message in sent if message.role != "system"]
        fresh = self._fresh(said, is_answered=bool(answered))
        pieces = [_piece(message.role, part) for message in fresh for part in message.parts]
        pieces += [_piece("assistant", part) for part in answered]
        if (error := error_message(record, payload)) is not None and not answered:
            pieces.append(Piece("error", error, has_failed=True))
        return Turn(record.seq, _head_of(record), [*self._new_instructions(sent), *pieces])

    def _fresh(self, said: Sequence[Message], *, is_answered: bool) -> list[Message]:
        marks = [hash(message) for message in said]
        shared = 0
        was_answered = False

        for history in self._histories:
            length = common_length(history.marks, marks)
            if length >= shared:
                shared = length
                was_answered = history.is_answered

        known = {mark for history in self._histories for mark in history.marks}
        start = max(
            (place + 1 for place in range(shared, len(marks) - 1) if marks[place] in known),
            default=shared,
        )
        while was_answered and start < len(said) and said[start].role == "assistant":
            start += 1
        if was_answered and start == len(said):
            # The same words once more, where the provider has what was said before.
            start = max(0, start - 1)
        self._histories.append(_History(marks, is_answered))
        return list(said[start:])

    def _new_instructions(self, sent: Sequence[Message]) -> list[Piece]:
        new = [
            message
            for message in sent
            if message.role == "system" and hash(message) not in self._instructions
        ]
        self._instructions.update(map(hash, new))
        texts = (" ".join(part.text for part in message.parts) for message in new)
        return [Piece("instructions", _beginning(text)) for text in texts]


def _piece(role: str, part: Part) -> Piece:
    if part.kind == "call":
        return Piece(f"call {part.name}", part.text)
    if part.kind == "result":
        return Piece(
            f"result {part.name}{' FAILED' if part.has_failed else ''}", part.text, part.has_failed
        )
    if part.kind == "thinking":
        return Piece("thinking", _beginning(part.text))

    return Piece(part.name or role, part.text)


def _beginning(text: str) -> str:
    if len(text) <= _ASIDE_CHARACTERS:
        return text
    return f"{text[:_ASIDE_CHARACTERS]} … ({len(text):,} characters)"


def _head_of(record: Record) -> str:
    used = f"{record.input_tokens or 0:,} tokens in, {record.output_tokens or 0:,} out"
    facts = (
        format_time(record.started_at_us),
        record.model,
        str(record.status) if record.status is not None else None,
        record.error_type or (record.outcome if record.outcome != "ok" else None),
        f"{record.duration_us / 1_000_000:.1f} s",
        used if record.input_tokens is not None or record.output_tokens is not None else None,
        format_id(record.id),
    )
    return " · ".join(fact for fact in facts if fact)
