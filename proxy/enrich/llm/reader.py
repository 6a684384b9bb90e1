"""One LLM call out of the captured windows of an exchange: who was asked, for which model, what it used, how it went.

Strategy: the shape by the route's setting, else by the path; the answer whole, or frame by frame behind cheap byte
tests, or, where its middle is missing, by its members. Invariant: a call that cannot be read is a record without these
columns, never without a record. Times of frames come from the chunk timeline (capture.md, rule 3).
"""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import msgspec

from proxy.enrich.formats.frames import Frame, LineSplitter, SseSplitter, split_array, time_at
from proxy.enrich.formats.json_parts import decode, find_member, find_text, text_of
from proxy.enrich.http.bodies import Windows
from proxy.enrich.llm import anthropic, gemini, ollama, openai
from proxy.enrich.llm.call import Reading, Shape
from storage.record import Stream

SHAPES: Final = {shape.provider: shape for shape in (openai.SHAPE, anthropic.SHAPE, gemini.SHAPE, ollama.SHAPE)}
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
    (b"openrouter.ai", "openrouter"),
    (b"openai.azure.com", "azure"),
    (b"services.ai.azure.com", "azure"),
    (b"cognitiveservices.azure.com", "azure"),
    (b"api.groq.com", "groq"),
    (b"api.mistral.ai", "mistral"),
    (b"api.deepseek.com", "deepseek"),
    (b"api.together.xyz", "together"),
    (b"api.fireworks.ai", "fireworks"),
    (b"api.x.ai", "x-ai"),
    (b"api.perplexity.ai", "perplexity"),
    (b"api.cerebras.ai", "cerebras"),
)
"""Upstreams that speak another's shape, by the end of their name."""
_MAX_READ: Final = 256
"""Frames of one stream that are read as they come; of the others only the last ones: later counts replace earlier."""
_LAST_READ: Final = 64
_MAX_FRAMES: Final = 4000
"""Frames of one stream that are looked at, beside the last ones."""
_FIRST_FRAMES: Final = 4
"""So many frames are read in any case for the model's name: Azure's first one has none."""


class _Request(msgspec.Struct, gc=False):
    model: Any = None


_REQUEST: Final = msgspec.json.Decoder(_Request)


class Call(NamedTuple):
    """What the record of an LLM call says beyond that of any exchange."""

    provider: str
    reading: Reading
    stream: Stream | None


def shape_of(provider: str, method: str | None, path: str) -> Shape | None:
    """Choose the shape of an exchange by its route's setting and its path; None when it is no LLM call."""
    if method != "POST":
        return None
    if provider == "auto":
        if not path.endswith(_SUFFIXES):
            return None
        found = _PATHS.search(path)
        return None if found is None or found.lastgroup is None else SHAPES[found.lastgroup]
    return SHAPES.get(provider)


def read_call(
    shape: Shape,
    path: str,
    upstream: bytes,
    request: Windows | None,
    response: Windows | None,
    content_type: bytes,
    timeline: Sequence[tuple[int, int]],
) -> Call | None:
    """Read one call.

    Args:
        shape: as `shape_of` chose it.
        path: raw path, without the query.
        upstream: host:port that was asked.
        request: the request's body, decoded; None when nothing of it was captured.
        response: the response's body, decoded; None when nothing of it was captured.
        content_type: of the response.
        timeline: (byte offset, µs since the start) per chunk.

    Returns:
        None when neither a model nor a count can be found: it was something else.
    """
    reading = Reading(model=_requested_model(shape, path, request))
    stream = None
    if response is not None and response.head:
        frames = _frames_of(response, content_type, shape)
        if frames is None:
            _read_answer(reading, shape, response)
        else:
            stream = _read_stream(reading, shape, frames, timeline if response.is_plain else ())
    if reading.model is None and reading.resolved_model is None and not reading.has_usage:
        return None
    reading.model = reading.model or reading.resolved_model
    return Call(_provider(shape, path, upstream), reading, stream)


def _requested_model(shape: Shape, path: str, request: Windows | None) -> str | None:
    if shape is gemini.SHAPE and (model := gemini.model_of(path)):
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


def _provider(shape: Shape, path: str, upstream: bytes) -> str:
    host = upstream.rpartition(b":")[0].lower()
    for end, name in _HOSTS:
        if host.endswith(end):
            return name
    return "azure" if shape is openai.SHAPE and "/openai/deployments/" in path else shape.provider


def _frames_of(body: Windows, content_type: bytes, shape: Shape) -> Iterator[Frame] | None:
    """Choose how an answer is split; None when it is one document."""
    kind = content_type.lower()
    if b"event-stream" in kind:
        return _split(SseSplitter, body)
    if b"ndjson" in kind or b"jsonl" in kind:
        return _split(LineSplitter, body)
    if shape is gemini.SHAPE and body.head.lstrip()[:1] == b"[":
        return _split_array(body)
    return None


def _split(kind: type[SseSplitter] | type[LineSplitter], body: Windows) -> Iterator[Frame]:
    splitter = kind()
    yield from splitter.feed(body.head)
    if body.is_truncated:
        if not body.tail:
            return
        splitter = kind(start=body.size - len(body.tail), is_inside=True)
        yield from splitter.feed(body.tail)
    yield from splitter.finish()


def _split_array(body: Windows) -> Iterator[Frame]:
    yield from split_array(body.head)
    if body.is_truncated and body.tail:
        yield from split_array(body.tail, start=body.size - len(body.tail), is_inside=True)


def _read_stream(
    reading: Reading, shape: Shape, frames: Iterator[Frame], timeline: Sequence[tuple[int, int]]
) -> Stream:
    number = read = 0
    last: deque[bytes] = deque(maxlen=_LAST_READ)
    first_content = -1
    is_wanted, content = shape.is_wanted, shape.content.search
    for number, (_, data, end) in enumerate(frames, 1):
        if number > _MAX_FRAMES:
            last.append(data)
            continue
        if first_content < 0 and content(data) is not None:
            first_content = end
        if is_wanted(data) or (reading.resolved_model is None and number <= _FIRST_FRAMES):
            read += 1
            if read > _MAX_READ:
                last.append(data)
            else:
                shape.read(reading, data)
    for data in last:
        if is_wanted(data):
            shape.read(reading, data)
    return Stream(time_at(timeline, first_content), number, _longest_gap_us(timeline), reading.is_finished)


def _read_answer(reading: Reading, shape: Shape, body: Windows) -> None:
    """Read one document, whole or by the members that are left of it."""
    if not body.is_truncated:
        shape.read(reading, body.head)
        reading.is_finished = True
        return
    members = []
    for name in shape.members:
        value = find_member(body.tail, name, last=True) or find_member(body.head, name)
        if value is not None:
            members.append(b'"%b":%b' % (name, value))
    for name in shape.reasons:
        reason = find_text(body.tail, name, last=True) or find_text(body.head, name)
        reading.finish_reason = reading.finish_reason or reason
    shape.read(reading, b"{%b}" % b",".join(members))
    reading.is_settled = True  # an object of counts that is whole is final: there is one in a document


def _longest_gap_us(timeline: Sequence[tuple[int, int]]) -> int | None:
    gaps = (later[1] - earlier[1] for earlier, later in pairwise(timeline))
    return max(gaps, default=None)
