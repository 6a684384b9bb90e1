"""Reads the answer of a language model from a stored response, a document or a stream, of any API.

The pieces of each part of a stream are joined, in the order in which the parts began.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from api.native.chat.document import document_in, read_json
from api.native.chat.message import (
    Json,
    Kind,
    Part,
    first_of,
    list_of,
    message_of,
    part_of,
    parts_of,
    result_inside,
    summary_part,
    text_of,
)
from storage.record import Body

_PIECES: Final[dict[str, Kind]] = {"partial_json": "call", "thinking": "thinking", "text": "text"}
"""Member of an Anthropic delta → kind of the part that it continues."""
_DELTAS: Final[dict[str, Kind]] = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "text",
    "response.output_audio_transcript.delta": "text",
    "response.reasoning_summary_text.delta": "thinking",
    "response.reasoning_text.delta": "thinking",
    "response.function_call_arguments.delta": "call",
    "response.mcp_call_arguments.delta": "call",
    "response.custom_tool_call_input.delta": "call",
}
_DONE: Final = "response.output_item.done"


class Answer(msgspec.Struct, frozen=True):
    """The answer of a response."""

    parts: list[Part]
    error: str | None
    """The error that it reports."""


def read_answer(body: Body | None) -> Answer | None:
    """Read a response as far as it was kept; None if it is not an answer."""
    if body is None or not body.head:
        return None
    document = None if body.truncated else read_json(body.head)
    if isinstance(document, dict):
        return _answer_in(document)

    lines = document if isinstance(document, list) else map(read_json, _data_of(body))
    events = [event for event in lines if isinstance(event, dict)]
    if not events:
        beginning = document_in(body)
        return None if beginning is None else _answer_in(beginning.value)

    parts = _Pieces.of(events)
    if not parts:
        last = _answer_in(events[-1])
        parts = [] if last is None else last.parts
    errors = [error for event in events if (error := _error_in(event)) is not None]
    return Answer(parts, errors[-1] if errors else None)


def parts_answered(body: Body | None) -> list[Part]:
    """Return the parts of a response; empty if it cannot be read or says nothing."""
    answer = read_answer(body)
    return [] if answer is None else answer.parts


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
        return Answer([], error)
    parts = _parts_in(document)
    return None if parts is None else Answer(parts, None)


def _response_in(document: Json) -> Json:
    """Return the response, which final events and Gemini CLI wrap in another object."""
    response = document.get("response")
    return response if isinstance(response, dict) else document


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


def _parts_in(document: Json) -> list[Part] | None:
    """Read a document; None if it is not an answer."""
    if isinstance(document.get("response"), str):  # Ollama
        return [Part("text", document["response"])]

    document = _response_in(document)
    output = document.get("output")
    if isinstance(output, dict):  # Bedrock
        output = [output.get("message")]
    if isinstance(output, list):
        return [part for item in output for part in message_of(item, "assistant").parts]

    steps = first_of(document, "steps", "outputs")
    if isinstance(steps, list):
        return _step_parts(steps)

    candidates = document.get("candidates")
    choices = candidates if candidates is not None else document.get("choices")
    if isinstance(choices, list):
        first = choices[0] if choices and isinstance(choices[0], dict) else {}
        return [*message_of(first_of(first, "message", "content"), "assistant").parts]

    message = first_of(document, "message", "content")
    if isinstance(message, dict | list):
        return [*message_of(message, "assistant").parts]
    return _live_parts(document)


def _step_parts(steps: Sequence[Any]) -> list[Part]:
    """Read the steps of a Gemini interaction or a Mistral conversation, which may include the
    question.
    """
    messages = [message_of(step) for step in steps if isinstance(step, dict)]
    return [part for message in messages if message.role != "user" for part in message.parts]


def _live_parts(document: Json) -> list[Part] | None:
    """Read a message of Gemini's Live."""
    content = document.get("serverContent")
    turn = content.get("modelTurn") if isinstance(content, dict) else None
    called = document.get("toolCall")
    calls = list_of(called.get("functionCalls")) if isinstance(called, dict) else []
    said = list_of(turn.get("parts")) if isinstance(turn, dict) else []
    parts = [*parts_of(said), *parts_of([{"functionCall": call} for call in calls])]
    return parts or None


