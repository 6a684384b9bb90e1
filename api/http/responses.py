"""JSON responses, made in one place so that all have the same encoder and none holds the loop for
long.

A response is declared once, as a struct beside the handler that returns it; `/openapi.json` is made
of the same declarations. Members that are always there have no default, `UNSET` marks those that
may be left out.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, TypeVar, cast

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

SLICE_S: Final = 0.001
"""Rows are made for so long before the loop may do something else: a page of 1 000 takes 6 ms,
bodies more.
"""

_ENCODER: Final = msgspec.json.Encoder()
Row = TypeVar("Row")
Shown = TypeVar("Shown")
Filled = TypeVar("Filled", bound=msgspec.Struct)
JsonObject = dict[str, Any]


class ApiObject(msgspec.Struct, forbid_unknown_fields=True):
    """An object of a response whose members are all described: one that grows has to say so."""


def filled(kind: type[Filled], /, *sources: object, **members: Any) -> Filled:
    """Make an object of a response, of the members given, and of those that a source has under the
    same name.
    """
    for name in kind.__struct_fields__:
        for source in sources:
            if name not in members and hasattr(source, name):
                members[name] = getattr(source, name)
    return kind(**members)


def true_or_unset(value: bool) -> Literal[True] | UnsetType:
    """Return the value of a member that is only shown when it is true."""
    return True if value else UNSET


async def encode_rows(rows: Iterable[Row], project: Callable[[Row], Shown]) -> list[Shown]:
    """Project and encode the rows of a page, in slices.

    Returns:
        A JSON list to put into a response: each row is encoded already (`msgspec.Raw`) and typed as what it stands for.
    """
    encoded: list[msgspec.Raw] = []
    started_s = time.perf_counter()
    for row in rows:
        encoded.append(msgspec.Raw(_ENCODER.encode(project(row))))
        if time.perf_counter() - started_s > SLICE_S:
            await asyncio.sleep(0)
            started_s = time.perf_counter()

    return cast(list[Shown], encoded)


def json_response(
    content: object,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    media_type: str = "application/json",
) -> web.Response:
    return web.Response(
        body=_ENCODER.encode(content), status=status, headers=headers, content_type=media_type
    )
