"""What the real LLM clients ask, and what the log must then say: read off what the client itself
was told.

Each case is a question put to a client, and a function from what the client heard to the columns of
the record. The log is compared with what was heard directly, without sidelog between.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from tests.support.llm_clients import Clients

Facts = dict[str, Any]
"""Columns of a record."""


class Case(NamedTuple):
    """One call."""

    ask: Callable[[Clients], Any]
    facts: Callable[[Any], Facts]
    """What the record must say, from what the client heard."""


MESSAGES: Final[list[Any]] = [{"role": "user", "content": "what is the weather like in Zürich"}]
SCHEMA: Final = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "number"}},
}
FUNCTION: Final = {"name": "weather", "description": "Tell the weather", "parameters": SCHEMA}
TOOLS: Final[list[Any]] = [{"type": "function", "function": FUNCTION}]
TOOL_CALL: Final = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "Zürich"}'},
}
TOOL_TURNS: Final[list[Any]] = [
    *MESSAGES,
    {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "sunny and warm"},
]
USED: Final = {"status": 200, "outcome": "ok", "usage_state": "exact", "error_type": None}
UNUSED: Final = {
    "status": 200,
    "outcome": "ok",
    "usage_state": "absent",
    "input_tokens": None,
    "output_tokens": None,
}


def failed(provider: str, model: str, status: int, error: str) -> Callable[[Any], Facts]:
    """Facts of a call that was refused; the client must have been told the status."""

    def facts(heard: Any) -> Facts:
        assert heard["status"] == status, heard
        return {
            "provider": provider, "model": model, "status": status, "outcome": "ok", "error_type": error,
            "usage_state": "absent", "input_tokens": None, "output_tokens": None, "stream": None, "finish_reason": None,
        }  # fmt: skip

    return facts


def broken(provider: str, model: str, error: str, *counts: str) -> Callable[[Any], Facts]:
    """Facts of a stream that ended in an error under a 200; `counts`: where the last part heard has
    what was used.
    """

    def facts(heard: Any) -> Facts:
        assert len(heard) > 1, heard
        assert "raised" in heard[-1] or heard[-1]["type"] == "error", heard
        known = {
            "status": 200,
            "outcome": "ok",
            "error_type": error,
            "provider": provider,
            "model": model,
        }
        return known | {"usage_state": "partial" if counts else "absent", "finish_reason": None}

    return facts


def chat_facts(heard: Any) -> Facts:
    """Facts of a chat completion, or of the last part of its stream that has what is looked for."""
    parts = heard if isinstance(heard, list) else [heard]
    usage = next(part["usage"] for part in reversed(parts) if part["usage"])
    reason = next(
        choice["finish_reason"]
        for part in parts
        for choice in part["choices"]
        if choice.get("finish_reason")
    )
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
    return USED | {
        "provider": "openai", "model": parts[0]["model"], "resolved_model": parts[0]["model"], "finish_reason": reason,
        "input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"],
        "cache_read_tokens": cached,
    }  # fmt: skip


def chat_without_usage(heard: Any) -> Facts:
    """Facts of a stream that was not asked for its usage."""
    assert not any(part["usage"] for part in heard)
    return UNUSED | {
        "model": "gpt-4o",
        "resolved_model": "gpt-4o",
        "finish_reason": "stop",
        "error_type": None,
    }


def response_facts(heard: Any) -> Facts:
    """Facts of a response, plain or streamed."""
    found = heard[-1]["response"] if isinstance(heard, list) else heard
    return USED | {
        "provider": "openai", "model": found["model"], "finish_reason": found["status"],
        "input_tokens": found["usage"]["input_tokens"], "output_tokens": found["usage"]["output_tokens"],
    }  # fmt: skip


def embedding_facts(heard: Any) -> Facts:
    """Facts of embeddings."""
    return USED | {
        "provider": "openai", "model": heard["model"], "output_tokens": None, "finish_reason": None,
        "input_tokens": heard["usage"]["prompt_tokens"],
    }  # fmt: skip


def message_facts(heard: Any) -> Facts:
    """Facts of a message; ours of the input includes what a cache knew."""
    parts = heard if isinstance(heard, list) else [heard]
    model = parts[0]["message"]["model"] if isinstance(heard, list) else heard["model"]
    last = next(part for part in reversed(parts) if "usage" in part)
    usage = last["usage"]
    cached = usage["cache_read_input_tokens"]
    return USED | {
        "provider": "anthropic", "model": model, "resolved_model": model, "cache_read_tokens": cached,
        "input_tokens": usage["input_tokens"] + cached, "output_tokens": usage["output_tokens"],
        "finish_reason": last["delta"]["stop_reason"] if isinstance(heard, list) else heard["stop_reason"],
    }  # fmt: skip


def gemini_facts(heard: Any) -> Facts:
    """Facts of generated content, or of the last part of its stream."""
    last = heard[-1] if isinstance(heard, list) else heard
    usage = last["usage_metadata"]
    blocked = (last["prompt_feedback"] or {}).get("block_reason")
    return USED | {
        "provider": "gemini", "model": "gemini-2.5-flash", "resolved_model": last["model_version"],
        "finish_reason": blocked or last["candidates"][0]["finish_reason"],
        "input_tokens": usage["prompt_token_count"], "output_tokens": usage["candidates_token_count"],
    }  # fmt: skip


def interaction_facts(heard: Any) -> Facts:
    """Facts of an interaction, or of the last event of its stream; what was thought is output."""
    found = heard[-1]["interaction"] if isinstance(heard, list) else heard
    usage = found["usage"]
    return USED | {
        "provider": "gemini", "model": "gemini-3.8-flash", "resolved_model": found["model"],
        "finish_reason": found["status"], "input_tokens": usage["total_input_tokens"],
        "output_tokens": usage["total_output_tokens"] + usage["total_thought_tokens"],
        "reasoning_tokens": usage["total_thought_tokens"],
    }  # fmt: skip


def ollama_facts(heard: Any) -> Facts:
    """Facts of a chat, a generation or an embedding, or of the last line."""
    last = heard[-1] if isinstance(heard, list) else heard
    return USED | {
        "provider": "ollama", "model": "llama3", "resolved_model": "llama3", "finish_reason": last.get("done_reason"),
        "input_tokens": last["prompt_eval_count"], "output_tokens": last.get("eval_count"),
    }  # fmt: skip


def chat(clients: Clients, **more: Any) -> Any:
    """Ask for a chat completion."""
    return clients.openai.chat.completions.create(
        **{"model": "gpt-4o", "messages": MESSAGES} | more
    )


def response(clients: Clients, **more: Any) -> Any:
    """Ask for a response."""
    return clients.openai.responses.create(**{"model": "gpt-4o", "input": "what is new"} | more)


def message(clients: Clients, **more: Any) -> Any:
    """Ask for a message."""
    body: dict[str, Any] = {
        "model": "claude-demo",
        "max_tokens": 1000,
        "messages": MESSAGES,
        "system": "be very brief",
    }
    return clients.anthropic.messages.create(**body | more)


def message_stream(clients: Clients, **more: Any) -> Any:
    """Ask for a message by way of the client's own accumulation of a stream."""
    body: dict[str, Any] = {"model": "claude-demo", "max_tokens": 1000, "messages": MESSAGES}
    with clients.anthropic.messages.stream(**body | more) as stream:
        return stream.get_final_message()


