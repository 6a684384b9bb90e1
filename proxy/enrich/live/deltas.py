"""Leave out of a model's messages the pieces of texts that come whole later, redacted as one. Pure.

Messages are stored one by one, so no single message would show a secret that is split over several. Each event
whose type ends in `.delta` is followed by one that has all of it (`.done`, `.completed`), also where the response is
cancelled: <https://developers.openai.com/api/reference/resources/realtime/server-events>. Of the pieces only sizes
are kept, with everything that says what they are pieces of. Audio is no text, and does not come again: it stays.
"""

import re
from typing import Any, Final

import msgspec

from proxy.enrich.formats.cut_json import members_at_start
from proxy.enrich.formats.json_parts import decode, decode_text

_ENDING: Final = ".delta"
_AUDIO: Final = frozenset(("response.audio.delta", "response.output_audio.delta"))
_HINT: Final = b'delta"'
"""In the type of every piece, and in the name of what it holds."""
_DELTA: Final = re.compile(rb'"delta"\s*:')
_NAMES: Final = ("type", "event_id", "response_id", "item_id", "call_id", "stream_id")
_RAW_NAMES: Final = frozenset(name.encode() for name in _NAMES)
_MAX_TOKENS: Final = 1000
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT: Final = msgspec.json.Decoder(str)


def without_delta(data: bytes, *, is_whole: bool) -> bytes:
    """Replace the text of a piece, its tokens and what else has it, by their sizes; other messages come back as such.

    Unless it `is_whole`, the data are the beginning of a message.
    """
    if _HINT not in data:
        return data
    event = decode(_OBJECT, data) if is_whole else None
    if event is None:
        return _without_cut(data)
    kind = decode_text(bytes(event.get("type", b"")))
    if kind is None or kind in _AUDIO or not kind.endswith(_ENDING):
        return data
    return msgspec.json.encode({name: _shown(name, member) for name, member in event.items()})


def _shown(name: str, member: msgspec.Raw) -> Any:
    """Keep numbers and what names something; say of all else how much there was."""
    raw = bytes(member)
    if raw[:1] not in (b'"', b"[", b"{") or len(raw) <= len('""') or name == "type" or name.endswith("_id"):
        return member
    text = decode(_TEXT, raw) if raw[:1] == b'"' else None
    return {"omitted": "text", "bytes": len(raw)} if text is None else {"omitted": "text", "characters": len(text)}


def _without_cut(data: bytes) -> bytes:
    """Keep of a piece that was not captured whole, or is no JSON, what names it; what may be one is taken for one."""
    members = members_at_start(data, _RAW_NAMES, _MAX_TOKENS)
    found = {name.decode(): value for name, value in members[0].items()} if members else {}
    kind = decode_text(found.get("type"))
    if kind in _AUDIO or (not kind.endswith(_ENDING) if kind is not None else _DELTA.search(data) is None):
        return data
    named = {name: text for name, value in found.items() if (text := decode_text(value)) is not None}
    return msgspec.json.encode(named | {"delta": {"omitted": "text", "truncated": True}})
