"""The limit that a refused LLM call exceeded: requests or tokens.

Strategy: the error's type comes first, then its message; a counter in the head that is at zero
comes last. Sources: OpenAI "Rate limits" and Azure's errors of its tiers, Anthropic "Rate limits"
(`anthropic-ratelimit-…-remaining`), Gemini "Rate limits" (`quotaId`), Mistral's and Groq's error
messages.
"""

import re
from typing import Final

MAX_TEXT_BYTES: Final = 4096
"""Length of the beginning of an error body that is searched."""
_TYPE: Final = re.compile(rb'"type"\s*:\s*"(requests|tokens)"')
_WORDS: Final = re.compile(
    rb"(?:(input|output)[ _-]?)?(?:(tokens?)|(?:requests?|calls?))[ _-]?(?:per|rate limit)",
    re.ASCII | re.IGNORECASE,
)
_SPENT: Final = re.compile(
    rb"^[\w-]*ratelimit-(?:remaining-)?((?:input-|output-)?tokens|requests)(?:-remaining)?:[ \t]*0[ \t]*\r?$",
    re.ASCII | re.IGNORECASE | re.MULTILINE,
)


def exceeded_limit(fields: bytes, body: bytes) -> str | None:
    """Return the limit: `requests`, `tokens`, `input tokens` or `output tokens`; None if unknown.

    `fields` are the lines of the response's head.
    """
    text = body[:MAX_TEXT_BYTES]
    if found := _TYPE.search(text):
        return found[1].decode()
    if found := _WORDS.search(text):
        side = "" if found[1] is None else f"{found[1].decode().lower()} "
        return f"{side}tokens" if found[2] else "requests"

    spent = {name.decode().lower().replace("-", " ") for name in _SPENT.findall(fields)}
    return spent.pop() if len(spent) == 1 else None
