"""Amazon Bedrock: `converse`, and `invoke` with the body format of the model's own API.

Streams are binary events. In a converse stream, the event `metadata` has the counts and
`messageStop` the reason. An invoke stream of Nova has the same members; each event holds one
document in base64. A member named after the exception reports a failure during a stream; a header
reports a refusal.

Bedrock also adds its own counts: to the last document of an invoke stream, and as headers to a
response that is not streamed. Some models (Llama, Titan, Mistral) report no counts themselves and
have only these.
"""

import base64
import re
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from proxy.enrich.facts import CallUsage
from proxy.enrich.formats.json_parts import (
    count_of,
    first_count,
    members_of,
    object_in,
    objects_among,
    text_of,
    value_at,
    value_in,
    values_at,
)
from proxy.enrich.formats.linear_patterns import compile_bytes
from proxy.enrich.llm import anthropic
from proxy.enrich.llm.fields import Fields, reader_of
from proxy.enrich.llm.provider import Provider

_HEADER: Final = re.compile(
    rb"\r\nx-amzn-bedrock-((?:cache-read-|cache-write-)?input|output)-token-count:[ \t]*([0-9]{1,15})(?=[ \t\r]|$)",
    re.IGNORECASE,
)
_REFUSED: Final = re.compile(
    rb"\r\nx-amzn-errortype:[ \t]*([a-zA-Z]{1,64})(?=[: \t\r]|$)", re.IGNORECASE
)
_TIER: Final = re.compile(
    rb"\r\nx-amzn-bedrock-service-tier:[ \t]*([a-z]{1,32})(?=[ \t\r]|$)", re.IGNORECASE
)
_RAW: Final = msgspec.Raw()
_MODEL: Final = re.compile(r"/model/([^/]{1,512})/[a-z-]+$")
_EXCEPTION: Final = re.compile(
    rb'\s*\{\s*"([a-zA-Z]{1,64}Exception|[A-Z][a-zA-Z]{1,63}(?="\s*:\s*\{))"'
)
"""First member of an exception or of an error with another code. No event begins like this."""
_INVOKED: Final = Fields(
    model="",
    reason=(
        # Titan.
        "results.completionReason",
        "completionReason",
        # Mistral.
        "outputs.stop_reason",
        "choices.stop_reason",
        "choices.finish_reason",
        # Llama.
        "stop_reason",
        # Cohere.
        "finish_reason",
    ),
    input=("prompt_token_count", "inputTextTokenCount"),
    output=("results.tokenCount", "generation_token_count", "totalOutputTextTokenCount"),
    error="",
)
_read_fields: Final = reader_of(_INVOKED)


def model_of(path: str) -> str | None:
    """Return the model named by a path such as `/model/anthropic.claude-3-5-sonnet%3A0/converse`."""
    found = _MODEL.search(path)
    if found is None:
        return None
    return text_of(unquote(found[1]))


def read(usage: CallUsage, data: bytes) -> None:
    document = members_of(data)
    if (exception := _EXCEPTION.match(data)) is not None:
        usage.fail(exception[1].decode())
        return
    if isinstance(chunk := value_in(document, "bytes"), str):
        _read_chunk(usage, chunk)
        return

    for name in ("contentBlockStart", "messageStop", "metadata"):
        if (inner := members_of(document.get(name))) or name in document:
            _read_part(usage, inner, bytes(document[name]))
    _read_part(usage, document, data)


def _read_part(usage: CallUsage, part: dict[str, msgspec.Raw], data: bytes) -> None:
    usage.set_texts(
        finish_reason=value_in(part, "stopReason"),
        service_tier=value_at(part.get("serviceTier", _RAW), "type"),
    )
    usage.add_tools(values_at(part.get("start", _RAW), "toolUse", "name"))
    output = part.get("output", _RAW)
    if b'"toolUse"' in bytes(output):
        usage.add_tools(values_at(output, "message", "content", "toolUse", "name"))

    counts = object_in(part, "usage")
    if counts is None or count_of(counts.get("inputTokens")) is None:
        anthropic.read(usage, data)
        read_invoked(usage, data)
        return

    _read_counts(usage, counts)


def _read_counts(usage: CallUsage, counts: dict[str, Any]) -> None:
    _add_counts(
        usage,
        first_count(counts.get("inputTokens")),
        first_count(counts.get("outputTokens")),
        # Nova.
        first_count(counts.get("cacheReadInputTokens"), counts.get("cacheReadInputTokenCount")),
        first_count(counts.get("cacheWriteInputTokens"), counts.get("cacheWriteInputTokenCount")),
    )
    for part in objects_among(counts.get("cacheDetails")):
        if part.get("ttl") == "1h":
            usage.measure(cache_write_1h_tokens=part.get("inputTokens"))
    usage.is_finished = usage.is_settled = True  # it is the last event


