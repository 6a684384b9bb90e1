"""A call of gRPC as a grpcurl command line that makes it again. Pure.

The messages are those of the record: with a schema they are what grpcurl takes, without one their members are field
numbers, and a note says so. The server's schema is asked of it by reflection, as grpcurl does by itself.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from api.native.files.shell import REDACTED, CurlLine, word

_OWN: Final = frozenset(("host", "content-type", "content-length", "te", "user-agent", "connection"))
"""Fields that grpcurl writes itself, beside those of gRPC."""


def grpcurl_of(record: Mapping[str, Any]) -> CurlLine:
    """Write the command for the record of a call as `/api/records/{id}` shows it."""
    notes: list[str] = []
    request = record.get("request") or {"headers": [], "body": None}
    words = ["grpcurl", *([] if record.get("scheme") == "https" else ["-plaintext"])]
    for name, value in request["headers"]:
        if name.lower() in _OWN or name.lower().startswith(("grpc-", "x-grpc-web")):
            continue
        if REDACTED.search(value):
            notes.append(f"{name} held a secret: replace <{name}>")
            value = REDACTED.sub(f"<{name}>", value)
        words.append(f"-H {word(f'{name}: {value}')}")
    if timeout_us := record["grpc"]["timeout_us"]:
        words.append(f"-max-time {timeout_us / 1_000_000:g}")
    if messages := _messages(request["body"], notes):
        words.append(f"-d {word(messages)}")
    host = record.get("host") or "127.0.0.1"
    if ":" not in host.rpartition("]")[2]:
        host += ":443" if record.get("scheme") == "https" else ":80"
    words += [word(host), word((record.get("path") or "/").removeprefix("/"))]
    return CurlLine(" \\\n  ".join(words), notes)


def _messages(body: Mapping[str, Any] | None, notes: list[str]) -> str:
    """Return the messages as grpcurl reads them, one after the other."""
    if not body or not body["size"]:
        return ""
    if body["omitted"] or body["truncated"]:
        notes.append(f"the messages, {body['size']} bytes, were not kept, or in part only: put them behind -d")
        return ""
    try:
        messages = orjson.loads(body["head"])
    except orjson.JSONDecodeError:
        messages = None
    if not isinstance(messages, list):
        notes.append("the body is no list of messages: put them behind -d")
        return ""
    shown = " ".join(orjson.dumps(message).decode() for message in messages)
    if any(isinstance(message, dict) and any(map(str.isdigit, message)) for message in messages):
        notes.append("messages are shown by field number: put names in their place, or see [[routes]] protobuf")
    if '{"omitted":"' in shown:
        notes.append("base64 and long lists of numbers were not kept: put them in place of what says omitted")
    if REDACTED.search(shown):
        notes.append("the messages held a secret: replace [REDACTED]")
    return shown
