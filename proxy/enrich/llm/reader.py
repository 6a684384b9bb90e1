"""Read an LLM call from an exchange: provider, model, usage, and the pace of a streamed response.

Strategy: the response is read whole, or frame by frame after cheap byte tests; if its middle is
missing, the rest is read by structure. Invariants: a call that cannot be read costs these columns,
never the record. Counts are dropped if newer ones may have followed unseen. A frame has the time of
the chunk that completed it.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from proxy.enrich.facts import CallUsage
from proxy.enrich.formats.cut_json import members_at_end, members_at_start
from proxy.enrich.formats.frames import time_at
from proxy.enrich.formats.json_parts import Member, amount_of
from proxy.enrich.http.exchange import DecodedBody, DecodedExchange
from proxy.enrich.llm import bedrock, gemini, openai
from proxy.enrich.llm.provider import Provider
from proxy.enrich.llm.recognise import attributed_to, candidate_of, recognise
from proxy.enrich.llm.stream import Frames, frames_of, read_stream, rebuilt
from proxy.ring.timeline import FIRST_CHUNKS
from proxy.settings.model import EGRESS_ROUTE
from storage.record import Outcome, Record, Stream, StreamEnd

_HOSTS: Final = (
    ("api.anthropic.com", "anthropic"),
    ("openrouter.ai", "openrouter"),
    ("openai.azure.com", "azure"),
    ("services.ai.azure.com", "azure"),
    ("cognitiveservices.azure.com", "azure"),
    ("api.groq.com", "groq"),
    ("api.mistral.ai", "mistral"),
    ("api.cohere.com", "cohere"),
    ("api.cohere.ai", "cohere"),
    ("api.deepseek.com", "deepseek"),
    ("api.together.xyz", "together"),
    ("api.together.ai", "together"),
    ("api.fireworks.ai", "fireworks"),
    ("api.x.ai", "x-ai"),
    ("api.perplexity.ai", "perplexity"),
    ("api.cerebras.ai", "cerebras"),
    ("api.moonshot.ai", "moonshotai"),
    ("api.moonshot.cn", "moonshotai"),
    ("api.voyageai.com", "voyageai"),
    ("api.z.ai", "zai"),
    ("open.bigmodel.cn", "zhipuai"),
    ("api.minimax.io", "minimax"),
    ("api.minimaxi.com", "minimax"),
    ("api.novita.ai", "novita"),
    ("api.arcee.ai", "arcee"),
    ("inference.baseten.co", "baseten"),
    ("api.githubcopilot.com", "github-copilot"),
    ("api.jina.ai", "jina"),
)
"""Suffixes of host names that also offer another provider's API, and their providers."""
PROVIDER_ENDS: Final = (
    "api.openai.com",
    "generativelanguage.googleapis.com",
    "aiplatform.googleapis.com",
    *(end for end, _ in _HOSTS),
)
"""Suffixes of the names of all provider hosts."""
_BEDROCK: Final = re.compile(r"bedrock-[a-z0-9.-]+\.(?:amazonaws\.com|api\.aws)")
"""Matches hosts of Bedrock. They also offer OpenAI's and Anthropic's own APIs."""
_LISTS: Final = {("openai", "decisions"): "openai-decisions"}
"""Price lists that differ from the provider's, by provider and the last segment of the path."""
_COST: Final = re.compile(
    rb"\r\nx-litellm-response-cost:[ \t]*([0-9.]{1,32}(?:e-?[0-9]{1,3})?)(?=[ \t\r]|$)",
    re.IGNORECASE,
)
_INTERRUPTED: Final = frozenset(
    (
        Outcome.CLIENT_CLOSED,
        Outcome.TRUNCATED,
        Outcome.SHUTDOWN,
        Outcome.UPSTREAM_ERROR,
        Outcome.UPSTREAM_TIMEOUT,
    )
)


class Call(NamedTuple):
    """An LLM call. The record is filled from it."""

    provider: str
    usage: CallUsage
    stream: Stream | None
    members: Mapping[str, Member] = {}
    """Members of the request, undecoded."""


def read_call(setting: str, record: Record, exchange: DecodedExchange) -> Call | None:
    """Return the call of an exchange; None if it is not a call, or none of its values can be read."""
    provider = candidate_of(setting, record.method, record.path or "")
    if provider is None:
        return None

    found = recognise(provider, record, exchange)
    if found is None:
        return None

    call = read_answer(found.provider, found.model, record, exchange)
    if call is None:
        return None
    return call._replace(members=found.members)


def read_answer(
    provider: Provider, model: str | None, record: Record, exchange: DecodedExchange
) -> Call | None:
    """Return the response of a provider's call; None if none of its values can be read."""
    usage = CallUsage(model=model, is_cut=record.outcome in _INTERRUPTED)
    if provider.region_of is not None:
        usage.region = provider.region_of(record.path or "")

    stream = _read_body(usage, provider, record, exchange)
    if provider.read_head is not None:
        provider.read_head(usage, exchange.response.redacted)
    has_response = bool(exchange.status_line) or record.outcome not in (
        Outcome.CLIENT_CLOSED,
        Outcome.SHUTDOWN,
    )
    _settle(usage, record, has_response=has_response)

    if stream is None and usage.cost_usd is None and not usage.has_failed:
        usage.cost_usd = _cost_in(exchange.response.redacted)
    if usage.model is None and usage.resolved_model is None and not usage.has_usage:
        return None

    usage.model = usage.model or usage.resolved_model
    by = attributed_to(exchange.labels.provider or "auto", provider)
    name = provider_name(by, record.path or "", host_of(record))
    usage.price_list = _LISTS.get((name, (record.path or "").rpartition("/")[2]))
    return Call(name, usage, stream)


