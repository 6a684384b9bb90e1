"""Builds the response to a request: the found answer, adapted to its conditions, or an explanation."""

import json
from typing import Final
from urllib.parse import quote

from api.identity.match import Level, differences
from proxy.cli.commands.mock.index import Found, Miss
from proxy.cli.commands.mock.ranges import Span, span_of, status_by_conditions
from proxy.cli.commands.mock.recording import Asked
from proxy.cli.commands.mock.reply import Reply, recorded_reply

MOCK: Final = "X-Sidelog-Mock"
"""Header with the strength of the match and the id of the recording."""
MAX_NAMED: Final = 3
"""Number of differing paths that the header names."""
_WHOLE: Final = 200
_PARTIAL: Final = 206
_UNSATISFIABLE: Final = 416


def reply_to(asked: Asked, found: Found) -> Reply:
    """Return the response for a recording."""
    reply = recorded_reply(found.member.recorded)
    reply.fields.append(matched(asked, found))
    record = asked.record
    if reply.status != _WHOLE or record.method not in ("GET", "HEAD"):
        return reply

    answered = {name.lower(): value for name, value in reply.fields}
    own = found.member.request.fields  # a recorded condition is part of the recorded answer
    fields = {name: value for name, value in asked.request.fields.items() if own.get(name) != value}

    status = status_by_conditions(fields, answered)
    if status is not None:
        kept = [
            (name, value) for name, value in reply.fields if not name.lower().startswith("content-")
        ]
        return Reply(status, "", kept)
    if record.method == "HEAD" or (span := span_of(fields, answered, len(reply.content))) is None:
        return reply

    return _partial(reply, span)


def matched(asked: Asked, found: Found) -> tuple[str, str]:
    """Return the header that names strength, recording and differences."""
    member = found.member
    said = f"{found.level.name.lower()}; recorded={quote(member.recorded.id, safe='/:@ ')}"
    if found.level < Level.EXACT:
        differing = differences(member.request, member.answer, asked.request)[:MAX_NAMED]
        places = (quote(each.partition(": ")[0], safe="/:@[]") for each in differing)
        said += "".join(f"; differs={place}" for place in places)

    return MOCK, said


def _partial(reply: Reply, span: Span) -> Reply:
    """Return the requested ranges of an answer (RFC 9110 §15.3.7, §15.5.17)."""
    first, end = span
    size = len(reply.content)
    if first >= end:
        kept = [field for field in reply.fields if field[0].lower() != "content-type"]
        return Reply(_UNSATISFIABLE, "", [*kept, ("Content-Range", f"bytes */{size}")])

    shown = ("Content-Range", f"bytes {first}-{end - 1}/{size}")
    return Reply(_PARTIAL, "", [*reply.fields, shown], reply.content[first:end])


def miss_reply(asked: Asked, miss: Miss, least: Level) -> Reply:
    """Return a response that names the nearest recording and the first difference."""
    said: dict[str, object] = {"error": _error_of(asked)}
    if miss.nearest is not None:
        said["nearest"] = {"id": miss.nearest.recorded.id, "request": miss.nearest.shown}
        said["first_difference"] = _first_of(miss)
        said["differences"] = len(miss.differences)
        if hint := _hint(miss, least):
            said["hint"] = hint

    content = json.dumps(said, ensure_ascii=False, indent=2).encode(errors="replace") + b"\n"
    return Reply(404, "", [("Content-Type", "application/json"), (MOCK, "none")], content)


def said_of(asked: Asked, miss: Miss, least: Level) -> str:
    """Return the same as one line."""
    if miss.nearest is None:
        return _error_of(asked)
    hint = _hint(miss, least)
    return f"{_error_of(asked)}; nearest is {miss.nearest.recorded.id}: {_first_of(miss)}" + (
        f" ({hint})" if hint else ""
    )


def _error_of(asked: Asked) -> str:
    """Return the error for a request without an answer."""
    record = asked.record
    target = f"{record.path}?{record.query}" if record.query else record.path
    return f"no recorded exchange answers {record.method} {target}"


def _first_of(miss: Miss) -> str:
    """Return the first difference to the nearest recording."""
    if miss.differences:
        return miss.differences[0]
    return "nothing"


def _hint(miss: Miss, least: Level) -> str:
    """Return advice on how to get an answer."""
    if miss.level is not Level.ENDPOINT or least <= Level.ENDPOINT:
        return ""
    place = _first_of(miss).partition(": ")[0]
    return (
        f"--ignore '{place}' leaves this place out; --match endpoint answers by the endpoint alone"
    )
