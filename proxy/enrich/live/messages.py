"""Read the messages of a live session: the model, and the usage of each response.

Realtime: `response.done` has the usage of its response; a finished transcription has its own usage
and model. Responses over a WebSocket: `response.create` has the form of a posted request. It is
answered by the events of a stream, which end with the response or an error; a `stream_id` separates
concurrent streams. Live: a message of the server has `usageMetadata` for its turn.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from proxy.enrich.conversations.session import session_of, short
from proxy.enrich.conversations.tool_results import failed_tools
from proxy.enrich.facts import CallUsage
from proxy.enrich.formats.cut_json import Members, members_at_start
from proxy.enrich.formats.json_parts import (
    Member,
    decode,
    decode_text,
    is_object,
    text_of,
    value_at,
    values_at,
)
from proxy.enrich.live.pending import UNNAMED, PendingCall, id_of
from proxy.enrich.live.session import EndedCall, FailedMessage, LiveSession
from proxy.enrich.llm import gemini, openai

_RAW: Final = msgspec.Raw()
_WANTED: Final = re.compile(
    rb'"usage|"toolCall"|"model"|"setup"|"error"|"response\.(?:create|created|done|completed|incomplete|failed)"'
)
"""Matches every message that has something to read."""
_STREAM: Final = b'"stream_id"'
_CUT: Final[list[Members]] = []
_ENDS: Final = frozenset(("response.completed", "response.incomplete", "response.failed"))
_DONE: Final = "response.done"
_TRANSCRIBED: Final = "conversation.item.input_audio_transcription.completed"
_FAILED: Final = ".failed"
"""Suffix of event types that report a failure: of a transcription, of a list of tools."""
_ASKS: Final = "response.create"
_MAX_TOKENS: Final = 1000
"""Limit of JSON tokens read of a message that is cut or not JSON. A thousand such messages may come
per second, and small ones inflate to much.
"""
_REQUEST: Final = frozenset(
    (
        b"type",
        b"stream_id",
        b"model",
        b"metadata",
        b"client_metadata",
        b"conversation",
        b"prompt_cache_key",
        b"session_id",
        b"litellm_session_id",
    )
)
"""Members to find in a request that is incomplete."""
_EVENT_NAMES: Final = frozenset((b"type", b"stream_id", b"id"))
"""Members to find in an event, and in the response within it."""


class _Event(msgspec.Struct, gc=False):
    type: Any = None
    stream_id: Any = None
    model: Any = None
    response: msgspec.Raw = _RAW
    session: msgspec.Raw = _RAW
    setup: msgspec.Raw = _RAW
    usage: msgspec.Raw = _RAW
    error: msgspec.Raw = _RAW
    metadata: msgspec.Raw = msgspec.field(default=_RAW, name="usageMetadata")
    tool_call: msgspec.Raw = msgspec.field(default=_RAW, name="toolCall")


_EVENT: Final = msgspec.json.Decoder(_Event)
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_message(
    session: LiveSession, data: bytes, size: int | None, at_us: int, *, is_from_model: bool
) -> EndedCall | FailedMessage | None:
    """Record a message in its session. Return the call that it ends or the failure it reports, if
    any.

    `data` are inflated, and may be only the beginning. `size` is the full size, None if unknown.
    """
    is_wanted = _WANTED.search(data) is not None
    is_whole = size == len(data)
    if not is_from_model:
        if is_wanted:
            _read_client(session, data, size, at_us)
        return None

    event = None
    cut = _CUT
    if is_wanted or _STREAM in data:
        event = decode(_EVENT, data) if is_whole else None
        cut = _CUT if is_whole else members_at_start(data, _EVENT_NAMES, _MAX_TOKENS)
    stream = _id_in(cut, 0, b"stream_id") if event is None else id_of(event.stream_id)
    session.note_output(stream, data, at_us)
    if not is_wanted:
        return None

    if event is None:
        usage = None if is_whole else _read_cut(session, stream, cut, data)
    else:
        _read_setup(session, event)
        if event.type == _TRANSCRIBED and is_object(event.usage):
            # the response next to it may go on
            return EndedCall(session, _read_transcription(session, data), None)

        usage = _read_answer(session, stream, event, data, at_us)
        if usage is None and (failure := _failure_in(event)) is not None:
            session.error_type = session.error_type or failure
            return FailedMessage(session, failure)

    if usage is None:
        return None

    return session.end_call(stream, usage)


def _failure_in(event: _Event) -> str | None:
    """Return the error code of a failure outside of a response, caused by a client's message or
    not.
    """
    kind = text_of(event.type) or ""
    if (kind != "error" and not kind.endswith(_FAILED)) or not is_object(event.error):
        return None
    names = openai.error_names(value_at(event.error, "type"), value_at(event.error, "code"))
    return next(filter(None, map(text_of, names)), "error")


def _read_client(session: LiveSession, data: bytes, size: int | None, at_us: int) -> None:
    if b'"response.create"' in data and _read_request(session, data, size, at_us):
        return
    event = decode(_EVENT, data) if size == len(data) else None
    if event is not None:
        _read_setup(session, event)


def _read_answer(
    session: LiveSession, stream: int, event: _Event, data: bytes, at_us: int
) -> CallUsage | None:
    if session.api == "live":
        return _read_live(session, event, data)
    kind = text_of(event.type)
    if kind == "error":
        is_refusal = session.api == "responses" and session.pending.current(stream) is not None
        if is_refusal:
            return _read_end(session, stream, data)
        return None

    response_id = id_of(value_at(event.response, "id"))
    if kind == "response.created":
        session.note_created(stream, response_id, at_us)
    is_end = is_object(event.response) and (kind == _DONE or kind in _ENDS)
    if not is_end or session.is_repeated(response_id):
        return None

    usage = _read_end(session, stream, data)
    if kind == _DONE:
        _read_done(usage, event)
    return usage


def _read_end(session: LiveSession, stream: int, data: bytes) -> CallUsage:
    usage = session.usage_of(stream)
    openai.read(usage, data)
    return usage


def _read_request(session: LiveSession, data: bytes, size: int | None, at_us: int) -> bool:
    """Begin the call that a message requests; return True if it requests one."""
    whole = decode(_MEMBERS, data) if size == len(data) else None
    members: Mapping[str, Member] = whole or {}
    if whole is None and (found := members_at_start(data, _REQUEST, _MAX_TOKENS)):
        members = {name.decode(): value for name, value in found[0].items()}
    if decode_text(short(members.get("type"))) != _ASKS:
        return False

    if session.api == "responses":
        session.model = text_of(decode_text(short(members.get("model")))) or session.model
    session.name = session.named_by_head or session_of((), members) or session.name
    model = session.model if session.api == "responses" else None
    call = PendingCall(
        at_us, data, size, model, tuple(failed_tools(members, has_input=True)), session.name
    )
    session.begin_call(_id_of(members.get("stream_id")), call)
    return True


def _read_setup(session: LiveSession, event: _Event) -> None:
    if session.api == "responses":
        session.model = text_of(event.model) or session.model
    for raw in (event.session, event.setup):
        if model := text_of(value_at(raw, "model")):
            session.model = model.rpartition("/")[2] or model
        for path in (("input_audio_transcription",), ("audio", "input", "transcription")):
            session.transcription_model = (
                text_of(value_at(raw, *path, "model")) or session.transcription_model
            )


def _read_done(usage: CallUsage, event: _Event) -> None:
    status = value_at(event.response, "status")
    details = ("status_details", "error")
    usage.finish_reason = text_of(value_at(event.response, "status_details", "reason")) or text_of(
        status
    )
    if status == "failed":
        kind, code = (value_at(event.response, *details, name) for name in ("type", "code"))
        usage.fail(*openai.error_names(kind, code))
    usage.is_finished = True
    usage.is_settled = usage.has_usage


def _read_transcription(session: LiveSession, data: bytes) -> CallUsage:
    usage = CallUsage(model=session.transcription_model or session.model)
    openai.read(usage, data)
    usage.is_finished = True
    usage.is_settled = True
    return usage


def _read_live(session: LiveSession, event: _Event, data: bytes) -> CallUsage | None:
    session.note_tools(values_at(event.tool_call, "functionCalls", "name"))
    if not is_object(event.metadata):
        return None

    usage = CallUsage(model=session.model)
    gemini.read(usage, data)
    session.give_tools(usage)
    usage.is_finished = True
    usage.is_settled = True
    return usage


def _read_cut(
    session: LiveSession, stream: int, cut: list[Members], data: bytes
) -> CallUsage | None:
    """Return the usage of a call whose final message was cut, with its counts marked as lost."""
    if session.api == "live":
        if b'"usageMetadata"' not in data:
            session.unread += 1  # the counts are at the end
            return None
    else:
        kind = decode_text(cut[0].get(b"type")) if cut else None
        if (kind != _DONE and kind not in _ENDS) or session.is_repeated(_id_in(cut, 1, b"id")):
            return None

    usage = session.usage_of(stream)
    usage.is_lost = True
    return usage


def _id_in(cut: list[Members], depth: int, name: bytes) -> int:
    """Read an id in a message that was not captured whole."""
    if depth < len(cut):
        return _id_of(cut[depth].get(name))
    return UNNAMED


def _id_of(member: Member | None) -> int:
    if member is None:
        return UNNAMED
    return id_of(value_at(member))
