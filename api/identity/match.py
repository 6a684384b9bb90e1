"""Match requests: the similarity of two requests, and their differences.

Strategy: a request has a key for each level, so that one of thousands is found by a look-up.
Headers are compared one by one, because the recorded response decides which of them count: those in
its `Vary`, `SOAPAction`, `Range`, and conditions if the response depended on them. `Accept` counts
by the media types it allows. `Accept-Encoding` never counts, because bodies are stored decoded.
Standards: RFC 9110 §12.5.1 (Accept), §12.5.5 (Vary), §13.1 (conditions), §14.2 (Range).
"""

import json
from enum import IntEnum
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from api.compare.json_changes import Change, json_changes
from api.compare.part import write_path
from api.http.accept import media_type_of, weights
from api.identity.request import Document, Request, header_fields
from api.identity.volatile import Predicate, is_generated_id, is_volatile, masked
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
"""Statuses of conditional requests only."""
_NEVER_VARIED_BY: Final = frozenset(("", "*", "accept", "accept-encoding"))
_MASKED_IN: Final = ("query", "body")
_WHOLE: Final = 200
"""Status of a complete response, of which any range can be taken."""


class Level(IntEnum):
    """The strength of a match."""

    NONE = 0
    ENDPOINT = 1
    """Method and path template are equal."""
    SAME = 2
    """Everything is equal, except volatile values, ids, and headers that the response also
    satisfies.
    """
    EXACT = 3


class Keys(NamedTuple):
    """Digests of a request, from the strictest: requests with equal digests match."""

    exact: bytes
    stable: bytes
    """Digest without volatile values."""
    loose: bytes
    """Digest without volatile values and generated ids, with the template instead of the path."""


class Answer(NamedTuple):
    """The properties of a recorded response that decide which headers of a request count."""

    status: int
    media_type: str
    varies_by: frozenset[str]
    """Lower-case header names in `Vary`."""


def keys_of(request: Request) -> Keys:
    exact = request.document
    stable = _mask(exact, is_volatile)
    loose = _mask({**stable, "path": request.endpoint}, is_generated_id)
    return Keys(_key(exact), _key(stable), _key(loose))


def _mask(document: Document, is_masked: Predicate) -> Document:
    return {
        part: masked(value, is_masked) if part in _MASKED_IN else value
        for part, value in document.items()
    }


def _key(document: Document) -> bytes:
    return blake2b(json.dumps(document, sort_keys=True).encode(), digest_size=_KEY_BYTES).digest()


def read_answer(record: Record, payload: Payload | None) -> Answer:
    fields = header_fields(b"" if payload is None else payload.response_head)
    return Answer(
        status=record.status or 0,
        media_type=media_type_of(fields.get("content-type", "")),
        varies_by=frozenset(fields.get("vary", "").lower().split(", ")) - _NEVER_VARIED_BY,
    )


def header_level(recorded: Request, answer: Answer, asked: Request) -> tuple[Level, str]:
    """Return the highest level that the headers allow, and the name of the header that limits it."""
    level = Level.EXACT
    by = ""

    conditions = _CONDITIONS if answer.status in _CONDITIONAL else ()
    for name in sorted({"accept", "range", "soapaction", *conditions, *answer.varies_by}):
        ours = _normal_value(recorded, name)
        theirs = _normal_value(asked, name)
        if ours == theirs:
            continue

        if name == "accept":
            is_satisfied = accepts(theirs, answer.media_type)
        else:
            is_satisfied = name == "range" and answer.status == _WHOLE
        if not is_satisfied:
            return Level.NONE, name

        level = Level.SAME
        by = name

    return level, by


def _normal_value(request: Request, name: str) -> str:
    """Return the value of a header in a form that is equal for equal meanings."""
    value = request.fields.get(name, "")
    if name == "accept":
        return ", ".join(sorted(value.lower().replace("; ", ";").split(", "))) or "*/*"
    if name == "soapaction":
        return value.strip('"')
    return value


def accepts(accept: str, media_type: str) -> bool:
    """Return True if a media type is acceptable: the most specific range decides (RFC 9110
    §12.5.1).
    """
    if not accept or not media_type:
        return True
    named = weights(accept)
    ranges = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
    return next((named[each] for each in ranges if each in named), 0.0) > 0


def level_of(recorded: Request, answer: Answer, asked: Request) -> Level:
    """Return the level of the match between a recorded request and another."""
    allowed, _ = header_level(recorded, answer, asked)
    ours = keys_of(recorded)
    theirs = keys_of(asked)
    if allowed and ours.loose == theirs.loose:
        if ours.exact == theirs.exact:
            return allowed
        return Level.SAME

    is_same_endpoint = recorded.endpoint == asked.endpoint and _method(recorded) == _method(asked)
    if is_same_endpoint:
        return Level.ENDPOINT
    return Level.NONE


def _method(request: Request) -> str:
    return str(request.document["method"])


def differences(
    recorded: Request, answer: Answer, asked: Request, least: Level = Level.EXACT
) -> list[str]:
    """Return the differences that prevent a match of a level, each place with both values.

    Below `EXACT`, volatile values, ids, and other paths of the same template are not differences.
    """
    changes = json_changes(recorded.document, asked.document).kept
    if least < Level.EXACT:
        is_same_path = recorded.endpoint == asked.endpoint
        changes = [each for each in changes if not _is_masked(each, is_same_path=is_same_path)]
    found = [
        _difference(write_path(change.path).lstrip("."), change.old, change.new)
        for change in changes
    ]

    level, name = header_level(recorded, answer, asked)
    if level is Level.NONE:
        found.append(
            _difference(f"header:{name}", recorded.fields.get(name), asked.fields.get(name))
        )
    return found


def _difference(place: str, recorded: Any, asked: Any) -> str:
    return f"{place}: {_abbreviated(recorded)} recorded, {_abbreviated(asked)} asked for"


def _is_masked(change: Change, *, is_same_path: bool) -> bool:
    """Return True if the loose keys leave out both values of a change."""
    part = change.path[0]
    if part == "path":
        return is_same_path
    name = next(step for step in reversed(change.path) if isinstance(step, str))
    return part in _MASKED_IN and all(
        is_volatile(name, value) or is_generated_id(name, value)
        for value in (change.old, change.new)
    )


def _abbreviated(value: Any) -> str:
    """Return a value as text of a few characters; None stands for a missing one."""
    if value is None:
        return "nothing"
    text = json.dumps(value)
    if len(text) <= _MAX_SHOWN_CHARACTERS:
        return text
    return f"{text[:_MAX_SHOWN_CHARACTERS]}…"
