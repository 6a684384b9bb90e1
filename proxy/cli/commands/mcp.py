"""`sidelog mcp`: the admin port's server of the Model Context Protocol on stdin and stdout, one
message a line.
"""

import json
import sys
from typing import Any, Final

from proxy.cli.command import command, reader_options
from proxy.cli.commands.client import Client, refusal
from proxy.cli.commands.output import CommandError, flush, say
from proxy.process.terminal import json_escaped

_PARSE_ERROR: Final = -32700
_INTERNAL_ERROR: Final = -32603


@command()
@reader_options
def mcp(client: Client) -> int:
    """Serve the log to a coding agent on stdin and stdout (Model Context Protocol), read-only.

    Example: sidelog mcp --data-dir /var/lib/sidelog
    """
    for line in sys.stdin.buffer:
        if line.strip() and (answer := _answer(client, line)) is not None:
            say(json_escaped(answer))
            flush()
    return 0


def _answer(client: Client, line: bytes) -> str | None:
    """Return the answer to a message of MCP; None if the message needs no answer."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        return _failure(None, _PARSE_ERROR, f"no JSON: {error}")

    if isinstance(message, dict):
        message_id = message.get("id")
    else:
        message_id = None
    try:
        answer = client.send("POST", "/mcp", message)
    except CommandError as error:
        return _failure(message_id, _INTERNAL_ERROR, str(error))

    if answer.status >= 400:
        return _failure(message_id, _INTERNAL_ERROR, refusal(answer))

    return answer.body.decode() or None


def _failure(message_id: object, code: int, text: str) -> str:
    failure: dict[str, Any] = {
        "jsonrpc": "2.0",
        "id": message_id,
        "error": {"code": code, "message": text},
    }
    return json.dumps(failure)
