"""However many rows are asked for, few large bodies are in memory at a time."""

from collections.abc import Sequence

import pytest

from storage.record import Payload
from storage.relational.blocks.portions import MAX_BYTES
from tests.api.conftest import BEARER, Start, World
from tests.api.samples import make_batch, make_body, make_payload, make_record
from tests.support.memory_store import MemoryStorage

ROWS, LARGE = 20, 6


class Watched(MemoryStorage):
    """A store that notes how many payloads it is asked for at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    async def payloads(self, seqs: Sequence[int]) -> dict[int, Payload]:
        """See `storage.base.Storage.payloads`."""
        self.asked.append(len(seqs))
        return await super().payloads(seqs)


@pytest.mark.parametrize(
    "path",
    [
        "/api/records?fields=body.x", "/api/export?bodies=true", "/api/export?format=har", "/api/conversations",
        "/api/clients/acme/proxies/default/requests", "/api/proxy-logs/_logs?includeRequestBody=true",
    ],
)  # fmt: skip
async def test_large_bodies_are_read_a_few_at_a_time(world: World, start: Start, path: str) -> None:
    """All of them are read, and none of the answers is longer on the way."""
    storage = Watched()
    world.storage = storage
    payload = make_payload(make_body(b'{"x":1}'))
    sizes = {"request_bytes": MAX_BYTES // LARGE, "response_bytes": 0}
    records = [
        make_record(n, **sizes, provider="openai", conversation=bytes(15) + bytes([n]))
        for n in range(ROWS)
    ]
    await storage.commit(make_batch(*((record, payload) for record in records)))
    client = await start(world.services())
    response = await client.get(path, headers=BEARER)
    assert response.status == 200
    await response.read()
    assert sum(storage.asked) == ROWS
    assert max(storage.asked) in (LARGE, LARGE // 2)  # a half where each is shown in two halves
