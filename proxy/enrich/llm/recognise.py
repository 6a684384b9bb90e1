"""Recognise an LLM call without configuration: the path, and a body that agrees with it.

Strategy: one test of a path's end rules out nearly all other services; then comes a pattern, and
only then a look at the bodies. A false call costs more trust than a missed one, so a path that
other services may have as well (`/api/chat`, `/surveys/1/responses`) counts only where request and
response have the members of the API.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import unquote

import msgspec

from proxy.enrich.formats.cut_json import members_at_end, members_at_start
from proxy.enrich.formats.json_parts import decode, text_of
from proxy.enrich.http.exchange import DecodedBody, DecodedExchange
from proxy.enrich.llm import (
    anthropic,
    bedrock,
    cohere,
    gemini,
    interactions,
    llama_server,
    ollama,
    openai,
)
from proxy.enrich.llm.provider import Provider
from storage.record import Record

TABLES: Final = (
    openai.PROVIDER,
    anthropic.PROVIDER,
    gemini.PROVIDER,
    bedrock.PROVIDER,
    ollama.PROVIDER,
    cohere.PROVIDER,
    llama_server.PROVIDER,
)
"""Where two have the same path, the first is asked for."""
PROVIDERS: Final = {provider.name: provider for provider in TABLES}
"""By the value of a route's `provider`, or by the path."""
_ALL: Final = (*TABLES, interactions.PROVIDER)
_BY_GROUP: Final = {name.partition(".")[0]: provider for name, provider in PROVIDERS.items()}
_SUFFIXES: Final = tuple({end: None for provider in TABLES for end in provider.ends})
"""Cheap test before the pattern."""
_CONTINUED: Final = "/conversations/"
"""Of Mistral's: what comes behind it is an id."""
_PATHS: Final = re.compile(
    "|".join(f"(?P<{group}>{provider.paths})$" for group, provider in _BY_GROUP.items())
)
_SURE: Final = re.compile("|".join(provider.sure for provider in TABLES if provider.sure))
_NO_CALL: Final = re.compile(
    r"count[_-]tokens|countTokens|input_tokens$|/cancel$|/batches|/files|/uploads|/videos|/fine_tuning|/fine-tunes|/vector_stores"
    r"|/assistants|/threads|/conversations|/containers|/evals|/pull$|/push$|/show$|/create$|/delete$|/copy$"
)
"""Of a route that names its provider: what creates, counts, uploads or cancels is no call."""
_ASKS: Final = {kind: names for provider in _ALL for kind, names in provider.asks.items()}
"""One of these must be there, else one of `_INPUTS`."""
_INPUTS: Final = (
    b"messages", b"input", b"prompt", b"contents", b"content", b"requests", b"request", b"suffix",
    b"previous_response_id", b"previous_interaction_id", b"image", b"inputText", b"texts", b"message",
)  # fmt: skip
_ANSWERS_AT: Final = {
    kind: names for provider in _ALL for kind, names in provider.answers_at.items()
}
_LOOK_BYTES: Final = 4096
_DEPLOYMENT: Final = re.compile(
    r"/deployments/([^/]{1,256})/|/publishers/[^/]+/models/([^/:]{1,256}):"
)
_PART_MODEL: Final = re.compile(
    rb'^content-disposition:[^\r\n]{0,200}?[;\s]name=(?:"model"|model(?=[;\s]))[^\r\n]{0,200}+\r?\n'
    rb"(?:[^\r\n]{1,200}+\r?\n){0,8}+\r?\n([^\r\n]{1,256}+)\r?\n",
    re.IGNORECASE | re.MULTILINE,
)
_SESSIONS: Final = (
    b"metadata",
    b"client_metadata",
    b"session_id",
    b"litellm_session_id",
    b"prompt_cache_key",
)
_NAMES: Final = frozenset(
    (b"model", *_SESSIONS, *_INPUTS, *(name for names in _ASKS.values() for name in names))
)

_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_VALUE: Final = msgspec.json.Decoder()


class _Asked(NamedTuple):
    """The readable part of a request."""

    names: frozenset[bytes]
    """Of its members that matter here."""
    model: str | None
    is_cut: bool = False
    """Others may be among what is missing."""
    members: Mapping[str, bytes | msgspec.Raw] = {}
    """Of those that were asked for, or of all, undecoded."""


class Recognised(NamedTuple):
    """An exchange that is an LLM call."""

    provider: Provider
    model: str | None
    """As requested."""
    members: Mapping[str, bytes | msgspec.Raw] = {}
    """Of the request, undecoded; where the request is cut, those that are whole."""


def candidate_of(setting: str, method: str | None, path: str) -> Provider | None:
    """Return whose API a path belongs to, by itself, else by its route's setting; None when it is
    no LLM call.
    """
    if method != "POST":
        return None
    path = plain_path(path)
    own = PROVIDERS.get(setting)
    if own is not None and _NO_CALL.search(path) is not None:
        return None
    if setting != "auto" and own is None:
        return None

    # One server speaks several APIs (Ollama also OpenAI's and Anthropic's), so a path that is an
    # API's decides.
    is_plausible = path.endswith(_SUFFIXES) or _CONTINUED in path
    found = _PATHS.search(path) if is_plausible else None
    if found is None or found.lastgroup is None:
        return own

    return _BY_GROUP[found.lastgroup]


