"""Recognise LLM calls without configuration, by the path and matching bodies.

Strategy: one test of a path's suffix rules out nearly all other services; a pattern and a look at
the bodies follow. A false positive costs more trust than a missed call. So a path that other
services may use (`/api/chat`, `/surveys/1/responses`) counts only if request and response have the
members of the API.
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
"""Provider tables. The first one wins if several have the same path."""
PROVIDERS: Final = {provider.name: provider for provider in TABLES}
"""Provider by the value of a route's `provider`."""
_ALL: Final = (*TABLES, interactions.PROVIDER)
# A group name of a pattern cannot contain a dot.
_BY_GROUP: Final = {name.partition(".")[0]: provider for name, provider in PROVIDERS.items()}
_SUFFIXES: Final = tuple({end: None for provider in TABLES for end in provider.ends})
"""Cheap suffix test before the pattern."""
_CONTINUED: Final = "/conversations/"
"""Path segment before the id of a conversation, in Mistral's API."""
_PATHS: Final = re.compile(
    "|".join(f"(?P<{group}>{provider.paths})$" for group, provider in _BY_GROUP.items())
)
_OWN_PATHS: Final = re.compile(
    "|".join(provider.own_paths for provider in TABLES if provider.own_paths)
)
_NO_CALL: Final = re.compile(
    r"count[_-]tokens|countTokens|input_tokens$|/cancel$|/batches|/files|/uploads|/videos|/fine_tuning|/fine-tunes|/vector_stores"
    r"|/assistants|/threads|/conversations|/containers|/evals|/pull$|/push$|/show$|/create$|/delete$|/copy$"
)
"""Paths that are not calls on a route with a fixed provider: creating, counting, uploading,
cancelling.
"""
_REQUEST_MEMBERS: Final = {
    kind: names for provider in _ALL for kind, names in provider.request_members.items()
}
_INPUTS: Final = (
    b"messages", b"input", b"prompt", b"contents", b"content", b"requests", b"request", b"suffix",
    b"previous_response_id", b"previous_interaction_id", b"image", b"inputText", b"texts", b"message",
)  # fmt: skip
"""Members of a request of any other kind. It must have one of them."""
_RESPONSE_MEMBERS: Final = {
    kind: names for provider in _ALL for kind, names in provider.response_members_at.items()
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
    (
        b"model",
        *_SESSIONS,
        *_INPUTS,
        *(name for names in _REQUEST_MEMBERS.values() for name in names),
    )
)
"""Members to look for in a request."""

_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_VALUE: Final = msgspec.json.Decoder()


class _Request(NamedTuple):
    """The readable part of a request."""

    names: frozenset[bytes]
    """Members of `_NAMES` that the request has."""
    model: str | None
    is_cut: bool = False
    """True if a part is missing. The request may have further members."""
    members: Mapping[str, bytes | msgspec.Raw] = {}
    """Complete members, undecoded."""


class Recognised(NamedTuple):
    """An exchange that is an LLM call."""

    provider: Provider
    model: str | None
    """Model as requested."""
    members: Mapping[str, bytes | msgspec.Raw] = {}
    """Complete members of the request, undecoded."""


def candidate_of(setting: str, method: str | None, path: str) -> Provider | None:
    """Return the provider of a path's API, else the provider set for the route; None if it is not a
    call.
    """
    if method != "POST":
        return None
    path = plain_path(path)
    own = PROVIDERS.get(setting)
    if own is not None and _NO_CALL.search(path) is not None:
        return None
    if setting != "auto" and own is None:
        return None

    # One server speaks several APIs (Ollama also OpenAI's and Anthropic's), so the path of an API
    # takes precedence over the setting.
    is_plausible = path.endswith(_SUFFIXES) or _CONTINUED in path
    found = _PATHS.search(path) if is_plausible else None
    if found is None or found.lastgroup is None:
        return own

    return _BY_GROUP[found.lastgroup]


def attributed_to(setting: str, provider: Provider) -> Provider:
    """Return the provider set for the route, else the provider of the API.

    The setting `openai` does not count: others copy its API.
    """
    if setting in PROVIDERS and setting != openai.PROVIDER.name:
        return PROVIDERS[setting]
    return provider


