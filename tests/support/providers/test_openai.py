"""Responses, embeddings and older completions of the fake OpenAI API, on their public wire formats."""

import base64
import json
import struct
from typing import Any

import pytest

from tests.support.providers.streams import Client, data_of


async def test_a_response_stream_is_numbered_and_ends_with_the_plain_answer(client: Client) -> None:
    """Events are counted from 0; usage is only in the last one, equal to the plain answer's."""
    body = {"model": "gpt-4o", "input": [{"role": "user", "content": "a b"}], "stream": True}
    events = [json.loads(data) for data in await data_of(client, "/v1/responses", body)]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[0]["type"] == "response.created"
    assert events[0]["response"]["usage"] is None
    assert events[-1]["type"] == "response.completed"
    plain = await (await client.post("/v1/responses", json=body | {"stream": False})).json()
    assert events[-1]["response"]["usage"] == plain["usage"]
    assert plain["usage"]["input_tokens"] == 2
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    assert "".join(deltas) == plain["output"][0]["content"][0]["text"]


async def test_embeddings_come_as_numbers_or_packed(client: Client) -> None:
    """Both encodings say the same, to the precision of float32."""
    body = {"model": "text-embedding-3-small", "input": ["a b", "c"], "dimensions": 8}
    plain = await (await client.post("/v1/embeddings", json=body)).json()
    packed = await (await client.post("/v1/embeddings", json=body | {"encoding_format": "base64"})).json()
    assert plain["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    for one, other in zip(plain["data"], packed["data"], strict=True):
        assert struct.unpack("<8f", base64.b64decode(other["embedding"])) == pytest.approx(one["embedding"], abs=1e-6)
    assert plain["data"][0]["embedding"] != plain["data"][1]["embedding"]


async def test_the_older_endpoint(client: Client) -> None:
    """A completion of a prompt has text and counts."""
    answer = await client.post("/v1/completions", json={"model": "gpt-4o", "prompt": "one two"})
    found = await answer.json()
    assert (found["choices"][0]["finish_reason"], found["usage"]["prompt_tokens"]) == ("stop", 2)


async def test_a_response_may_call_a_function(client: Client) -> None:
    """Streamed, its arguments come apart, and the last event has the plain answer; its output ends the calling."""
    function = {"type": "function", "name": "weather", "parameters": {"properties": {"city": {"type": "string"}}}}
    body: dict[str, Any] = {"model": "gpt-4o", "input": "weather in Bern", "tools": [function]}
    plain = await (await client.post("/v1/responses", json=body)).json()
    (call,) = plain["output"]
    assert (call["type"], call["name"], json.loads(call["arguments"])) == ("function_call", "weather", {"city": "Bern"})
    frames = [json.loads(frame) for frame in await data_of(client, "/v1/responses", body | {"stream": True})]
    streamed = frames[-1]["response"]["output"][0]
    assert (streamed["name"], streamed["arguments"]) == (call["name"], call["arguments"])
    given = [{"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}]
    plain = await (await client.post("/v1/responses", json=body | {"input": given})).json()
    assert plain["output"][0]["type"] == "message"


async def test_a_response_stream_may_fail_in_its_middle(client: Client) -> None:
    """The error is the last frame under a 200."""
    body = {"input": "one two", "model": "gpt-faulty", "stream": True}
    assert json.loads((await data_of(client, "/v1/responses", body))[-1])["code"] == "server_error"
