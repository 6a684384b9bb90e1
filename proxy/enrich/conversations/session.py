"""Read the session that a request names.

Session names are read unredacted, so callers must hash them and never store them.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from proxy.enrich.formats.json_parts import Member, decode, decode_text, value_at
from proxy.enrich.http.head_facts import Field

_VENDOR_SESSION: Final = re.compile(rb"x-(?:[a-z0-9-]+-)?session-id")
"""`x-claude-code-session-id` (https://code.claude.com/docs/en/llm-gateway-protocol),
`x-litellm-session-id`, others.
"""
_SESSIONS: Final = (
    b"helicone-session-id",  # https://docs.helicone.ai/features/sessions
    b"langfuse_session_id",  # https://docs.litellm.ai/docs/observability/langfuse_integration
    b"session_id",  # Codex, codex-rs/codex-api/src/requests/headers of its repository
    b"session-id",
    b"conversation_id",
    b"conversation-id",
    b"x-conversation-id",
    b"thread-id",
    b"x-opencode-session",
    b"x-session-affinity",
)
"""Other headers with a session. The first one present counts."""
_UUID: Final = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_USER_SESSION: Final = re.compile(r"_session_([0-9A-Za-z-]{8,64})$")
"""End of `metadata.user_id` in versions of Claude Code that did not write JSON there."""
_TURN: Final = "x-codex-turn-metadata"
"""JSON document about an agent's turn, as a header or in `client_metadata` (Codex)."""
_MAX_MEMBER_BYTES: Final = 4096
_NAMES: Final = ("litellm_session_id", "session_id")  # LiteLLM; OpenRouter


_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])


def session_of(fields: Sequence[Field], members: Mapping[str, Member]) -> bytes | None:
    """Return the session name in the headers or the body of a call; None if it names none."""
    if (named_by := _in_head(fields)) is not None:
        return named_by
    stated = (decode_text(short(members.get(name))) for name in _NAMES)
    named = (
        next((text for text in stated if text), None)
        or _in_metadata(members)
        or _in_codex_metadata(members.get("client_metadata"))
        or _conversation_in(members)
        or _in_request(members)
    )
    if named:
        return named.encode("utf-8", "replace")

    key = short(members.get("prompt_cache_key")) or b""
    # Codex puts its session here; others use one key for all calls of an application.
    if _UUID.fullmatch(key[1:-1]):
        return key[1:-1]
    return None


def _in_metadata(members: Mapping[str, Member]) -> str | None:
    """Read `metadata.session_id`, or the session within the `user_id` of Claude Code."""
    metadata = _object(members.get("metadata"))
    named = metadata.get("session_id")

    user = metadata.get("user_id")
    if not named and isinstance(user, str):
        if user[:1] == "{":
            named = _object(user.encode("utf-8", "replace")).get("session_id")
        elif (found := _USER_SESSION.search(user)) is not None:
            named = found[1]

    if isinstance(named, str) and named:
        return named
    return None


def _in_codex_metadata(raw: Member | None) -> str | None:
    """Return the session id of Codex, from `client_metadata` or from the turn document within it."""
    metadata = _object(raw)
    turn = metadata.get(_TURN)
    return _codex_session(metadata) or (_turn_session(turn) if isinstance(turn, str) else None)


def _turn_session(text: str) -> str | None:
    return _codex_session(_object(text.encode("utf-8", "replace")))


def _codex_session(found: Mapping[str, Any]) -> str | None:
    named = (found.get(name) for name in ("session_id", "thread_id"))
    return next((name for name in named if isinstance(name, str) and name), None)


def _conversation_in(members: Mapping[str, Member]) -> str | None:
    """Read the `conversation` of the Responses API: an id, or an object with one."""
    raw = short(members.get("conversation"))
    if raw is not None and raw[:1] == b'"':
        return decode_text(raw)
    named = _object(raw).get("id")
    if isinstance(named, str) and named:
        return named
    return None


def _in_request(members: Mapping[str, Member]) -> str | None:
    """Return the session id of Gemini CLI, from the object in which it wraps its requests; None
    without one.
    """
    named = value_at(members.get("request", b""), "session_id")
    if isinstance(named, str) and len(named) <= _MAX_MEMBER_BYTES:
        return named
    return None


def _in_head(fields: Sequence[Field]) -> bytes | None:
    named = {name: value for name, value in fields if value and name in _SESSIONS}
    vendors = (value for name, value in fields if value and _VENDOR_SESSION.fullmatch(name))
    found = next(iter((*vendors, *(named[name] for name in _SESSIONS if name in named))), None)
    if found is not None:
        turn = None
    else:
        turn = next((value for name, value in fields if name == _TURN.encode()), None)
    if turn is None:
        session = None
    else:
        session = _turn_session(turn.decode("utf-8", "replace"))
    if session is None:
        return found

    return session.encode("utf-8", "replace")


def short(member: Member | None) -> bytes | None:
    """Return a member no longer than a session name may be, else None."""
    if member is not None and len(bytes(member)) <= _MAX_MEMBER_BYTES:
        return bytes(member)
    return None


def _object(raw: Member | None) -> dict[str, Any]:
    found = short(raw)
    if found is None or found[:1] != b"{":
        return {}
    return decode(_OBJECT, found) or {}
