"""JSON responses: one encoder for all, and no response that blocks the loop for long.

A response is declared once, as a struct next to the handler that returns it; `/openapi.json` is
generated from the same declarations. Members that are always present have no default, `UNSET` marks
those that may be left out.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, TypeVar, cast

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

SLICE_S: Final = 0.001
"""Time for which rows are encoded before the loop gets a turn: a page of 1 000 takes 6 ms, bodies
more.
"""

_ENCODER: Final = msgspec.json.Encoder()
Row = TypeVar("Row")
Shown = TypeVar("Shown")
Filled = TypeVar("Filled", bound=msgspec.Struct)
JsonObject = dict[str, Any]


class ApiObject(msgspec.Struct, forbid_unknown_fields=True):
    """An object of a response. All its members are described, so a new one has to be declared."""


def filled(kind: type[Filled], /, *sources: object, **members: Any) -> Filled:
    """Return an object of a response, from the given members and from equally named members of
    sources.
    """
    for name in kind.__struct_fields__:
        for source in sources:
            if name not in members and hasattr(source, name):
                members[name] = getattr(source, name)
    return kind(**members)


def true_or_unset(value: bool) -> Literal[True] | UnsetType:
    """Return True, or UNSET for False, for a JSON member that is shown only if it is true."""
    if value:
        return True
    return UNSET


async def encode_rows(rows: Iterable[Row], project: Callable[[Row], Shown]) -> list[Shown]:
    """Convert and encode the rows of a page, in slices.

    Returns:
        A JSON list for a response. Its rows are already encoded (`msgspec.Raw`), but typed as the
        objects
        they stand for.
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