def read_begun_call(setting: str, record: Record, exchange: DecodedExchange) -> Call | None:
    """Return a call known by its request alone; None if only a response could prove that it is one."""
    path = record.path or ""
    body = exchange.request_body
    provider = candidate_of(setting, record.method, path)
    if provider is None:
        return None

    if body is not None:
        beginning = DecodedBody.beginning(body.head, None)
        exchange = msgspec.structs.replace(exchange, request_body=beginning)
    found = recognise(provider, record, exchange)
    if found is None:
        return None

    by = attributed_to(setting, provider)
    name = provider_name(by, path, host_of(record) or exchange.labels.upstream or "")
    return Call(name, CallUsage(model=found.model), None)


def _cost_in(head: bytes) -> float | None:
    """Return the cost in a header of a LiteLLM proxy, in dollars. A stream's header has no cost
    yet.
    """
    found = _COST.search(head)
    try:
        if found is None:
            return None
        return amount_of(float(found[1]))
    except ValueError:  # more than one decimal point
        return None


def is_refusal(record: Record) -> bool:
    return record.status is not None and record.status >= 400


def _settle(usage: CallUsage, record: Record, *, has_response: bool) -> None:
    """Complete a usage once the response is read: its error type, and lost counts."""
    if is_refusal(record):
        usage.has_failed = True
        usage.is_lost = False
        # Without a response the status is ours, and the outcome tells the reason.
        if has_response:
            usage.error_type = usage.error_type or f"http_{record.status}"
    elif usage.has_failed and usage.error_type is None:
        usage.error_type = "error"

    if usage.is_lost:
        usage.forget_counts()


def provider_name(provider: Provider, path: str, upstream: str) -> str:
    """Return the provider of a known upstream, else the provider of the API."""
    host = _host_of(upstream)
    for end, name in _HOSTS:
        if host.endswith(end):
            return name
    if provider is openai.PROVIDER and host.endswith(".googleapis.com"):
        if "/publishers/mistralai/" in path:
            return "mistral"
        return gemini.PROVIDER.name
    if _BEDROCK.fullmatch(host) is not None:
        return bedrock.PROVIDER.name
    if provider is openai.PROVIDER and "/openai/deployments/" in path:
        return "azure"

    return provider.name


def host_of(record: Record) -> str:
    """Return the host that was called: the upstream, or for an outgoing call the requested host.

    The upstream of an outgoing call is a bare address.
    """
    if record.route_id == EGRESS_ROUTE:
        called = record.host
    else:
        called = record.upstream
    return called or ""


def is_provider(upstream: str) -> bool:
    """Return True if an upstream is a provider's host."""
    host = _host_of(upstream)
    return host.endswith(PROVIDER_ENDS) or _BEDROCK.fullmatch(host) is not None


def _host_of(upstream: str) -> str:
    return upstream.partition(":")[0].lower()


def _read_body(
    usage: CallUsage, provider: Provider, record: Record, exchange: DecodedExchange
) -> Stream | None:
    """Read the body of a response; return the pace and end of a stream, None for a document."""
    response = exchange.response_body
    if response is None or not response.head or response.is_coded:
        usage.is_lost = record.response_bytes > 0 and not is_refusal(record)
        return None

    kind = exchange.response.content_type
    frames = frames_of(response, kind, provider, is_cut=usage.is_cut)
    if frames is not None:
        return _read_stream(usage, provider, frames, exchange, record.outcome)

    if b"text/html" in kind.lower() and not is_refusal(record):
        # an HTML page: a login page, or a gateway's error page
        usage.fail("html_response")
    else:
        _read_response(usage, provider, response)
    return None


def _read_stream(
    usage: CallUsage, provider: Provider, frames: Frames, exchange: DecodedExchange, outcome: str
) -> Stream:
    body = frames.body
    pace = read_stream(usage, provider, frames)
    end = _end_of(usage, outcome, has_end=body.has_end)
    if exchange.is_thinned:
        exact = FIRST_CHUNKS
    else:
        exact = len(exchange.timeline)
    first_content_us = time_at(exchange.timeline[:exact], pace.first_content)
    return Stream(
        first_content_us, pace.frames, exchange.longest_gap_us, end == "complete", end=end
    )


def _end_of(usage: CallUsage, outcome: str, *, has_end: bool) -> StreamEnd | None:
    if usage.has_failed:
        return "error"
    # Perplexity's streams have no terminator.
    if usage.is_finished or (usage.finish_reason is not None and has_end and not usage.is_cut):
        return "complete"
    if outcome == Outcome.CLIENT_CLOSED:
        return "client_closed"
    if has_end or usage.is_cut:
        return "cut"
    return None


def _read_response(usage: CallUsage, provider: Provider, body: DecodedBody) -> None:
    """Read one document. If a part of it is missing, read the complete members."""
    if not body.is_truncated:
        provider.read(usage, body.head)
        usage.is_finished = not usage.is_cut
        usage.is_settled |= usage.is_finished and not usage.has_failed
        return

    names = provider.members | {provider.reason}
    at_start = members_at_start(body.head, names)
    if body.has_end and not usage.is_cut:
        at_end = members_at_end(body.tail or body.head, names)
    else:
        at_end = []
    for chain in (at_start, at_end):
        if chain:
            provider.read(usage, rebuilt(provider, chain))

    usage.is_finished = bool(at_end)
    usage.is_settled = usage.is_finished and not usage.has_failed
    usage.is_lost = not usage.is_cut and not (usage.has_usage and usage.is_finished)