def attributed_to(setting: str, provider: Provider) -> Provider:
    """Return whom a call is attributed to: whom its route names, unless that is OpenAI, whose API
    others copy.
    """
    if setting in PROVIDERS and setting != openai.PROVIDER.name:
        return PROVIDERS[setting]
    return provider


def plain_path(path: str) -> str:
    """Return a path as its server reads it, so that no spelling hides a call: unescaped, without
    slashes at its end.

    One that is an API's stays: names of Bedrock's models have slashes, escaped.
    """
    if ("%" not in path and not path.endswith("/")) or _PATHS.search(path) is not None:
        return path
    return unquote(path).rstrip("/")


def recognise(provider: Provider, record: Record, exchange: DecodedExchange) -> Recognised | None:
    """Return the call of an exchange whose path is an API's, where its bodies agree; else None."""
    path = plain_path(record.path or "")
    is_set = exchange.labels.provider not in (None, "auto")
    if (
        provider is openai.PROVIDER
        and path.endswith("/completions")
        and _is_llama(exchange.response_body)
    ):
        provider = llama_server.PROVIDER

    is_decision = path.endswith("/decisions") and _has(
        exchange.response_body, b'"total_input_tokens"'
    )
    if is_decision or (provider is gemini.PROVIDER and path.endswith("/interactions")):
        provider = interactions.PROVIDER
    is_sure = is_set or _SURE.search(path) is not None
    asked = _read_request(exchange, is_whole=record.request_complete)
    if is_sure:
        is_asked = asked is None or asked.is_cut or not asked.names.isdisjoint(_INPUTS)
        is_call = is_asked or _answers(provider, record, exchange.response_body)
    else:
        is_asked = asked is not None and not asked.names.isdisjoint(
            _ASKS.get(_kind_of(path), _INPUTS)
        )
        is_call = is_asked and _answers(provider, record, exchange.response_body)

    if not is_call:
        return None

    return Recognised(
        provider, _model_of(provider, path, asked), {} if asked is None else asked.members
    )


def _kind_of(path: str) -> str:
    """Return the last segment of a path that names the operation: in a conversation's path, an id
    may follow it.
    """
    last = path.rpartition("/")[2]
    if last not in _ASKS and _CONTINUED in path:
        return "conversations"
    return last


def _read_request(exchange: DecodedExchange, *, is_whole: bool) -> _Asked | None:
    """Read which members a request has; None when it cannot be read."""
    body = exchange.request_body
    if body is None:
        return None

    if b"multipart/" in exchange.request.content_type:
        found = _PART_MODEL.search(body.head) or _PART_MODEL.search(body.tail)
        if found is None:
            return None
        return _Asked(_NAMES, text_of(found[1].decode("utf-8", "replace")))

    if not body.is_truncated:
        members = decode(_MEMBERS, body.head)
        if members is None:
            return None

        model = members.get("model")
        names = frozenset(name.encode() for name in members) & _NAMES
        return _Asked(
            names, None if model is None else text_of(decode(_VALUE, model)), False, members
        )

    if body.head.lstrip()[:1] != b"{":
        return None

    at_start = members_at_start(body.head, _NAMES)
    at_end = members_at_end(body.tail, _NAMES) if is_whole else []
    known = (at_end[0] if at_end else {}) | (at_start[0] if at_start else {})
    # Of these the value is cut, or they are deeper.
    begun = (name for name in _NAMES if b'"%b"' % name in body.head)
    whole = {name.decode(): value for name, value in known.items()}
    return _Asked(
        frozenset((*known, *begun)),
        text_of(decode(_VALUE, whole.get("model", b"null"))),
        True,
        whole,
    )


def _answers(provider: Provider, record: Record, response: DecodedBody | None) -> bool:
    """Whether a response has the members of the API."""
    if response is None:
        return False
    look = response.head[:_LOOK_BYTES] + response.head[-_LOOK_BYTES:] + response.tail[-_LOOK_BYTES:]
    if record.status is not None and record.status >= 400:
        return all(name in look for name in provider.errors)

    names = _ANSWERS_AT.get(_kind_of(record.path or ""), provider.answers)
    return any(name in look for name in names)


def _is_llama(response: DecodedBody | None) -> bool:
    """Whether the server of llama.cpp answers in its own words at a path that it shares with
    OpenAI's older API.
    """
    return _has(response, b'"tokens_predicted"')


def _has(response: DecodedBody | None, name: bytes) -> bool:
    """Whether a response has a name near its beginning or its end."""
    return (
        response is not None and name in response.head[:_LOOK_BYTES] + response.tail[-_LOOK_BYTES:]
    )


def _model_of(provider: Provider, path: str, asked: _Asked | None) -> str | None:
    if provider.model_of is not None:
        model = provider.model_of(path)
        if model or provider.is_model_in_path:
            return model
    if asked is not None and asked.model is not None:
        return asked.model

    deployment = _DEPLOYMENT.search(path)
    if deployment is None:
        return None

    return deployment[1] or deployment[2]
