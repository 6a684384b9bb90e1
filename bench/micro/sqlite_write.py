"""CPU per row of the SQLite backend, by kind of record: `python -m bench.micro.sqlite_write`.

Each case commits batches of 3 000 entries made beforehand and counts the process's CPU time, so
that records, heads and bodies cost nothing here.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.contents import kind_of
from storage.query import Durability
from storage.record import MESSAGE_EVENT, Batch, Body, Entry, Payload, Position, Record, new_id
from storage.sqlite.store import SqliteStorage
from tests.storage.samples import START_US, make_record

BATCH: Final = 3000
BATCHES: Final = 12
HEAD: Final = (
    b"GET /api/items/%d?page=2 HTTP/1.1\r\nhost: api.example.com\r\nuser-agent: Mozilla/5.0 (X11; "
    b"Linux x86_64)\r\n"
    b"accept: application/json\r\nx-request-id: %s\r\nx-forwarded-for: 10.1.2.3"
)
ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 470\r\n"
    b"date: Fri, 20 Nov 2026 08:00:00 GMT\r\nserver: nginx"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of the table."""

    name: str
    make: Callable[[int], Entry]
    durability: Durability = "safe"


def record(number: int) -> Record:
    """Make the row of a plain GET."""
    started_at_us = START_US + number * 60
    status = 500 if number % 100 == 0 else 404 if number % 50 == 0 else 200
    return make_record(
        id=new_id(started_at_us * 1000, 4711, number & 0xFFFFF),
        started_at_us=started_at_us,
        ended_at_us=started_at_us + 900,
        level="error" if status == 500 else "warn" if status == 404 else "info",
        status=status,
        path=f"/api/items/{number}",
        query="page=2",
        duration_us=900 + number % 700,
        first_byte_us=700 + number % 500,
        client_ip=f"10.1.2.{number % 250}",
        project=f"project-{number % 4}",
        stage="production",
        request_id=f"0192f3a4-{number:08x}",
        user_agent=f"Mozilla/5.0 (X11; Linux x86_64) agent/{number % 20}",
    )


def bare(number: int) -> Entry:
    """A row without heads and bodies."""
    return Entry(record(number))


def redacted(number: int) -> Entry:
    """A row of a client with credentials, now and then with more of them."""
    entry = bare(number)
    entry.record.redactions = (
        {"name:authorization": 1, "name:cookie": 2} if number % 9 else {"github-token": 1}
    )
    return entry


def varied(number: int) -> Entry:
    """One of 60 000 combinations of key, route, project and endpoint: nearly each has rows of its
    own in rollups.
    """
    entry = bare(number)
    chance = random.Random(number).randrange(60_000)
    row = entry.record
    row.key_id = f"key-{chance % 50}"
    chance = chance // 50
    row.route_id = f"route-{chance % 5}"
    chance = chance // 5
    row.project = f"project-{chance % 4}"
    chance = chance // 4
    row.endpoint = f"/api/{chance}/items/{{id}}"
    return entry


def get(number: int) -> Entry:
    """A GET with both heads, no request body, and no response body kept."""
    row = record(number)
    assert row.request_id is not None
    return Entry(row, Payload(HEAD % (number, row.request_id.encode()), ANSWER, None, None))


def post(number: int) -> Entry:
    """A POST with 1 KB of JSON each way."""
    entry = get(number)
    entry.record.method = "POST"
    assert entry.payload is not None
    entry.payload.request_body = _json_body(number)
    entry.payload.response_body = _json_body(-number)
    return entry


def _json_body(number: int) -> Body:
    text = kind_of("json-1k").body(number)
    return Body(text, b"", len(text), False, None, None)


def message(number: int) -> Entry:
    """Make the event of a WebSocket message."""
    at_us = START_US + number * 60
    event = Record(
        0, new_id(at_us * 1000, 4711, number & 0xFFFFF), "sidecar-1", "event", at_us, at_us, "debug",
        trace_id=f"{number % 200:032x}", route_id="default", name=MESSAGE_EVENT,
        data=b'{"direction":"in","opcode":"text","size":0,"text":""}',
    )  # fmt: skip
    return Entry(event)


CASES: Final = (
    Case(name="bare row", make=bare),
    Case(name="WebSocket message", make=message),
    Case(name="bare row, fast", make=bare, durability="fast"),
    Case(name="varied", make=varied),
    Case(name="redacted", make=redacted),
    Case(name="GET, heads", make=get),
    Case(name="POST, 1 KB JSON each way", make=post),
)


async def measure(case: Case, directory: Path) -> tuple[float, float, float]:
    """Answer CPU µs a row, wall µs a row, and bytes of file a row."""
    path = directory / "records.db"
    async with await SqliteStorage.open(path, durability=case.durability) as store:
        batches = [_batch(case, number) for number in range(BATCHES + 1)]
        await store.commit(batches[0])
        cpu_s = time.process_time()
        wall_s = time.perf_counter()
        for batch in batches[1:]:
            await store.commit(batch)
        rows = BATCH * BATCHES
        cpu_us = (time.process_time() - cpu_s) / rows * 1e6
        wall_us = (time.perf_counter() - wall_s) / rows * 1e6

    return cpu_us, wall_us, path.stat().st_size / (rows + BATCH)


def _batch(case: Case, number: int) -> Batch:
    entries = [case.make(number * BATCH + place) for place in range(BATCH)]
    taken = (number + 1) * BATCH
    return Batch(
        "sidecar-1",
        entries,
        {bytes(15) + b"\x07": Position(offset=taken * 500, taken=taken, stored=taken)},
    )


def main() -> None:
    """Print the table; each figure is the best of some rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--directory", help="where the files are written; the temporary directory otherwise"
    )
    parser.add_argument("--case", help="only this one")
    options = parser.parse_args()
    print(f"{'case':34} {'CPU µs/row':>11} {'wall µs/row':>12} {'bytes/row':>10}")

    for case in [case for case in CASES if options.case in (None, case.name)]:
        figures = []
        for _ in range(options.rounds):
            with tempfile.TemporaryDirectory(dir=options.directory) as directory:
                figures.append(asyncio.run(measure(case, Path(directory))))
        cpu_us, wall_us, size = (min(column) for column in zip(*figures, strict=True))
        print(f"{case.name:34} {cpu_us:11.1f} {wall_us:12.1f} {size:10.0f}")


if __name__ == "__main__":
    main()