class _Pieces:
    """Parts in the order in which they began, with their pieces so far."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[Part, list[str]]] = {}

    @classmethod
    def of(cls, events: Iterable[Json]) -> list[Part]:
        """Return the joined parts of a stream's events."""
        pieces = cls()
        for event in events:
            pieces._take(event)
        return pieces._parts()

    def _parts(self) -> list[Part]:
        whole = [
            msgspec.structs.replace(part, text="".join(pieces))
            for part, pieces in self._found.values()
        ]
        return [part for part in whole if part.text or part.kind in ("call", "result")]

    def _take(self, event: Json) -> None:
        kind = text_of(first_of(event, "type", "event_type"))
        key = f"{event.get('output_index', event.get('index'))}"
        take = _BY_TYPE.get(kind)
        if take is not None:
            take(self, key, event)
        elif kind in _DELTAS:
            self._add(f"{_DELTAS[kind]} {key}", Part(_DELTAS[kind], text_of(event.get("delta"))))
        elif event.get("choices"):
            for choice in list_of(event["choices"]):
                self._take_choice(choice)
        elif not kind:
            self._add_on(_parts_in(event) or ())

    def _begin_block(self, key: str, event: Json) -> None:
        """Begin an Anthropic block; the input of a tool call follows in pieces."""
        block = event.get("content_block")
        if not isinstance(block, dict):
            return
        compacted = block.get("type") == "compaction"
        part = summary_part(block.get("content")) if compacted else part_of(block)
        if part.kind == "call":
            self._add(key, msgspec.structs.replace(part, text=""))
        elif part.text:
            self._add(key, part)

    def _take_delta(self, key: str, event: Json) -> None:
        delta = event.get("delta")
        if not isinstance(delta, dict):
            return
        if delta.get("type") == "compaction_delta":
            self._add(key, summary_part(delta.get("content")))
        for name, kind in _PIECES.items():
            if delta.get(name) is not None:
                self._add(key, Part(kind, text_of(delta[name])))

    def _begin_summary(self, key: str, event: Json) -> None:
        if self._has(f"thinking {key}"):
            self._add(f"thinking {key}", Part("thinking", "\n\n"))

    def _take_item(self, key: str, event: Json) -> None:
        """Add an item of the Responses API. A tool call has its name at the beginning; its text
        comes in pieces or at the end.
        """
        item = event.get("item")
        is_done = event["type"] == _DONE
        if not isinstance(item, dict):
            return
        part = part_of(item)
        if part.kind != "call":
            if is_done:
                self._put_whole(key, message_of(item, "assistant").parts)
            return

        key = f"call {key}"
        text = part.text if is_done and not self._has(key) else ""
        self._add(key, msgspec.structs.replace(part, text=text))
        result = result_inside(item) if is_done else None
        if result is not None:
            self._add(f"result of {key}", result)

    def _take_step(self, key: str, event: Json) -> None:
        """Add a step of a Gemini interaction; its text comes in pieces."""
        step = event.get("step")
        delta = event.get("delta")
        if isinstance(step, dict):
            message = message_of(step, "assistant")
            for part in message.parts if step.get("type") != "user_input" else ():
                text = "" if part.text == "{}" else part.text
                self._add(key, msgspec.structs.replace(part, text=text))
        elif isinstance(delta, dict):
            kind = text_of(delta.get("type"))
            content = delta.get("content")
            if kind == "text":
                self._add(key, Part("text", text_of(delta.get("text"))))
            elif kind == "thought_summary" and isinstance(content, dict):
                self._add(key, Part("thinking", text_of(content.get("text"))))
            elif "arguments" in kind:
                self._add(key, Part("call", text_of(delta.get("arguments"))))

    def _take_output(self, key: str, event: Json) -> None:
        """Add a piece of a Mistral conversation."""
        if event["type"] == "function.call.delta":
            name, call = text_of(event.get("name")), text_of(event.get("tool_call_id"))
            self._add(key, Part("call", text_of(event.get("arguments")), name, call))
            return
        content = event.get("content")
        said = content.get("text") if isinstance(content, dict) else content
        self._add(key, Part("text", text_of(said)))

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
                name, given = text_of(function.get("name")), text_of(function.get("arguments"))
                part = Part("call", given, name, text_of(call.get("id")))
                self._add(f"call {call.get('index')}", part)

        self._add_on(message_of({**delta, "tool_calls": None}, "assistant").parts)

    def _add_on(self, parts: Iterable[Part]) -> None:
        """Append to the only text or thought; add other parts whole."""
        for part in parts:
            goes_on = part.kind in ("text", "thinking")
            self._add(part.kind if goes_on else f"whole {len(self._found)}", part)

    def _put_whole(self, key: str, parts: Iterable[Part]) -> None:
        """Replace pieces by whole parts, since some pieces may not have been kept."""
        whole: dict[str, tuple[Part, list[str]]] = {}
        for part in parts:
            whole.setdefault(f"{part.kind} {key}", (part, []))[1].append(part.text)
        self._found |= whole

    def _has(self, key: str) -> bool:
        return any(self._found[key][1]) if key in self._found else False

    def _add(self, key: str, part: Part) -> None:
        """Add a piece to a part, which has its kind from the first piece, and its name from any."""
        known, pieces = self._found.setdefault(key, (part, []))
        if part.name:
            known = msgspec.structs.replace(known, name=part.name, id=part.id)
        pieces.append(part.text)
        self._found[key] = (known, pieces)


_BY_TYPE: Final[dict[str, Callable[[_Pieces, str, Json], None]]] = {
    "content_block_start": _Pieces._begin_block,
    "content_block_delta": _Pieces._take_delta,
    "response.reasoning_summary_part.added": _Pieces._begin_summary,
    "response.output_item.added": _Pieces._take_item,
    _DONE: _Pieces._take_item,
    "step.start": _Pieces._take_step,
    "step.delta": _Pieces._take_step,
    "message.output.delta": _Pieces._take_output,
    "function.call.delta": _Pieces._take_output,
}
"""Type of an event → its handler."""