def plain_path(path: str) -> str:
    """Return a path unescaped and without trailing slashes, as its server reads it.

    So no spelling hides a call. A path of an API stays as it is: names of Bedrock's models have
    escaped slashes.
    """
    if ("%" not in path and not path.endswith("/")) or _PATHS.search(path) is not None:
        return path
    return unquote(path).rstrip("/")


def recognise(provider: Provider, record: Record, exchange: DecodedExchange) -> Recognised | None:
    """Return the call of an exchange with a path of an API; None if its bodies do not match the
    API.
    """
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

    request = _read_request(exchange, is_whole=record.request_complete)
    if is_set or _OWN_PATHS.search(path) is not None:
        # One of the two bodies has to match, and a request may be unreadable.
        is_asked = request is None or request.is_cut or not request.names.isdisjoint(_INPUTS)
        is_call = is_asked or _is_response_of(provider, record, exchange.response_body)
    else:
        expected = _REQUEST_MEMBERS.get(_kind_of(path), _INPUTS)
        is_asked = request is not None and not request.names.isdisjoint(expected)
        is_call = is_asked and _is_response_of(provider, record, exchange.response_body)
    if not is_call:
        return None

    members = {} if request is None else request.members
    return Recognised(provider, _model_of(provider, path, request), members)


def _kind_of(path: str) -> str:
    """Return the segment of a path that names the operation: the last one, or the one before the id
    of a conversation.
    """
    last = path.rpartition("/")[2]
    if last not in _REQUEST_MEMBERS and _CONTINUED in path:
        return "conversations"
    return last


def _read_request(exchange: DecodedExchange, *, is_whole: bool) -> _Request | None:
    """Return the members of a request; None when it cannot be read."""
    body = exchange.request_body
    if body is None:
        return None

    if b"multipart/" in exchange.request.content_type:
        found = _PART_MODEL.search(body.head) or _PART_MODEL.search(body.tail)
        if found is None:
            return None
        return _Request(_NAMES, text_of(found[1].decode("utf-8", "replace")))

    if not body.is_truncated:
        members = decode(_MEMBERS, body.head)
        if members is None:
            return None

        model = members.get("model")
        names = frozenset(name.encode() for name in members) & _NAMES
        return _Request(
            names, None if model is None else text_of(decode(_VALUE, model)), False, members
        )

    if body.head.lstrip()[:1] != b"{":
        return None

    at_start = members_at_start(body.head, _NAMES)
    if is_whole:
        at_end = members_at_end(body.tail, _NAMES)
    else:
        at_end = []
    known = (at_end[0] if at_end else {}) | (at_start[0] if at_start else {})
    # The value of such a member is cut, or the member belongs to an inner object.
    begun = (name for name in _NAMES if b'"%b"' % name in body.head)
    whole = {name.decode(): value for name, value in known.items()}
    return _Request(
        frozenset((*known, *begun)),
        text_of(decode(_VALUE, whole.get("model", b"null"))),
        True,
        whole,
    )


def _is_response_of(provider: Provider, record: Record, response: DecodedBody | None) -> bool:
    """Return True if the response has members of the API."""
    if response is None:
        return False
    ends = response.head[:_LOOK_BYTES] + response.head[-_LOOK_BYTES:] + response.tail[-_LOOK_BYTES:]
    if record.status is not None and record.status >= 400:
        return all(name in ends for name in provider.error_members)

    names = _RESPONSE_MEMBERS.get(_kind_of(record.path or ""), provider.response_members)
    return any(name in ends for name in names)


def _is_llama(response: DecodedBody | None) -> bool:
    """Return True if llama.cpp's server answers in its own format at a path of OpenAI's older API."""
    return _has(response, b'"tokens_predicted"')


def _has(response: DecodedBody | None, name: bytes) -> bool:
    """Return True if a response has a name near its beginning or its end."""
    return (
        response is not None and name in response.head[:_LOOK_BYTES] + response.tail[-_LOOK_BYTES:]
    )


def _model_of(provider: Provider, path: str, request: _Request | None) -> str | None:
    if provider.model_of is not None:
        model = provider.model_of(path)
        if model or provider.is_model_in_path:
            return model
    if request is not None and request.model is not None:
        return request.model

    deployment = _DEPLOYMENT.search(path)
    if deployment is None:
        return None

    return deployment[1] or deployment[2]
