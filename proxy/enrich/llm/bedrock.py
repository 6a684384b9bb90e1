"""Amazon Bedrock: converse, and invoke with the bodies of Anthropic; streams are binary events.

Of a converse stream the event `metadata` has the counts and `messageStop` the reason. In an invoke stream each event
holds a document of the model's own API in base64. Input counts only what was read from no cache; ours counts all of it.
"""

import base64
import binascii
import re
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from proxy.enrich.formats.json_parts import count_of, decode, is_array, is_object, text_of
from proxy.enrich.llm import anthropic
from proxy.enrich.llm.call import CallUsage, Provider
from proxy.enrich.redact.json_keys import compile_bytes

_RAW: Final = msgspec.Raw()
_MODEL: Final = re.compile(r"/model/([^/]{1,512})/[a-z-]+$")


class _Document(msgspec.Struct, gc=False):
    stop_reason: Any = msgspec.field(default=None, name="stopReason")
    usage: msgspec.Raw = _RAW
    output: msgspec.Raw = _RAW
    start: msgspec.Raw = _RAW
    bytes_: Any = msgspec.field(default=None, name="bytes")
    message: Any = None


class _Counts(msgspec.Struct, gc=False, rename="camel"):
    input_tokens: Any = None
    output_tokens: Any = None
    cache_read_input_tokens: Any = None
    cache_write_input_tokens: Any = None


class _ToolUse(msgspec.Struct, gc=False):
    name: Any = None


class _Block(msgspec.Struct, gc=False):
    tool: _ToolUse | None = msgspec.field(default=None, name="toolUse")


class _Message(msgspec.Struct, gc=False):
    content: msgspec.Raw = _RAW


class _Output(msgspec.Struct, gc=False):
    message: _Message | None = None


_DOCUMENT: Final = msgspec.json.Decoder(_Document)
_COUNTS: Final = msgspec.json.Decoder(_Counts)
_BLOCK: Final = msgspec.json.Decoder(_Block)
_BLOCKS: Final = msgspec.json.Decoder(list[_Block])
_OUTPUT: Final = msgspec.json.Decoder(_Output)


def model_of(path: str) -> str | None:
    """Read the model out of a path such as `/model/anthropic.claude-3-5-sonnet%3A0/converse`."""
    found = _MODEL.search(path)
    return None if found is None else text_of(unquote(found[1]))


def read(usage: CallUsage, data: bytes) -> None:
    document = decode(_DOCUMENT, data)
    if document is None:
        return
    if isinstance(document.bytes_, str):
        _read_chunk(usage, document.bytes_)
        return
    if (reason := text_of(document.stop_reason)) is not None:
        usage.finish_reason = reason
    for raw in (document.start, document.output):
        _read_tools(usage, raw)
    counts = decode(_COUNTS, document.usage) if is_object(document.usage) else None
    if counts is None or count_of(counts.input_tokens) is None:
        anthropic.read(usage, data)
        return
    cached, written = count_of(counts.cache_read_input_tokens), count_of(counts.cache_write_input_tokens)
    usage.update(
        input_tokens=(count_of(counts.input_tokens) or 0) + (cached or 0) + (written or 0),
        output_tokens=count_of(counts.output_tokens),
        cache_read_tokens=cached,
        cache_write_tokens=written,
    )
    usage.is_finished = usage.is_settled = True  # it is the last event


def _read_chunk(usage: CallUsage, encoded: str) -> None:
    try:
        anthropic.read(usage, base64.b64decode(encoded))
    except binascii.Error:
        return


def _read_tools(usage: CallUsage, raw: msgspec.Raw) -> None:
    if not is_object(raw) or b'"toolUse"' not in bytes(raw):
        return
    output = decode(_OUTPUT, raw)
    content = _RAW if output is None or output.message is None else output.message.content
    blocks = decode(_BLOCKS, content) if is_array(content) else [decode(_BLOCK, raw)]
    for block in blocks or ():
        usage.add_tool(block and block.tool and block.tool.name)


PROVIDER: Final = Provider(
    name="bedrock",
    wanted=compile_bytes(rb'"usage"|"stopReason"|"toolUse"|"bytes"'),
    read=read,
    content=re.compile(rb'"delta"|"bytes"'),
    members=frozenset((b"usage", b"stopReason", b"output", b"stop_reason", b"model", b"type")),
    reason=b"stopReason",
)
