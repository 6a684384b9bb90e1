"""Exports read by programs that are not ours: the csv module, a JSON parser, a HAR schema and a HAR
library.
"""

import csv
import io
import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from haralyzer import HarParser  # type: ignore[import-untyped]

from storage.record import Body, Entry, Payload, Record
from tests.api.conftest import Client, World
from tests.api.har_schema import HAR
from tests.api.native.files.test_export import PAYLOAD, fetch
from tests.api.samples import make_record

JSON_HEAD = (
    b"POST /v1/users HTTP/1.1\r\nHost: service.test\r\nContent-Type: application/json\r\nCookie: "
    b"[REDACTED]"
)
PLAIN = b"HTTP/1.1 200\r\nContent-Type: text/plain; charset=utf-8"
LATIN = b"GET /v1/users HTTP/1.1\r\nHost: service.test\r\nX-Name: \xe9"
ODD: tuple[tuple[dict[str, object], Payload | None], ...] = (
    ({}, PAYLOAD),
    ({}, None),
    (
        {"status": None, "first_byte_us": None, "outcome": "upstream_refused", "upstream": None},
        None,
    ),
    (
        {
            "method": None,
            "path": None,
            "host": None,
            "http_version": None,
            "status": 400,
            "outcome": "rejected",
        },
        None,
    ),
    ({"query": ""}, Payload(LATIN, PLAIN, None, Body(b"", b"", 0, False, None, None))),
    (
        {"query": "a=1&a=2&b=%00&=x&c"},
        Payload(JSON_HEAD, PLAIN, Body(b"{}", b"", 2, False, "gzip", None), None),
    ),
    ({"method": "POST"}, Payload(JSON_HEAD, PLAIN, Body(b"", b"", 99, True, None, "level"), None)),
    (
        {"upstream": "[::1]:80"},
        Payload(JSON_HEAD, PLAIN, None, Body("ü\u2028\x00".encode(), b"", 9, False, None, None)),
    ),
    ({"connect_us": 900_000, "first_byte_us": 10}, Payload(b"", b"", None, None)),
    ({"status": 101, "path": "/\xff", "host": "ünicode.test"}, None),
    (
        {
            "method": "=cmd|' /C calc'!A0",
            "user_agent": "@SUM(1,1)",
            "path": "\t+1\r\n-2",
            "error_type": "-1+1",
        },
        None,
    ),
)
"""Exchanges of every kind that make an export stumble."""


@pytest.fixture
async def records(world: World) -> list[Record]:
    """A store of them, and an event."""
    made = [make_record(n, **changes) for n, (changes, _) in enumerate(ODD)]
    entries = [Entry(record, payload) for record, (_, payload) in zip(made, ODD, strict=True)]
    await world.store(*entries, make_record(99, kind="event", name="gap"))
    return made


async def archive(client: Client) -> dict[str, Any]:
    """The whole store as HAR."""
    document: dict[str, Any] = json.loads(await fetch(client, "format=har"))
    return document


async def test_an_archive_is_valid(client: Client, records: list[Record]) -> None:
    """Every entry has what HAR 1.2 demands and nothing it does not know."""
    document = await archive(client)
    jsonschema.validate(document, HAR, cls=jsonschema.Draft202012Validator)
    assert len(document["log"]["entries"]) == len(records)


async def test_the_phases_add_up(client: Client, records: list[Record]) -> None:
    """`time` is the sum of the phases that were reached, as the specification wants it."""
    for entry in (await archive(client))["log"]["entries"]:
        phases = [
            value
            for name, value in entry["timings"].items()
            if name not in ("ssl", "comment") and value > 0
        ]
        assert entry["time"] == pytest.approx(sum(phases)), entry["comment"]


async def test_a_har_library_reads_an_archive(client: Client, records: list[Record]) -> None:
    """haralyzer finds the same requests, statuses and bodies."""
    parser = HarParser(await archive(client))
    entries = parser.har_data["entries"]
    assert len(entries) == len(records)
    page = parser.pages[0] if parser.pages else None
    found = page.entries if page is not None else list(entries)
    assert [entry["response"]["status"] for entry in found] == [
        record.status or 0 for record in records
    ]


async def test_a_table_reads_back_cell_by_cell(client: Client, records: list[Record]) -> None:
    """The csv module, strict, finds a row per record; no cell begins as a formula does."""
    text = await fetch(client, "format=csv")
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert len(rows) == len(records)

    for row, record in zip(rows, records, strict=True):
        assert None not in row
        assert None not in row.values()
        assert not [
            cell for cell in row.values() if cell.startswith(("=", "+", "-", "@", "\t", "\r"))
        ]
        assert row["method"].removeprefix("'") == (record.method or "")

    hostile = rows[-1]
    assert (hostile["user_agent"], hostile["path"]) == ("'@SUM(1,1)", "'\t+1\r\n-2")


async def test_lines_are_records(client: Client, records: list[Record]) -> None:
    """Split at line feeds alone, each line is one JSON object; what a text may hold splits none."""
    raw = (await fetch(client, "format=ndjson&bodies=true")).encode()
    lines = raw.removesuffix(b"\n").split(b"\n")
    shown = [json.loads(line) for line in lines]
    assert [record["seq"] for record in shown] == list(range(1, len(records) + 1))
    assert shown[7]["response"]["body"]["head"] == "ü\u2028\x00"
