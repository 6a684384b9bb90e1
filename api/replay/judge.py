"""Whether the answer of today is the recorded one: by its status, by the shape of its endpoint, or all of it. Pure."""

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from api.compare.bodies import read_whole
from api.compare.exchange import Side, response_parts
from api.compare.json_changes import Changes
from api.compare.part import Part, shown
from api.native.files.cut_bodies import describe_body
from api.native.projection import split_head
from api.replay.shape import Shape
from api.replay.suite import Recorded
from storage.record import Body, Payload, Record

Expect = Literal["status", "shape", "same"]
EXPECTATIONS: Final[tuple[Expect, ...]] = ("status", "shape", "same")
_REDACTED: Final = "[REDACTED"

Key = tuple[str | None, str | None, int | None]
"""Method, endpoint and status of answers that have a shape in common."""


class _Seen(NamedTuple):
    """What the answers of an endpoint with one status were."""

    media_types: set[str]
    forms: set[str]
    shapes: dict[str, Shape]
    """Of JSON, and of events: `json`, `events`."""


class Judge:
    """Compares answers with recorded ones."""

    def __init__(self, expect: Expect) -> None:
        self._expect = expect
        self._seen: dict[Key, _Seen] = {}

    def learn(self, suite: Iterable[Recorded]) -> None:
        """Learn the shapes of what was answered; `judge` needs it for the expectation `shape`."""
        for _, record, payload in suite if self._expect == "shape" else ():
            if payload is None:
                continue
            seen = self._seen.setdefault(_key_of(record, record.status), _Seen(set(), set(), {}))
            seen.media_types.add(_media_type(payload))
            form, content = _content_of(payload.response_body)
            if form is not None:
                seen.forms.add(form)
                seen.shapes.setdefault(form, Shape()).learn(content)

    def judge(self, recorded: Recorded, record: Record, payload: Payload) -> list[Part]:
        """Compare an answer, as it is recorded; what redaction has replaced on either side is not compared."""
        a = Side(recorded.record, recorded.payload, [], False)
        if self._expect == "same":
            return [_without_redacted(part) for part in response_parts(a, Side(record, payload, [], False))]
        changes = Changes()
        if record.status != recorded.record.status:
            changes.add("changed", ("status",), ("status",), str(recorded.record.status), str(record.status))
        parts = [shown("status", changes)]
        seen = self._seen.get(_key_of(recorded.record, record.status))
        return parts if seen is None else [*parts, *_judged(seen, payload)]


def _key_of(record: Record, status: int | None) -> Key:
    return record.method, record.endpoint or record.path, status


def _media_type(payload: Payload) -> str:
    _, fields = split_head(payload.response_head)
    types = [value for name, value in fields if name.lower() == "content-type"]
    return types[0].partition(";")[0].strip().lower() if types else "none"


def _content_of(body: Body | None) -> tuple[str | None, object]:
    """Return what a body is taken for, and its content; None for one that was not kept whole."""
    if body is None:
        return "none", ""
    return (None, "") if body.truncated or body.omitted or body.coding_error else read_whole(body)


def _judged(seen: _Seen, payload: Payload) -> list[Part]:
    found, media_type = Changes(), _media_type(payload)
    if media_type not in seen.media_types:
        at = ("content-type",)
        found.add("changed", at, at, " | ".join(sorted(seen.media_types)), media_type)
    form, content = _content_of(payload.response_body)
    if form is None or not seen.forms:
        notes = [describe_body(payload.response_body)] if form is None and payload.response_body else []
        notes += [] if seen.forms else ["no recorded body of this endpoint was kept whole"]
        return [shown("response_headers", found), shown("response_body", Changes(), notes, is_complete=False)]
    changes = Changes()
    if form not in seen.forms:
        changes.add("type", (), (), " | ".join(sorted(seen.forms)), form)
    elif form in ("json", "events"):
        seen.shapes[form].judge(content, (), changes)
    return [shown("response_headers", found), shown("response_body", changes, is_json=True)]


def _without_redacted(part: Part) -> Part:
    kept = [c for c in part.changes if c.a is None or c.b is None or _REDACTED not in c.a + c.b]
    part.changes, part.equal = kept, not kept and not part.more
    return part
