"""`GET /api/records/{a}/compare/{b}`: two records side by side.

A comparison takes CPU. It runs on a thread, one at a time, and others wait a while for their turn.
"""

import asyncio
from typing import Final

import msgspec
from aiohttp import web

from api.compare.exchange import Measure, Side, compare_parts, measures
from api.compare.ignored import Ignored, read_places
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
    """Two records and their differences."""

    a: RecordShown
    b: RecordShown
    equal: bool
    complete: bool
    """True if every part could be compared completely."""
    parts: list[Part]
    measures: list[Measure]
    """Measures. They never count as a difference."""


async def compare_records(request: web.Request) -> web.Response:
    """Compare two records, from `a` to `b`: everything added, removed or changed, part by part."""
    services = services_of(request)
    refuse_unknown(request.query, _PARAMETERS, _PARAMETERS)
    try:
        ignored = Ignored(read_places(request.query.getall("ignore", [])))
    except ValueError as error:
        raise Refused(400, f"ignore: {error}") from error

    a = await _side(services, request.match_info["a"])
    b = await _side(services, request.match_info["b"])
    async with services.comparing.turn():
        body = await asyncio.to_thread(_compare, a, b, ignored)
    return web.Response(body=body, content_type="application/json")


async def _side(services: Services, record_id: str) -> Side:
    record, payload = await find_entry(services, record_id)
    return Side(record, payload, *await kept_messages(services.storage, record))


def _compare(a: Side, b: Side, ignored: Ignored) -> bytes:
    """Return the comparison as JSON. The encoding takes CPU as well."""
    parts = compare_parts(a, b, ignored)
    comparison = Comparison(
        a=record_json(a.record),
        b=record_json(b.record),
        equal=all(part.equal for part in parts),
        complete=all(part.complete for part in parts),
        parts=parts,
        measures=measures(a.record, b.record),
    )
    return _ENCODER.encode(comparison)
