"""A scripted model for coding agents: it lets them run one command, then tells them what they read.

It speaks Anthropic Messages, OpenAI Responses (events and WebSocket), OpenAI Chat Completions and
Gemini. What it answers follows from the request alone: a shell among the tools and no result yet is
a command to run, a result is the answer, no shell is an aside (a title, a router, a warm-up). Its
figures differ from turn to turn, so that none is taken for another's. Whatever else is asked of it
is answered with `{}` and kept, too.
"""

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal

from aiohttp import WSMsgType, web

from storage.zstd import zstd

COMMAND: Final = "cat notes.txt"
ANSWER: Final = "The notes say: buy milk."
SUBMIT: Final = "COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"
"""mini-swe-agent ends with a command that writes this, and its answer behind it."""
MAX_BODY_BYTES: Final = 16 << 20

ROUTE: Final = {"complexity_reasoning": "short", "complexity_score": 10}
"""What the router of Gemini CLI wants to hear."""

Json = dict[str, Any]
Turn = Literal["command", "answer", "aside"]


@dataclasses.dataclass(frozen=True)
class Tokens:
    """What a turn is said to have used."""

    input: int
    """All of it."""
    cache_read: int
    cache_write: int
    output: int
    """With the reasoning."""
    reasoning: int


TOKENS: Final[Mapping[Turn, Tokens]] = {
    "command": Tokens(input=6500, cache_read=5000, cache_write=300, output=31, reasoning=4),
    "answer": Tokens(input=6700, cache_read=6400, cache_write=110, output=12, reasoning=3),
    "aside": Tokens(input=250, cache_read=20, cache_write=10, output=9, reasoning=2),
}


@dataclasses.dataclass(frozen=True)
class Asked:
    """What counts of a request."""

    model: str
    tools: tuple[str, ...]
    results: tuple[str, ...]
    """What came back of tools, as JSON."""
    is_short: bool = False
    """Ends with a command instead of a text."""

    @property
    def tool(self) -> str | None:
        """The shell of this agent."""
        return next((name for name in self.tools if name in _ARGUMENTS), None)

    @property
    def turn(self) -> Turn:
        """What comes next."""
        if self.tool is None:
            return "aside"
        if self.results:
            return "answer"
        return "command"

    def command(self) -> tuple[str, Any] | None:
        """Say which tool is to be called with which arguments; None where the answer is a text."""
        if self.tool is None or (self.results and not self.is_short):
            return None
        line = f"printf '{SUBMIT}\\n{ANSWER}\\n'" if self.results else COMMAND
        return self.tool, _ARGUMENTS[self.tool](line)


_ARGUMENTS: Final[Mapping[str, Callable[[str], Any]]] = {
    "Bash": lambda line: {"command": line, "description": "read"},
    "bash": lambda line: {"command": line, "description": "read"},
    "run_shell_command": lambda line: {"command": line},
    "exec_command": lambda line: {"cmd": line},
    "echo": lambda line: {"message": line},
    "exec": lambda line: f"text(await tools.exec_command({{cmd: {json.dumps(line)}}}));",
}


@dataclasses.dataclass(frozen=True)
class Answered:
    """A call as it was answered, in the words of the record's columns."""

    turn: Turn
    provider: str
    model: str
    finish_reason: str
    called_tools: tuple[str, ...]
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    reasoning_tokens: int | None
    cache_write_tokens: int | None = None


def answered(asked: Asked, provider: str, reason: str, **others: int | None) -> Answered:
    """Say what the record has to say of a call; `others` are columns that not every API has."""
    used = TOKENS[asked.turn]
    command = asked.command()
    called = () if command is None else (command[0],)
    counts = {
        "input_tokens": used.input,
        "output_tokens": used.output,
        "cache_read_tokens": used.cache_read,
        "reasoning_tokens": used.reasoning,
    }
    return Answered(asked.turn, provider, asked.model, reason, called, **(counts | others))  # type: ignore[arg-type]


def read_anthropic(body: Json) -> Asked:
    parts = [
        part
        for message in body["messages"]
        for part in message["content"]
        if isinstance(part, dict)
    ]
    results = tuple(json.dumps(part) for part in parts if part.get("type") == "tool_result")
    return Asked(body["model"], tuple(tool["name"] for tool in body.get("tools", ())), results)


