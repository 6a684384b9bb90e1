"""Health, metrics, status and ledger over HTTP."""

from storage.ledger import Ledger
from tests.api.conftest import BEARER, Client, World


async def test_health_and_metrics_over_http(world: World, client: Client) -> None:
    """Ready and not ready, degraded, and the scrape with the ledger."""
    assert (await client.get("/healthz")).status == 200
    response = await client.get("/readyz")
    assert (response.status, await response.json()) == (200, {"ready": True, "degraded": False})
    world.ready = (False, {"reason": "draining"})
    response = await client.get("/readyz")
    assert (response.status, await response.json()) == (503, {"ready": False, "reason": "draining"})
    response = await client.get("/metrics")
    assert "\nsidelog_records_stored_total 7.0\n" in await response.text()


async def test_ledger_and_status_over_http(world: World, client: Client) -> None:
    """The equation with its verdict; the status as it is, and whether that is ready."""
    answer = await (await client.get("/api/ledger", headers=BEARER)).json()
    assert answer == {
        "received": 9, "stored": 7, "spooled": 0, "waiting": 1, "sampled": 0, "dropped": {"poison": 1},
        "balanced": True,
    }  # fmt: skip
    world.ledger = Ledger(received=9, stored=7, spooled=0, waiting=0)
    assert (await (await client.get("/api/ledger", headers=BEARER)).json())["balanced"] is False
    assert await (await client.get("/api/status", headers=BEARER)).json() == {
        "version": "0.1.0", "ready": True, "reasons": [],
    }  # fmt: skip
    world.ready = (False, {"reasons": ["no worker accepts connections"]})
    shown = await (await client.get("/api/status", headers=BEARER)).json()
    assert (shown["ready"], shown["reasons"]) == (False, ["no worker accepts connections"])
