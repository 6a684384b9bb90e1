"""Fill a store with records, straight through its own `commit`: `python -m bench.generate --records 1000000`.

The records are those of a mixed service over some days: 12 projects, 20 services, each with 10 keys, many paths, one
in ten an LLM call, one in fifty an error. Always the same for the same numbers. What remains is a store,
to be measured by `python -m bench.queries`. Where it was stopped it goes on when it is started again.
"""

import argparse
import asyncio
import hashlib
import time
from pathlib import Path
from typing import Any, Final

import asyncpg

from storage.backends import open_storage
from storage.base import Storage
from storage.postgres import partitions
from storage.query import RecordQuery
from storage.record import Batch, Body, Entry, Payload, Position, Record, new_id, now_us
from storage.relational.time_ranges import DAY_US
from tests.storage.samples import START_US
from tests.storage.samples import make_record as make_get

BATCH: Final = 3000
SOURCE: Final = bytes(15) + b"\x09"

_METHODS: Final = ("GET", "GET", "GET", "GET", "POST", "POST", "PUT", "DELETE")
_MODELS: Final = (("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ("anthropic", "claude-sonnet"), ("gemini", "flash"))
_HEAD: Final = b"%s /api/items/%d HTTP/1.1\r\nhost: api.example.com\r\nuser-agent: Mozilla/5.0\r\naccept: */*"
_ANSWER: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 470\r\nserver: nginx"


def make_record(number: int, total: int, days: float, start_us: int = START_US) -> Record:
    """Make the record with a number, of so many, spread evenly over some days from a time on."""
    chance = int.from_bytes(hashlib.blake2b(number.to_bytes(8, "big"), digest_size=8).digest(), "big")
    started_at_us = start_us + int(number * days * DAY_US / total)
    status = 500 if chance % 100 == 0 else 404 if chance % 100 == 1 else 200
    service = (chance >> 8) % 20
    duration_us = 1000 + (chance >> 16) % 5000 * ((chance >> 30) % 40)
    return make_get(
        id=new_id(started_at_us * 1000, 4711, number & 0xFFFFF),
        started_at_us=started_at_us,
        ended_at_us=started_at_us + duration_us,
        level="error" if status == 500 else "warn" if status == 404 else "info",
        status=status,
        method=_METHODS[(chance >> 12) % 8],
        path=f"/api/{service}/items/{chance % 1_000_003}",
        duration_us=duration_us,
        first_byte_us=duration_us - 100,
        upstream_us=duration_us - 100,
        upstream_sent_at_us=started_at_us + 50,
        upstream_done_at_us=started_at_us + duration_us - 50,
        client_ip=f"10.1.2.{chance % 250}",
        stage="production",
        trace_id=f"{chance:032x}" if chance % 4 == 0 else None,
        span_id=f"{chance:016x}" if chance % 4 == 0 else None,
        request_id=f"0192f3a4-{number:08x}",
        user_agent=f"Mozilla/5.0 agent/{chance % 20}",
        error_type="internal" if status == 500 else None,
        key_id=f"key-{service * 10 + (chance >> 24) % 10}" if chance % 10 == 3 else None,
        **_place_of(service),
        **(_call_of(chance) if chance % 10 == 0 else {}),
    )


def _place_of(service: int) -> dict[str, Any]:
    return {
        "route_id": f"route-{service}",
        "service": f"service-{service}",
        "container": f"container-{service}",
        "project": f"project-{service % 12}",
        "client": "acme",
        "host": f"api-{service % 3}.example.com",
    }


def _call_of(chance: int) -> dict[str, Any]:
    provider, model = _MODELS[chance % 4]
    return {
        "provider": provider,
        "model": model,
        "input_tokens": chance % 900,
        "output_tokens": chance % 300,
        "usage_state": "exact",
    }


def make_payload(number: int, record: Record) -> Payload:
    """Make heads and a body of half a kilobyte."""
    text = f'{{"id": {number}, "path": "{record.path}", "tags": ["a", "b"], "text": "{"lorem ipsum " * 30}"}}'.encode()
    assert record.method is not None
    body = Body(text, b"", len(text), False, None, None)
    return Payload(_HEAD % (record.method.encode(), number), _ANSWER, None, body)


async def fill(
    storage: Storage, records: int, days: float, *, has_payloads: bool, start_us: int = START_US, first: int = 0
) -> float:
    """Commit the records from the number `first` on; answers the seconds of the commits alone."""
    seconds = 0.0
    for start in range(first, records, BATCH):
        entries = []
        for number in range(start, min(start + BATCH, records)):
            record = make_record(number, records, days, start_us)
            entries.append(Entry(record, make_payload(number, record) if has_payloads else None))
        taken = start + len(entries)
        position = Position(offset=taken * 500, taken=taken, stored=taken)
        began_s = time.perf_counter()
        await storage.commit(Batch("sidecar-1", entries, {SOURCE: position}))
        seconds += time.perf_counter() - began_s
    return seconds


async def fill_up(storage: Storage, records: int, days: float, *, has_payloads: bool, is_recent: bool) -> float:
    """Commit what a store that was filled in part lacks of the records, with the same numbers."""
    oldest = await storage.read(RecordQuery(order="asc", limit=1))
    start_us = now_us() - int(days * DAY_US) if is_recent else START_US
    if oldest.records:
        start_us = oldest.records[0].started_at_us
    first = await storage.last_seq()
    return await fill(storage, records, days, has_payloads=has_payloads, start_us=start_us, first=first)


async def make_days(url: str, days: float) -> None:
    """Make the partitions of the days until now, which a Postgres store would have made as each of them came."""
    if not url.startswith("postgres"):
        return
    connection = await asyncpg.connect(url)
    today = partitions.day_of(now_us())
    for day in range(today - int(days), today + 1):
        await partitions.prepare(connection, day)
    await connection.close()


async def _run(options: argparse.Namespace) -> None:
    async with await open_storage(options.storage, Path(options.directory), durability="fast") as storage:
        before = await storage.last_seq()
        if options.recent:
            await make_days(options.storage, options.days)
        seconds = await fill_up(
            storage, options.records, options.days, has_payloads=options.payloads, is_recent=options.recent
        )
        info = await storage.info()
    rate = (info.last_seq - before) / max(seconds, 0.001)
    print(f"{info.rows} rows, {info.size_bytes / info.rows:.0f} bytes a row, {rate:.0f} rows/s in commits")


def main() -> None:
    """Fill the store that the options name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--days", type=float, default=10.0)
    parser.add_argument("--recent", action="store_true", help="ending now, so that retention leaves them")
    parser.add_argument("--payloads", action="store_true", help="with heads and bodies")
    parser.add_argument("--storage", default="sqlite:///bench.db", help="storage URL")
    parser.add_argument("--directory", default=".", help="where a relative path of the URL begins")
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
