"""What a message of a session says: of which model it is, and what a response has used.

Realtime: `response.done` has the usage of its response, a finished transcription that of its own, of its own model.
Responses over a WebSocket: `response.create` is a request as it is posted, and the events of a stream answer it, each
response with its end, or an error that stands for one. Live: a message of the server has `usageMetadata`, for the turn
that it belongs to.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from proxy.enrich.conversations.session import session_of, short
from proxy.enrich.formats.cut_json import members_at_start
from proxy.enrich.formats.json_parts import Member, decode, decode_object, decode_text, is_object, text_of
from proxy.enrich.live.session import EndedCall, LiveSession
from proxy.enrich.llm import gemini, openai
from proxy.enrich.llm.call import CallUsage

_RAW: Final = msgspec.Raw()
_WANTED: Final = re.compile(
    rb'"usage|"model"|"setup"|"error"|"response\.(?:create|created|done|completed|incomplete|failed)"'
)
"""In every message that anything is read of."""
_ENDS: Final = frozenset(("response.completed", "response.incomplete", "response.failed"))
_TRANSCRIBED: Final = "conversation.item.input_audio_transcription.completed"
_ASKS: Final = "response.create"
_MAX_TOKENS: Final = 1000
"""Looked at in a message that is cut, or no JSON: a thousand may come a second, and small ones inflate to much."""
_REQUEST: Final = frozenset(
    (b"type", b"model", b"metadata", b"conversation", b"prompt_cache_key", b"session_id", b"litellm_session_id")
)
"""Members of a request that are looked for where the rest of it is missing."""


class _Event(msgspec.Struct, gc=False):
    type: Any = None
    model: Any = None
    response: msgspec.Raw = _RAW
    session: msgspec.Raw = _RAW
    setup: msgspec.Raw = _RAW
    usage: msgspec.Raw = _RAW
    metadata: msgspec.Raw = msgspec.field(default=_RAW, name="usageMetadata")
    tool_call: msgspec.Raw = msgspec.field(default=_RAW, name="toolCall")


class _Transcription(msgspec.Struct, gc=False):
    model: Any = None


class _Input(msgspec.Struct, gc=False):
    transcription: _Transcription | None = None


class _Audio(msgspec.Struct, gc=False):
    input: _Input | None = None


class _Setup(msgspec.Struct, gc=False):
    """A session, as set up by either side."""

    model: Any = None
    audio: _Audio | None = None
    before: _Transcription | None = msgspec.field(default=None, name="input_audio_transcription")


class _Error(msgspec.Struct, gc=False):
    type: Any = None
    code: Any = None


class _Status(msgspec.Struct, gc=False):
    reason: Any = None
    error: _Error | None = None


class _Response(msgspec.Struct, gc=False):
    status: Any = None
    details: _Status | None = msgspec.field(default=None, name="status_details")


class _Function(msgspec.Struct, gc=False):
    name: Any = None


class _ToolCall(msgspec.Struct, gc=False):
    functions: list[_Function] | None = msgspec.field(default=None, name="functionCalls")


_EVENT: Final = msgspec.json.Decoder(_Event)
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_SETUP: Final = msgspec.json.Decoder(_Setup)
_RESPONSE: Final = msgspec.json.Decoder(_Response)
_TOOL_CALL: Final = msgspec.json.Decoder(_ToolCall)


def read_message(
    session: LiveSession, data: bytes, size: int | None, at_us: int, *, is_from_model: bool
) -> EndedCall | None:
    """Note what a message says of its session; return the call that it ends, if any.

    Args:
        session: so far.
        data: the message, inflated, or its beginning.
        size: of all of it; None where that is not known.
        at_us: when it passed.
        is_from_model: which way.
    """
    if is_from_model:
        session.note_content(data, at_us)
    if _WANTED.search(data) is None:
        return None
    if not is_from_model and b'"response.create"' in data and _read_request(session, data, size, at_us):
        return None
    event = decode(_EVENT, data) if size == len(data) else None
    if event is not None:
        _read_setup(session, event)
    if not is_from_model:
        return None
    if event is not None and event.type == _TRANSCRIBED and is_object(event.usage):
        return EndedCall(session, _read_transcription(session, data), None)  # beside a response that may go on
    if event is None:
        usage = _read_cut(session, data) if size != len(data) else None
    else:
        usage = _read_answer(session, event, data, at_us)
    return None if usage is None else session.end_call(usage)


def _read_answer(session: LiveSession, event: _Event, data: bytes, at_us: int) -> CallUsage | None:
    if session.api == "live":
        return _read_live(session, event, data)
    if event.type == "response.created" and session.pending is None:
        session.begin_call(at_us)  # of itself: somebody has stopped speaking
    if event.type == "response.done" and is_object(event.response):
        return _read_done(session, event, data)
    is_refusal = session.api == "responses" and event.type == "error" and session.pending is not None
    if is_refusal or (text_of(event.type) in _ENDS and is_object(event.response)):
        usage = CallUsage(model=session.model)
        openai.read(usage, data)
        return usage
    return None


def _read_request(session: LiveSession, data: bytes, size: int | None, at_us: int) -> bool:
    """Begin the call that a message asks for; return whether it asks for one."""
    whole = decode(_MEMBERS, data) if size == len(data) else None
    members: Mapping[str, Member] = whole or {}
    if whole is None and (found := members_at_start(data, _REQUEST, _MAX_TOKENS)):
        members = {name.decode(): value for name, value in found[0].items()}
    if decode_text(short(members.get("type"))) != _ASKS:
        return False
    if session.api == "responses":
        session.model = text_of(decode_text(short(members.get("model")))) or session.model
    session.name = session_of((), members) or session.name
    session.begin_call(at_us, data, size)
    return True


def _read_setup(session: LiveSession, event: _Event) -> None:
    if session.api == "responses":
        session.model = text_of(event.model) or session.model
    for raw in (event.session, event.setup):
        setup = decode_object(_SETUP, raw)
        if setup is None:
            continue
        if model := text_of(setup.model):
            session.model = model.rpartition("/")[2] or model
        given = (setup.audio and setup.audio.input and setup.audio.input.transcription) or setup.before
        if given is not None:
            session.transcription_model = text_of(given.model) or session.transcription_model


def _read_done(session: LiveSession, event: _Event, data: bytes) -> CallUsage:
    usage = CallUsage(model=session.model)
    openai.read(usage, data)
    response = decode(_RESPONSE, event.response) or _Response()
    details = response.details or _Status()
    usage.finish_reason = text_of(details.reason) or text_of(response.status)
    if response.status == "failed":
        error = details.error or _Error()
        usage.fail(*openai.error_names(error.type, error.code))
    usage.is_finished = True
    usage.is_settled = usage.has_usage
    return usage


def _read_transcription(session: LiveSession, data: bytes) -> CallUsage:
    usage = CallUsage(model=session.transcription_model or session.model)
    openai.read(usage, data)
    usage.is_finished = usage.is_settled = True
    return usage


def _read_live(session: LiveSession, event: _Event, data: bytes) -> CallUsage | None:
    if not is_object(event.metadata):
        return None
    usage = CallUsage(model=session.model)
    gemini.read(usage, data)
    called = decode_object(_TOOL_CALL, event.tool_call)
    for function in (called and called.functions) or ():
        usage.add_tool(function.name)
    usage.is_finished = usage.is_settled = True
    return usage


def _read_cut(session: LiveSession, data: bytes) -> CallUsage | None:
    """Say of a message that was not captured whole that its counts are lost, where it must have had some."""
    if session.api == "live":
        if b'"usageMetadata"' not in data:
            session.unread += 1  # they stand at the end
            return None
    else:
        members = members_at_start(data, frozenset((b"type",)), _MAX_TOKENS)
        kind = decode_text(members[0].get(b"type")) if members else None
        if kind != "response.done" and kind not in _ENDS:
            return None
    return CallUsage(model=session.model, is_lost=True)
