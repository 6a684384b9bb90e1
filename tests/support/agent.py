"""What a coding agent gets to read, the answers of all tools over the log; and runs of agents as
pages and files.
"""

import json
import urllib.request
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

from tests.support.sidelog import Sidelog

_PAGES: Final = ("run", "file")


def asked_by_agents(sidelog: Sidelog, ids: list[str]) -> Iterator[tuple[str, bytes]]:
    """Ask every tool, about some records too; each answer as it is sent, and its text read as JSON."""
    yield from (
        (f"get {each}", _ask(sidelog, "get", id=each, body_characters=15_000)) for each in ids
    )
    yield from ((f"compare {a} {b}", _ask(sidelog, "compare", a=a, b=b)) for a, b in pairwise(ids))
    yield from (
        (tool, _ask(sidelog, tool)) for tool in ("search", "endpoints", "figures", "conversations")
    )

    for run in sidelog.api("/api/conversations?limit=100")["conversations"]:
        yield from (
            (path, _get(sidelog, path))
            for path in (f"/api/conversations/{run['id']}/{name}" for name in _PAGES)
        )


def _get(sidelog: Sidelog, path: str) -> bytes:
    request = urllib.request.Request(
        f"{sidelog.admin_url}{path}", headers={"Authorization": f"Bearer {sidelog.token}"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        answer: bytes = response.read()
    return answer


def _ask(sidelog: Sidelog, tool: str, **arguments: Any) -> bytes:
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": tool, "arguments": arguments},
    }
    headers = {"Authorization": f"Bearer {sidelog.token}"}
    request = urllib.request.Request(
        f"{sidelog.admin_url}/mcp", json.dumps(message).encode(), headers
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        answer: bytes = response.read()
    result = json.loads(answer)["result"]
    assert not result.get("isError"), result
    return answer + str(result["content"][0]["text"]).encode()
