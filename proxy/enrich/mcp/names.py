"""Who talks to whom in MCP: the session of an exchange, and the names that client and server give themselves.

A session is known by a hash only. Where a revision has none, the endpoint stands in for it. Names in a `_meta` stand
under a prefix that may change, so only the end of a member's name is looked at.
"""

import hashlib
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from proxy.enrich.formats.json_parts import decode, find_text, is_object, text_of
from proxy.enrich.http.bodies import Windows
from proxy.enrich.http.head_facts import Facts
from proxy.enrich.mcp.jsonrpc import frames_of
from storage.record import Record

OLDEST_STREAM: Final = b"event: endpoint"
"""How the stream of the oldest transport begins."""


class Info(msgspec.Struct, gc=False):
    """What a `clientInfo` or `serverInfo` is asked for."""

    name: Any = None


INFO: Final = msgspec.json.Decoder(Info)
_META: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def session_of(heads: tuple[Facts, Facts], target: bytes, answer: Windows | None) -> str | None:
    """Hash the session of an exchange: from its headers, its query, or the event that opens the oldest transport."""
    raw = heads[0].mcp_session or heads[1].mcp_session or _session_in(target)
    if not raw and answer is not None and answer.head.startswith(OLDEST_STREAM):
        raw = _session_in(next((frame.data for frame in frames_of(answer)), b""))
    return hashlib.sha256(raw).hexdigest()[:16] if raw else None


def endpoint_of(record: Record) -> str:
    """Stand in for the session where a revision has none."""
    return f"{record.host}{record.path}"


def linked_call(meta: msgspec.Raw) -> str | None:
    """Find the LLM call that a tool call says it was made for."""
    return find_text(bytes(meta), b"llm_request_id") if is_object(meta) else None


def name_in(meta: msgspec.Raw, member: str) -> str | None:
    """Find the name of a client or server in a `_meta`."""
    for name, raw in (decode(_META, meta) or {}).items() if is_object(meta) else ():
        if name.endswith(member) and (info := decode(INFO, raw)) is not None:
            return text_of(info.name)
    return None


def _session_in(target: bytes) -> bytes:
    query = target.partition(b"?")[2].partition(b" ")[0]
    if b"ession" not in query:
        return b""
    try:
        found = parse_qs(query, max_num_fields=64)
    except ValueError:
        return b""
    values = found.get(b"session_id") or found.get(b"sessionId") or [b""]
    return values[0]
