"""Erasure of what a filter matches, `DELETE /api/records`, and of a container, `DELETE /api/scopes/containers/{id}`."""

from aiohttp import web

from api.http.errors import BadParameter
from api.http.params import FILTER_PARAMETERS, read_filter, refuse_unknown
from api.http.responses import ApiObject, json_response
from api.services import Services, services_of
from storage.purge import Erased
from storage.query import Filter


class Receipt(ApiObject):
    """What was erased."""

    exchanges: int
    events: int
    through_seq: int
    erased_at_ms: int
    filter: dict[str, list[str]]


class ContainerReceipt(ApiObject):
    """What was erased of a container."""

    containerId: str
    exchanges: int
    events: int
    through_seq: int
    erased_at_ms: int


async def erase_records(request: web.Request) -> web.Response:
    """Erase the records that match; a request without any filter is refused."""
    services = services_of(request)
    query = request.query
    refuse_unknown(query, FILTER_PARAMETERS)
    if not any(query.values()):
        raise BadParameter("filter", "", "at least one filter; kind=all and until=now name everything")
    at_us = services.now_us()
    erased = await services.storage.erase(read_filter(query, at_us))
    await _forget(services, erased)
    filter = {name: query.getall(name) for name in sorted(set(query))}
    return json_response(Receipt(erased.exchanges, erased.events, erased.through_seq, at_us // 1000, filter))


async def _forget(services: Services, erased: Erased) -> None:
    """Forget in memory what was known of records that are erased."""
    services.streams.tail.forget()
    if erased.exchanges:
        await services.endpoints.forget()


async def destroy_container(request: web.Request) -> web.Response:
    """Erase all records of a container, and end the streams confined to it."""
    services = services_of(request)
    container = request.match_info["id"]
    erased = await services.storage.erase(Filter(kind="all", containers=(container,)))
    await _forget(services, erased)
    services.streams.tail.destroy_container(container)
    services.add_event("scope_destroyed", {"containerId": container})
    at_ms = services.now_us() // 1000
    return json_response(ContainerReceipt(container, erased.exchanges, erased.events, erased.through_seq, at_ms))
