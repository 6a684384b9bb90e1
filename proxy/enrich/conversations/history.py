"""The message history of a request, as a chain of hashes.

Each hash covers the previous hash and one message. So equal hashes mean equal histories up to that
message, and a call whose history begins with another call's whole history continues it. Clients
mark messages for the provider's cache, move the marks with every call, and write a text as it is or
as a list with one block. These differences do not change a hash.
"""

import re
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec

from proxy.enrich.formats.hashes import HASH_BYTES
from proxy.enrich.formats.json_parts import Member, decode, is_array

MAX_MESSAGES: Final = 10_000
"""Messages of one request that are hashed; the rest is ignored."""
_MEMBERS: Final = ("messages", "contents")
_CACHE_MARK: Final = re.compile(
    rb',\s*"cache_control"\s*:\s*(?:\{[^{}]*\}|null)|"cache_control"\s*:\s*(?:\{[^{}]*\}|null)\s*,\s*'
    rb'|(?:,\s*)?\{\s*"cachePoint"\s*:\s*\{[^{}]*\}\s*\}'
)
"""Cache marks: a member of an object (Anthropic) or an element of a list (Bedrock). They are never
inside a string, whose quotes would be escaped.
"""
_RAW: Final = msgspec.Raw()
_SPOKEN: Final = frozenset(("assistant", "model"))
_MADE: Final = (
    "_call", "reasoning", "item_reference", "mcp_list_tools", "mcp_approval_request", "compaction", "model_output",
    "thought",
)  # fmt: skip
"""Suffixes of item types produced by a model or its provider, in Responses and interactions."""


class _Message(msgspec.Struct, gc=False):
    role: Any = None
    type: Any = None
    content: msgspec.Raw = _RAW
    tool_calls: msgspec.Raw = _RAW
    tool_call_id: Any = None


class _Block(msgspec.Struct, gc=False):
    type: Any = None
    text: msgspec.Raw = _RAW


_ELEMENTS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_MESSAGE: Final = msgspec.json.Decoder(_Message)
_BLOCKS: Final = msgspec.json.Decoder(list[_Block])
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class History(NamedTuple):
    """The messages of one request."""

    hashes: list[bytes]
    """Hash of the first message, of the first two, and so on."""
    spoken_at: int | None
    """Number of messages before the first one by the model; None if there is none."""


def messages_of(members: Mapping[str, Member], *, has_input: bool) -> list[bytes]:
    """Return the messages of a request, undecoded. A plain text is one message.

    With `has_input` the member `input` is a history, as in the Responses API. Otherwise it is data
    to embed.
    """
    for name in (*_MEMBERS, *(("input",) if has_input else ())):
        if name in members:
            raw = bytes(members[name])
            elements = decode(_ELEMENTS, raw) if raw[:1] == b"[" else [raw]
            return [bytes(element) for element in elements or ()]

    inner = members.get("request")  # Gemini CLI and Vertex' internal API wrap the request
    if inner is None or bytes(inner)[:1] != b"{":
        return []

    return messages_of(
        {"contents": (decode(_OBJECT, inner) or {}).get("contents", _RAW)}, has_input=False
    )


def read_history(messages: Iterable[bytes], seed: bytes) -> History:
    """Hash the messages of a call one after the other. Histories with different seeds share no
    hashes.
    """
    hashes: list[bytes] = []
    spoken_at = None
    last = blake2b(seed, digest_size=HASH_BYTES).digest()

    for place, raw in enumerate(messages):
        if place == MAX_MESSAGES:
            break
        if b'"cache_control"' in raw or b'"cachePoint"' in raw:
            raw = _CACHE_MARK.sub(b"", raw)
        message = (decode(_MESSAGE, raw) if raw[:1] == b"{" else None) or _Message()
        if spoken_at is None and is_spoken(message.role, message.type):
            spoken_at = place
        hashed = blake2b(last, digest_size=HASH_BYTES)
        hashed.update(_canonical(raw, message))
        last = hashed.digest()
        hashes.append(last)

    return History(hashes, spoken_at)


def is_spoken(role: object, kind: object) -> bool:
    if isinstance(role, str):
        return role in _SPOKEN
    return isinstance(kind, str) and kind.endswith(_MADE)


def _canonical(raw: bytes, message: _Message) -> bytes:
    """Return role and text of a message that is a single text; return any other message as it is."""
    if (
        not isinstance(message.role, str)
        or message.tool_call_id is not None
        or is_array(message.tool_calls)
    ):
        return raw

    text: msgspec.Raw | None = message.content
    if is_array(message.content):
        blocks = decode(_BLOCKS, message.content) or []
        if len(blocks) == 1 and isinstance(blocks[0].type, str):
            text = blocks[0].text
        else:
            text = None
    if text is None or bytes(text)[:1] != b'"':
        return raw

    return b"%b\0%b" % (message.role.encode(errors="replace"), bytes(text))