def anthropic_events(asked: Asked) -> list[Json]:
    """The events of `POST /v1/messages`; the message of a plain answer is what they add up to."""
    used = TOKENS[asked.turn]
    command = asked.command()
    usage = {
        "input_tokens": used.input - used.cache_read - used.cache_write,
        "cache_creation_input_tokens": used.cache_write,
        "cache_read_input_tokens": used.cache_read,
        "output_tokens": 1,
    }
    message: Json = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": [],
    }
    message |= {"stop_reason": None, "stop_sequence": None, "usage": usage}
    block: Json = {"type": "text", "text": ""}

    if command is None:
        delta = {"type": "text_delta", "text": ANSWER}
    else:
        block = {"type": "tool_use", "id": "toolu_01", "name": command[0], "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(command[1])}

    details = {
        "output_tokens": used.output,
        "output_tokens_details": {"thinking_tokens": used.reasoning},
    }
    ended = {"stop_reason": "end_turn" if command is None else "tool_use", "stop_sequence": None}
    return [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": ended, "usage": usage | details},
        {"type": "message_stop"},
    ]


_REASONING: Final = {"type": "reasoning", "id": "rs_1", "summary": []}
_THINKS: Final = frozenset(("echo",))
"""Tools before whose call stands an item of reasoning, which the provider keeps; agents would want
it encrypted.
"""


def read_responses(body: Json) -> Asked:
    """Read a request of the Responses API: Codex' newest models are told their tools in the input,
    by namespace.
    """
    items = [item for item in body["input"] if isinstance(item, dict)]
    given = list(body.get("tools", ()))
    given += [
        tool for item in items if item.get("type") == "additional_tools" for tool in item["tools"]
    ]
    tools = [
        inner
        for tool in given
        for inner in (tool["tools"] if tool.get("type") == "namespace" else [tool])
    ]
    results = tuple(
        json.dumps(item) for item in items if str(item.get("type")).endswith("_call_output")
    )
    names = [tool.get("name") or tool["type"] for tool in tools]
    return Asked(body["model"], tuple(names or ("exec",) * bool(results)), results)


def responses_events(asked: Asked, response_id: str) -> list[Json]:
    """The events of `POST /v1/responses`, by HTTP or WebSocket; the last has the whole response."""
    used = TOKENS[asked.turn]
    command = asked.command()
    head = {
        "object": "response",
        "created_at": 1,
        "model": asked.model,
        "status": "in_progress",
        "output": [],
    }
    base = {"id": response_id} | head
    opened: Json

    if command is None:
        part = {"type": "output_text", "text": ANSWER, "annotations": []}
        item: Json = {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [part],
        }
        opened = {"content": []}
        kind = "output_text"
        text = {"delta": ANSWER, "content_index": 0}
    elif isinstance(command[1], str):
        item = {
            "type": "custom_tool_call",
            "id": "ctc_1",
            "call_id": "call_1",
            "status": "completed",
        }
        item |= {"name": command[0], "namespace": "functions", "input": command[1]}
        opened = {"input": ""}
        kind = "custom_tool_call_input"
        text = {"delta": command[1]}
    else:
        arguments = json.dumps(command[1])
        item = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "status": "completed"}
        item |= {"name": command[0], "arguments": arguments}
        opened = {"arguments": ""}
        kind = "function_call_arguments"
        text = {"delta": arguments}

    usage = {
        "input_tokens": used.input,
        "input_tokens_details": {"cached_tokens": used.cache_read},
        "output_tokens": used.output,
        "output_tokens_details": {"reasoning_tokens": used.reasoning},
        "total_tokens": used.input + used.output,
    }
    thought = [_REASONING] if command is not None and command[0] in _THINKS else []
    place = {"output_index": len(thought)}
    events: list[Json] = [
        {"type": "response.created", "response": base},
        *(
            {"type": f"response.output_item.{kind}", "output_index": 0, "item": each}
            for each in thought
            for kind in ("added", "done")
        ),
        {"type": "response.output_item.added", "item": item | opened | {"status": "in_progress"}}
        | place,
        {"type": f"response.{kind}.delta", "item_id": item["id"]} | place | text,
        {"type": "response.output_item.done", "item": item} | place,
        {
            "type": "response.completed",
            "response": base | {"status": "completed", "output": [*thought, item], "usage": usage},
        },
    ]
    return [event | {"sequence_number": number} for number, event in enumerate(events)]


def read_chat(body: Json) -> Asked:
    messages = body["messages"]
    results = tuple(json.dumps(message) for message in messages if message["role"] == "tool")
    names = tuple(tool["function"]["name"] for tool in body.get("tools", ()))
    return Asked(body["model"], names, results, is_short=SUBMIT in json.dumps(messages))


def chat_usage(asked: Asked) -> Json:
    used = TOKENS[asked.turn]
    return {
        "prompt_tokens": used.input,
        "completion_tokens": used.output,
        "total_tokens": used.input + used.output,
        "prompt_tokens_details": {"cached_tokens": used.cache_read},
        "completion_tokens_details": {"reasoning_tokens": used.reasoning},
    }


