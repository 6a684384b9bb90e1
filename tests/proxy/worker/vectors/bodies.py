"""Bodies that nobody sends in earnest: each is the dearest of its kind to read, redact, compact or
decode.
"""

import gzip
import zlib
from typing import NamedTuple

MEBIBYTE = 1 << 20


class HostileBody(NamedTuple):
    """One body, sent and answered alike."""

    path: str
    content_type: str
    content: bytes
    coding: str = ""


JSON = "application/json"
EVENTS = "text/event-stream"
FORM = "application/x-www-form-urlencoded"
LINES = "application/x-ndjson"
PARTS = "multipart/form-data; boundary=x"

HOSTILE: dict[str, HostileBody] = {
    "deep array": HostileBody("/v1beta/models/x:streamGenerateContent", JSON, b"[" * MEBIBYTE),
    "deep array, closed": HostileBody(
        "/v1beta/models/x:streamGenerateContent",
        JSON,
        b"[" * (MEBIBYTE // 2) + b"]" * (MEBIBYTE // 2),
    ),
    "deep objects": HostileBody("/v1/chat/completions", JSON, b'{"a":' * (MEBIBYTE // 5)),
    "a number of a million digits": HostileBody(
        "/v1/chat/completions", JSON, b'{"usage":{"prompt_tokens":' + b"9" * MEBIBYTE + b"}}"
    ),
    "numbers beyond floats": HostileBody(
        "/api/chat", JSON, b"[" + b"1e309," * (MEBIBYTE // 6) + b"1]"
    ),
    "broken utf-8": HostileBody(
        "/v1/messages", JSON, b'{"model":"\xff\xfe' + b"\xc3\x28" * (MEBIBYTE // 2) + b'"}'
    ),
    "an endless line": HostileBody("/v1/chat/completions", EVENTS, b"data: " + b"a" * MEBIBYTE),
    "empty lines": HostileBody("/v1/chat/completions", EVENTS, b"\n" * MEBIBYTE),
    "carriage returns": HostileBody("/v1/messages", EVENTS, b"\r" * MEBIBYTE),
    "empty frames": HostileBody("/mcp", EVENTS, b"data: {}\n\n" * (MEBIBYTE // 10)),
    "calls of tools": HostileBody(
        "/mcp",
        JSON,
        b"["
        + b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}},'
        * (MEBIBYTE // 70)
        + b"{}]",
    ),
    "secrets within secrets": HostileBody("/x", PARTS, b'{"password":{' * (MEBIBYTE // 13)),
    "parameters": HostileBody("/x", FORM, b"a=b&" * (MEBIBYTE // 4)),
    "percent-encoded parameters": HostileBody("/x", FORM, b"%61=%62&" * (MEBIBYTE // 8)),
    "percent-encoded letters": HostileBody("/x", FORM, b"%73%6b%2d" * (MEBIBYTE // 9)),
    "boundaries": HostileBody("/api/chat", LINES, b"--x\r\n" * (MEBIBYTE // 5)),
    "nothing but payloads": HostileBody(
        "/x", JSON, (b'"' + b"A" * 1030 + b'",') * (MEBIBYTE // 1033)
    ),
    "tokens": HostileBody("/x", JSON, (b"ghp_" + b"Ab1" * 12 + b" ") * (MEBIBYTE // 41)),
    "a bomb": HostileBody(
        "/v1/chat/completions", EVENTS, gzip.compress(b"\r" * (8 * MEBIBYTE)), "gzip"
    ),
    "a bomb in a bomb": HostileBody(
        "/v1/messages",
        EVENTS,
        gzip.compress(zlib.compress(b"\n" * (8 * MEBIBYTE))),
        "deflate, gzip",
    ),
}
