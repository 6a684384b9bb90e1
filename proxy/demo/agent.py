"""One run of a coding agent: what it is asked, which tools its model calls turn by turn, what they return. Pure.

The model of the demo answers a history by its length (`reply`): both sides of the conversation follow from one script.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

MODEL: Final = "claude-sonnet-4-5"
BUSY_TURN: Final = 7
"""Before this turn the model is overloaded once."""
OVERLOADED: Final = {"user_id": "overloaded"}
"""By this the model knows the call that it refuses."""
TASK: Final = "Find out why uploads are slow at noon, and mend it"
SEARCH, RESTART = "search_documents", "restart_service"
"""Tools of the demo's MCP server; the others are the agent's own."""
_FOUND: Final = json.dumps([{"title": f"slow uploads, part {number}", "score": 1 / number} for number in (1, 2, 3)])


class ToolUse(NamedTuple):
    """What the model asks for in a turn, and what comes of it."""

    name: str
    given: Mapping[str, Any]
    result: str
    is_error: bool = False


USES: Final = (
    ToolUse("list_files", {"path": "app"}, "uploads.py\nstorage.py\nsettings.py"),
    ToolUse("read_file", {"path": "app/uploads.py"}, "async def upload(request):\n    data = await request.read()"),
    ToolUse(SEARCH, {"query": "slow uploads"}, _FOUND),
    ToolUse("read_file", {"path": "app/settings.py"}, "CHUNK_SIZE = 1024\nWORKERS = 1"),
    ToolUse(
        "run", {"command": "pytest -q tests/test_uploads.py"}, "1 failed: upload of 10 MB took 31 s", is_error=True
    ),
    ToolUse("edit_file", {"path": "app/settings.py", "old": "1024", "new": "262144"}, "1 line changed"),
    ToolUse("read_file", {"path": "app/storage.py"}, "def put(name, chunks): ..."),
    ToolUse("edit_file", {"path": "app/storage.py", "old": "fsync each", "new": "fsync once"}, "3 lines changed"),
    ToolUse("run", {"command": "pytest -q tests/test_uploads.py"}, "4 passed in 2.1 s"),
    ToolUse("run", {"command": "git commit -am 'Read uploads in larger pieces'"}, "[main 3f2a91c] 2 files changed"),
    ToolUse(RESTART, {"service": "uploads"}, "permission denied: cannot restart uploads", is_error=True),
)
TURNS: Final = len(USES) + 1
TOOLS: Final = tuple(
    {"name": name, "description": name.replace("_", " "), "input_schema": {"type": "object"}}
    for name in dict.fromkeys(use.name for use in USES)
)
_DONE: Final = (
    "Uploads were read in pieces of 1 KiB, each synced to disk. They are larger now, and synced once. "
    "I may not restart the service: please do."
)


def reply(messages: Sequence[Any]) -> tuple[list[dict[str, Any]], str, dict[str, int]]:
    """Return what the model says to a history, why it stops, and what that uses."""
    turn = sum(message["role"] == "assistant" for message in messages)
    usage = {"input_tokens": 300, "cache_read_input_tokens": 9000 + 800 * turn, "output_tokens": 60 + 20 * turn}
    if turn >= len(USES):
        return [{"type": "text", "text": _DONE}], "end_turn", usage
    use = USES[turn]
    return [{"type": "tool_use", "id": f"toolu_{turn:02d}", "name": use.name, "input": use.given}], "tool_use", usage


def requests(run: int) -> list[Mapping[str, Any]]:
    """Return the bodies that the agent sends to the model, each with all that was said before; one of them fails."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": f"{TASK} (ticket {run})"}]
    bodies: list[Mapping[str, Any]] = []
    for turn in range(TURNS):
        body = {"model": MODEL, "max_tokens": 4096, "tools": TOOLS, "messages": list(messages)}
        bodies += [body | {"metadata": OVERLOADED}] * (turn == BUSY_TURN) + [body]
        said, _, _ = reply(messages)
        messages.append({"role": "assistant", "content": said})
        if turn < len(USES):
            result = {"type": "tool_result", "tool_use_id": said[0]["id"], "content": USES[turn].result}
            messages.append({"role": "user", "content": [result | ({"is_error": True} if USES[turn].is_error else {})]})
    return bodies
