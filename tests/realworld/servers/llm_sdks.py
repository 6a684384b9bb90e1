"""Clients of language models: `llm_sdks.py SDK URL`; prints what each call was told, in order, as
one line of JSON.
"""

import json
import os
import sys
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
MESSAGES: list[Any] = [{"role": "user", "content": "what is the weather like in Bern"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "weather", "description": "w", "parameters": SCHEMA}}
]


Told = dict[str, Any]


def told(
    model: str, used: tuple[Any, Any], reason: str | None = None, tools: list[str] | None = None
) -> Told:
    given, output = (None if count is None else int(count) for count in used)
    return {
        "model": model, "input_tokens": given, "output_tokens": output, "finish_reason": reason, "called_tools": tools,
    }  # fmt: skip


def mistral(url: str) -> list[Told]:
    from mistralai.client import Mistral

    client = Mistral(api_key="k", server_url=url)
    model = "mistral-small-latest"
    heard = []
    for more in ({}, {"tools": TOOLS}):
        answer = client.chat.complete(model=model, messages=MESSAGES, **more)
        heard.append(told_of_chat(model, answer))
    last = list(client.chat.stream(model=model, messages=MESSAGES))[-1].data
    usage = last.usage.prompt_tokens, last.usage.completion_tokens
    heard.append(told(model, usage, last.choices[0].finish_reason))
    vectors = client.embeddings.create(model="mistral-embed", inputs=["one"])
    return [
        *heard,
        told("mistral-embed", (vectors.usage.prompt_tokens, vectors.usage.completion_tokens)),
    ]


def told_of_chat(model: str, answer: Any) -> Told:
    choice = answer.choices[0]
    tools = [call.function.name for call in choice.message.tool_calls or ()]
    usage = answer.usage.prompt_tokens, answer.usage.completion_tokens
    return told(model, usage, choice.finish_reason, tools or None)


def cohere(url: str) -> list[Told]:
    import cohere as sdk

    client = sdk.ClientV2("k", base_url=url)
    model = "command-a-03-2025"
    heard = []

    for more in ({}, {"tools": TOOLS}):
        answer = client.chat(model=model, messages=MESSAGES, **more)
        tools = [call.function.name for call in answer.message.tool_calls or ()]
        units = answer.usage.billed_units
        heard.append(
            told(
                model,
                (units.input_tokens, units.output_tokens),
                answer.finish_reason,
                tools or None,
            )
        )

    for event in client.chat_stream(model=model, messages=MESSAGES):
        if event.type == "message-end":
            units = event.delta.usage.billed_units
            heard.append(
                told(model, (units.input_tokens, units.output_tokens), event.delta.finish_reason)
            )

    vectors = client.embed(
        model="embed-v4.0", texts=["one"], input_type="classification", embedding_types=["float"]
    )
    heard.append(told("embed-v4.0", (vectors.meta.billed_units.input_tokens, None)))
    client.rerank(model="rerank-v3.5", query="one", documents=["two"])
    return [*heard, told("rerank-v3.5", (None, None))]


def bedrock(url: str) -> list[Told]:
    import boto3

    client = boto3.client(
        "bedrock-runtime", endpoint_url=url, region_name="eu-central-1", aws_access_key_id="k",
        aws_secret_access_key="s",
    )  # fmt: skip
    turns: list[Any] = [{"role": "user", "content": [{"text": "hi"}]}]
    model = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    answer = client.converse(modelId=model, messages=turns)
    tools = [
        part["toolUse"]["name"]
        for part in answer["output"]["message"]["content"]
        if "toolUse" in part
    ]
    heard = [told(model, conversed(answer["usage"]), answer["stopReason"], tools)]
    parts = list(client.converse_stream(modelId=model, messages=turns)["stream"])
    (reason,) = (part["messageStop"]["stopReason"] for part in parts if "messageStop" in part)
    heard.append(told(model, conversed(parts[-1]["metadata"]["usage"]), reason, tools))
    model = "mistral.mistral-7b-instruct-v0:2"
    prompt = json.dumps({"prompt": "hi"})
    answer = client.invoke_model(modelId=model, body=prompt)
    head = answer["ResponseMetadata"]["HTTPHeaders"]
    used = tuple(head[f"x-amzn-bedrock-{side}-token-count"] for side in ("input", "output"))
    heard.append(told(model, used, json.loads(answer["body"].read())["outputs"][0]["stop_reason"]))
    model = "meta.llama3-1-8b-instruct-v1:0"
    parts = list(client.invoke_model_with_response_stream(modelId=model, body=prompt)["body"])
    last = json.loads(parts[-1]["chunk"]["bytes"])
    metrics = last["amazon-bedrock-invocationMetrics"]
    return [
        *heard,
        told(model, (metrics["inputTokenCount"], metrics["outputTokenCount"]), last["stop_reason"]),
    ]


def conversed(usage: dict[str, int]) -> tuple[int, int]:
    return usage["inputTokens"] + usage["cacheReadInputTokens"], usage["outputTokens"]


def litellm(url: str) -> list[Told]:
    import litellm as sdk

    heard = []
    common: dict[str, Any] = {"messages": MESSAGES, "api_key": "k", "max_retries": 0}

    chats: tuple[tuple[str, str], ...] = (
        ("openai/gpt-4o", f"{url}/v1"),
        ("mistral/mistral-small-latest", f"{url}/v1"),
    )
    for name, base in chats:
        model = name.partition("/")[2]
        heard.append(told_of_chat(model, sdk.completion(model=name, api_base=base, **common)))
        options = {"stream": True, "stream_options": {"include_usage": True}}
        parts = list(sdk.completion(model=name, api_base=base, **options, **common))
        reason = next(
            part.choices[0].finish_reason
            for part in parts
            if part.choices and part.choices[0].finish_reason
        )
        usage = next(part.usage for part in reversed(parts) if getattr(part, "usage", None))
        heard.append(told(model, (usage.prompt_tokens, usage.completion_tokens), reason))

    return heard


CLIENTS = {"mistral": mistral, "cohere": cohere, "bedrock": bedrock, "litellm": litellm}
sys.stdout.write(json.dumps(CLIENTS[sys.argv[1]](sys.argv[2])) + "\n")
