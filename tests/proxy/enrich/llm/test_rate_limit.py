"""Which limit a refused call was above, as each provider says it."""

import json

import pytest

from proxy.enrich.llm.rate_limit import MAX_TEXT_BYTES, exceeded_limit
from tests.proxy.enrich.calls import chat_of
from tests.support.cases import each_of

MINUTE = (
    "Rate limit reached for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, "
    "Used 29500."
)
ANTHROPIC_HEAD = (
    b"retry-after: 7\r\nanthropic-ratelimit-requests-remaining: 48\r\n"
    b"anthropic-ratelimit-input-tokens-remaining: "
    b"0\r\nanthropic-ratelimit-output-tokens-remaining: 8000\r\n"
)


@each_of(
    ("text", "limit"),
    [
        (MINUTE, "tokens"),
        (
            "Rate limit reached for gpt-4o on requests per day (RPD): Limit 200, Used 200.",
            "requests",
        ),
        (
            "This request would exceed your organization's rate limit of 40,000 input tokens per "
            "minute.",
            "input tokens",
        ),
        (
            "It would exceed your organization's rate limit of 8,000 output tokens per minute.",
            "output tokens",
        ),
        (
            "Requests to the Embeddings_Create Operation have exceeded token rate limit of your "
            "current tier.",
            "tokens",
        ),
        (
            "Requests to the Completions Operation have exceeded call rate limit of your current "
            "tier.",
            "requests",
        ),
        ("Requests rate limit exceeded", "requests"),
        ("GenerateContentInputTokensPerModelPerMinute-FreeTier", "input tokens"),
        ("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "requests"),
        ("Too many requests, 3 tokens were sent", None),
        ("x" * MAX_TEXT_BYTES + MINUTE, None),
    ],
)
def test_the_words_of_an_error_say_it(text: str, limit: str | None) -> None:
    """Those of OpenAI and Groq, Anthropic, Azure, Mistral, and a quota of Gemini's; others say
    nothing.
    """
    assert exceeded_limit(b"", json.dumps({"error": {"message": text}}).encode()) == limit


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        (ANTHROPIC_HEAD, "input tokens"),
        (b"X-RateLimit-Remaining-Requests: 0\r\nX-RateLimit-Remaining-Tokens: 99\r\n", "requests"),
        (b"x-ratelimit-remaining-tokens: 0\r\nx-ratelimit-remaining-requests: 0\r\n", None),
        (b"x-ratelimit-remaining-tokens: 02\r\nx-ratelimit-remaining: 0\r\n", None),
    ],
)
def test_a_counter_at_zero_says_it(fields: bytes, limit: str | None) -> None:
    """If it is the only one, and of something that is counted apart."""
    assert exceeded_limit(fields, b"{}") == limit


def test_what_is_said_of_the_call_comes_before_counters() -> None:
    """The error's type, then its words: a counter may have been spent by the call before."""
    error = {"message": MINUTE, "type": "requests", "code": "rate_limit_exceeded"}
    assert exceeded_limit(ANTHROPIC_HEAD, json.dumps({"error": error}).encode()) == "requests"
    error["type"] = "rate_limit_error"
    assert exceeded_limit(ANTHROPIC_HEAD, json.dumps({"error": error}).encode()) == "tokens"


def test_a_record_has_the_limit_of_a_refused_call() -> None:
    """Beside the error, which stays as the provider named it; a call that was not refused for it
    has none.
    """
    error = {"error": {"type": "rate_limit_error", "message": MINUTE}}
    refused = chat_of(error, status=429)
    assert refused.data is not None
    assert (refused.error_type, json.loads(refused.data)) == (
        "rate_limit_error",
        {"rate_limit": "tokens"},
    )
    assert chat_of(error, status=400).data is None
    assert chat_of({"error": {"message": "busy"}}, status=429).data is None
