"""LLM calls as chats: `GET /api/records/{id}/chat`, and step by step in a run."""

from collections.abc import Sequence
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
    """What was sent, and what was answered; null where that is no call of a language model, or
    cannot be read.
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


class Names:
    """Names results by the tools that gave them: most APIs name those in the call alone, which has
    the same id.
    """

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def named(self, parts: Sequence[Part]) -> list[Part]:
        """Return parts with the tool names noted now or before."""
        found = []
        for part in parts:
            if part.kind == "call" and part.id:
                self._names[part.id] = part.name
            name = part.name or self._names.get(part.id, "")
            is_named = part.kind == "result" and name != part.name
            found.append(msgspec.structs.replace(part, name=name) if is_named else part)
        return found


class Steps:
    """Reads the calls of one run, oldest first."""

    def __init__(self) -> None:
        self._names = Names()
        self._known: list[Message] = []
        self._answered: Message | None = None

    def read(self, record: Record, payload: Payload | None) -> Step:
        chat = chat_of(record, payload)
        sent = chat.sent
        messages = [] if sent is None else sent.all
        same = 0
        while same < min(len(messages), len(self._known)) and messages[same] == self._known[same]:
            same += 1
        repeats_answer = same > 0 and messages[same : same + 1] == [self._answered]
        if sent is not None:
            self._known = messages
        if chat.answer is not None:
            self._answered = Message("assistant", tuple(chat.answer.parts))
        shown = named(chat, self._names)
        fresh = [] if shown.sent is None else shown.sent.all[same + repeats_answer :]
        return Step(
            same=same,
            repeats_answer=repeats_answer,
            fresh=fresh,
            answer=shown.answer,
            is_cut=sent is not None and sent.is_cut,
        )


def chat_of(record: Record, payload: Payload | None) -> Chat:
    """Read an LLM call, without the names of tool results."""
    if record.provider in (None, _MCP) or payload is None:
        return Chat(None, None)
    sent = read_request(payload.request_body)
    if sent is not None:
        sent = msgspec.structs.replace(
            sent,
            messages=[parted(message) for message in sent.messages],
            later=[parted(message) for message in sent.later],
        )
    return Chat(sent, read_answer(payload.response_body))


def named(chat: Chat, names: Names) -> Chat:
    """Return a call with the names of its tool results, from its calls and earlier ones."""
    sent = chat.sent
    answer = chat.answer
    if sent is not None:
        messages, later = (
            [Message(message.role, tuple(names.named(message.parts))) for message in said]
            for said in (sent.messages, sent.later)
        )
        sent = msgspec.structs.replace(sent, messages=messages, later=later)
    if answer is not None:
        answer = msgspec.structs.replace(answer, parts=names.named(answer.parts))
    return Chat(sent, answer)


async def get_chat(request: web.Request) -> web.Response:
    """Return a call of a language model as what was said."""
    record, payload = await find_entry(services_of(request), request.match_info["id"])
    return json_response(named(chat_of(record, payload), Names()))
