"""Build the request to send again: the recorded one, with edits and with values for redacted parts.

Redacted parts are named, such as `header authorization`, `query token` or `body.user.password`, and
must be given or left out: no request is built from redacted text. A body that was cut, or stored
differently from how it was sent, is refused with the reason.
Standard: RFC 9110 §7.6.1 (fields that belong to one connection only), §9.2.1 (safe methods).
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from urllib.parse import quote_plus, unquote_plus

from api.native.files.cut_bodies import describe_loss, sent_text
from api.native.projection import (
    TOKEN,
    decode_window,
    exact_target,
    exact_text,
    field_of,
    split_head,
    value_of,
)
from api.replay.archive import percent_encoded
from api.replay.suite import Recorded
from storage.grpc import SWITCHING_PROTOCOLS
from storage.record import Body, Payload, Record
from storage.search.subject import steps_of

SAFE_METHODS: Final = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))
REPLAY_OF: Final = "X-Sidelog-Replay-Of"
"""Carries the id of the original record."""
CONNECTION_FIELDS: Final = frozenset(
    (
        "connection",
        "keep-alive",
        "transfer-encoding",
        "trailer",
        "upgrade",
        "te",
        "proxy-connection",
        "proxy-authorization",
        "host",
        "content-length",
        "expect",
        "http2-settings",
    )
)
"""Fields of one connection, and fields that the sender writes itself."""
_REDACTED: Final = re.compile(r"(?:\[|%5B)REDACTED", re.IGNORECASE)
_COMPACTED: Final = re.compile(rb'\{"omitted": "(?:base64|numbers)"')
"""Marks the place of a payload that was not kept in a body (`proxy/enrich/redact/compact.py`)."""
_UNFIT: Final = re.compile(r"[\x00-\x20\x7f]")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_PARTS: Final = re.compile(r"(?:body|query)(?:\..+)?|path")
_PATH: Final = "path"
_SCHEMES: Final = (None, "http", "https", "ws", "wss")


class Outgoing(NamedTuple):
    """A request to send."""

    method: str
    target: str
    """Target as `exact_text`, like the headers."""
    headers: list[tuple[str, str]]
    body: bytes
    missing: tuple[str, ...] = ()
    """Redacted parts without a value. The request must not be sent while there are any."""


@dataclass(frozen=True, slots=True)
class Given:
    """Replacements for recorded and redacted parts."""

    headers: Mapping[str, str] = field(default_factory=dict)
    """Lower-case name → value; an empty value leaves the field out."""
    edits: Mapping[str, Any] = field(default_factory=dict)
    """`path`, `query.NAME`, `body` or `body.PATH` → the value.

    Paths that do not exist are ignored.
    """
    secrets: tuple[str, ...] = ()
    """Values from the environment. They are never shown."""


def read_given(headers: Iterable[str], edits: Iterable[str], environ: Mapping[str, str]) -> Given:
    """Read edits such as `name=value` and `body.user.id=7`.

    `env:NAME` stands for a variable; other values may be JSON.

    Raises:
        ValueError: one is malformed, or its variable is not set.
    """
    fields: dict[str, str] = {}
    parts: dict[str, Any] = {}
    secrets: list[str] = []

    for each in headers:
        name, value = _assigned(each, environ, secrets)
        if not TOKEN.fullmatch(name) or _CONTROL.search(value):
            raise ValueError(
                f"{name!r} and its value do not make a header: no line breaks or other controls"
            )
        if name.lower() in CONNECTION_FIELDS - {"host"}:
            raise ValueError(f"{name} belongs to the connection, and is written by the sender")

        fields[name.lower()] = value

    for each in edits:
        name, value = _assigned(each, environ, secrets)
        if not _PARTS.fullmatch(name):
            raise ValueError(
                f"cannot edit {name!r}: path, query.NAME, body, or a place in it such as "
                "body.user.id"
            )

        parts[name] = value if each.partition("=")[2].startswith("env:") else _json_or_text(value)

    return Given(fields, parts, tuple(secrets))


def _assigned(text: str, environ: Mapping[str, str], secrets: list[str]) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"expected name=value, got {text!r}")

    if value.startswith("env:"):
        variable = value.removeprefix("env:")
        if variable not in environ:
            raise ValueError(
                f"{name} is to come from the environment variable {variable}, which is not set"
            )

        value = environ[variable]
        secrets.append(value)

    return name.strip(), value


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def replay_of(recorded: Recorded) -> str:
    """Return the id of the original of a replay; empty if it is not a replay."""
    if recorded.payload is None:
        return ""
    return field_of(recorded.payload.request_head, REPLAY_OF.lower())


def is_call(payload: Payload) -> bool:
    """Return True for a gRPC call. Its messages are stored as JSON."""
    return field_of(payload.request_head, "content-type").lower().startswith("application/grpc")


def refusal_of(recorded: Recorded, *, may_call: bool = False) -> str:
    """Return the reason why an exchange cannot be sent again; empty if it can.

    gRPC calls are refused unless `may_call`.
    """
    record = recorded.record
    payload = recorded.payload
    if not record.method or not TOKEN.fullmatch(record.method) or record.method == "CONNECT":
        return "its request has no method that can be sent again"
    if record.status == SWITCHING_PROTOCOLS:
        return "it was upgraded (WebSocket)"
    if payload is None or not payload.request_head:
        return "neither its headers nor its body were kept"
    if is_call(payload) and not may_call:
        return "it is a call of gRPC: sidelog get --curl ID prints a grpcurl"
    if record.scheme not in _SCHEMES:
        return f"its URL has the scheme {record.scheme}, which is not HTTP"

    path, query = _asked(record, payload)
    if not path.startswith("/") or _UNFIT.search(f"{path}{query or ''}"):
        return "its target is not a valid path"
    if not record.request_complete:
        return "its request was not complete"

    body = payload.request_body
    if body is None:
        if record.request_bytes:
            return "its body is no longer stored"
        return ""

    return _loss_of(body)


def _asked(record: Record, payload: Payload) -> tuple[str, str | None]:
    """Return path and query as they were sent: the record's own have non-ASCII bytes escaped."""
    target = exact_target(split_head(payload.request_head, exact_text)[0])
    if target is None:
        return record.path or "", record.query
    path, mark, query = target.partition("?")
    return path, query if mark else None


