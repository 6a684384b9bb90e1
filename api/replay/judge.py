"""Judge a new response against the recorded one: by status, by the shape of its endpoint, or
completely.
"""

import re
from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple

import msgspec

from api.compare.bodies import DOCUMENTS, read_body
from api.compare.evidence import Evidence
from api.compare.exchange import Side, response_parts
from api.compare.ignored import Ignored, Place
from api.compare.json_changes import MAX_DEPTH, Changes, Path
from api.compare.part import Part, make_part
from api.native.files.cut_bodies import describe_body
from api.native.projection import field_of, split_fields, split_head
from api.replay.request import CONNECTION_FIELDS, is_call
from api.replay.suite import Recorded
from storage.grpc import status_name
from storage.record import Body, Payload, Record

MAX_MEMBERS: Final = 64
"""Number of names in all objects above which an object is keyed by data."""
MAX_WORDS: Final = 12
"""Number of different words above which a string is free text."""
_MIN_TIMES: Final = 10
"""Average number of occurrences per word of an enum before an unknown word counts as a difference.
"""
_MIN_OBJECTS, _MIN_NAMES = 3, 8
"""Objects and distinct names from which an object is keyed by data, if no name is common to all."""
_ID_LIKE: Final = re.compile(r"(?=[^0-9]*+[0-9])[0-9A-Za-z_.-]++")
"""A name with a digit, such as `u17`. Objects with only these names, different in each object, are
keyed by data.
"""
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z_-]{0,31}")
_DATA_KEY: Final = re.compile(
    r"-?\d+|\d{4}-\d\d-\d\d.*|[0-9A-Fa-f-]{16,}|.*[@/:\s].*|.*\d{4,}.*", re.DOTALL
)
_REDACTED: Final = "[REDACTED"
_OF_THE_WAY: Final = CONNECTION_FIELDS - {"content-length"} | {"via"}
"""Fields of a connection or of proxies (RFC 9110 §7.6). They are not part of the response."""
_TYPES: Final = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
_ANY_KEY: Final = "*"
"""Replaces the names of all members of an object that is keyed by data."""


def _type_of(value: Any) -> str:
    return _TYPES.get(type(value), "number")


