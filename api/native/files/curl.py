"""A record as a curl command that repeats the recorded request.

Every value is one shell word; no recorded text can become an option, a file name or a second
command. Headers that curl would add and the client did not send are switched off. Missing parts (a
secret, a cut body) become placeholders, and a note names them: a command without notes repeats the
request exactly.

Standard: POSIX shell quoting (XCU 2.2.2), curl(1).
"""

import base64
import re
import shlex
from collections.abc import Sequence
from itertools import groupby
from typing import Final

import msgspec
import orjson

from api.http.responses import ApiObject
from api.native.files.cut_bodies import sent_text
from api.native.projection import (
    TOKEN,
    decode_window,
    exact_target,
    exact_text,
    octets_of,
    split_head,
)
from storage.grpc import SWITCHING_PROTOCOLS
from storage.record import Body, Payload, Record

REDACTED: Final = re.compile(r"\[REDACTED(?::[0-9a-f]+)?\]")


class CurlLine(ApiObject):
    """A command, and notes to read before running it."""

    command: str
    notes: list[str]


def word(text: str) -> str:
    """Return a quoted shell word. printf creates control characters, so that the line is safe to
    show.
    """
    runs = groupby(text, lambda character: character.isprintable() or character in "\t\n")
    return (
        "".join(
            [
                shlex.quote("".join(run)) if is_safe else _printf("".join(run))
                for is_safe, run in runs
            ]
        )
        or "''"
    )


def _printf(controls: str) -> str:
    octal = "".join(f"\\{byte:03o}" for byte in octets_of(controls))
    return f"\"$(printf '{octal}')\""


_LEFT_OUT: Final = frozenset(
    (
        "host",
        "content-length",
        "connection",
        "keep-alive",
        "transfer-encoding",
        "trailer",
        "upgrade",
        "te",
        "proxy-connection",
        "accept-encoding",
        "expect",
    )
)
"""Fields that curl writes itself, or that belong to one connection."""
_ADDED_BY_CURL: Final = ("user-agent", "accept")
BODY_FILE: Final = "request-body"
"""File of a body that cannot be part of the command."""


_NOTHING: Final = Payload(b"", b"", None, None)


def curl_of(record: Record, payload: Payload | None, socket: str = "") -> CurlLine:
    """Write the command for a record; an event gives an empty command. `socket` is the path of the
    Unix socket that it came to, if it was one.
    """
    if record.kind == "event":
        return CurlLine("", ["an event is no exchange: there is nothing to send"])

    notes: list[str] = []
    sent = payload or _NOTHING
    line, fields = split_head(sent.request_head, exact_text)
    if record.grpc is not None and not _is_web(fields):
        return grpcurl_of(record, fields, sent.request_body, socket)

    if payload is None:
        notes.append("neither headers nor body were kept (see [capture] level)")
    headers = [(name, value) for name, value in fields if TOKEN.fullmatch(name)]
    content = sent.request_body
    if record.grpc is not None and content is not None:  # of gRPC-Web
        content = msgspec.structs.replace(content, coding=None, omitted="its messages are, as JSON")

    prefix, body = _body_words(content, notes)
    if not body and any(name.lower() == "content-length" for name, _ in headers):
        body = ["--data-raw ''"]  # else curl would not say that it is empty
    if record.method == "HEAD" and body:
        notes.append("curl sends no body with HEAD")
        prefix = ""
        body = []

    words = ["curl --globoff --path-as-is", *_method_words(record, has_body=bool(body))]
    words += [f"--unix-socket {word(socket)}"] if socket else []
    words += _target_words(record, line, notes)
    coding = None if content is None else content.coding
    words += _header_words(headers, coding, has_body=bool(body), notes=notes)

    if _is_upgrade(record):
        words += ["--header 'Connection: Upgrade'", "--header 'Upgrade: websocket'"]
        notes.append(
            "the connection was upgraded (WebSocket): curl repeats the request that asked for it "
            "only"
        )

    return CurlLine(prefix + " \\\n  ".join(words + body), notes)


def _is_upgrade(record: Record) -> bool:
    return record.outcome.startswith("upgraded") or record.status == SWITCHING_PROTOCOLS


def _is_web(fields: Sequence[Sequence[str]]) -> bool:
    """Whether a call is gRPC-Web, which grpcurl does not speak; curl sends the kept body."""
    return any(
        name.lower() == "content-type" and "grpc-web" in value.lower() for name, value in fields
    )


_VERSIONS: Final = {"1.0": "--http1.0", "2": "--http2"}


def _method_words(record: Record, *, has_body: bool) -> list[str]:
    method = record.method or "GET"
    version = "" if _is_upgrade(record) else record.http_version or ""
    words = [_VERSIONS.get(version, "--http1.1")]
    if words == ["--http2"] and record.scheme != "https":
        words = ["--http2-prior-knowledge"]
    if method == "HEAD":
        words.append("--head")
    elif method != ("POST" if has_body else "GET") and TOKEN.fullmatch(method):
        words.append(f"--request {word(method)}")

    return words


