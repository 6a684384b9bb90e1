"""What a language model answered: the parts of a stored response, a document or a stream, of any
API. Pure.

Of a stream the pieces of each part are put together. Items that a stream gives whole (the Responses
API) are taken as they are, so pieces of those are not looked at.
"""

from collections.abc import Iterable
from typing import Any, Final

from api.native.chat.document import closed, read_json
from api.native.chat.message import Kind, Part, message_of, parts_of, text_of
from storage.record import Body

_WHOLE_ITEM: Final = "response.output_item.done"
_PIECES: Final[dict[str, Kind]] = {"text": "text", "thinking": "thinking", "partial_json": "call"}
"""Member of a delta of Anthropic's → what it is a piece of."""


def parts_answered(body: Body | None) -> list[Part]:
    """Return the parts of a response; none of what cannot be read, or said nothing."""
    if body is None or not body.head:
        return []
    document = None if body.truncated else read_json(body.head)
    if isinstance(document, dict):
        return _parts_in(document)

    events = document if isinstance(document, list) else map(read_json, _data_of(body))
    pieces = _Pieces()
    for event in events:
        if isinstance(event, dict):
            pieces.take(event)
    found = pieces.parts()
    if found or not body.truncated:
        return found

    beginning = read_json(closed(body.head))
    if isinstance(beginning, dict):
        return _parts_in(beginning)

    return []


def _data_of(body: Body) -> list[bytes]:
    """Return the lines of events, or of documents, that are kept."""
    lines = [*body.head.splitlines(), *body.tail.splitlines()]
    return [
        line.removeprefix(b"data:").strip()
        for line in lines
        if line[:5] == b"data:" or line[:1] == b"{"
    ]


def _parts_in(document: dict[str, Any]) -> list[Part]:
    response = document.get("response")
    if isinstance(response, str):  # Ollama
        return [Part("text", response)]

    document = response if isinstance(response, dict) else document  # Gemini CLI
    for name in ("choices", "candidates"):
        choices = document.get(name)
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            return [
                *message_of(
                    choices[0].get("message") or choices[0].get("content"), "assistant"
                ).parts
            ]

    output = document.get("output")
    if isinstance(output, dict):  # Bedrock
        output = [output.get("message")]
    if isinstance(output, list):
        return [part for item in output for part in message_of(item, "assistant").parts]

    return [*message_of(document.get("message") or document.get("content"), "assistant").parts]


class _Pieces:
    """Parts in the order in which they began, each with its pieces so far."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[Part, list[str]]] = {}

    def take(self, event: dict[str, Any]) -> None:
        """Take what an event says."""
        kind = event.get("type")
        index = event.get("index")
        delta = event.get("delta")
        block = event.get("content_block")
        choices = event.get("choices")

        if kind == "content_block_start" and isinstance(block, dict):
            for part in parts_of(block):
                self._add(f"block {index}", part if part.kind != "call" else part._replace(text=""))
        elif kind == "content_block_delta" and isinstance(delta, dict):
            for name, piece in _PIECES.items():
                if isinstance(delta.get(name), str):
                    self._add(f"block {index}", Part(piece, delta[name]))
        elif kind == _WHOLE_ITEM:
            for part in message_of(event.get("item"), "assistant").parts:
                self._add(f"item {len(self._found)}", part)
        elif isinstance(choices, list) and choices and isinstance(choices[0], dict):
            self._take_choice(choices[0].get("delta"))
        elif kind is None:
            self._add_on(_parts_in(event))

    def parts(self) -> list[Part]:
        return [part._replace(text="".join(pieces)) for part, pieces in self._found.values()]

    def _take_choice(self, delta: object) -> None:
        if not isinstance(delta, dict):
            return
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            function = call.get("function") if isinstance(call, dict) else None
            if isinstance(function, dict):
                name = text_of(function.get("name"))
                given = text_of(function.get("arguments"))
                self._add(
                    f"call {call.get('index')}", Part("call", given, name, text_of(call.get("id")))
                )

        self._add_on(message_of(delta | {"tool_calls": None}, "assistant").parts)

    def _add_on(self, parts: Iterable[Part]) -> None:
        """Add pieces of the one text and of the one thought; other parts are whole."""
        for part in parts:
            goes_on = part.kind in ("text", "thinking")
            self._add(part.kind if goes_on else f"whole {len(self._found)}", part)

    def _add(self, key: str, part: Part) -> None:
        self._found.setdefault(key, (part, []))[1].append(part.text)