def _read_chunk(usage: CallUsage, encoded: str) -> None:
    try:
        read(usage, base64.b64decode(encoded))
    except (ValueError, RecursionError):  # not base64, or not even ASCII
        return


def read_invoked(usage: CallUsage, data: bytes) -> None:
    """Read a response of invoke, or one document of its stream, in the format of the model's own
    API; the Anthropic table reads Claude's.
    """
    _read_fields(usage, data)
    metrics = object_in(members_of(data), "amazon-bedrock-invocationMetrics")
    if metrics is not None:
        _add_counts(
            usage,
            count_of(metrics.get("inputTokenCount")),
            count_of(metrics.get("outputTokenCount")),
            # Without these counts, the model's own cache counts apply.
            first_count(metrics.get("cacheReadInputTokenCount"), usage.cache_read_tokens),
            first_count(metrics.get("cacheWriteInputTokenCount"), usage.cache_write_tokens),
        )
        usage.is_finished = usage.is_settled = True  # it is the last document


def _add_counts(
    usage: CallUsage, given: int | None, output: int | None, cached: int | None, written: int | None
) -> None:
    """Set Bedrock's counts. Its input excludes cache reads and writes; ours includes them."""
    usage.update(
        input_tokens=None if given is None else given + (cached or 0) + (written or 0),
        output_tokens=output,
        cache_read_tokens=cached,
        cache_write_tokens=written,
    )


def read_headers(usage: CallUsage, head: bytes) -> None:
    """Read the service tier and the error from the head of a response.

    The head's token counts are used only if the body has none or was not captured whole.
    """
    if (refused := _REFUSED.search(head)) is not None:
        usage.fail(refused[1].decode())
    if (tier := _TIER.search(head)) is not None:
        usage.service_tier = tier[1].decode().lower()
    found = {name.lower(): int(number) for name, number in _HEADER.findall(head)}
    if not found or (usage.has_usage and not usage.is_lost):
        return

    usage.forget_counts()
    counts = (
        found.get(name) for name in (b"input", b"output", b"cache-read-input", b"cache-write-input")
    )
    _add_counts(usage, *counts)
    usage.is_lost = False
    usage.is_settled = not usage.is_cut


def _other_than(beginning: bytes) -> bytes:
    """Return a pattern of every other beginning. RE2 has no negative lookahead."""
    return b"(?:%b)" % b"|".join(
        b"%b[^%c]" % (beginning[:end], beginning[end]) for end in range(len(beginning))
    )


# Both texts are a multiple of three bytes, so the bytes after them do not change their base64.
_CLAUDE: Final = base64.b64encode(b'{"type":"')
"""Beginning of the events in Claude's invoke streams."""
_DELTA: Final = base64.b64encode(b'{"type":"content_block_d')
"""Beginning of most of these events. They carry content only."""
_MEMBERS: Final = frozenset(
    (b"usage", b"stopReason", b"output", b"stop_reason", b"model", b"type", b"prompt_token_count",
     b"generation_token_count", b"inputTextTokenCount", b"results", b"outputs", b"serviceTier")
)  # fmt: skip
PROVIDER: Final = Provider(
    name="bedrock",
    # Of a tool call, only the first event is wanted: later ones carry pieces of the input, no id.
    wanted=compile_bytes(
        rb'"usage"|"stopReason"|"toolUseId"|Exception|:error-code|"bytes"\s*:\s*"%b'
        % _other_than(_DELTA)
    ),
    read=read,
    content=re.compile(rb'"delta"|"bytes"\s*:\s*"(?:%b|(?!%b))' % (_DELTA, _CLAUDE)),
    members=_MEMBERS,
    reason=b"stopReason",
    read_head=read_headers,
    ends=("/converse", "/converse-stream", "/invoke", "/invoke-with-response-stream"),
    paths=r"/model/[^/]+/(?:converse|converse-stream|invoke|invoke-with-response-stream)",
    own_paths=r"/model/[^/]+/[a-z-]+$",
    response_members=(
        b'"usage"', b'"stopReason"', b'"stop_reason"', b'"bytes"', b'"inputTextTokenCount"', b'"generation"',
    ),
    model_of=model_of,
    is_model_in_path=True,
)  # fmt: skip
