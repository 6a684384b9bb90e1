"""One run of a coding agent: what it is asked, which tools its model calls turn by turn, what they return. Pure.

The model of the demo answers a history by its length (`reply`): both sides of the conversation follow from one script.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

MODEL: Final = "claude-sonnet-4-5"
BUSY_TURN: Final = 7
"""Before this turn the model is overloaded once."""
OVERLOADED: Final = {"user_id": "overloaded"}
"""By this the model knows the call that it refuses."""
TASK: Final = "Find out why uploads are slow at noon, and mend it"
_CALLS: Final = (
    ("list_files", {"path": "app"}, "uploads.py\nstorage.py\nsettings.py"),
    ("read_file", {"path": "app/uploads.py"}, "async def upload(request):\n    data = await request.read()\n    ..."),
    ("search", {"text": "chunk_size"}, "settings.py:12: CHUNK_SIZE = 1024"),
    ("read_file", {"path": "app/settings.py"}, "CHUNK_SIZE = 1024\nWORKERS = 1"),
    ("run", {"command": "pytest -q tests/test_uploads.py"}, "1 failed: upload of 10 MB took 31 s"),
    ("edit_file", {"path": "app/settings.py", "old": "1024", "new": "262144"}, "1 line changed"),
    ("read_file", {"path": "app/storage.py"}, "def put(name, chunks): ..."),
    ("edit_file", {"path": "app/storage.py", "old": "fsync each", "new": "fsync once"}, "3 lines changed"),
    ("run", {"command": "pytest -q tests/test_uploads.py"}, "4 passed in 2.1 s"),
    ("run", {"command": "ruff check app"}, "All checks passed!"),
    ("run", {"command": "git commit -am 'Read uploads in larger pieces'"}, "[main 3f2a91c] 2 files changed"),
)
TURNS: Final = len(_CALLS) + 1
TOOLS: Final = tuple(
    {"name": name, "description": name.replace("_", " "), "input_schema": {"type": "object"}}
    for name in dict.fromkeys(name for name, _, _ in _CALLS)
)
_DONE: Final = "Uploads were read in pieces of 1 KiB, each synced to disk. They are larger now, and synced once."


def reply(messages: Sequence[Any]) -> tuple[list[dict[str, Any]], str, dict[str, int]]:
    """Return what the model says to a history, why it stops, and what that uses."""
    turn = sum(message["role"] == "assistant" for message in messages)
    usage = {"input_tokens": 300, "cache_read_input_tokens": 9000 + 800 * turn, "output_tokens": 60 + 20 * turn}
    if turn >= len(_CALLS):
        return [{"type": "text", "text": _DONE}], "end_turn", usage
    name, given, _ = _CALLS[turn]
    return [{"type": "tool_use", "id": f"toolu_{turn:02d}", "name": name, "input": given}], "tool_use", usage


def requests(run: int) -> list[Mapping[str, Any]]:
    """Return the bodies that the agent sends, each with all that was said before; one of them fails."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": f"{TASK} (ticket {run})"}]
    bodies: list[Mapping[str, Any]] = []
    for turn in range(TURNS):
        body = {"model": MODEL, "max_tokens": 4096, "tools": TOOLS, "messages": list(messages)}
        bodies += [body | {"metadata": OVERLOADED}] * (turn == BUSY_TURN) + [body]
        said, _, _ = reply(messages)
        messages.append({"role": "assistant", "content": said})
        if turn < len(_CALLS):
            result = {"type": "tool_result", "tool_use_id": said[0]["id"], "content": _CALLS[turn][2]}
            messages.append({"role": "user", "content": [result]})
    return bodies