def _loss_of(body: Body) -> str:
    if loss := describe_loss(body):
        return f"its body was {loss}"
    if body.coding_error or _COMPACTED.search(body.head):
        return "its body is not stored as it was sent"

    is_redacted = _REDACTED.search(body.head.decode("latin-1"))
    if (
        not is_redacted
        and body.coding is None
        and body.charset is None
        and len(body.head) != body.size
    ):
        return f"its body is not stored as it was sent: {len(body.head)} of {body.size} bytes"

    return ""


def outgoing_of(recorded: Recorded, given: Given) -> Outgoing:
    """Build the request of an exchange that `refusal_of` accepts.

    Raises:
        ValueError: an edit does not give a valid request; the message names it.
    """
    record = recorded.record
    payload = recorded.payload
    assert payload is not None
    missing: list[str] = []
    asked, query = _asked(record, payload)
    path = str(given.edits.get(_PATH, asked))
    if not path.startswith("/") or _UNFIT.search(path):
        raise ValueError(
            f"{path!r} is not a valid path: it must begin with /, without spaces and controls"
        )
    if _PATH in given.edits:
        path = percent_encoded(path)

    query = None if query is None else _edited_pairs(query, "query", given, missing)
    if _REDACTED.search(path):
        missing.append(_PATH)
    body = payload.request_body or Body(b"", b"", 0, False, None, None)
    _, fields = split_head(payload.request_head, exact_text)
    content = _content(body, fields, given, missing)
    headers = _headers(fields, given, missing, is_decoded=body.coding is not None)
    headers.append((REPLAY_OF, recorded.id))
    target = path if query is None or "?" in path else f"{path}?{query}"
    return Outgoing(record.method or "GET", target, headers, content, tuple(missing))


