"""Encode heads and bodies as columns of their record's row, plain, so that the server can search
them. Pure.

Invariant: `payload_of` returns the payload that `columns_of` encoded.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from storage.clickhouse.codec import encode, to_bytes
from storage.record import Body, Content, Payload

HEADS: Final = ("request_head", "response_head", "payload_rest")
BODIES: Final = ("request_body", "request_tail", "response_body", "response_tail")
"""The captured windows as they are. `payload_rest` has the facts about each body."""
COLUMNS: Final = (*HEADS, *BODIES)


class _Form(msgspec.Struct, array_like=True, gc=False):
    """Facts about a body: its members from the third on."""

    size: int
    truncated: bool
    coding: str | None
    omitted: str | None
    coding_error: str | None
    charset: str | None
    content: Content | None = None


_Rest = tuple[list[tuple[int, int]], bytes, bytes, _Form | None, _Form | None]
"""Timeline, trailers of both sides, facts about both bodies."""
_decoder: Final[msgspec.msgpack.Decoder[_Rest]] = msgspec.msgpack.Decoder(_Rest)
_SIDES: Final = ("request", "response")


def columns_of(payloads: Sequence[Payload | None]) -> dict[str, list[bytes]]:
    """Return the columns of payloads; all are empty for None.

    Raises:
        ValueError: A value cannot be stored.
    """
    made: dict[str, list[bytes]] = {
        f"{side}_head": [
            b"" if payload is None else getattr(payload, f"{side}_head") for payload in payloads
        ]
        for side in _SIDES
    }
    bodies = [
        [None if payload is None else getattr(payload, f"{side}_body") for payload in payloads]
        for side in _SIDES
    ]
    for side, some in zip(_SIDES, bodies, strict=True):
        made[f"{side}_body"] = [b"" if body is None else body.head for body in some]
        made[f"{side}_tail"] = [b"" if body is None else body.tail for body in some]
    made["payload_rest"] = list(map(_rest, payloads, *bodies))
    return made


def payload_of(heads: Sequence[Any], bodies: Sequence[Any] | None) -> Payload | None:
    """Return a payload from its columns; None if it is not stored.

    Args:
        heads: Values of `HEADS`.
        bodies: Values of `BODIES`; None if retention has removed them.
    """
    request_head, response_head, rest = map(to_bytes, heads)
    if not rest:
        return None

    timeline, request_trailers, response_trailers, *forms = _decoder.decode(rest)
    windows = [None, None, None, None] if bodies is None else list(map(to_bytes, bodies))
    request, response = (
        _body(windows[place], windows[place + 1], form)
        for place, form in zip((0, 2), forms, strict=True)
    )
    return Payload(
        request_head,
        response_head,
        request,
        response,
        timeline,
        request_trailers,
        response_trailers,
    )


def _body(head: bytes | None, tail: bytes | None, form: _Form | None) -> Body | None:
    if form is None or head is None or tail is None:
        return None
    return Body(head, tail, *msgspec.structs.astuple(form))


def _rest(payload: Payload | None, request: Body | None, response: Body | None) -> bytes:
    if payload is None:
        return b""
    trailers = payload.request_trailers, payload.response_trailers
    forms = [
        None if body is None else msgspec.structs.astuple(body)[2:] for body in (request, response)
    ]
    return encode((payload.timeline, *trailers, *forms))
