"""`DELETE /api/scopes/containers/{id}`: forget a container. Its records go, and streams confined to it end."""

from aiohttp import web

from api.http.answers import json_answer
from api.services import services_of
from storage.query import Filter


async def destroy_container(request: web.Request) -> web.Response:
    """Erase everything of a container, end its streams with `scope-destroyed`, and answer a receipt."""
    services = services_of(request)
    container = request.match_info["id"]
    erased = await services.storage.erase(Filter(kind="all", containers=(container,)))
    services.streams.tail.forget()
    services.streams.tail.destroy_container(container)
    services.add_event("scope_destroyed", {"containerId": container})
    return json_answer(
        {
            "containerId": container,
            "exchanges": erased.exchanges,
            "events": erased.events,
            "through_seq": erased.through_seq,
            "erased_at_ms": services.now_us() // 1000,
        }
    )
