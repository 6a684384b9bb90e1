"""A socket.io client: `socketio_client.py URL TRANSPORT…`; prints what it got as one line of JSON."""

import asyncio
import json
import sys

import socketio


async def main(url: str, transports: list[str]) -> None:
    """Connect, have texts and bytes sent back, and leave."""
    client = socketio.AsyncClient(reconnection=False)
    got: list[object] = []
    arrived = asyncio.Semaphore(0)

    async def keep(data: object) -> None:
        got.append(list(data) if isinstance(data, bytes) else data)
        arrived.release()

    client.on("greeting", keep)
    client.on("echoed", keep)
    await client.connect(url, transports=transports)
    await arrived.acquire()
    transport = client.transport()

    for data in ("text", {"nested": [1, 2, "ü"]}, bytes(range(256)), "x" * 100_000):
        answer = await client.call("echo", data)
        await arrived.acquire()
        assert answer == data

    await client.disconnect()
    sys.stdout.write(json.dumps({"transport": transport, "got": got}) + "\n")


asyncio.run(main(sys.argv[1], sys.argv[2:]))