def content(clients: Clients, **more: Any) -> Any:
    """Ask for content."""
    return clients.gemini.models.generate_content(
        **{"model": "gemini-2.5-flash", "contents": "tell me more"} | more
    )


def content_stream(clients: Clients, **more: Any) -> Any:
    """Ask for content as a stream."""
    body: dict[str, Any] = {"model": "gemini-2.5-flash", "contents": "tell me more"} | more
    return clients.gemini.models.generate_content_stream(**body)


def interaction(clients: Clients, **more: Any) -> Any:
    """Ask for an interaction."""
    return clients.gemini.interactions.create(
        **{"model": "gemini-3.8-flash", "input": "tell me more"} | more
    )


def line_chat(clients: Clients, **more: Any) -> Any:
    """Ask the local model."""
    return clients.ollama.chat(**{"model": "llama3", "messages": MESSAGES} | more)


GEMINI_TOOLS: Final = {
    "tools": [{"function_declarations": [{"name": "weather", "parameters_json_schema": SCHEMA}]}],
    "automatic_function_calling": {"disable": True},
}
RESPONSE_TOOLS: Final = [FUNCTION | {"type": "function", "strict": False}]
ANTHROPIC_TOOLS: Final = [{"name": "weather", "input_schema": SCHEMA}]
ANTHROPIC_TURNS: Final = [
    *MESSAGES,
    {
        "role": "assistant",
        "content": [
            {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Zürich"}}
        ],
    },
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "sunny"}]},
]
WITH_USAGE: Final = {"stream": True, "stream_options": {"include_usage": True}}
RUNNING_USAGE: Final = {
    "stream": True,
    "stream_options": {"include_usage": True, "continuous_usage_stats": True},
}

