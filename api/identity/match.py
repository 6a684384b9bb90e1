"""How alike two requests are, and what makes the first difference. Pure.

Strategy: a request has a key of each strength, so that thousands are searched by look-ups. Headers
are compared one by one, because which of them count is said by the recorded answer: those that its
`Vary` names, `SOAPAction`, `Range`; conditions where the answer depended on them. `Accept` counts
by what it accepts. `Accept-Encoding` never does, because bodies are kept decoded.

Standards: RFC 9110 §12.5.1 (Accept), §12.5.5 (Vary), §13.1 (conditions), §14.2 (Range).
"""

import json
from enum import IntEnum
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from api.compare.json_changes import Change, json_changes
from api.compare.part import write_path
from api.http.accept import weights
from api.identity.apart import Judge, is_drawn, is_id, is_loose, without
from api.identity.request import Document, Request
from api.native.projection import split_head
from storage.record import Payload, Record

_KEY_BYTES: Final = 16
_MAX_SHOWN_CHARACTERS: Final = 80
_CONDITIONS: Final = (
    "if-none-match",
    "if-modified-since",
    "if-match",
    "if-unmodified-since",
    "if-range",
)
_CONDITIONAL: Final = (304, 412)
"""Statuses that only a condition brings about."""
_APART_IN: Final = ("query", "body")
_WHOLE: Final = 200
"""The status of an answer from which any range can be taken."""


class Level(IntEnum):
    """How strong a match is, the weakest first."""

    NONE = 0
    ENDPOINT = 1
    """The same method and template of the path."""
    SAME = 2
    """The same but for what is set apart, and for headers that the answer serves as well."""
    EXACT = 3


class Keys(NamedTuple):
    """A request by strength: equal keys are equal requests."""

    exact: bytes
    drawn: bytes
    """Without moments and ids of requests."""
    loose: bytes
    """Also without ids of the path's template, and ids that were drawn."""


class Answered(NamedTuple):
    """What the recorded answer says of the headers that count."""

    status: int
    media_type: str
    varies_by: frozenset[str]
    """Lower-case names of fields."""


def keys_of(request: Request) -> Keys:
    """Return the keys of a request."""
    document = request.document
    drawn = _apart(document, is_drawn)
    loose = _apart({**drawn, "path": request.endpoint}, is_id)
    return Keys(_key(document), _key(drawn), _key(loose))


def _apart(document: Document, judge: Judge) -> Document:
    return {
        **document,
        **{name: without(document[name], judge) for name in _APART_IN if name in document},
    }


def _key(document: Document) -> bytes:
    return blake2b(json.dumps(document, sort_keys=True).encode(), digest_size=_KEY_BYTES).digest()


def answered(record: Record, payload: Payload | None) -> Answered:
    """Read what an answer says of the headers that count."""
    named: dict[str, str] = {}
    for name, value in split_head(b"" if payload is None else payload.response_head)[1]:
        lower = name.lower()
        named[lower] = f"{named[lower]},{value}" if lower in named else value
    varies = {name.strip().lower() for name in named.get("vary", "").split(",")}
    media_type = named.get("content-type", "").partition(";")[0].strip().lower()
    return Answered(
        record.status or 0, media_type, frozenset(varies - {"", "*", "accept", "accept-encoding"})
    )


def header_level(recorded: Request, answer: Answered, asked: Request) -> tuple[Level, str]:
    """Say how far headers allow a recorded answer, and by which field they do no more."""
    level = Level.EXACT
    by = ""

    conditions = _CONDITIONS if answer.status in _CONDITIONAL else ()
    for name in sorted({"accept", "range", "soapaction", *conditions, *answer.varies_by}):
        ours = _value(recorded, name)
        theirs = _value(asked, name)
        if ours == theirs:
            continue

        is_served = (name == "accept" and accepts(theirs, answer.media_type)) or (
            name == "range" and answer.status == _WHOLE
        )
        if not is_served:
            return Level.NONE, name

        level = Level.SAME
        by = name

    return level, by


def _value(request: Request, name: str) -> str:
    value = request.fields.get(name, "")
    if name == "accept":
        return ", ".join(sorted(value.lower().replace("; ", ";").split(", "))) or "*/*"
    return value.strip('"') if name == "soapaction" else value


def accepts(accept: str, media_type: str) -> bool:
    """Whether a media type is acceptable: the most specific range decides (RFC 9110 §12.5.1)."""
    if not accept or not media_type:
        return True
    named = weights(accept)
    ranges = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
    return next((named[each] for each in ranges if each in named), 0.0) > 0


def level_of(recorded: Request, answer: Answered, asked: Request) -> Level:
    """Say how alike two requests are."""
    by_header = header_level(recorded, answer, asked)[0]
    ours = keys_of(recorded)
    theirs = keys_of(asked)
    if by_header and ours.loose == theirs.loose:
        return min(by_header, Level.EXACT if ours.exact == theirs.exact else Level.SAME)

    is_same_endpoint = recorded.endpoint == asked.endpoint and _method(recorded) == _method(asked)
    return Level.ENDPOINT if is_same_endpoint else Level.NONE


def _method(request: Request) -> str:
    return str(request.document["method"])


def differences(
    recorded: Request, answer: Answered, asked: Request, least: Level = Level.EXACT
) -> list[str]:
    """Name what differs, each place with both values; below `EXACT` without what is set apart."""
    changes = json_changes(recorded.document, asked.document).kept
    if least < Level.EXACT:
        is_same_path = recorded.endpoint == asked.endpoint
        changes = [each for each in changes if not _is_apart(each, is_same_path=is_same_path)]
    found = [
        f"{write_path(path).lstrip('.')}: {_shown(old)} recorded, {_shown(new)} asked for"
        for _, path, _, old, new in changes
    ]
    level, name = header_level(recorded, answer, asked)
    if level is Level.NONE:
        ours = recorded.fields.get(name)
        theirs = asked.fields.get(name)
        found.append(f"header:{name}: {_shown(ours)} recorded, {_shown(theirs)} asked for")

    return found


def _is_apart(change: Change, *, is_same_path: bool) -> bool:
    """Whether a difference is one of values that are set apart on both sides."""
    part, *_ = change.path
    if part == "path":
        return is_same_path
    name = next((step for step in reversed(change.path) if isinstance(step, str)), "")
    return part in _APART_IN and is_loose(name, change.old) and is_loose(name, change.new)


def _shown(value: Any) -> str:
    """Write a value shortly; None is what is not there."""
    if value is None:
        return "nothing"
    text = json.dumps(value)
    if len(text) <= _MAX_SHOWN_CHARACTERS:
        return text
    return f"{text[:_MAX_SHOWN_CHARACTERS]}…"
