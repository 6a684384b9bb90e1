"""Exchanges of a suite, and requests, in as few words as a test needs."""

from typing import Any, Final

import msgspec

from api.identity.match import Level
from api.replay.suite import Recorded
from proxy.cli.commands.mock.reply import Reply
from proxy.cli.commands.mock.service import Service
from storage.record import Body, Payload, Record

Asked = tuple[str, str, str, str | bytes]
"""Method, target, field lines, body."""

JSON: Final = "Content-Type: application/json"
FORM: Final = "Content-Type: application/x-www-form-urlencoded"


def octets(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def kept(content: str | bytes) -> Body | None:
    raw = octets(content)
    if raw:
        return Body(raw, b"", len(raw), False, None, None)
    return None


def head(line: str, fields: str) -> bytes:
    return "\r\n".join([line, *fields.splitlines()]).encode("utf-8", "surrogateescape")


def exchange(
    asked: Asked,
    answer: str | bytes = "",
    *,
    status: int = 200,
    fields: str = "Content-Type: text/plain",
    name: str = "",
    host: str | None = None,
    **payload: Any,
) -> Recorded:
    """An exchange; further arguments are members of its payload."""
    method, target, lines, body = asked
    path, mark, query = target.partition("?")
    record = Record(
        1, b"", "", "exchange", 0, 0, status=status, method=method, path=path, host=host
    )
    record.query = query if mark else None
    record.request_bytes, record.response_bytes = len(octets(body)), len(octets(answer))
    request_head = head(f"{method} {target} HTTP/1.1", lines)
    response_head = head(f"HTTP/1.1 {status} OK", fields)
    return Recorded(
        name or f"{method} {target}",
        record,
        msgspec.structs.replace(
            Payload(request_head, response_head, kept(body), kept(answer)), **payload
        ),
    )


def ask(service: Service, asked: Asked, host: str = "127.0.0.1:9000") -> Reply:
    method, target, lines, body = asked
    return service.answer(
        method, target, host, head(f"{method} {target} HTTP/1.1", lines), octets(body)
    )


def matched(reply: Reply) -> str:
    """How a reply says that it was found: `exact; recorded=…`."""
    return next(value for name, value in reply.fields if name == "X-Sidelog-Mock")


def service(*suite: Recorded, least: Level = Level.SAME) -> Service:
    return Service(suite, least)
