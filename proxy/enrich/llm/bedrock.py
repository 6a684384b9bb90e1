"""Amazon Bedrock: converse, and invoke with the bodies of the model's own API; streams are binary events.

Of a converse stream the event `metadata` has the counts and `messageStop` the reason; Nova says the same in the
documents of an invoke stream, of which each event holds one in base64. An exception is a member of its name.
"""

import base64
import re
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from proxy.enrich.formats import json_parts
from proxy.enrich.formats.linear_patterns import compile_bytes
from proxy.enrich.llm import anthropic, bedrock_models
from proxy.enrich.llm.call import CallUsage, Provider

_RAW: Final = msgspec.Raw()
_MODEL: Final = re.compile(r"/model/([^/]{1,512})/[a-z-]+$")


_EXCEPTION: Final = re.compile(rb'\s*\{\s*"([a-zA-Z]{1,64}Exception)"')


def model_of(path: str) -> str | None:
    """Read the model out of a path such as `/model/anthropic.claude-3-5-sonnet%3A0/converse`."""
    found = _MODEL.search(path)
    return None if found is None else json_parts.text_of(unquote(found[1]))


def read(usage: CallUsage, data: bytes) -> None:
    document = json_parts.members_of(data)
    if (exception := _EXCEPTION.match(data)) is not None:
        usage.fail(exception[1].decode())
        return
    if isinstance(chunk := json_parts.value_in(document, "bytes"), str):
        _read_chunk(usage, chunk)
        return
    for name in ("contentBlockStart", "messageStop", "metadata"):
        if (inner := json_parts.members_of(document.get(name))) or name in document:
            _read_part(usage, inner, bytes(document[name]))
    _read_part(usage, document, data)


def _read_part(usage: CallUsage, part: dict[str, msgspec.Raw], data: bytes) -> None:
    usage.finish_reason = json_parts.text_of(json_parts.value_in(part, "stopReason")) or usage.finish_reason
    usage.add_tools(json_parts.values_at(part.get("start", _RAW), "toolUse", "name"))
    output = part.get("output", _RAW)
    if b'"toolUse"' in bytes(output):
        usage.add_tools(json_parts.values_at(output, "message", "content", "toolUse", "name"))
    tier = json_parts.value_at(part.get("serviceTier", _RAW), "type")
    usage.service_tier = json_parts.text_of(tier) or usage.service_tier
    counts = json_parts.object_in(part, "usage")
    if counts is None or json_parts.count_of(counts.get("inputTokens")) is None:
        anthropic.read(usage, data)
        bedrock_models.read_document(usage, data)
        return
    _read_counts(usage, counts)


def _read_counts(usage: CallUsage, counts: dict[str, Any]) -> None:
    first = json_parts.first_count
    bedrock_models.add_counts(
        usage,
        first(counts.get("inputTokens")),
        first(counts.get("outputTokens")),
        first(counts.get("cacheReadInputTokens"), counts.get("cacheReadInputTokenCount")),  # Nova
        first(counts.get("cacheWriteInputTokens"), counts.get("cacheWriteInputTokenCount")),
    )
    written = counts.get("cacheDetails")
    for part in written if isinstance(written, list) else ():
        if isinstance(part, dict) and part.get("ttl") == "1h":
            usage.measure(cache_write_1h_tokens=part.get("inputTokens"))
    usage.is_finished = usage.is_settled = True  # it is the last event


def _read_chunk(usage: CallUsage, encoded: str) -> None:
    try:
        read(usage, base64.b64decode(encoded))
    except (ValueError, RecursionError):  # not base64, or not even ASCII
        return


def _other_than(beginning: bytes) -> bytes:
    """Write a pattern for all that begins otherwise; google-re2 cannot look ahead."""
    return b"(?:%b)" % b"|".join(b"%b[^%c]" % (beginning[:end], beginning[end]) for end in range(len(beginning)))


# Three bytes are four characters, whatever follows.
_CLAUDE: Final = base64.b64encode(b'{"type":"')
"""How events of Claude's invoke streams begin."""
_DELTA: Final = base64.b64encode(b'{"type":"content_block_d')
"""Most of them: they hold nothing but content."""

_MEMBERS: Final = frozenset(
    (b"usage", b"stopReason", b"output", b"stop_reason", b"model", b"type", b"prompt_token_count",
     b"generation_token_count", b"inputTextTokenCount", b"results", b"outputs", b"serviceTier")
)  # fmt: skip
PROVIDER: Final = Provider(
    name="bedrock",
    # A part of a tool's input has no id.
    wanted=compile_bytes(rb'"usage"|"stopReason"|"toolUseId"|Exception|"bytes"\s*:\s*"%b' % _other_than(_DELTA)),
    read=read,
    content=re.compile(rb'"delta"|"bytes"\s*:\s*"(?:%b|(?!%b))' % (_DELTA, _CLAUDE)),
    members=_MEMBERS,
    reason=b"stopReason",
    read_head=bedrock_models.read_headers,
)
