"""What the fake model providers share: the text they write, how they count tokens, how they read a
request.

Strategy: the answer follows from the prompt alone, a token is a word. Who offers tools has the
first of them called. Nothing here knows a wire format; those are in `openai.py` and `anthropic.py`.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Final

from aiohttp import web

CREATED: Final = 1767225600
"""Every answer was made at the beginning of 2026, so that equal requests get equal answers."""

_TEXT: Final = (
    "A sidecar stands beside the service it records. It forwards every request unchanged, keeps "
    "both bodies, "
    "and tells afterwards what was said, how long it took and what it cost. You asked about:"
)
_QUOTED_WORDS: Final = 12


class BadRequest(Exception):
    """The request cannot be answered; the text says why, each provider wraps it in its own shape."""


async def read_object(request: web.Request) -> dict[str, Any]:
    """Read the request's JSON object.

    Raises:
        BadRequest: it is none.
    """
    try:
        found = json.loads(await request.read())
    except ValueError as error:
        raise BadRequest("could not parse the JSON body of the request") from error

    if not isinstance(found, dict):
        raise BadRequest("expected a JSON object as the body of the request")
    return found


def texts(content: object) -> Iterable[str]:
    """Yield every text of a prompt, which may be a string, a list of parts or of messages, at any
    depth.
    """
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            yield from texts(part)
    elif isinstance(content, dict):
        for key in ("text", "content", "parts"):
            yield from texts(content.get(key))


def count_tokens(content: object) -> int:
    """Count the words of a prompt, at least one."""
    return max(1, sum(len(text.split()) for text in texts(content)))


def answer_words(content: object) -> list[str]:
    """Return the answer to a prompt: fixed words, then the beginning of what was asked last."""
    asked = list(texts(content))
    return [*_TEXT.split(), *(asked[-1].split()[:_QUOTED_WORDS] if asked else [])]


def answer_id(prefix: str, body: dict[str, Any]) -> str:
    """Return an id that follows from the request."""
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    return f"{prefix}{digest[:24]}"


def tool_arguments(schema: object, prompt: object) -> dict[str, Any]:
    """Make up arguments that fit a tool's schema: the last word asked for texts, the count of words
    for numbers.
    """
    asked = list(texts(prompt))
    word = (asked[-1].split() or [""])[-1] if asked else ""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict):
        return {}

    kinds = {
        name: str(given.get("type")).lower()
        for name, given in properties.items()
        if isinstance(given, dict)
    }
    return {
        name: word if kind == "string" else count_tokens(prompt) for name, kind in kinds.items()
    }


def pieces(words: Iterable[str]) -> Iterable[str]:
    """Yield words as a stream writes them: a blank before each but the first."""
    for index, word in enumerate(words):
        yield word if index == 0 else f" {word}"