class Shape:
    """The common shape of all JSON values seen at one path. Every learned value fits it.

    For each path it learns the types; for objects the members that all have; for strings the words,
    if there are few. Objects that are keyed by data (ids, dates, user names) have values of one
    shape instead of named members. Values are not compared. Anything never seen, such as elements
    of an always empty array, is not restricted, nor are redacted values.
    """

    __slots__ = (
        "_elements",
        "_is_ever_empty",
        "_is_free",
        "_is_keyed",
        "_members",
        "_seen",
        "_types",
        "_words",
    )

    def __init__(self) -> None:
        self._seen = 0
        self._types: dict[str, int] = {}
        self._is_free = False
        self._is_keyed = False
        self._is_ever_empty = False
        self._members: dict[str, Shape] = {}
        self._elements: Shape | None = None
        self._words: dict[str, int] | None = {}
        """Word → number of occurrences; None if there were too many, or free text."""

    def learn(self, value: Any, depth: int = 0) -> None:
        """Learn a value. Below `MAX_DEPTH` values are not restricted."""
        name = _type_of(value)
        self._seen += 1
        self._types[name] = self._types.get(name, 0) + 1
        self._is_free |= depth >= MAX_DEPTH or (name == "string" and _REDACTED in value)
        if self._is_free:
            return

        if name == "string":
            self._learn_word(value)
        elif name == "array":
            self._elements = self._elements or Shape()
            self._is_ever_empty |= not value
            for each in value:
                self._elements.learn(each, depth + 1)
        elif name == "object":
            for key, each in value.items():
                self._members.setdefault(self._name_of(key), Shape()).learn(each, depth + 1)
            if len(self._members) > MAX_MEMBERS:
                self._fold()

    def _learn_word(self, text: str) -> None:
        if self._words is not None:
            self._words[text] = self._words.get(text, 0) + 1
            if len(self._words) > MAX_WORDS or not _WORD.fullmatch(text):
                self._words = None

    def _name_of(self, key: str) -> str:
        if self._is_keyed or _DATA_KEY.fullmatch(key):
            return _ANY_KEY
        return key

    def _fold(self) -> None:
        """Merge all members into one shape: the object is keyed by data."""
        members = self._members
        self._members = {}
        self._is_keyed = True
        for each in members.values():
            self._members.setdefault(_ANY_KEY, Shape()).merge(each)

    def merge(self, other: "Shape") -> None:
        """Add everything that another shape has learned."""
        self._seen += other._seen
        self._is_free |= other._is_free
        self._is_ever_empty |= other._is_ever_empty
        if other._is_keyed and not self._is_keyed:
            self._fold()
        for name, times in other._types.items():
            self._types[name] = self._types.get(name, 0) + times
        for key, each in other._members.items():
            self._members.setdefault(self._name_of(key), Shape()).merge(each)
        if other._elements is not None:
            self._elements = self._elements or Shape()
            self._elements.merge(other._elements)
        if self._words is not None and other._words is not None:
            for word, times in other._words.items():
                self._words[word] = self._words.get(word, 0) + times
        if other._words is None or len(self._words or "") > MAX_WORDS:
            self._words = None

    def judge(self, value: Any, path: Path, found: Changes) -> None:
        """Add the differences of a value from this shape to `found`.

        Differences are: another type, a missing or new member, an unknown word of an enum, and an
        empty array where at least ten were seen and none was empty.
        """
        name = _type_of(value)
        if (
            self._is_free
            or not self._types.keys() - {"null"}
            or (name == "string" and _REDACTED in value)
        ):
            return

        if name not in self._types:
            found.add("type", path, " | ".join(self._types), name)
        elif name == "object":
            self._judge_members(value, path, found)
        elif name == "array" and self._elements is not None:
            if not value and not self._is_ever_empty and self._types[name] >= _MIN_TIMES:
                found.add("changed", path, "never empty", "empty")
            for place, each in enumerate(value):
                self._elements.judge(each, (*path, place), found)
        elif name == "string" and self._words and value not in self._words and self._is_enum:
            found.add("changed", path, " | ".join(self._words), value)

    @property
    def _is_enum(self) -> bool:
        words = self._words or {}
        return sum(words.values()) >= _MIN_TIMES * len(words) and min(words.values(), default=0) > 1

    def _judge_members(self, value: dict[str, Any], path: Path, found: Changes) -> None:
        times = self._types["object"]
        named = [key for key in self._members if key != _ANY_KEY]
        common = [key for key in named if self._members[key]._seen == times]
        if times >= _MIN_OBJECTS and self._are_data(named, common):
            self._fold()
            common = []
        for key in common:
            if key not in value:
                types = " | ".join(self._members[key]._types)
                found.add("removed", (*path, key), types, None)

        for key, each in value.items():
            if (shape := self._members.get(self._name_of(key))) is not None:
                shape.judge(each, (*path, key), found)
            else:
                found.add("added", (*path, key), None, _type_of(each))

    def _are_data(self, named: list[str], common: list[str]) -> bool:
        """Return True if member names are data. `common` are the names that all objects have."""
        if not common and len(named) >= _MIN_NAMES:
            return True
        are_alike = not common or all(
            self._members[key]._types.keys() == {"object"} for key in named
        )
        return len(common) < len(named) and are_alike and all(map(_ID_LIKE.fullmatch, named))


Expect = Literal["status", "shape", "same"]

Key = tuple[str | None, str | None, str]
"""Method, endpoint and status of responses with a common shape."""


class _Seen(NamedTuple):
    """Properties of an endpoint's responses with one status."""

    media_types: set[str]
    forms: set[str]
    shapes: dict[str, Shape]
    """Shape by the form of a body, for forms that are compared by path."""


