"""Read an LLM call from an exchange: provider, model, usage, and how a streamed response was paced.

Strategy: the provider by the route's setting, else by the path; the response whole, or frame by frame behind cheap byte
tests, or, where its middle is missing, by its members. Invariant: a call that cannot be read costs these columns, never
the record. A frame has the time of the chunk that completed it.
"""

import re
from collections import deque
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final, NamedTuple

import msgspec

from proxy.enrich.formats.frames import Frame, LineSplitter, split_array, time_at
from proxy.enrich.formats.json_parts import decode, find_member, find_text, text_of
from proxy.enrich.http.bodies import DecodedBody
from proxy.enrich.http.exchange import DecodedExchange
from proxy.enrich.llm import anthropic, gemini, ollama, openai
from proxy.enrich.llm.call import CallUsage, Provider
from storage.record import Record, Stream

PROVIDERS: Final = {
    provider.name: provider for provider in (openai.PROVIDER, anthropic.PROVIDER, gemini.PROVIDER, ollama.PROVIDER)
}
"""By the value of a route's `provider`."""

_SUFFIXES: Final = (
    "/completions", "/responses", "/embeddings", "/messages", "Content", "Contents", "/chat", "/generate", "/embed",
)  # fmt: skip
"""Cheap test before the pattern: nearly all paths of other services end in something else."""
_PATHS: Final = re.compile(
    r"(?P<openai>(?:/v\d+|/openai(?:/deployments/[^/]+)?)/(?:chat/completions|completions|responses|embeddings))$"
    r"|(?P<anthropic>/v1/messages)$"
    r"|(?P<gemini>/[^/:]+:(?:generateContent|streamGenerateContent|embedContent|batchEmbedContents))$"
    r"|(?P<ollama>^/api/(?:chat|generate|embed))$"
)
_DEPLOYMENT: Final = re.compile(r"/deployments/([^/]{1,256})/")
_HOSTS: Final = (
    ("openrouter.ai", "openrouter"),
    ("openai.azure.com", "azure"),
    ("services.ai.azure.com", "azure"),
    ("cognitiveservices.azure.com", "azure"),
    ("api.groq.com", "groq"),
    ("api.mistral.ai", "mistral"),
    ("api.deepseek.com", "deepseek"),
    ("api.together.xyz", "together"),
    ("api.fireworks.ai", "fireworks"),
    ("api.x.ai", "x-ai"),
    ("api.perplexity.ai", "perplexity"),
    ("api.cerebras.ai", "cerebras"),
)
"""Upstreams that copy another provider's API, by the end of their name."""
_MAX_READ: Final = 256
"""Frames of one stream that are read in order; of the rest only the last ones: later counts replace earlier ones."""
_LAST_READ: Final = 64
_MAX_FRAMES: Final = 4000
"""Frames of one stream that are inspected, beside the last ones."""
_FIRST_FRAMES: Final = 4
"""Frames read in any case for the model's name: Azure's first one has none."""


class _Request(msgspec.Struct, gc=False):
    model: Any = None


_REQUEST: Final = msgspec.json.Decoder(_Request)


class Call(NamedTuple):
    """An LLM call as it is recorded."""

    provider: str
    usage: CallUsage
    stream: Stream | None


def provider_of(setting: str, method: str | None, path: str) -> Provider | None:
    """Return whose API an exchange uses, by its route's setting and its path; None when it is no LLM call."""
    if method != "POST":
        return None
    if setting == "auto":
        if not path.endswith(_SUFFIXES):
            return None
        found = _PATHS.search(path)
        return None if found is None or found.lastgroup is None else PROVIDERS[found.lastgroup]
    return PROVIDERS.get(setting)


def read_call(provider: Provider, record: Record, exchange: DecodedExchange) -> Call | None:
    """Read the call of an exchange; None without a model and without a count: then it was something else."""
    path = record.path or ""
    usage = CallUsage(model=_requested_model(provider, path, exchange.request_body))
    stream = None
    response = exchange.response_body
    if response is not None and response.head:
        frames = _frames_of(response, exchange.response.content_type, provider)
        if frames is None:
            _read_response(usage, provider, response)
        else:
            timeline = exchange.timeline if response.coding is None else []
            stream = _read_stream(usage, provider, frames, timeline)
    if usage.model is None and usage.resolved_model is None and not usage.has_usage:
        return None
    usage.model = usage.model or usage.resolved_model
    return Call(_provider_name(provider, path, record.upstream or ""), usage, stream)


def _requested_model(provider: Provider, path: str, request: DecodedBody | None) -> str | None:
    if provider is gemini.PROVIDER and (model := gemini.model_of(path)):
        return model
    model = None
    if request is not None:
        whole = None if request.is_truncated else decode(_REQUEST, request.head)
        if whole is not None:
            model = text_of(whole.model)
        else:
            model = find_text(request.head, b"model") or find_text(request.tail, b"model", last=True)
    deployment = _DEPLOYMENT.search(path)
    return model or (None if deployment is None else deployment[1])


def _provider_name(provider: Provider, path: str, upstream: str) -> str:
    host = upstream.rpartition(":")[0].lower()
    for end, name in _HOSTS:
        if host.endswith(end):
            return name
    return "azure" if provider is openai.PROVIDER and "/openai/deployments/" in path else provider.name


def _frames_of(body: DecodedBody, content_type: bytes, provider: Provider) -> Iterator[Frame] | None:
    """Split a streamed response; None when it is one document."""
    kind = content_type.lower()
    if b"event-stream" in kind:
        return body.frames()
    if b"ndjson" in kind or b"jsonl" in kind:
        return body.frames(LineSplitter)
    if provider is gemini.PROVIDER and body.head.lstrip()[:1] == b"[":
        return _split_array(body)
    return None


def _split_array(body: DecodedBody) -> Iterator[Frame]:
    yield from split_array(body.head)
    if body.is_truncated and body.tail:
        yield from split_array(body.tail, start=body.size - len(body.tail), is_inside=True)


def _read_stream(
    usage: CallUsage, provider: Provider, frames: Iterator[Frame], timeline: list[tuple[int, int]]
) -> Stream:
    number = read = 0
    last: deque[bytes] = deque(maxlen=_LAST_READ)
    first_content = -1
    is_wanted, content = provider.is_wanted, provider.content.search
    for number, (_, data, end) in enumerate(frames, 1):
        if number > _MAX_FRAMES:
            last.append(data)
            continue
        if first_content < 0 and content(data) is not None:
            first_content = end
        if is_wanted(data) or (usage.resolved_model is None and number <= _FIRST_FRAMES):
            read += 1
            if read > _MAX_READ:
                last.append(data)
            else:
                provider.read(usage, data)
    for data in last:
        if is_wanted(data):
            provider.read(usage, data)
    gaps = (later[1] - earlier[1] for earlier, later in pairwise(timeline))
    return Stream(time_at(timeline, first_content), number, max(gaps, default=None), usage.is_finished)


def _read_response(usage: CallUsage, provider: Provider, body: DecodedBody) -> None:
    if not body.is_truncated:
        provider.read(usage, body.head)
        usage.is_finished = True
        return
    members = []
    for name in provider.members:
        value = find_member(body.tail, name, last=True) or find_member(body.head, name)
        if value is not None:
            members.append(b'"%b":%b' % (name, value))
    for name in provider.reasons:
        reason = find_text(body.tail, name, last=True) or find_text(body.head, name)
        usage.finish_reason = usage.finish_reason or reason
    provider.read(usage, b"{%b}" % b",".join(members))
    usage.is_settled = True  # an object of counts that is whole is final: there is one in a document
