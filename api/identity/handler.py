"""`GET /api/records/{id}/last-success`: what a failure is best compared with.

Of the newest successes of its endpoint the one whose request is most alike: a call with other
parameters says less about why this one failed. Reading bodies is CPU: it runs on a thread, in turn
with comparisons.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from aiohttp import web
from multidict import MultiDict

from api.http.errors import Refused
from api.http.params import read_filter
from api.http.responses import ApiObject, json_response
from api.identity.match import answered, differences, level_of
from api.identity.request import request_of
from api.native.find import find_entry
from api.services import Services, services_of
from storage.query import RecordQuery
from storage.record import Payload, Record, format_id

MAX_CANDIDATES: Final = 20
"""Successes that are compared, the newest."""
_SUCCESS: Final = {"status": "1xx,2xx,3xx", "outcome": "ok"}


class LastSuccess(ApiObject):
    """A success of the same endpoint."""

    id: str
    match: Literal["exact", "same", "endpoint"]
    """How alike its request is; `same`: but for what is made anew each time, and ids in the path.
    """
    differences: list[str]
    """Places of the request that differ, with both values."""


async def last_success(request: web.Request) -> web.Response:
    """Name the success of the same endpoint whose request is most alike, the newest of several."""
    services = services_of(request)
    record, payload = await find_entry(services, request.match_info["id"])
    if not record.endpoint:
        raise Refused(404, "this record is of no endpoint: choose a second one")

    candidates = await _successes(services, record)
    if not candidates:
        raise Refused(404, f"no other success of {record.method} {record.endpoint} is stored")

    payloads = await services.storage.payloads([each.seq for each in candidates])
    async with services.comparing.turn():
        found = await asyncio.to_thread(_most_alike, record, payload, candidates, payloads)
    return json_response(found)


async def _successes(services: Services, record: Record) -> list[Record]:
    """Return the newest successes of route, method and endpoint, but for the record itself."""
    asked = {"method": record.method, "endpoint": record.endpoint, "route": record.route_id}
    given = MultiDict(
        {name: value for name, value in asked.items() if value is not None} | _SUCCESS
    )
    filter = read_filter(given, services.now_us())
    after: int | None = None

    while True:
        page = await services.storage.read(
            RecordQuery(filter=filter, limit=MAX_CANDIDATES + 1, after=after)
        )
        found = [each for each in page.records if each.id != record.id][:MAX_CANDIDATES]
        if found or page.next_after is None:
            return found

        after = page.next_after


def _most_alike(
    record: Record,
    payload: Payload | None,
    candidates: Sequence[Record],
    payloads: Mapping[int, Payload],
) -> LastSuccess:
    asked = request_of(record, payload)
    shown = []
    for each in candidates:
        kept = payloads.get(each.seq)
        recorded = request_of(each, kept)
        answer = answered(each, kept)
        differing = differences(recorded, answer, asked)
        level = max(level_of(recorded, answer, asked), 1)
        shown.append((-level, len(differing), each, differing))

    level, _, best, differing = min(shown, key=lambda one: one[:2])
    names: tuple[Literal["endpoint", "same", "exact"], ...] = ("endpoint", "same", "exact")
    return LastSuccess(format_id(best.id), names[-level - 1], differing)
