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
from collections.abc import Mapping
from itertools import groupby
from typing import Any, Final

import orjson

from api.http.responses import ApiObject
from api.native.files.cut_bodies import sent_text
from api.native.projection import exact_head, exact_target, octets_of

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
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
BODY_FILE: Final = "request-body"
"""File of a body that cannot be part of the command."""


def curl_of(record: Mapping[str, Any], socket: str = "") -> CurlLine:
    """Write the command for a record as `/api/records/{id}` shows it; an event gives an empty
    command. `socket` is the path of the Unix socket that it came to, if it was one.
    """
    if record.get("kind") == "event":
        return CurlLine("", ["an event is no exchange: there is nothing to send"])
    if record.get("grpc") is not None and not _is_web(record):
        return grpcurl_of(record, socket)

    notes: list[str] = []
    request = record.get("request") or {"headers": [], "body": None}
    if record.get("request") is None:
        notes.append("neither headers nor body were kept (see [capture] level)")
    line, fields = exact_head(request)
    headers = [(name, value) for name, value in fields if _TOKEN.fullmatch(name)]
    if record.get("grpc") is not None and request["body"]:  # of gRPC-Web
        request = {
            **request,
            "body": {**request["body"], "coding": None, "omitted": "its messages are, as JSON"},
        }

    prefix, body = _body_words(request["body"], notes)
    if not body and any(name.lower() == "content-length" for name, _ in headers):
        body = ["--data-raw ''"]  # else curl would not say that it is empty
    if record.get("method") == "HEAD" and body:
        notes.append("curl sends no body with HEAD")
        prefix = ""
        body = []

    words = ["curl --globoff --path-as-is", *_method_words(record, has_body=bool(body))]
    words += [f"--unix-socket {word(socket)}"] if socket else []
    words += _target_words(record, line, notes)
    words += _header_words(headers, request["body"], has_body=bool(body), notes=notes)

    if _is_upgrade(record):
        words += ["--header 'Connection: Upgrade'", "--header 'Upgrade: websocket'"]
        notes.append(
            "the connection was upgraded (WebSocket): curl repeats the request that asked for it "
            "only"
        )

    return CurlLine(prefix + " \\\n  ".join(words + body), notes)


def _is_upgrade(record: Mapping[str, Any]) -> bool:
    return (record.get("outcome") or "").startswith("upgraded") or record.get("status") == 101


def _is_web(record: Mapping[str, Any]) -> bool:
    """Whether a call is gRPC-Web, which grpcurl does not speak; curl sends the kept body."""
    headers = (record.get("request") or {}).get("headers") or ()
    return any(
        name.lower() == "content-type" and "grpc-web" in value.lower() for name, value in headers
    )


_VERSIONS: Final = {"1.0": "--http1.0", "2": "--http2"}


def _method_words(record: Mapping[str, Any], *, has_body: bool) -> list[str]:
    method = record.get("method") or "GET"
    version = "" if _is_upgrade(record) else record.get("http_version") or ""
    words = [_VERSIONS.get(version, "--http1.1")]
    if words == ["--http2"] and record.get("scheme") != "https":
        words = ["--http2-prior-knowledge"]
    if method == "HEAD":
        words.append("--head")
    elif method != ("POST" if has_body else "GET") and _TOKEN.fullmatch(method):
        words.append(f"--request {word(method)}")

    return words


def _target_words(record: Mapping[str, Any], line: str | None, notes: list[str]) -> list[str]:
    host = record.get("host") or "127.0.0.1"
    path = record.get("path") or "/"
    query = record.get("query")

    target = exact_target(line) or (path if query is None else f"{path}?{query}")
    if REDACTED.search(host + target):
        notes.append("the URL held a secret: replace REDACTED in it")
        host = REDACTED.sub("REDACTED", host)
        target = REDACTED.sub("REDACTED", target)

    base = f"{record.get('scheme') or 'http'}://{host}"
    if target.startswith("/") and target.isascii():
        return [f"--url {word(base + target)}"]

    # `OPTIONS *` is no part of a URL, in which curl would encode what is beyond ASCII.
    return [f"--request-target {word(target)}", f"--url {word(base + '/')}"]


