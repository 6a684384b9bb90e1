"""One agent run of 100 turns through a real sidelog: is it one conversation, what does it cost, what does it take?

A model answers with tool calls; the agent sends its whole history with every turn, as agents do. `stored` are the
blocks of bodies as they lie in the store, `alone` the same bodies when each is compressed by itself.
"""

import argparse
import asyncio
import json
import random
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import asyncpg
from aiohttp import ClientSession, web

from bench.steady_load import OwnStore, own_store, write_result
from storage.relational.blocks.payloads import BODIES, GROWN, compress_after, inflate
from tests.support.sidelog import Sidelog

_WORDS: Final = [f"{random.Random(number).getrandbits(24):x}" for number in range(4000)]


def words(number: int, seed: int) -> str:
    """Return text that repeats as little as people's does."""
    chosen = random.Random(seed)
    return " ".join(chosen.choice(_WORDS) for _ in range(number))


async def answer(request: web.Request) -> web.Response:
    """Call a tool, and count what was sent as the input."""
    body = await request.read()
    turn = len(json.loads(body)["messages"])
    call = {"id": f"call_{turn}", "type": "function", "function": {"name": "read_file", "arguments": words(20, turn)}}
    usage = {"prompt_tokens": len(body) // 4, "completion_tokens": 60}
    message = {"role": "assistant", "content": words(40, -turn), "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    return web.json_response({"object": "chat.completion", "model": "gpt-4o", "choices": [choice], "usage": usage})


async def run_agent(url: str, turns: int, pause_s: float) -> int:
    """Make the calls of one run; returns the bytes of all requests."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": words(1500, 1)},
        {"role": "user", "content": "Make the tests pass"},
    ]
    sent = 0
    async with ClientSession() as session:
        for turn in range(turns):
            body = json.dumps({"model": "gpt-4o", "messages": messages}).encode()
            sent += len(body)
            async with session.post(f"{url}/v1/chat/completions", data=body) as response:
                said = (await response.json())["choices"][0]["message"]
            result = {"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": words(150, 1000 + turn)}
            messages += [said, result]
            await asyncio.sleep(pause_s)
    return sent


async def read_rows(store: OwnStore, sql: str) -> list[Any]:
    """Run a query over either kind of store."""
    if store.path is not None:
        with sqlite3.connect(store.path) as file:
            return file.execute(sql.replace("sidelog.", "")).fetchall()
    connection = await asyncpg.connect(store.url)
    try:
        return list(await connection.fetch(sql))
    finally:
        await connection.close()


async def read_blocks(store: OwnStore) -> dict[str, int]:
    """Measure the bodies of a store: as they lie there, and each by itself."""
    found = await read_rows(store, f"SELECT id, data FROM sidelog.blocks WHERE kind IN ({BODIES}, {GROWN})")
    blocks = {number: bytes(data) for number, data in found}
    places = await read_rows(
        store, "SELECT bodies_block, bodies_offset, bodies_length FROM sidelog.records WHERE bodies_block > 0"
    )
    content = {number: inflate(data) for number, data in blocks.items()}
    bodies = [content[number][offset : offset + length] for number, offset, length in places]
    return {
        "kept_bytes": sum(map(len, bodies)),
        "alone_bytes": sum(len(compress_after(body, b"")) for body in bodies),
        "stored_bytes": sum(map(len, blocks.values())),
    }


async def measure(kind: str, turns: int, pause_s: float) -> dict[str, Any]:
    """Run the agent, then read what was recorded of it."""
    app = web.Application(client_max_size=1 << 24)
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    upstream = f"http://127.0.0.1:{runner.addresses[0][1]}"
    with tempfile.TemporaryDirectory() as directory, own_store(kind, Path(directory) / "data") as store:
        sidelog = Sidelog(Path(directory) / "data", upstream, environ={"SIDELOG_STORAGE__URL": store.url})
        await asyncio.to_thread(sidelog.start)
        try:
            sent = await run_agent(sidelog.url, turns, pause_s)
            await asyncio.sleep(1)
            headers = {"Authorization": f"Bearer {sidelog.token}"}
            async with ClientSession(headers=headers) as session:
                async with session.get(f"{sidelog.admin_url}/api/conversations") as response:
                    listed = (await response.json())["conversations"]
                async with session.get(f"{sidelog.admin_url}/api/records?limit=1000") as response:
                    costs = [record["cost_usd"] for record in (await response.json())["records"]]
        finally:
            await asyncio.to_thread(sidelog.__exit__, None, None, None)
            await runner.cleanup()
        found = await read_blocks(store)
    return {
        "conversations": [{name: each[name] for name in ("turns", "failed", "tools", "cost_usd")} for each in listed],
        "sum_of_costs_usd": sum(costs),
        "sent_bytes": sent,
        **found,
        "stored_bytes_per_call": round(found["stored_bytes"] / turns),
        "alone_bytes_per_call": round(found["alone_bytes"] / turns),
        "share": round(found["stored_bytes"] / found["alone_bytes"], 4),
    }


def main() -> None:
    """Measure once, print, write `bench/results/agent-run-STORE.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--turns", type=int, default=100)
    parser.add_argument("--pause-s", type=float, default=0.25, help="between two turns: more than a batch's age")
    options = parser.parse_args()
    found = asyncio.run(measure(options.store, options.turns, options.pause_s))
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    write_result(f"agent-run-{options.store}", "bench.agent_run", vars(options), found)


if __name__ == "__main__":
    main()
