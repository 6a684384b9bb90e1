"""Health, metrics, status and ledger over HTTP."""

from storage.ledger import Ledger
from tests.api.conftest import BEARER, Client, World, ask


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
    answer = await ask(client, "/api/ledger")
    assert answer == {
        "received": 9, "stored": 7, "spooled": 0, "waiting": 1, "sampled": 0, "dropped": {"poison": 1},
        "balanced": True,
    }  # fmt: skip
    world.ledger = Ledger(received=9, stored=7, spooled=0, waiting=0)
    assert (await ask(client, "/api/ledger"))["balanced"] is False
    assert await ask(client, "/api/status") == {
        "version": "0.1.0", "ready": True, "reasons": [],
    }  # fmt: skip
    world.ready = (False, {"reasons": ["no worker accepts connections"]})
    shown = await ask(client, "/api/status")
    assert (shown["ready"], shown["reasons"]) == (False, ["no worker accepts connections"])


async def test_the_seconds_of_a_silence_are_a_whole_number(client: Client) -> None:
    """As JSON has it, whether it is written 60 or 60.0; where no alerts are evaluated there is none
    to be silenced.
    """
    path = "/api/alerts/errors/silence"
    statuses = {}
    for seconds in ("60", "60.0", "60.5", "-1", "31622401", '"60"'):
        body = b'{"seconds":%s}' % seconds.encode()
        statuses[seconds] = (await client.put(path, data=body, headers=BEARER)).status

    assert statuses == {
        "60": 404,
        "60.0": 404,
        "60.5": 400,
        "-1": 400,
        "31622401": 400,
        '"60"': 400,
    }