def _header_words(
    headers: list[tuple[str, str]],
    body: Mapping[str, Any] | None,
    *,
    has_body: bool,
    notes: list[str],
) -> list[str]:
    words = []
    names = {name.lower() for name, _ in headers}
    is_decoded = bool(body and body["coding"])

    for name, value in headers:
        if name.lower() in _LEFT_OUT or (is_decoded and name.lower() == "content-encoding"):
            continue
        if REDACTED.search(value):
            notes.append(f"{name} held a secret: replace <{name}>")
            value = REDACTED.sub(lambda _, name=name: f"<{name}>", value)  # type: ignore[misc]
        words.append(f"--header {word(f'{name}: {value}' if value else f'{name};')}")

    if "accept-encoding" in names:
        words.append("--compressed")
    added = (*_ADDED_BY_CURL, "content-type") if has_body else _ADDED_BY_CURL
    words += [f"--header {word(f'{name}:')}" for name in added if name not in names]
    if is_decoded:
        notes.append(f"the body was sent as {(body or {})['coding']} and is sent decoded")
    return words


def _body_words(body: Mapping[str, Any] | None, notes: list[str]) -> tuple[str, list[str]]:
    """Return the words for the body, inline or piped; an incomplete body is left to a file."""
    if not body or not body["size"]:
        return "", []
    if body["omitted"] or body["truncated"]:
        why = f"was not kept ({body['omitted']})" if body["omitted"] else "was kept in part only"
        notes.append(f"the body of {body['size']} bytes {why}: put it into the file {BODY_FILE}")
        return "", [f"--data-binary @{BODY_FILE}"]

    if body["encoding"] == "base64":
        return _piped(base64.b64decode(body["head"]))
    if charset := body.get("charset"):
        return _piped(sent_text(body["head"], charset))

    if body["coding"] is None and len(body["head"].encode()) != body["size"]:
        notes.append("secrets were removed from the body; this is not the original")
    elif REDACTED.search(body["head"]):
        notes.append("the body held a secret: replace [REDACTED]")

    if "\0" in body["head"]:  # which no argument can hold
        return _piped(body["head"].encode())

    return "", [f"--data-raw {word(body['head'])}"]


def _piped(body: bytes) -> tuple[str, list[str]]:
    return f"printf %s {word(base64.b64encode(body).decode())} | base64 -d | ", ["--data-binary @-"]


_OWN: Final = frozenset(
    ("host", "content-type", "content-length", "te", "user-agent", "connection")
)
"""Fields that grpcurl writes itself, in addition to those of gRPC."""


def grpcurl_of(record: Mapping[str, Any], socket: str) -> CurlLine:
    """Write the command for the record of a call as `/api/records/{id}` shows it; see `curl_of`."""
    notes: list[str] = []
    request = record.get("request") or {"headers": [], "body": None}
    words = ["grpcurl", *([] if record.get("scheme") == "https" else ["-plaintext"])]

    for name, value in exact_head(request)[1]:
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
    if socket:
        words.append(f"-unix -authority {word(host)}")
        host = socket
    if host.startswith("-"):  # as a name may, which would be an option
        words.append("--")
    words += [word(host), word((record.get("path") or "/").removeprefix("/"))]
    return CurlLine(" \\\n  ".join(words), notes)


def _messages(body: Mapping[str, Any] | None, notes: list[str]) -> str:
    """Return the messages as grpcurl reads them, one after the other."""
    if not body or not body["size"]:
        return ""
    if body["omitted"] or body["truncated"]:
        notes.append(
            f"the messages, {body['size']} bytes, were not kept, or in part only: put them behind "
            "-d"
        )
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
