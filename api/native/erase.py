"""`DELETE /api/records?<filter>`: erase by filter, for those who may see everything."""

from aiohttp import web

from api.http.answers import json_answer
from api.http.errors import BadParameter
from api.http.params import FILTER_PARAMETERS, read_filter, refuse_unknown
from api.services import services_of


async def erase_records(request: web.Request) -> web.Response:
    """Erase what matches and answer a receipt; without any filter nothing is erased, and that is an error."""
    services = services_of(request)
    refuse_unknown(request.query, FILTER_PARAMETERS)
    if not any(request.query.values()):
        raise BadParameter("filter", "", "at least one filter; kind=all and until=now name everything")
    at_us = services.now_us()
    erased = await services.storage.erase(read_filter(request.query, at_us))
    services.streams.tail.forget()
    return json_answer(
        {
            "exchanges": erased.exchanges,
            "events": erased.events,
            "through_seq": erased.through_seq,
            "erased_at_ms": at_us // 1000,
            "filter": {name: request.query.getall(name) for name in sorted(set(request.query))},
        }
    )