class Judge:
    """Compares responses with recorded ones."""

    def __init__(self, expect: Expect, ignored: frozenset[Place] = frozenset()) -> None:
        """Judge by `expect`, and ignore the given paths."""
        self._expect = expect
        self._ignored = ignored
        self._evidence = Evidence()
        self._seen: dict[Key, _Seen] = {}

    def learn(self, suite: Iterable[Recorded]) -> None:
        """Learn from recorded responses: shapes, or for `same` the volatile values."""
        for _, record, payload in suite if self._expect != "status" else ():
            if payload is None:
                continue
            if self._expect == "same":
                self._evidence.learn(record, payload)
                continue

            seen = self._seen.setdefault(
                _key_of(record, said_status(record, payload)), _Seen(set(), set(), {})
            )
            seen.media_types.add(_media_type(payload))
            form, content = _content_of(payload.response_body)
            if form is not None:
                seen.forms.add(form)
                seen.shapes.setdefault(form, Shape()).learn(content)

    def judge(self, recorded: Recorded, record: Record, payload: Payload) -> list[Part]:
        """Compare a response, in the form of a record, with the recorded one.

        Values that are redacted on either side are not compared.
        """
        old = said_status(recorded.record, recorded.payload)
        new = said_status(record, payload)
        changes = Changes()
        if old != new:
            changes.add("changed", ("status",), old, new)
        status = make_part("status", changes)
        if self._expect == "same":
            a = Side(recorded.record, _comparable(recorded.payload), [], False)
            b = Side(record, _comparable(payload), [], False)
            volatile = self._evidence.volatile(recorded.record, recorded.payload)
            parts = response_parts(a, b, Ignored(self._ignored, volatile))
            return [status, *map(_without_redacted, parts[1:])]

        seen = self._seen.get(_key_of(recorded.record, new))
        if seen is None and is_alike(old, new):
            seen = self._seen.get(_key_of(recorded.record, old))
        if seen is None:
            return [status]

        return [status, *_judged(seen, payload, Ignored(self._ignored))]


def said_status(record: Record, payload: Payload | None) -> str:
    """Return the status of a response; for gRPC the name of the status in its trailers."""
    if payload is not None and is_call(payload):
        trailers = {name.lower(): value for name, value in split_fields(payload.response_trailers)}
        code = trailers.get("grpc-status", "")
        if code.isdecimal():
            return status_name(int(code))
    return str(record.status)


def is_alike(old: str | None, new: str | None) -> bool:
    """Return True if two statuses are of one class, so that their responses should be alike (RFC
    9110 §15).
    """
    if old is None or new is None:
        return False
    return old == new or (old.isdecimal() and new.isdecimal() and old[:-2] == new[:-2])


def _comparable(payload: Payload | None) -> Payload | None:
    """Remove fields of the connection and of proxies, and the trailers except those of gRPC calls."""
    if payload is None:
        return None
    lines = payload.response_head.replace(b"\r\n", b"\n").split(b"\n")
    names = [line.partition(b":")[0].strip().lower().decode("latin-1") for line in lines]
    listed = field_of(payload.response_head, "connection").lower().split(",")
    left_out = _OF_THE_WAY | {name.strip() for name in listed}
    kept = [line for line, name in zip(lines, names, strict=True) if name not in left_out]
    if is_call(payload):
        trailers = payload.response_trailers
    else:
        trailers = b""
    return msgspec.structs.replace(
        payload, response_head=b"\r\n".join(kept), response_trailers=trailers
    )


def _key_of(record: Record, status: str) -> Key:
    return record.method, record.endpoint or record.path, status


def _media_type(payload: Payload) -> str:
    _, fields = split_head(payload.response_head)
    types = [value for name, value in fields if name.lower() == "content-type"]
    if types:
        return types[0].partition(";")[0].strip().lower()
    return "none"


def _content_of(body: Body | None) -> tuple[str | None, object]:
    """Return the form of a body, and its content; None if it was not kept whole."""
    if body is None:
        return "none", ""
    if body.truncated or body.omitted or body.coding_error:
        return (None, "")
    return read_body(body.head)


def _judged(seen: _Seen, payload: Payload, ignored: Ignored) -> list[Part]:
    found = Changes()
    media_type = _media_type(payload)
    if media_type not in seen.media_types:
        expected = " | ".join(sorted(seen.media_types))
        found.add("changed", ("content-type",), expected, media_type)
    set_apart = ignored.take("response_headers", found)
    headers = make_part("response_headers", found, set_apart=set_apart)

    form, content = _content_of(payload.response_body)
    if form is None or not seen.forms:
        if form is None and payload.response_body:
            notes = [describe_body(payload.response_body)]
        else:
            notes = []
        notes += [] if seen.forms else ["no recorded body of this endpoint was kept whole"]
        return [headers, make_part("response_body", Changes(), notes, is_complete=False)]

    changes = Changes()
    if form not in seen.forms:
        changes.add("type", (), " | ".join(sorted(seen.forms)), form)
    elif form in DOCUMENTS:
        seen.shapes[form].judge(content, (), changes)

    set_apart = ignored.take("response_body", changes)
    return [headers, make_part("response_body", changes, is_json=True, set_apart=set_apart)]


def _without_redacted(part: Part) -> Part:
    kept = [c for c in part.changes if c.a is None or c.b is None or _REDACTED not in c.a + c.b]
    part.changes = kept
    part.equal = not kept and not part.more
    return part
