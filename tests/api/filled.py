"""A store that holds something of everything."""

import hashlib

from storage.keys import ApiKey
from storage.record import Entry
from tests.api.conftest import World
from tests.api.samples import (
    make_batch,
    make_body,
    make_event,
    make_in_flight,
    make_payload,
    make_record,
    make_tool_call,
)


async def fill(world: World) -> None:
    """Store exchanges with bodies of text and of bytes, an event, a tool call, a key; and set
    something in flight.
    """
    payload = make_payload(make_body(b'{"a": 1}'), make_body(b"\xff\x00"))
    records = [
        make_record(n, keyed=n % 2 == 0, key_id="k1", status=200 + n * 40) for n in range(1, 8)
    ]
    batch = make_batch(make_event(20), *((record, payload) for record in records))
    batch.entries.append(
        Entry(
            make_record(8, client=None, provider="mcp"),
            payload,
            [make_tool_call(8, key_id="k1", key_name="one", key_last4="abcd")],
        )
    )
    await world.storage.commit(batch)
    world.in_flight = [make_in_flight(30)]
    digest = hashlib.sha256(b"k1").digest()
    await world.storage.create_key(ApiKey(id="k1", name="one", last4="abcd", secret_sha256=digest))
