"""Sample traffic: a slow trickle of visits through the proxy, mostly fine, some failing, some slow.

Strategy: `visit` draws one with a seeded generator, so a run repeats; `perform` makes its requests
and does not mind how they end, because failing is part of the sample. A few visitors take turns at
random, so that several exchanges may be in flight at once without ever being a load: about three
requests a second in all.
"""

import asyncio
import json
import random
from typing import Final

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout, WSMsgType

from proxy.demo import grpc
from proxy.demo.steps import Step, draw_for
from proxy.demo.visits import VISITS

PAUSE_S: Final = (0.3, 1.7)
TIMEOUT_S: Final = 30.0
SEED: Final = 20260101
KEYED: Final = "/api/users"
"""Requests of paths that begin so carry an API key, where there is one."""
FIRST: Final = ("agent", "stock", "orders")
"""Visits with which the visitors begin: they are there from the first look on."""

_AGENTS: Final = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "demo-mobile/3.2 (Android 16)",
    "python-aiohttp",
    "curl/8.14.1",
)


def visit(draw: random.Random, key: str = "", name: str = "") -> tuple[Step, ...]:
    """Draw the steps of one visit, or of the one with a name.

    They share a user agent and a trace (W3C Trace Context).
    """
    known = [each for each in VISITS if name in ("", each.name)]
    (chosen,) = draw.choices(known, weights=[each.weight for each in known])
    drawn = draw_for(chosen.steps, draw)
    trace = f"{draw.getrandbits(128):032x}"
    common = {"User-Agent": draw.choice(_AGENTS), "X-Request-Id": f"{draw.getrandbits(64):016x}"}

    def with_common(step: Step) -> Step:
        if key and step.target.startswith(KEYED):
            keyed = {"api-key": key}
        else:
            keyed = {}
        parent = {"traceparent": f"00-{trace}-{draw.getrandbits(64):016x}-01"}
        return msgspec.structs.replace(step, headers={**common, **keyed, **parent, **step.headers})

    return tuple(with_common(step.filled(drawn)) for step in chosen.steps)


async def perform(session: ClientSession, base_url: str, steps: tuple[Step, ...]) -> list[int]:
    """Make the requests of one visit; return the status of each, 0 where no answer came."""
    statuses: list[int] = []
    for step in steps:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                statuses.append(await _made(session, base_url, step))
        except (ClientError, OSError, TimeoutError):
            # A proxy that restarts or an upstream that resets is worth a record, not an end of the
            # demo.
            return [*statuses, 0]

    return statuses


async def _made(session: ClientSession, base_url: str, step: Step) -> int:
    method, _, target = step.request.partition(" ")
    if method == "GRPC":
        return await grpc.call(base_url, target, json.loads(step.body), step.headers)
    if method == "SOCKET":
        return await _listen(session, base_url + target, step)

    if step.body:
        headers = {"Content-Type": "application/json", **step.headers}
    else:
        headers = step.headers
    data = step.body.encode() or None
    async with session.request(
        method, base_url + target, data=data, headers=headers, allow_redirects=False
    ) as answer:
        chunks = 0
        async for _ in answer.content.iter_any():
            chunks += 1
            if chunks == step.leave_after_chunks:
                answer.close()
                break

        return answer.status


async def _listen(session: ClientSession, url: str, step: Step) -> int:
    """Say one thing over a WebSocket, and listen until its service closes it."""
    async with session.ws_connect(url, headers=step.headers) as socket:
        await socket.send_str(step.body)
        while (await socket.receive()).type is WSMsgType.TEXT:
            pass
        return 101


async def trickle(base_url: str, *, key: str = "") -> None:
    """Visit `base_url` until cancelled."""

    async def visitor(draw: random.Random, first: str) -> None:
        await perform(session, base_url, visit(draw, key, first))
        while True:
            await perform(session, base_url, visit(draw, key))
            await asyncio.sleep(draw.uniform(*PAUSE_S))

    async with (
        ClientSession(timeout=ClientTimeout(total=TIMEOUT_S)) as session,
        asyncio.TaskGroup() as group,
    ):
        for number, first in enumerate(FIRST):
            group.create_task(visitor(random.Random(SEED + number), first), name=f"visitor {first}")
