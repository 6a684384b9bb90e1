"""A multipart upload of 60 MB to FastAPI under uvicorn."""

import json
import random
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.realworld.programs import uvicorn_app
from tests.realworld.proxied import proxied

pytestmark = [pytest.mark.realworld, pytest.mark.timeout(300)]

FILE_BYTES = 60 << 20


async def upload(url: str, file: Path, *, is_chunked: bool) -> tuple[int, Any]:
    """Send one file as a form; return the status and the answer."""
    with file.open("rb") as content:
        form = aiohttp.FormData({"note": "sixty"})
        form.add_field(
            "file", content, filename="large.bin", content_type="application/octet-stream"
        )
        writer = form()

        async with aiohttp.ClientSession() as session:
            chunked = True if is_chunked else None
            async with session.post(f"{url}/upload", data=writer, chunked=chunked) as answer:
                return answer.status, await answer.json()


@pytest.mark.parametrize("is_chunked", [False, True], ids=["sized", "chunked"])
async def test_large_multipart_upload(tmp_path: Path, is_chunked: bool) -> None:
    """The application gets the same 60 MB, and the record has their number and the beginning of the
    form.
    """
    file = tmp_path / "large.bin"
    file.write_bytes(random.Random(2).randbytes(FILE_BYTES))
    with uvicorn_app("upload_app", tmp_path / "app", "/openapi.json") as url:
        direct = await upload(url, file, is_chunked=is_chunked)
        assert (direct[0], direct[1]["bytes"]) == (200, FILE_BYTES)
        with proxied(tmp_path, url) as way:
            assert await upload(way.url, file, is_chunked=is_chunked) == direct
            (record,) = way.check_record()
            body = way.sidelog.record(record["id"])["request"]["body"]

    assert record["request_bytes"] > FILE_BYTES
    assert (body["size"], body["truncated"]) == (record["request_bytes"], True)


async def test_refused_form(tmp_path: Path) -> None:
    """A form without its file is refused with the same 422."""
    with (
        uvicorn_app("upload_app", tmp_path / "app", "/openapi.json") as url,
        proxied(tmp_path, url) as way,
    ):
        answers = []
        for place in (url, way.url):
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"{place}/upload", data={"note": "x"}) as answer,
            ):
                answers.append((answer.status, json.loads(await answer.text())))

        assert answers[0] == answers[1]
        assert [record["status"] for record in way.check_record()] == [422]
