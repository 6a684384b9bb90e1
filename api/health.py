"""Liveness, readiness, metrics, status and ledger: what probes, scrapers and operators ask."""

from aiohttp import web

from api.http.answers import json_answer
from api.services import services_of
from storage.errors import StorageUnavailable


async def healthz(request: web.Request) -> web.Response:
    """Answer 200: the process and its loop are alive."""
    return json_answer({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """Answer 200 when traffic may come, else 503, with the reasons."""
    is_ready, members = services_of(request).is_ready()
    return json_answer({"ready": is_ready, **members}, status=200 if is_ready else 503)


async def metrics(request: web.Request) -> web.Response:
    """Answer all metrics in the format the scraper accepts; a store that is away costs only the ledger's metrics."""
    services = services_of(request)
    try:
        ledger = await services.ledger()
    except StorageUnavailable:
        ledger = None
    body, content_type = services.metrics.render(request.headers.get("Accept", ""), ledger)
    return web.Response(body=body, headers={"Content-Type": content_type})


async def status(request: web.Request) -> web.Response:
    """Answer what an operator wants to know about the processes and the store."""
    return json_answer(services_of(request).status())


async def ledger(request: web.Request) -> web.Response:
    """Answer the accounting, and whether it balances."""
    read = await services_of(request).ledger()
    return json_answer(
        {
            "received": read.received,
            "stored": read.stored,
            "spooled": read.spooled,
            "waiting": read.waiting,
            "dropped": read.dropped,
            "balanced": read.is_balanced,
        }
    )
