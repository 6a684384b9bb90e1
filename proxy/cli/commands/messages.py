"""The messages of a WebSocket or gRPC stream in `sidelog get`: one line each, both directions, in
order.
"""

import base64
from typing import Any, Final

from proxy.cli.commands.client import Client, client_pages
from proxy.cli.commands.output import Json, say
from proxy.process.terminal import visible_line

MAX_SHOWN: Final = 1000
"""Number of messages shown, the API's largest page; a line says if there are more."""
_MAX_BINARY_BYTES: Final = 200
"""Number of bytes shown of a binary message; the web UI and --json show all that is kept."""


def read_messages(client: Client, record: Json, *, has_all: bool) -> dict[str, Any] | None:
    """Return the first messages of a session, or all of them; None for a record without messages of
    its own.

    A trace may have several sessions, so an empty page may be followed by others.
    """
    if not record.get("has_messages"):
        return None
    messages: list[dict[str, Any]] = []
    for page in client_pages(
        client, f"/api/records/{record['id']}/messages", {"limit": str(MAX_SHOWN)}
    ):
        messages += page["messages"]
        if messages and not has_all:
            break

    return {"messages": messages, "next_cursor": page["next_cursor"]}


def print_messages(page: Json, record: Json) -> None:
    if record["grpc"] is not None and not page["messages"]:
        return  # its bodies have them
    say(f"\nmessages{'' if page['messages'] else ': none were kept'}")
    for message in page["messages"]:
        if message["follows_gap"]:
            say(f"  [messages {message['direction']} were not recorded here]")
        say("  " + _line(message, record["started_at_us"]))

    if page["next_cursor"]:
        say(f"  [more: /api/records/{record['id']}/messages?cursor={page['next_cursor']}]")


def _line(message: Json, started_at_us: int) -> str:
    at_s = max(0, message["at_us"] - started_at_us) / 1_000_000
    if message["direction"] == "in":
        arrow = "-> in "
    else:
        arrow = "<- out"
    return (
        f"+{at_s:9.3f} s  {arrow}  {message['opcode'] or '-':6}  {_size(message):>16}  "
        f"{_content(message)}"
    )


def _size(message: Json) -> str:
    size = f"{message['size']:,} B"
    inflated = message["inflated_size"]
    if inflated is None:
        return size
    return f"{size} ({inflated:,} B)"


def _content(message: Json) -> str:
    if message["omitted"]:
        return f"[not kept: {message['omitted']}]"
    if message["count"] > 1:
        return f"[{message['count']:,} of these, one after the other]"

    if message["code"] is None:
        code = ""
    else:
        code = f"{message['code']} "
    if message["base64"] is None:
        text = visible_line(message["text"] or "")
    else:
        text = _binary_text(message["base64"])
    return f"{code}{text}" + (
        f" [cut: the first {message['kept']:,} bytes]" if message["truncated"] else ""
    )


def _binary_text(encoded: str) -> str:
    """Return the beginning of binary content like the right column of a hex dump: a dot for all but
    printable ASCII.
    """
    data = base64.b64decode(encoded)
    shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in data[:_MAX_BINARY_BYTES])
    return f"[binary] {shown}{'…' if len(data) > _MAX_BINARY_BYTES else ''}"
