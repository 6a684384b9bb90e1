"""Chat of the fake OpenAI API, on its public wire format."""

import json

import pytest

from tests.support.providers.streams import Client, data_of

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "one two three"}]}


async def test_a_completion_has_message_and_usage(client: Client) -> None:
    """Prompt and completion are counted, total is their sum, equal requests get equal answers."""
    first, second = [await (await client.post("/v1/chat/completions", json=CHAT)).json() for _ in range(2)]
    assert first == second
    assert first["object"] == "chat.completion"
    assert first["choices"][0]["message"]["content"].endswith("one two three")
    usage = first["usage"]
    assert usage["prompt_tokens"] == 3
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


async def test_a_stream_without_the_option_has_no_usage(client: Client) -> None:
    """Chunks carry no usage key, the last frame is [DONE]."""
    *chunks, done = await data_of(client, "/v1/chat/completions", CHAT | {"stream": True})
    assert done == "[DONE]"
    assert all("usage" not in json.loads(chunk) for chunk in chunks)
    assert json.loads(chunks[-1])["choices"][0]["finish_reason"] == "stop"


async def test_a_stream_with_the_option_ends_with_usage(client: Client) -> None:
    """Every chunk has a null usage, one more without choices has the counts of the plain answer."""
    body = CHAT | {"stream": True, "stream_options": {"include_usage": True}}
    chunks = [json.loads(chunk) for chunk in (await data_of(client, "/v1/chat/completions", body))[:-1]]
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1]["choices"] == []
    plain = await (await client.post("/v1/chat/completions", json=CHAT)).json()
    assert chunks[-1]["usage"] == plain["usage"]
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks[:-1])
    assert text == plain["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (CHAT | {"model": "gpt-busy"}, 429, "rate_limit_exceeded"),
        (CHAT | {"model": "gpt-broken"}, 500, None),
        (CHAT | {"model": "llama"}, 404, "model_not_found"),
        ({"model": "gpt-4o"}, 400, "missing_required_parameter"),
        ({"messages": []}, 400, None),
        ([], 400, None),
    ],
)
async def test_errors_have_type_code_message_and_param(
    client: Client, body: object, status: int, code: str | None
) -> None:
    """Every error has the same four keys; a limit says when to come back."""
    answer = await client.post("/v1/chat/completions", json=body)
    error = (await answer.json())["error"]
    assert (answer.status, error["code"]) == (status, code)
    assert set(error) == {"message", "type", "param", "code"}
    assert ("Retry-After" in answer.headers) == (status == 429)


async def test_strange_options_do_not_break_a_stream(client: Client) -> None:
    """Options that are no object count as none."""
    body = CHAT | {"stream": True, "stream_options": "yes", "messages": [{"content": [{"text": "\ud800"}]}]}
    assert (await data_of(client, "/v1/chat/completions", body))[-1] == "[DONE]"


async def test_models_are_listed(client: Client) -> None:
    """Every listed model answers."""
    found = await (await client.get("/v1/models")).json()
    assert "gpt-4o" in [model["id"] for model in found["data"]]


async def test_a_stream_with_running_usage(client: Client) -> None:
    """Every chunk has the counts so far, as vLLM writes them."""
    options = {"include_usage": True, "continuous_usage_stats": True}
    frames = await data_of(client, "/v1/chat/completions", CHAT | {"stream": True, "stream_options": options})
    counts = [json.loads(frame)["usage"]["completion_tokens"] for frame in frames[:-1]]
    assert counts[:4] == [0, 1, 2, 3]


async def test_a_tool_is_called_once(client: Client) -> None:
    """The first one offered is called, its arguments streamed in parts, unless its result was just sent."""
    function = {"name": "weather", "parameters": {"properties": {"city": {"type": "string"}}}}
    body = CHAT | {"tools": [{"type": "function", "function": function}]}
    plain = await (await client.post("/v1/chat/completions", json=body)).json()
    (call,) = plain["choices"][0]["message"]["tool_calls"]
    assert (call["function"], plain["choices"][0]["finish_reason"]) == (
        {"name": "weather", "arguments": '{"city": "three"}'}, "tool_calls",
    )  # fmt: skip
    *chunks, _ = await data_of(client, "/v1/chat/completions", body | {"stream": True})
    parts = [part for chunk in chunks for part in json.loads(chunk)["choices"][0]["delta"].get("tool_calls", [])]
    assert "".join(part["function"]["arguments"] for part in parts) == call["function"]["arguments"]
    result = {"role": "tool", "tool_call_id": call["id"], "content": "sunny"}
    body |= {"messages": [*body["messages"], result]}
    plain = await (await client.post("/v1/chat/completions", json=body)).json()
    assert plain["choices"][0]["finish_reason"] == "stop"


async def test_a_stream_may_fail_in_its_middle(client: Client) -> None:
    """The error is the last frame under a 200."""
    frames = await data_of(client, "/v1/chat/completions", CHAT | {"model": "gpt-faulty", "stream": True})
    assert json.loads(frames[-1])["error"]["code"] == "server_error"
