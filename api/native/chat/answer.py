"""Reads the answer of a language model from a stored response, a document or a stream, of any API.

The pieces of each part of a stream are joined, in the order in which the parts began.
"""

import re
from collections.abc import Iterable
from typing import Final, cast

import msgspec

from api.native.chat.document import document_in, read_json
from api.native.chat.message import (
    Json,
    Kind,
    Part,
    first_of,
    list_of,
    message_of,
    parts_of,
    summary_part,
    text_of,
)
from storage.record import Body

_DONE: Final = "response.output_item.done"
_ITEMS: Final = {
    "content_block_start": "content_block",
    "step.start": "step",
    "response.output_item.added": "item",
    _DONE: "item",
}
"""Type of an event → its member with a part, which has its text or gets it in pieces."""
_PIECES: Final[dict[str, Kind]] = {
    "partial_json": "call",
    "arguments": "call",
    "thinking": "thinking",
    "text": "text",
}
"""Member of a delta → kind of the part that it continues."""
_CONTINUED: Final = re.compile(
    r"(?P<thinking>reasoning)|(?P<call>arguments|input)|(?P<text>text|refusal|transcript|message)"
)
"""Word in the type of an event whose delta is a string → kind of the part that it continues."""


class Answer(msgspec.Struct, frozen=True):
    """The answer of a response."""

    parts: tuple[Part, ...]
    error: str | None
    """The error that it reports."""


def read_answer(body: Body | None) -> Answer | None:
    """Read the body of a model's response as far as it was stored; None if it is not a response of
    a model.
    """
    if body is None or not body.head:
        return None
    document = None if body.truncated else read_json(body.head)
    if isinstance(document, dict):
        return _answer_in(document)

    lines = document if isinstance(document, list) else map(read_json, _data_of(body))
    events = [event for event in lines if isinstance(event, dict)]
    if not events:
        beginning = document_in(body)
        if beginning is None:
            return None
        return _answer_in(beginning.value)

    parts = _Pieces.of(events)
    if not parts:
        last = _answer_in(events[-1])
        parts = () if last is None else last.parts
    errors = [error for event in events if (error := _error_in(event)) is not None]
    return Answer(parts, errors[-1] if errors else None)


def _data_of(body: Body) -> list[bytes]:
    """Return the kept data lines of events or documents."""
    lines = [*body.head.splitlines(), *body.tail.splitlines()]
    return [
        line.removeprefix(b"data:").strip()
        for line in lines
        if line[:5] == b"data:" or line[:1] == b"{"
    ]


def _answer_in(document: Json) -> Answer | None:
    error = _error_in(document)
    if error is not None:
        return Answer((), error)
    parts = _parts_in(document)
    if parts is None:
        return None
    return Answer(parts, None)


def _response_in(document: Json) -> Json:
    """Return the response, which final events and Gemini CLI wrap in another object."""
    response = document.get("response")
    if isinstance(response, dict):
        return response
    return document


def _error_in(document: Json) -> str | None:
    response = _response_in(document)
    details = response.get("status_details")
    error = response.get("error") or (isinstance(details, dict) and details.get("error"))
    if error:
        message = error.get("message") if isinstance(error, dict) else None
        return text_of(error if message is None else message)
    if document.get("type") == "error" and document.get("message"):
        return text_of(document["message"])
    return None


def _parts_in(document: Json) -> tuple[Part, ...] | None:
    """Return the parts of the answer in a JSON document; None if the document is not an answer."""
    if isinstance(document.get("response"), str):  # Ollama
        return (Part("text", document["response"]),)

    document = _response_in(document)
    items = first_of(document, "output", "steps", "outputs")
    if isinstance(items, dict):  # Bedrock
        items = [items.get("message")]
    if isinstance(items, list):
        return tuple(part for item in items for part in _said_in(item))

    choices = first_of(document, "candidates", "choices")
    if isinstance(choices, list):
        first = choices[0] if choices and isinstance(choices[0], dict) else {}
        return _said_in(first_of(first, "message", "content", "text"))

    message = first_of(document, "message", "content")
    if isinstance(message, dict | list):
        return _said_in(message)
    return _live_parts(document)


def _said_in(item: object) -> tuple[Part, ...]:
    """Read an item, unless it repeats the question, as Gemini's interactions do."""
    message = message_of(item, "assistant")
    if message.role == "user":
        return ()
    return message.parts