def chat_message(asked: Asked) -> tuple[Json, str]:
    """The message of `POST /v1/chat/completions`, and why it ends."""
    command = asked.command()
    if command is None:
        return {"role": "assistant", "content": ANSWER}, "stop"

    function = {"name": command[0], "arguments": json.dumps(command[1])}
    call = {
        "id": f"call_{len(asked.results)}",
        "type": "function",
        "index": 0,
        "function": function,
    }
    return {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"


def read_gemini(body: Json, model: str) -> Asked:
    parts = [part for content in body["contents"] for part in content.get("parts", ())]
    results = tuple(json.dumps(part) for part in parts if "functionResponse" in part)
    given = [
        function
        for tool in body.get("tools", ())
        for function in tool.get("functionDeclarations", ())
    ]
    return Asked(model, tuple(function["name"] for function in given), results)


def gemini_document(asked: Asked, *, is_json: bool) -> Json:
    """The only chunk of a stream, or the whole answer; `is_json`: the router of Gemini CLI asks for
    an object.
    """
    used = TOKENS[asked.turn]
    command = asked.command()
    part: Json = {"text": json.dumps(ROUTE) if is_json else ANSWER}
    if command is not None:
        part = {"functionCall": {"name": command[0], "args": command[1]}}
    usage = {
        "promptTokenCount": used.input,
        "cachedContentTokenCount": used.cache_read,
        "candidatesTokenCount": used.output - used.reasoning,
        "thoughtsTokenCount": used.reasoning,
        "totalTokenCount": used.input + used.output,
    }
    candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
    return {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": asked.model,
        "responseId": "r1",
    }


class Model:
    """The scripted model behind its ports: what it was asked, and what it answered."""

    def __init__(self) -> None:
        """Begin without a call."""
        self.calls: list[Answered] = []
        self.results: list[str] = []
        """What tools gave, as it arrived here."""
        self.others: list[tuple[str, str]] = []
        """Method and path of what is no call."""
        self._numbers = itertools.count(1)

    def application(self) -> web.Application:
        """Serve all of its APIs."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_post("/v1/messages", self._messages)
        app.router.add_post("/v1/responses", self._responses)
        app.router.add_get("/v1/responses", self._responses_socket)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post(
            "/v1beta/models/{model:[^/:]+}:{method:(?:streamG|g)enerateContent}", self._gemini
        )
        app.router.add_route("*", "/{path:.*}", self._other)
        return app

    def _note(self, asked: Asked, call: Answered) -> None:
        self.calls.append(call)
        self.results += asked.results

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        asked = read_anthropic(body := await _body_of(request))
        events = anthropic_events(asked)
        ended = events[-2]
        used = TOKENS[asked.turn]
        reason = ended["delta"]["stop_reason"]
        self._note(asked, answered(asked, "anthropic", reason, cache_write_tokens=used.cache_write))
        if body.get("stream"):
            return await _stream(request, [(event["type"], event) for event in events])

        content = [{"type": "text", "text": ANSWER}]
        whole = {"content": content, "usage": ended["usage"]} | ended["delta"]
        return web.json_response(events[0]["message"] | whole)

    def _respond(self, body: Json) -> list[Json]:
        asked = read_responses(body)
        self._note(asked, answered(asked, "openai", "completed"))
        return responses_events(asked, f"resp_{next(self._numbers)}")

    async def _responses(self, request: web.Request) -> web.StreamResponse:
        body = await _body_of(request)
        events = self._respond(body)
        if body.get("stream"):
            return await _stream(request, [(event["type"], event) for event in events])
        return web.json_response(events[-1]["response"])

    async def _responses_socket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(max_msg_size=MAX_BODY_BYTES)
        await socket.prepare(request)
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                for event in self._respond(json.loads(message.data)):
                    await socket.send_json(event)
        return socket

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        asked = read_chat(body := await _body_of(request))
        message, reason = chat_message(asked)
        self._note(asked, answered(asked, "openai", reason))
        head = {"id": f"chat_{next(self._numbers)}", "created": 1, "model": asked.model}

        if not body.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": reason}
            whole = {"object": "chat.completion", "choices": [choice], "usage": chat_usage(asked)}
            return web.json_response(head | whole)

        parts: list[Json] = [
            {"choices": [{"index": 0, "delta": message, "finish_reason": None}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
        ]
        if (body.get("stream_options") or {}).get("include_usage"):
            parts.append({"choices": [], "usage": chat_usage(asked)})
        chunks = [(None, head | {"object": "chat.completion.chunk"} | part) for part in parts]
        return await _stream(request, chunks, b"data: [DONE]\n\n")

    async def _gemini(self, request: web.Request) -> web.StreamResponse:
        body = await _body_of(request)
        asked = read_gemini(body, request.match_info["model"])
        self._note(asked, answered(asked, "gemini", "STOP"))
        is_json = (body.get("generationConfig") or {}).get("responseMimeType") == "application/json"
        document = gemini_document(asked, is_json=is_json)
        if request.match_info["method"].startswith("stream"):
            return await _stream(request, [(None, document)])

        return web.json_response(document)

    async def _other(self, request: web.Request) -> web.Response:
        await request.read()
        self.others.append((request.method, request.path))
        return web.json_response({})


async def _body_of(request: web.Request) -> Json:
    raw = await request.read()
    if request.headers.get("Content-Encoding") == "zstd":
        raw = zstd.decompress(raw)
    body: Json = json.loads(raw)
    return body


async def _stream(
    request: web.Request, events: Iterable[tuple[str | None, Json]], end: bytes = b""
) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    for name, event in events:
        line = f"event: {name}\n" if name else ""
        await answer.write(f"{line}data: {json.dumps(event)}\n\n".encode())
    await answer.write_eof(end)
    return answer
