"""LLM calls as chats: `GET /api/records/{id}/chat`, and step by step in a run."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from aiohttp import web

from api.http.responses import ApiObject, json_response
from api.native.chat.answer import Answer, read_answer
from api.native.chat.blocks import parted
from api.native.chat.message import Message, Part
from api.native.chat.request import Sent, read_request
from api.native.find import find_entry
from api.services import services_of
from storage.record import Payload, Record

_MCP: Final = "mcp"


class Chat(ApiObject):
    """The messages of one model call: those sent and the answer. A half that cannot be read, or does
    not belong to a model call, is null.
    """

    sent: Sent | None
    answer: Answer | None


class Step(ApiObject):
    """What one call of a run says that the call before did not."""

    same: int
    """How many messages of the call before this one begins with."""
    repeats_answer: bool
    """Whether the answer of the call before follows these."""
    fresh: list[Message]
    """The messages behind them."""
    answer: Answer | None
    is_cut: bool
    """Whether a part of the request was not kept."""


class Steps:
    """Reads the calls of one run, oldest first."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._known: list[Message] = []
        self._answered: Message | None = None

    def read(self, record: Record, payload: Payload | None) -> Step:
        sent, answer = read_chat(record, payload, self._names)
        messages = [] if sent is None else sent.all
        same = common_length(self._known, messages)
        repeats_answer = same > 0 and messages[same : same + 1] == [self._answered]
        if sent is not None:
            self._known = messages
        if answer is not None:
            self._answered = Message("assistant", answer.parts)
        return Step(
            same=same,
            repeats_answer=repeats_answer,
            fresh=messages[same + repeats_answer :],
            answer=answer,
            is_cut=sent is not None and sent.is_cut,
        )


def common_length(a: Sequence[object], b: Sequence[object]) -> int:
    """Return the number of equal elements at the beginning of two lists."""
    length = min(len(a), len(b))
    return next((place for place in range(length) if a[place] != b[place]), length)


def read_chat(
    record: Record, payload: Payload | None, names: dict[str, str]
) -> tuple[Sent | None, Answer | None]:
    """Read an LLM call.

    `names` maps the ids of tool calls to the names of their tools, for the results of this call and
    of later ones. Most APIs name the tool in its call only.
    """
    if record.provider in (None, _MCP) or payload is None:
        return None, None
    sent = read_request(payload.request_body)
    if sent is not None:
        messages, later = (
            [Message(message.role, _named(parted(message).parts, names)) for message in said]
            for said in (sent.messages, sent.later)
        )
        sent = msgspec.structs.replace(sent, messages=messages, later=later)
    answer = read_answer(payload.response_body)
    if answer is not None:
        answer = msgspec.structs.replace(answer, parts=_named(answer.parts, names))
    return sent, answer


def _named(parts: Iterable[Part], names: dict[str, str]) -> tuple[Part, ...]:
    """Note the names of called tools, and add them to their results."""
    found = []
    for part in parts:
        if part.kind == "call" and part.id:
            names[part.id] = part.name
        if part.kind == "result" and not part.name and part.id in names:
            part = msgspec.structs.replace(part, name=names[part.id])
        found.append(part)
    return tuple(found)


async def get_chat(request: web.Request) -> web.Response:
    """Return a call of a language model as what was said."""
    record, payload = await find_entry(services_of(request), request.match_info["id"])
    return json_response(Chat(*read_chat(record, payload, {})))
