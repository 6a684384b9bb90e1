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


class _Document(msgspec.Struct, gc=False):
    stop_reason: Any = msgspec.field(default=None, name="stopReason")
    usage: msgspec.Raw = _RAW
    output: msgspec.Raw = _RAW
    start: msgspec.Raw = _RAW
    bytes_: Any = msgspec.field(default=None, name="bytes")
    message_stop: msgspec.Raw = msgspec.field(default=_RAW, name="messageStop")
    metadata: msgspec.Raw = _RAW
    content_block_start: msgspec.Raw = msgspec.field(default=_RAW, name="contentBlockStart")
    service_tier: msgspec.Raw = msgspec.field(default=_RAW, name="serviceTier")


class _Counts(msgspec.Struct, gc=False, rename="camel"):
    input_tokens: Any = None
    output_tokens: Any = None
    cache_read_input_tokens: Any = None
    cache_write_input_tokens: Any = None
    cache_read_input_token_count: Any = None  # Nova
    cache_write_input_token_count: Any = None
    cache_details: msgspec.Raw = _RAW


class _Written(msgspec.Struct, gc=False, rename="camel"):
    """Input written to the cache for a given time."""

    ttl: Any = None
    input_tokens: Any = None


_DOCUMENT: Final = msgspec.json.Decoder(_Document)
_COUNTS: Final = msgspec.json.Decoder(_Counts)
_WRITTEN: Final = msgspec.json.Decoder(list[_Written])
_EXCEPTION: Final = re.compile(rb'\s*\{\s*"([a-zA-Z]{1,64}Exception)"')


def model_of(path: str) -> str | None:
    """Read the model out of a path such as `/model/anthropic.claude-3-5-sonnet%3A0/converse`."""
    found = _MODEL.search(path)
    return None if found is None else json_parts.text_of(unquote(found[1]))


def read(usage: CallUsage, data: bytes) -> None:
    document = json_parts.decode(_DOCUMENT, data)
    if document is None:
        return
    if (exception := _EXCEPTION.match(data)) is not None:
        usage.fail(exception[1].decode())
        return
    if isinstance(document.bytes_, str):
        _read_chunk(usage, document.bytes_)
        return
    for inner in (document.content_block_start, document.message_stop, document.metadata):
        if json_parts.is_object(inner) and (part := json_parts.decode(_DOCUMENT, inner)) is not None:
            _read_part(usage, part, bytes(inner))
    _read_part(usage, document, data)


def _read_part(usage: CallUsage, document: _Document, data: bytes) -> None:
    if (reason := json_parts.text_of(document.stop_reason)) is not None:
        usage.finish_reason = reason
    usage.add_tools(json_parts.values_at(document.start, "toolUse", "name"))
    if b'"toolUse"' in bytes(document.output):
        usage.add_tools(json_parts.values_at(document.output, "message", "content", "toolUse", "name"))
    usage.service_tier = json_parts.text_of(json_parts.value_at(document.service_tier, "type")) or usage.service_tier
    counts = json_parts.decode_object(_COUNTS, document.usage)
    if counts is None or json_parts.count_of(counts.input_tokens) is None:
        anthropic.read(usage, data)
        bedrock_models.read_document(usage, data)
        return
    _read_counts(usage, counts)


def _read_counts(usage: CallUsage, counts: _Counts) -> None:
    bedrock_models.add_counts(
        usage,
        json_parts.count_of(counts.input_tokens),
        json_parts.count_of(counts.output_tokens),
        json_parts.first_count(counts.cache_read_input_tokens, counts.cache_read_input_token_count),
        json_parts.first_count(counts.cache_write_input_tokens, counts.cache_write_input_token_count),
    )
    for part in json_parts.decode_array(_WRITTEN, counts.cache_details):
        if part.ttl == "1h":
            usage.measure(cache_write_1h_tokens=part.input_tokens)
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