CASES: Final[dict[str, Case]] = {
    "chat": Case(chat, chat_facts),
    "chat stream": Case(lambda c: chat(c, stream=True), chat_without_usage),
    "chat stream with usage": Case(lambda c: chat(c, **WITH_USAGE), chat_facts),
    "chat stream with running usage": Case(lambda c: chat(c, **RUNNING_USAGE), chat_facts),
    "chat tool": Case(lambda c: chat(c, tools=TOOLS), chat_facts),
    "chat tool stream": Case(lambda c: chat(c, tools=TOOLS, **WITH_USAGE), chat_facts),
    "chat tool result": Case(lambda c: chat(c, tools=TOOLS, messages=TOOL_TURNS), chat_facts),
    "completion": Case(lambda c: c.openai.completions.create(model="gpt-4o", prompt="once upon a time"), chat_facts),
    "chat 400": Case(
        lambda c: chat(c, messages=[]), failed("openai", "gpt-4o", 400, "missing_required_parameter"),
    ),
    "chat 404": Case(lambda c: chat(c, model="x-1"), failed("openai", "x-1", 404, "model_not_found")),
    "chat 429": Case(lambda c: chat(c, model="gpt-busy"), failed("openai", "gpt-busy", 429, "rate_limit_exceeded")),
    "chat stream 429": Case(
        lambda c: chat(c, model="gpt-busy", stream=True), failed("openai", "gpt-busy", 429, "rate_limit_exceeded"),
    ),
    "chat 500": Case(lambda c: chat(c, model="gpt-broken"), failed("openai", "gpt-broken", 500, "server_error")),
    "chat error in a 200": Case(
        lambda c: chat(c, model="gpt-faulty", stream=True), broken("openai", "gpt-faulty", "server_error"),
    ),
    "chat error in a 200 after usage": Case(
        lambda c: chat(c, model="gpt-faulty", **RUNNING_USAGE),
        broken("openai", "gpt-faulty", "server_error", "usage"),
    ),
    "response": Case(response, response_facts),
    "response stream": Case(lambda c: response(c, stream=True), response_facts),
    "response tool": Case(lambda c: response(c, tools=RESPONSE_TOOLS), response_facts),
    "response tool stream": Case(lambda c: response(c, tools=RESPONSE_TOOLS, stream=True), response_facts),
    "response error in a 200": Case(
        lambda c: response(c, model="gpt-faulty", stream=True), broken("openai", "gpt-faulty", "server_error"),
    ),
    "response 429": Case(
        lambda c: response(c, model="gpt-busy"), failed("openai", "gpt-busy", 429, "rate_limit_exceeded"),
    ),
    "embeddings": Case(
        lambda c: c.openai.embeddings.create(model="text-embedding-3-small", input=["one two", "three"]),
        embedding_facts,
    ),
    "message": Case(message, message_facts),
    "message stream": Case(lambda c: message(c, stream=True), message_facts),
    "message accumulated": Case(message_stream, message_facts),
    "message cut by its limit": Case(lambda c: message(c, max_tokens=7), message_facts),
    "message tool": Case(lambda c: message(c, tools=ANTHROPIC_TOOLS), message_facts),
    "message tool stream": Case(lambda c: message(c, tools=ANTHROPIC_TOOLS, stream=True), message_facts),
    "message tool result": Case(
        lambda c: message(c, tools=ANTHROPIC_TOOLS, messages=ANTHROPIC_TURNS), message_facts,
    ),
    "message 400": Case(
        lambda c: message(c, messages=[]), failed("anthropic", "claude-demo", 400, "invalid_request_error"),
    ),
    "message 429": Case(
        lambda c: message(c, model="claude-limited"), failed("anthropic", "claude-limited", 429, "rate_limit_error"),
    ),
    "message 500": Case(
        lambda c: message(c, model="claude-broken"), failed("anthropic", "claude-broken", 500, "api_error"),
    ),
    "message 529": Case(
        lambda c: message(c, model="claude-busy", stream=True),
        failed("anthropic", "claude-busy", 529, "overloaded_error"),
    ),
    "message error in a 200": Case(
        lambda c: message(c, model="claude-faulty", stream=True),
        broken("anthropic", "claude-faulty", "overloaded_error", "usage"),
    ),
    "interaction": Case(interaction, interaction_facts),
    "interaction stream": Case(lambda c: interaction(c, stream=True), interaction_facts),
    "content": Case(content, gemini_facts),
    "content stream": Case(content_stream, gemini_facts),
    "content tool": Case(lambda c: content(c, config=GEMINI_TOOLS), gemini_facts),
    "content tool stream": Case(lambda c: content_stream(c, config=GEMINI_TOOLS), gemini_facts),
    "content blocked": Case(lambda c: content(c, contents="a forbidden thing"), gemini_facts),
    "content embeddings": Case(
        lambda c: c.gemini.models.embed_content(model="gemini-embedding-001", contents=["one two"]),
        lambda _: UNUSED | {"provider": "gemini", "model": "gemini-embedding-001", "finish_reason": None},
    ),
    "content 400": Case(
        lambda c: content(c, config={"max_output_tokens": -1}),
        failed("gemini", "gemini-2.5-flash", 400, "INVALID_ARGUMENT"),
    ),
    "content 429": Case(
        lambda c: content(c, model="gemini-busy"), failed("gemini", "gemini-busy", 429, "RESOURCE_EXHAUSTED"),
    ),
    "content 500": Case(
        lambda c: content(c, model="gemini-broken"), failed("gemini", "gemini-broken", 500, "INTERNAL"),
    ),
    "content error in a 200": Case(
        lambda c: content_stream(c, model="gemini-faulty"), broken("gemini", "gemini-faulty", "INTERNAL", "usage"),
    ),
    "ollama chat": Case(line_chat, ollama_facts),
    "ollama chat stream": Case(lambda c: line_chat(c, stream=True), ollama_facts),
    "ollama tool": Case(lambda c: line_chat(c, tools=TOOLS), ollama_facts),
    "ollama generate": Case(
        lambda c: c.ollama.generate(model="llama3", prompt="once upon a time"), ollama_facts,
    ),
    "ollama generate stream": Case(
        lambda c: c.ollama.generate(model="llama3", prompt="once upon a time", stream=True), ollama_facts,
    ),
    "ollama embeddings": Case(lambda c: c.ollama.embed(model="llama3", input=["one two", "three"]), ollama_facts),
    "ollama 400": Case(
        lambda c: line_chat(c, messages=[]), failed("ollama", "llama3", 400, "http_400"),
    ),
    "ollama 429": Case(lambda c: line_chat(c, model="llama-busy"), failed("ollama", "llama-busy", 429, "http_429")),
    "ollama 500": Case(lambda c: line_chat(c, model="llama-broken"), failed("ollama", "llama-broken", 500, "http_500")),
    "ollama error in a 200": Case(
        lambda c: line_chat(c, model="llama-faulty", stream=True), broken("ollama", "llama-faulty", "error"),
    ),
}  # fmt: skip
