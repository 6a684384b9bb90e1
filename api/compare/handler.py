"""`GET /api/records/{a}/compare/{b}`: two records side by side.

Comparing is CPU: it runs on a thread, one comparison at a time, and others wait for it a little.
"""

import asyncio
from typing import Final

import msgspec
from aiohttp import web

from api.compare.apart import Apart, read_places
from api.compare.exchange import Measure, Side, compare_parts, measures
from api.compare.part import Part
from api.http.errors import Refused
from api.http.params import refuse_unknown
from api.http.responses import ApiObject
from api.native.find import find_entry
from api.native.messages import kept_messages
from api.native.projection import record_json
from api.native.records import RecordShown
from api.services import Services, services_of

_PARAMETERS: Final = frozenset(("ignore",))
_ENCODER: Final = msgspec.json.Encoder()


class Comparison(ApiObject):
    """Two records and what differs."""

    a: RecordShown
    b: RecordShown
    equal: bool
    complete: bool
    """Whether all parts were there to be compared."""
    parts: list[Part]
    measures: list[Measure]
    """Figures, which are never a difference."""


async def compare_records(request: web.Request) -> web.Response:
    """Compare two records, from `a` to `b`: what was added, removed or changed, part by part."""
    services = services_of(request)
    refuse_unknown(request.query, _PARAMETERS, _PARAMETERS)
    try:
        apart = Apart(read_places(request.query.getall("ignore", [])))
    except ValueError as error:
        raise Refused(400, f"ignore: {error}") from error

    a, b = [await _side(services, request.match_info[name]) for name in ("a", "b")]
    async with services.comparing.turn():
        body = await asyncio.to_thread(_compared, a, b, apart)
    return web.Response(body=body, content_type="application/json")


async def _side(services: Services, record_id: str) -> Side:
    record, payload = await find_entry(services, record_id)
    return Side(record, payload, *await kept_messages(services.storage, record))


def _compared(a: Side, b: Side, apart: Apart) -> bytes:
    parts = compare_parts(a, b, apart)
    is_equal = all(part.equal for part in parts)
    is_complete = all(part.complete for part in parts)
    shown = record_json(a.record), record_json(b.record)
    return _ENCODER.encode(
        Comparison(*shown, is_equal, is_complete, parts, measures(a.record, b.record))
    )
