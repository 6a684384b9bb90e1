"""Requests by HTTP/2 of httpx: `http2_client.py URL CERTIFICATE`; prints status and size of each
answer, as JSON.
"""

import asyncio
import json
import ssl
import sys

import httpx

LARGE = bytes(range(256)) * 32768


async def main(url: str, certificate: str) -> None:
    context = ssl.create_default_context(cafile=certificate)
    async with httpx.AsyncClient(http2=True, verify=context, base_url=url, timeout=60) as client:

        async def ask(method: str, path: str, body: bytes | None = None) -> list[int]:
            answer = await client.request(method, path, content=body)
            assert answer.http_version == "HTTP/2"
            assert answer.content == LARGE or len(answer.content) < len(LARGE)
            return [answer.status_code, len(answer.content)]

        told: dict[str, object] = {
            "GET": await ask("GET", "/small"),
            "HEAD": await ask("HEAD", "/small"),
            "missing": (await ask("GET", "/missing"))[0],
            "large": await ask("GET", "/large"),
            "upload": await ask("POST", "/echo", LARGE),
        }
        async with asyncio.TaskGroup() as tasks:
            many = [tasks.create_task(ask("GET", "/small")) for _ in range(50)]
        told["at once"] = sum(found.result()[0] == 200 for found in many)
        async with client.stream("GET", "/endless") as answer:
            await anext(answer.aiter_raw())

    json.dump(told, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
