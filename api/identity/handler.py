"""`GET /api/records/{id}/last-success`: the success to compare a failure with.

It is the newest success of the same endpoint with the most similar request: a call with other
parameters says less about the cause. Reading bodies takes CPU. It runs on a thread, in turn with
comparisons.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal

from aiohttp import web
from multidict import MultiDict

from api.http.errors import Refused
from api.http.params import read_filter
from api.http.responses import ApiObject, json_response
from api.identity.match import Level, differences, level_of, read_answer
from api.identity.request import request_of
from api.native.find import find_entry
from api.services import Services, services_of
from storage.query import RecordQuery
from storage.record import Payload, Record, format_id

Match = Literal["exact", "same", "endpoint"]

MAX_CANDIDATES: Final = 20
"""Number of successes that are compared, the newest."""
_SUCCESS: Final = {"status": "1xx,2xx,3xx", "outcome": "ok", "query": "-error:*"}
"""Filter of a success. Many protocols report failures with such a status; the record then has an
error code.
"""
_MATCHES: Final[dict[Level, Match]] = {
    Level.ENDPOINT: "endpoint",
    Level.SAME: "same",
    Level.EXACT: "exact",
}


class LastSuccess(ApiObject):
    """A success of the same endpoint."""

    id: str
    match: Match
    """Similarity of the requests. `same`: equal except for volatile values, ids, and headers
    without effect.
    """
    differences: list[str]
    """Differing places of the request, with both values."""


async def last_success(request: web.Request) -> web.Response:
    """Return the success of the same endpoint with the most similar request, the newest of several."""
    services = services_of(request)
    record, payload = await find_entry(services, request.match_info["id"])
    if not record.endpoint or (record.kind == "event" and not record.provider):
        text = "this record has no endpoint, so no last success: name the record to compare with"
        raise Refused(404, text)

    candidates = await _successes(services, record)
    if not candidates:
        raise Refused(404, f"no other success of {record.method} {record.endpoint} is stored")

    payloads = await services.storage.payloads([each.seq for each in candidates])
    async with services.comparing.turn():
        found = await asyncio.to_thread(_most_alike, record, payload, candidates, payloads)
    return json_response(found)


async def _successes(services: Services, record: Record) -> list[Record]:
    """Return the newest successes of route, method and endpoint, without the record itself.

    An LLM call over a WebSocket is an event, and so is its success.
    """
    columns = {"method": record.method, "endpoint": record.endpoint, "route": record.route_id}
    if record.kind == "event":
        columns |= {"kind": record.kind, "provider": record.provider}
    given = {name: value for name, value in columns.items() if value is not None}
    filter = read_filter(MultiDict(given | _SUCCESS), services.now_us())
    query = RecordQuery(filter=filter, limit=MAX_CANDIDATES + 1)
    while True:
        page = await services.storage.read(query)
        found = [each for each in page.records if each.id != record.id][:MAX_CANDIDATES]
        if found or page.next_after is None:
            return found

        # A page may be empty although others follow, if a read ran out of time.
        query = replace(query, after=page.next_after)


def _most_alike(
    record: Record,
    payload: Payload | None,
    candidates: Sequence[Record],
    payloads: Mapping[int, Payload],
) -> LastSuccess:
    """Return the candidate with the highest level, then with the fewest differences.

    Of several, `max` returns the first, which is the newest.
    """
    asked = request_of(record, payload)
    ranked: list[tuple[Level, list[str], Record]] = []
    for candidate in candidates:
        recorded = request_of(candidate, payloads.get(candidate.seq))
        answer = read_answer(candidate, payloads.get(candidate.seq))
        # Candidates belong to the same endpoint, even if headers exclude their responses.
        level = max(level_of(recorded, answer, asked), Level.ENDPOINT)
        ranked.append((level, differences(recorded, answer, asked), candidate))

    level, found, best = max(ranked, key=lambda one: (one[0], -len(one[1])))
    return LastSuccess(format_id(best.id), _MATCHES[level], found)
