"""Content codings of responses."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from api.http.compression import MIN_BYTES, SLICE_BYTES, coding_for
from proxy.enrich.http.content_coding import decode
from tests.api.conftest import BEARER, Client, World
from tests.api.samples import make_record
from tests.support.cases import each_of


@each_of(
    ("header", "coding"),
    [
        ("", None), ("br, deflate", None), ("gzip", "gzip"), ("x-gzip", "gzip"), ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, zstd;q=0.5", "gzip"), ("zstd;q=0, gzip;q=0", None), ("*", "zstd"), ("*, zstd;q=0", "gzip"),
        ("gzip;q=0.5, identity", None), ("GZIP;Q=0.1", "gzip"),
    ],
)  # fmt: skip
def test_the_heaviest_coding_is_chosen(header: str, coding: str | None) -> None:
    """What weighs 0 is not sent; zstd wins a tie."""
    assert coding_for(header) == coding


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("zstd, gzip;q=0.5", "gzip"),
        ("zstd", None),
        ("x-gzip", "gzip"),
        ("gzip;q=0.5, identity", None),
    ],
)
def test_only_offered_codings_are_chosen(header: str, coding: str | None) -> None:
    """A file that is streamed is compressed with gzip, or not at all."""
    assert coding_for(header, ("gzip",)) == coding


async def fetch(client: Client, path: str, coding: str) -> tuple[bytes, Mapping[str, str]]:
    """Ask for a coding and return what came on the wire."""
    headers = BEARER | {"Accept-Encoding": coding}
    async with client.session.get(
        client.make_url(path), headers=headers, auto_decompress=False
    ) as response:
        assert response.status == 200
        return await response.read(), response.headers


def inflated(raw: bytes, coding: str) -> bytes:
    decoded = decode(raw, [coding])
    assert decoded is not None
    assert decoded.is_complete
    return decoded.data


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize("count", [3, 300])
async def test_answers_are_compressed_where_it_is_asked_for(
    client: Client, world: World, coding: str, count: int
) -> None:
    """The small at once, the large in a thread; the same bytes come out."""
    await world.store(*(make_record(n) for n in range(count)))
    path = "/api/records?limit=1000"
    plain, headers = await fetch(client, path, "identity")
    assert (len(plain) > SLICE_BYTES) == (count == 300)
    assert ("Content-Encoding" in headers, headers["Vary"]) == (False, "Accept-Encoding")
    raw, headers = await fetch(client, path, coding)
    assert (headers["Content-Encoding"], headers["Content-Length"]) == (coding, str(len(raw)))
    assert len(raw) < len(plain) / 2
    assert inflated(raw, coding) == plain


async def test_what_is_small_or_a_download_is_left_alone(client: Client, world: World) -> None:
    """One packet is one packet; errors too."""
    raw, headers = await fetch(client, "/api/ledger", "gzip")
    assert len(raw) < MIN_BYTES
    assert "Content-Encoding" not in headers
    assert json.loads(raw)["received"] == 9
    response = await client.get("/api/records/none", headers=BEARER | {"Accept-Encoding": "gzip"})
    assert (response.status, "Content-Encoding" in response.headers) == (404, False)


@pytest.mark.parametrize("format", ["ndjson", "csv", "har"])
async def test_exports_are_compressed_while_they_are_written(
    client: Client, world: World, format: str
) -> None:
    """With gzip, which whoever asks for a file can read."""
    await world.store(*(make_record(n) for n in range(50)))
    path = f"/api/export?format={format}"
    plain, _ = await fetch(client, path, "identity")
    raw, headers = await fetch(client, path, "zstd, gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert inflated(raw, "gzip") == plain


async def test_a_kept_file_is_not_sent_again(client: Client) -> None:
    """The mark of a compressed file is a weak one, and good for the next question."""
    raw, headers = await fetch(client, "/ui/app.js", "gzip")
    assert headers["ETag"].startswith('W/"')
    asked: dict[str, Any] = {"If-None-Match": headers["ETag"], "Accept-Encoding": "gzip"}
    response = await client.get("/ui/app.js", headers=asked)
    assert (response.status, await response.read()) == (304, b"")
    assert b"import" in inflated(raw, "gzip")
