"""Send a recorded request again, edited or not, to the upstream of its route or to a configured
target.

The caller cannot choose an address: a target is one of a list. All input is checked like the rest
of a suite (`request.py`), so that nothing redacted is sent, and no value can add a header or a
second request.
"""

import asyncio
import re
from typing import Any, Final

import msgspec
from aiohttp import web

from api.compare.exchange import Side, response_parts
from api.compare.part import Part
from api.http.errors import BadParameter, Refused
from api.http.params import read_json_body
from api.http.responses import ApiObject, json_response
from api.native.find import find_entry
from api.native.projection import (
    TOKEN,
    exact_target,
    exact_text,
    field_of,
    message_json,
    octets_of,
    split_head,
)
from api.replay.archive import percent_encoded
from api.replay.request import Given, outgoing_of, refusal_of
from api.replay.suite import Recorded
from api.services import SendAgain, Services, services_of
from storage.record import Body, Entry, Payload, Record, format_id
from storage.search.subject import readable

_VALUE: Final = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_RECORD_ID: Final = "x-sidelog-id"


class Sending(ApiObject):
    """Permission to send requests again, and the allowed targets."""

    enabled: bool
    targets: list[str]
    """Targets in addition to the upstream of a request's own route."""


class Again(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The request to send, as edited."""

    method: str
    target: str
    """Path and query."""
    headers: list[tuple[str, str]]
    body: str | None = None
    """Null: the recorded body."""
    to: str = ""
    """One of the targets; empty for the upstream of the request's own route."""


class Sent(ApiObject):
    """The response in the form of a record, and its differences from the recorded one."""

    status: int | None
    duration_us: int
    response: dict[str, Any]
    record: str | None
    """Id of the new record, if the response came through a sidelog."""
    equal: bool
    parts: list[Part]


_decoder: Final = msgspec.json.Decoder(Again)


async def describe_replay(request: web.Request) -> web.Response:
    """Return the permission to send requests again, and the targets."""
    services = services_of(request)
    if services.principal.role != "reader":
        sender = services.send_again
    else:
        sender = None
    return json_response(Sending(sender is not None, [*sender.targets] if sender else []))


async def send_record(request: web.Request) -> web.Response:
    """Send a recorded request again, edited as the body says, and compare the response with the
    recorded one.
    """
    services = services_of(request)
    sender = _sender_of(services)
    record, payload = await find_entry(services, request.match_info["id"])
    again = read_json_body(_decoder, await request.read(), "the request")

    edited = _edited(record, payload, again, sender)
    try:
        answer = await sender.send(services.principal.name, edited, again.to)
    except ValueError as error:
        raise Refused(409, str(error)) from error
    except ConnectionError as error:
        raise Refused(502, f"no answer: {error}") from error

    assert answer.payload is not None
    sides = Side(record, payload, [], False), Side(answer.record, answer.payload, [], False)
    # Without a turn of the gate: the request was sent, so its response has to be returned.
    parts = await asyncio.to_thread(response_parts, *sides)
    shown = message_json(answer.payload.response_head, answer.payload.response_body, b"")
    new_id = field_of(answer.payload.response_head, _RECORD_ID) or None
    is_equal = all(part.equal for part in parts)
    took_us = answer.record.duration_us
    return json_response(Sent(answer.record.status, took_us, shown, new_id, is_equal, parts))


def _sender_of(services: Services) -> SendAgain:
    if services.principal.role == "reader":
        raise Refused(403, "this needs a token of role operate or admin")
    if services.send_again is None:
        raise Refused(403, "sending again is off: [replay] enabled switches it on")
    return services.send_again


def _edited(record: Record, payload: Payload | None, again: Again, sender: SendAgain) -> Entry:
    """Return the record of the edited request.

    Raises:
        BadParameter: a part of it is malformed.
        Refused: it cannot be sent, or a part of it is redacted.
    """
    if again.to and again.to not in sender.targets:
        raise BadParameter("to", again.to, "one of the targets of [replay]")
    for name, value in again.headers:
        if not TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise BadParameter(
                "headers", name, "names that are tokens, and values without line breaks"
            )

    path, mark, query = again.target.partition("?")
    if payload is None:
        body = None
    else:
        body = payload.request_body
    if again.body is not None:
        content = again.body.encode(errors="replace")
        if content:
            body = Body(content, b"", len(content), False, None, None)
        else:
            body = None
    changes = {
        "method": again.method,
        "path": path,
        "query": query if mark else None,
        "request_complete": True,
    }
    sent = msgspec.structs.replace(
        record, **changes, status=None, request_bytes=body.size if body else 0
    )
    edited = Recorded(
        format_id(record.id), sent, Payload(_head(record, payload, again), b"", body, None)
    )
    if reason := refusal_of(edited):
        raise Refused(409, f"this request cannot be sent: {reason}")
    if missing := outgoing_of(edited, Given()).missing:
        raise Refused(409, f"still redacted, so give or remove: {', '.join(missing)}")

    return Entry(sent, edited.payload)


def _head(record: Record, payload: Payload | None, again: Again) -> bytes:
    """Return the edited head. Parts that came back unchanged are sent with their original bytes."""
    line, fields = split_head(b"" if payload is None else payload.request_head, exact_text)
    shown = (record.path or "") + ("" if record.query is None else f"?{record.query}")
    if again.target != shown:
        target = percent_encoded(again.target)
    else:
        target = exact_target(line) or shown
    exact = {(name.lower(), readable(octets_of(value))): value for name, value in fields}
    headers = [
        f"{name}: {exact.get((name.lower(), value), value)}" for name, value in again.headers
    ]
    return octets_of("\r\n".join([f"{again.method} {target} HTTP/1.1", *headers]))
