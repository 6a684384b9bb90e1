"""Erases the records of a filter (`DELETE /api/records`) or of a container (`DELETE
/api/scopes/containers/{id}`).
"""

import asyncio
from typing import Final

from aiohttp import web

from api.http.errors import BadParameter
from api.http.params import Query, read_filter, read_int
from api.http.responses import ApiObject, filled, json_response
from api.services import Services, services_of
from storage.base import Storage
from storage.purge import Erased
from storage.query import Filter, Kind
from storage.search.expression import fields

MAX_WAIT_S: Final = 60
"""Longest wait of a request for the store to delete hidden records."""
_LOOK_AGAIN_S: Final = 0.25


class Receipt(ApiObject):
    """What was erased."""

    exchanges: int
    events: int
    through_seq: int
    erased_at_ms: int
    filter: dict[str, list[str]]
    finished: bool
    """The store has deleted all erased records; until then they are hidden from all readers."""


class ContainerReceipt(ApiObject):
    """What was erased of a container."""

    containerId: str
    exchanges: int
    events: int
    through_seq: int
    erased_at_ms: int
    finished: bool


async def erase_records(request: web.Request) -> web.Response:
    """Erase the records that match, of both kinds unless a filter names one; a request without any
    filter is refused.
    """
    services = services_of(request)
    query = request.query
    wait_s = read_int(query, "wait_s", 0, maximum=MAX_WAIT_S)
    filter = {name: query.getall(name) for name in sorted(set(query) - {"wait_s"})}

    at_us = services.now_us()
    if not _says_something(query, at_us):
        raise BadParameter(
            "filter", "", "at least one filter that says something; kind=all names everything"
        )

    for name, texts in filter.items():
        # Of an empty variable of a script: more would go than was meant.
        if not "".join(texts).strip(", "):
            raise BadParameter(name, texts[0], "a value: an empty one leaves nothing out")

    erased = await services.storage.erase(read_filter(query, at_us, "wait_s", kind="all"))
    await _forget(services, erased)
    is_finished = erased.is_finished or await _is_finished_within(services.storage, wait_s)
    receipt = filled(
        Receipt, erased, erased_at_ms=at_us // 1000, filter=filter, finished=is_finished
    )
    return json_response(receipt)


def _says_something(query: Query, now_us: int) -> bool:
    """Whether any filter restricts anything, even the default kind: `project=,` or a blank search
    would erase everything.
    """
    kinds: tuple[Kind, ...] = ("exchange", "all")
    return any(
        read_filter(query, now_us, "wait_s", kind=kind) != Filter(kind=kind) for kind in kinds
    )


async def _is_finished_within(storage: Storage, limit_s: float) -> bool:
    """Wait until the store has deleted all erased records; return False if that takes longer."""
    ends_s = asyncio.get_running_loop().time() + limit_s
    while asyncio.get_running_loop().time() < ends_s:
        if not await storage.erasing():
            return True
        await asyncio.sleep(_LOOK_AGAIN_S)
    return False


async def _forget(services: Services, erased: Erased) -> None:
    """Remove erased records from the caches of the live tail and of endpoints."""
    services.streams.tail.forget()
    if erased.exchanges:
        await services.forget_endpoints()


async def destroy_container(request: web.Request) -> web.Response:
    """Erase all records of a container, and end the streams confined to it."""
    services = services_of(request)
    container = request.match_info["id"]
    erased = await services.storage.erase(Filter(kind="all", where=fields(container=(container,))))
    await _forget(services, erased)
    services.streams.tail.destroy_container(container)
    services.add_event("scope_destroyed", {"containerId": container})
    at_ms = services.now_us() // 1000
    shown = {"containerId": container, "erased_at_ms": at_ms, "finished": erased.is_finished}
    return json_response(filled(ContainerReceipt, erased, **shown))
