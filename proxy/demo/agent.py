"""One run of a coding agent: its model is asked turn by turn, each time with all that was said
before. Pure.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from proxy.demo.steps import Step

_ASK: Final[dict[str, Any]] = {
    "request": "POST /v1/messages",
    "headers": {"x-api-key": "demo-key-not-a-secret-0002", "anthropic-version": "2023-06-01"},
}
_OVERLOADED: Final = {
    "type": "error",
    "error": {"type": "overloaded_error", "message": "overloaded"},
}
THINKING_S: Final = 0.8


class Agent(msgspec.Struct, frozen=True):
    """What the agent does."""

    weight: int
    model: str
    busy_turn: int
    """Before this turn the model is overloaded once."""
    task: str
    done: str
    """What the model says at last."""
    uses: tuple[tuple[str, dict[str, str], str, bool], ...]
    """Of tools, turn by turn: name, what it is given, what it says, and whether that is an error.
    """
    served: tuple[str, ...]
    """Tools of the demo's MCP server; the others are the agent's own."""


def steps_of(agent: Agent, session: Sequence[Step]) -> tuple[Step, ...]:
    """Return the steps of a run; `session` opens one with the MCP server."""
    steps = [*session]
    for turn, body, answer in _turns(agent):
        if turn == agent.busy_turn:
            busy = {**body, "metadata": {"user_id": "overloaded"}}
            steps.append(
                Step(**_ASK, body=json.dumps(busy), status="529", answer=json.dumps(_OVERLOADED))
            )

        steps.append(
            Step(**_ASK, body=json.dumps(body), answer=json.dumps(answer), delay_s=THINKING_S)
        )
        if turn < len(agent.uses) and agent.uses[turn][0] in agent.served:
            steps.append(_call(session[-1], len(steps), *agent.uses[turn]))

    return tuple(steps)


def _turns(agent: Agent) -> Iterator[tuple[int, Mapping[str, Any], Mapping[str, Any]]]:
    """Yield the number of each turn, what the model is asked, and what it answers."""
    names = dict.fromkeys(name for name, *_ in agent.uses)
    tools = [
        {"name": name, "description": name.replace("_", " "), "input_schema": {"type": "object"}}
        for name in names
    ]
    messages: list[dict[str, Any]] = [{"role": "user", "content": agent.task}]

    for turn, use in enumerate([*agent.uses, None]):
        said: list[dict[str, Any]] = [{"type": "text", "text": agent.done}]
        if use is not None:
            said = [
                {"type": "tool_use", "id": f"toolu_{turn:02d}", "name": use[0], "input": use[1]}
            ]

        usage = {
            "input_tokens": 300,
            "cache_read_input_tokens": 9000 + 800 * turn,
            "output_tokens": 60 + 20 * turn,
        }
        answer: dict[str, Any] = {
            "id": "msg_demo",
            "type": "message",
            "role": "assistant",
            "model": agent.model,
            "content": said,
        }
        answer |= {"stop_reason": "end_turn" if use is None else "tool_use", "usage": usage}
        yield (
            turn,
            {"model": agent.model, "max_tokens": 4096, "tools": tools, "messages": [*messages]},
            answer,
        )

        if use is not None:
            result = {"type": "tool_result", "tool_use_id": said[0]["id"], "content": use[2]}
            messages.append({"role": "assistant", "content": said})
            messages.append(
                {"role": "user", "content": [result | ({"is_error": True} if use[3] else {})]}
            )


def _call(
    within: Step, number: int, name: str, given: Mapping[str, str], result: str, is_error: bool
) -> Step:
    """Return the call of a tool within an MCP session."""
    asked = {
        "jsonrpc": "2.0",
        "method": "tools/call",
        "params": {"name": name, "arguments": given},
        "id": number,
    }
    content = {"content": [{"type": "text", "text": result}], "isError": is_error}
    answer = {"jsonrpc": "2.0", "id": number, "result": content}
    return Step(
        request=within.request,
        headers=within.headers,
        body=json.dumps(asked),
        answer=json.dumps(answer),
    )