def _target_words(record: Record, line: str | None, notes: list[str]) -> list[str]:
    host = record.host or "127.0.0.1"
    path = record.path or "/"

    target = exact_target(line) or (path if record.query is None else f"{path}?{record.query}")
    if REDACTED.search(host + target):
        notes.append("the URL held a secret: replace REDACTED in it")
        host = REDACTED.sub("REDACTED", host)
        target = REDACTED.sub("REDACTED", target)

    base = f"{record.scheme or 'http'}://{host}"
    if target.startswith("/") and target.isascii():
        return [f"--url {word(base + target)}"]

    # `OPTIONS *` is no part of a URL, in which curl would encode what is beyond ASCII.
    return [f"--request-target {word(target)}", f"--url {word(base + '/')}"]


def _header_words(
    headers: list[tuple[str, str]],
    coding: str | None,
    *,
    has_body: bool,
    notes: list[str],
) -> list[str]:
    words = []
    names = {name.lower() for name, _ in headers}
    for name, value in headers:
        if name.lower() in _LEFT_OUT or (coding and name.lower() == "content-encoding"):
            continue
        if REDACTED.search(value):
            notes.append(f"{name} held a secret: replace <{name}>")
            value = REDACTED.sub(lambda _, name=name: f"<{name}>", value)  # type: ignore[misc]
        words.append(f"--header {word(f'{name}: {value}' if value else f'{name};')}")

    if "accept-encoding" in names:
        words.append("--compressed")
    added = (*_ADDED_BY_CURL, "content-type") if has_body else _ADDED_BY_CURL
    words += [f"--header {word(f'{name}:')}" for name in added if name not in names]
    if coding:
        notes.append(f"the body was sent as {coding} and is sent decoded")
    return words


def _body_words(body: Body | None, notes: list[str]) -> tuple[str, list[str]]:
    """Return the words for the body, inline or piped; an incomplete body is left to a file."""
    if body is None or not body.size:
        return "", []
    if body.omitted or body.truncated:
        why = f"was not kept ({body.omitted})" if body.omitted else "was kept in part only"
        notes.append(f"the body of {body.size} bytes {why}: put it into the file {BODY_FILE}")
        return "", [f"--data-binary @{BODY_FILE}"]

    text = decode_window(body.head)
    if text is None:
        return _piped(body.head)
    if body.charset:
        return _piped(sent_text(text, body.charset))

    if body.coding is None and len(body.head) != body.size:
        notes.append("secrets were removed from the body; this is not the original")
    elif REDACTED.search(text):
        notes.append("the body held a secret: replace [REDACTED]")

    if "\0" in text:  # which no argument can hold
        return _piped(body.head)

    return "", [f"--data-raw {word(text)}"]


def _piped(body: bytes) -> tuple[str, list[str]]:
    return f"printf %s {word(base64.b64encode(body).decode())} | base64 -d | ", ["--data-binary @-"]


_OWN: Final = frozenset(
    ("host", "content-type", "content-length", "te", "user-agent", "connection")
)
"""Fields that grpcurl writes itself, in addition to those of gRPC."""


def grpcurl_of(
    record: Record, fields: Sequence[Sequence[str]], body: Body | None, socket: str
) -> CurlLine:
    """Write the command for the record of a call, given its header fields; see `curl_of`."""
    notes: list[str] = []
    words = ["grpcurl", *([] if record.scheme == "https" else ["-plaintext"])]

    for name, value in fields:
        if name.lower() in _OWN or name.lower().startswith(("grpc-", "x-grpc-web")):
            continue
        if REDACTED.search(value):
            notes.append(f"{name} held a secret: replace <{name}>")
            value = REDACTED.sub(f"<{name}>", value)
        words.append(f"-H {word(f'{name}: {value}')}")

    if record.grpc is not None and record.grpc.timeout_us:
        words.append(f"-max-time {record.grpc.timeout_us / 1_000_000:g}")
    if messages := _messages(body, notes):
        words.append(f"-d {word(messages)}")
    host = record.host or "127.0.0.1"
    if ":" not in host.rpartition("]")[2]:
        host += ":443" if record.scheme == "https" else ":80"
    if socket:
        words.append(f"-unix -authority {word(host)}")
        host = socket
    if host.startswith("-"):  # as a name may, which would be an option
        words.append("--")
    words += [word(host), word((record.path or "/").removeprefix("/"))]
    return CurlLine(" \\\n  ".join(words), notes)


def _messages(body: Body | None, notes: list[str]) -> str:
    """Return the messages as grpcurl reads them, one after the other."""
    if body is None or not body.size:
        return ""
    if body.omitted or body.truncated:
        notes.append(
            f"the messages, {body.size} bytes, were not kept, or in part only: put them behind -d"
        )
        return ""

    try:
        messages = orjson.loads(body.head)
    except orjson.JSONDecodeError:
        messages = None

    if not isinstance(messages, list):
        notes.append("the body is no list of messages: put them behind -d")
        return ""

    shown = " ".join(orjson.dumps(message).decode() for message in messages)
    if any(isinstance(message, dict) and any(map(str.isdigit, message)) for message in messages):
        notes.append(
            "messages are shown by field number: put names in their place, or see [[routes]] "
            "protobuf"
        )

    if '{"omitted":"' in shown:
        notes.append(
            "base64 and long lists of numbers were not kept: put them in place of what says omitted"
        )

    if REDACTED.search(shown):
        notes.append("the messages held a secret: replace [REDACTED]")
    return shown
