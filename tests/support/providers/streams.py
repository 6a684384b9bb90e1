"""What tests of the fake OpenAI API share: their client, and the data of a stream's frames."""

from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient

Client = TestClient[web.Request, web.Application]


async def data_of(client: Client, path: str, body: dict[str, Any]) -> list[str]:
    """Return the data of every frame of a stream, checking that each line is well-formed."""
    answer = await client.post(path, json=body)
    assert (answer.status, answer.content_type) == (200, "text/event-stream")
    text = await answer.text()
    assert text.endswith("\n\n")
    frames = [frame.split("\n") for frame in text.removesuffix("\n\n").split("\n\n")]
    assert all(line.startswith(("data: ", "event: ")) for frame in frames for line in frame)
    return [frame[-1].removeprefix("data: ") for frame in frames]