def _headers(
    fields: Sequence[Sequence[str]], given: Given, missing: list[str], *, is_decoded: bool
) -> list[tuple[str, str]]:
    listed = (
        ",".join(value for name, value in fields if name.lower() == "connection").lower().split(",")
    )
    left_out = (
        CONNECTION_FIELDS
        | {name.strip() for name in listed}
        | ({"content-encoding"} if is_decoded else set())
    )
    kept = []
    others = dict(given.headers)

    for name, value in fields:
        lower = name.lower()
        if lower in given.headers:
            kept.append((name, others.pop(lower, "")))  # once, in its original position
        elif lower not in left_out and not lower.startswith("x-sidelog-") and TOKEN.fullmatch(name):
            kept.append((name, value))
            if _REDACTED.search(value):
                missing.append(f"header {lower}")

    return [
        (name, value)
        for name, value in [*kept, *others.items()]
        if value or name.lower() not in given.headers
    ]


def _content(
    body: Body, fields: Sequence[Sequence[str]], given: Given, missing: list[str]
) -> bytes:
    if "body" in given.edits:
        whole = given.edits["body"]
        if isinstance(whole, str):
            return whole.encode()
        return json.dumps(whole).encode()

    text = decode_window(body.head)
    edits = {
        name.removeprefix("body."): value
        for name, value in given.edits.items()
        if name.startswith("body.")
    }
    if text is None or not (edits or _REDACTED.search(text)):
        if _REDACTED.search(body.head.decode("latin-1")):
            missing.append("body")
        if text is None or body.charset is None:
            return body.head
        return sent_text(text, body.charset)

    document = _json_or_text(text)
    if isinstance(
        document, dict | list
    ):  # under any media type: curl labels JSON as a form by default
        with suppress(
            RecursionError
        ):  # nested too deep: its members cannot be edited, only the whole
            is_edited = [put(document, steps_of(name), value) for name, value in edits.items()]
            text = json.dumps(document, ensure_ascii=False) if any(is_edited) else text
            missing += dict.fromkeys(_redacted_places(document, "body"))
    elif value_of(fields, "content-type").lower().startswith("application/x-www-form-urlencoded"):
        text = _edited_pairs(text, "body", given, missing)

    if _REDACTED.search(text) and not any(name.startswith("body") for name in missing):
        missing.append("body")
    if body.charset is None:
        return text.encode()

    return sent_text(text, body.charset)


def _edited_pairs(text: str, part: str, given: Given, missing: list[str]) -> str:
    """Set values in a query or form under existing names.

    Everything else stays as it was written.
    """
    pairs = text.split("&")
    for at, pair in enumerate(pairs):
        name = unquote_plus(pair.partition("=")[0])
        value = given.edits.get(f"{part}.{name}")
        if value is not None:
            shown = value if isinstance(value, str) else json.dumps(value)
            pairs[at] = f"{pair.partition('=')[0]}={quote_plus(shown)}"
        elif _REDACTED.search(pair):
            missing.append(f"{part}.{name}")

    return "&".join(pairs)


def put(value: Any, path: Sequence[str], new: Any) -> bool:
    """Set a value at an existing path; return True if there is one.

    Without an index, all elements of an array are set.
    """
    name, *rest = path
    if isinstance(value, list) and not name.isdecimal():
        return any([put(each, path, new) for each in value])  # noqa: C419 - in all of them

    is_there = (
        name in value
        if isinstance(value, dict)
        else isinstance(value, list) and int(name) < len(value)
    )
    if not is_there:
        return False

    key: Any = int(name) if isinstance(value, list) else name
    if rest:
        return put(value[key], rest, new)

    value[key] = new
    return True


def _redacted_places(value: Any, path: str) -> Iterable[str]:
    if isinstance(value, str) and _REDACTED.search(value):
        yield path
    members = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for name, each in members:
        if _REDACTED.search(str(name)):
            yield path
        yield from _redacted_places(each, f"{path}.{name}" if isinstance(value, dict) else path)