def _live_parts(document: Json) -> tuple[Part, ...] | None:
    """Read a message of Gemini's Live."""
    content = document.get("serverContent")
    turn = content.get("modelTurn") if isinstance(content, dict) else None
    called = document.get("toolCall")
    calls = list_of(called.get("functionCalls")) if isinstance(called, dict) else []
    said = list_of(turn.get("parts")) if isinstance(turn, dict) else []
    return tuple(parts_of([*said, *({"functionCall": call} for call in calls)])) or None


def _call_of(function: Json, id: object) -> Part:
    """Read a piece of a call; only the first has name and id."""
    return Part(
        "call", text_of(function.get("arguments")), text_of(function.get("name")), text_of(id)
    )


class _Pieces:
    """Parts in the order in which they began, with their pieces so far."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[Part, list[str]]] = {}

    @classmethod
    def of(cls, events: Iterable[Json]) -> tuple[Part, ...]:
        """Join the events of a streamed response into the parts of a message."""
        pieces = cls()
        for event in events:
            pieces._take(event)
        whole = [
            msgspec.structs.replace(part, text="".join(texts))
            for part, texts in pieces._found.values()
        ]
        return tuple(part for part in whole if part.text or part.kind in ("call", "result"))

    def _take(self, event: Json) -> None:
        kind = text_of(first_of(event, "type", "event_type"))
        key = f"{event.get('output_index', event.get('index'))}"
        item = event.get(_ITEMS.get(kind, ""))
        if isinstance(item, dict):
            self._take_item(key, item, is_whole=kind == _DONE)
        elif kind == "response.reasoning_summary_part.added":
            if self._has(f"thinking {key}"):
                self._add(key, Part("thinking", "\n\n"))
        elif kind == "function.call.delta":  # Mistral
            self._add(key, _call_of(event, event.get("tool_call_id")))
        elif kind.endswith("delta"):
            self._take_delta(key, kind, first_of(event, "delta", "content"))
        elif event.get("choices"):
            for choice in list_of(event["choices"]):
                self._take_choice(choice)
        elif not kind:
            self._add_on(_parts_in(event) or ())

    def _take_item(self, key: str, item: Json, *, is_whole: bool) -> None:
        """Begin a part, whose text may follow in pieces; a whole one replaces its pieces, since
        some of them may not have been kept.
        """
        parts = _said_in(item)
        if is_whole:
            for part in parts:
                self._found[f"{part.kind} {key}"] = (part, [])
        for part in parts:
            is_begun = part.kind == "call" and part.text == "{}" and not is_whole
            self._add(key, msgspec.structs.replace(part, text="") if is_begun else part)

    def _take_delta(self, key: str, kind: str, delta: object) -> None:
        if isinstance(delta, str):
            continued = _CONTINUED.search(kind)
            if continued is not None:
                self._add(key, Part(cast("Kind", continued.lastgroup), delta))
        if not isinstance(delta, dict):
            return

        content = delta.get("content")
        if delta.get("type") == "compaction_delta":
            self._add(key, summary_part(content))
        elif isinstance(content, dict):  # the summary of a thought in Gemini's interactions
            self._add(key, Part("thinking", text_of(content.get("text"))))
        for name, part_kind in _PIECES.items():
            if delta.get(name) is not None:
                self._add(key, Part(part_kind, text_of(delta[name])))

    def _take_choice(self, choice: object) -> None:
        if not isinstance(choice, dict):
            return
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            self._add_on(parts_of(choice.get("text")))
            return
        for call in list_of(delta.get("tool_calls")):
            function = call.get("function") if isinstance(call, dict) else None
            if isinstance(function, dict):
                self._add(f"{call.get('index')}", _call_of(function, call.get("id")))

        self._add_on(_said_in({**delta, "tool_calls": None}))

    def _add_on(self, parts: Iterable[Part]) -> None:
        """Append to the only text or thought; add other parts whole."""
        for part in parts:
            goes_on = part.kind in ("text", "thinking")
            self._add("" if goes_on else f"whole {len(self._found)}", part)

    def _has(self, key: str) -> bool:
        if key in self._found:
            return any(self._found[key][1])
        return False

    def _add(self, key: str, part: Part) -> None:
        """Add a piece to the part of its kind and key, which has its name from any piece."""
        known, pieces = self._found.setdefault(f"{part.kind} {key}", (part, []))
        if part.name:
            known = msgspec.structs.replace(known, name=part.name, id=part.id)
        pieces.append(part.text)
        self._found[f"{part.kind} {key}"] = (known, pieces)
